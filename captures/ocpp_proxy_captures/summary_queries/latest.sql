-- The newest BootNotification of every charger (connector NULL), and the newest StatusNotification of each connector, in order.
SELECT identity, NULL::BIGINT AS evse_id, NULL::BIGINT AS connector_id, max(msg_no) AS msg_no FROM wire
WHERE mtype = 2 AND action = 'BootNotification' AND identity IS NOT NULL GROUP BY identity
UNION ALL
SELECT identity, evse_id, connector_id, max(msg_no) FROM wire
WHERE mtype = 2 AND action = 'StatusNotification' AND identity IS NOT NULL AND connector_id IS NOT NULL
GROUP BY identity, evse_id, connector_id ORDER BY msg_no
