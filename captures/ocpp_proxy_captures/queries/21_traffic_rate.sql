-- name: 21_traffic_rate  How many messages per minute, and how many errors?
SELECT time_bucket(to_minutes(CAST($minutes AS INTEGER)), ts) AS step, count(*) AS messages, count(*) FILTER (mtype IN (4, 5)) AS errors
FROM messages GROUP BY step ORDER BY step;
-- parameter: minutes = 1  length of a step
