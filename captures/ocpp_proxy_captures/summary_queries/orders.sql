-- Orders about charging profiles that the station accepted, the newest first.
SELECT epoch_us(r.ts) * 1000, c.action, CAST(c.payload AS VARCHAR)
FROM (SELECT * FROM messages WHERE mtype = 2 AND identity = $identity AND action IN ('SetChargingProfile', 'ClearChargingProfile')) c
JOIN (SELECT * FROM messages WHERE mtype = 3 AND identity = $identity AND action IN ('SetChargingProfile', 'ClearChargingProfile')) r
     ON r.call_no = c.msg_no
WHERE json_extract_string(r.payload, '$.status') = 'Accepted' ORDER BY r.msg_no DESC LIMIT $limit
