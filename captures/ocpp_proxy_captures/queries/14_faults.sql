-- name: 14_faults  Which connectors reported a fault, and how long until their next status?
WITH status AS (
  SELECT msg_no, identity, evse_id, connector_id, ts, json_extract_string(payload, '$.errorCode') AS error_code,
         coalesce(json_extract_string(payload, '$.status'), json_extract_string(payload, '$.connectorStatus')) AS status,
         lead(ts) OVER (PARTITION BY identity, evse_id, connector_id ORDER BY msg_no) AS next_at
  FROM messages WHERE mtype = 2 AND action = 'StatusNotification')
SELECT ts, identity, evse_id, connector_id, coalesce(error_code, '') AS error_code, next_at - ts AS until_next_status
FROM status WHERE status = 'Faulted' ORDER BY ts, msg_no LIMIT CAST($rows AS INTEGER);
-- parameter: rows = 100  how many, the oldest first
