-- name: 16_context_around  What was said around the first error, on the same link?
WITH first AS (
  SELECT link_id, ts FROM findings WHERE level >= 3 AND ($rule = '' OR rule = $rule) ORDER BY ts, finding_id LIMIT 1)
SELECT m.ts, m.identity, m.side, m.mtype, m.action, left(CAST(m.payload AS VARCHAR), 120) AS payload
FROM messages m JOIN first f ON f.link_id = m.link_id
WHERE m.ts BETWEEN f.ts - to_minutes(CAST($window AS INTEGER)) AND f.ts + to_minutes(CAST($window AS INTEGER))
ORDER BY m.ts, m.msg_no LIMIT CAST($rows AS INTEGER);
-- parameter: rule =   the first finding of this rule; empty: of any
-- parameter: window = 10  minutes before and after
-- parameter: rows = 200  how many messages
