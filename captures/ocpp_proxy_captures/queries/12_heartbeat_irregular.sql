-- name: 12_heartbeat_irregular  Which chargers are later with their Heartbeats than the CSMS asked for?
WITH asked AS (
  SELECT link_id, arg_max(TRY_CAST(json_extract_string(res, '$.interval') AS INTEGER), call_no) AS interval_s
  FROM exchanges WHERE action = 'BootNotification' AND outcome = 'ok' GROUP BY link_id),
beat AS (
  SELECT link_id, identity, epoch(ts) - epoch(lag(ts) OVER (PARTITION BY link_id ORDER BY msg_no)) AS gap_s
  FROM messages WHERE mtype = 2 AND action = 'Heartbeat')
SELECT identity, interval_s, count(*) AS late, round(max(gap_s)) AS longest_s, round(avg(gap_s)) AS mean_s
FROM beat JOIN asked USING (link_id) WHERE gap_s > interval_s * CAST($factor AS DOUBLE)
GROUP BY identity, interval_s ORDER BY longest_s DESC, identity, interval_s;
-- parameter: factor = 1.5  late means: more than this times the interval
