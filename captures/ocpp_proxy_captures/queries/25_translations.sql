-- name: 25_translations  Which Calls were translated for a side of another OCPP version, into what, and how long took each leg?
WITH answer AS (
  SELECT msg_no - call_back AS call_no, ts, mtype, frame_id, error_code FROM wire
  WHERE mtype IN (3, 4) AND call_back IS NOT NULL),
made AS (
  SELECT w.*, f.origin FROM (SELECT frame_id, list_last(cause) AS origin FROM wire WHERE verdict = 'translated') f
  JOIN wire w ON w.frame_id = f.frame_id
  WHERE w.mtype = 2 AND ($identity = '' OR identity = $identity))
SELECT m.ts, m.identity, CASE WHEN m.station THEN 'station' ELSE 'csms' END AS side,
       o.action, o.protocol AS version, (epoch_us(r.ts) - epoch_us(o.ts)) / 1000.0 AS latency_ms,
       CASE r.mtype WHEN 3 THEN 'ok' WHEN 4 THEN coalesce(r.error_code, 'error') END AS outcome,
       m.action AS made_action, m.protocol AS made_version, (epoch_us(a.ts) - epoch_us(m.ts)) / 1000.0 AS made_latency_ms,
       CASE a.mtype WHEN 3 THEN 'ok' WHEN 4 THEN coalesce(a.error_code, 'error') END AS made_outcome,
       o.frame_id AS frame, m.frame_id AS made_frame, a.frame_id AS answer_frame, r.frame_id AS made_answer_frame
FROM made m LEFT JOIN wire o ON o.frame_id = m.origin AND o.msg_no IS NOT NULL
LEFT JOIN answer a ON a.call_no = m.msg_no LEFT JOIN answer r ON r.call_no = o.msg_no
ORDER BY m.no LIMIT CAST($rows AS INTEGER);
-- parameter: identity =   of this charger; empty: of all
-- parameter: rows = 1000  how many, the oldest first
