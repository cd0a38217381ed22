-- Of every charger the p95 of the time from Call to answer in us, and how many Calls have no answer (pending ones apart).
WITH clock AS (
  SELECT greatest((SELECT max(ts) FROM wire), (SELECT max(ts) FROM events),
                  (SELECT max(make_timestamptz(TRY_CAST(json_extract_string(value, '$.last_beat_ns') AS BIGINT) // 1000))
                   FROM meta WHERE key = 'progress'))
         - to_microseconds(CAST(1000000 * coalesce(
             (SELECT max(TRY_CAST(json_extract_string(value, '$.call_seconds') AS DOUBLE)) FROM meta WHERE key = 'rules_settings'),
             30.0) AS BIGINT)) AS due),
answer AS (SELECT msg_no - call_back AS call_no, ts FROM wire WHERE call_back IS NOT NULL AND mtype IN (3, 4)),
pair AS (
  SELECT c.identity, c.link_id, c.ts AS called_at, epoch_us(a.ts) - epoch_us(c.ts) AS took
  FROM wire c LEFT JOIN answer a ON a.call_no = c.msg_no WHERE c.mtype = 2 AND c.identity IS NOT NULL)
SELECT identity, quantile_cont(took, 0.95),
       count(*) FILTER (took IS NULL AND (called_at <= (SELECT due FROM clock)
                        OR link_id IN (SELECT link_id FROM events WHERE kind = 'link_closed')))
FROM pair GROUP BY identity ORDER BY identity
