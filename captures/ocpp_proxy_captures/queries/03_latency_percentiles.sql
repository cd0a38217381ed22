-- name: 03_latency_percentiles  Who is slow to answer: the station or the CSMS?
SELECT CASE side WHEN 'station' THEN 'csms' ELSE 'station' END AS answering, action, count(*) AS answers,
       round(quantile_cont(latency_ms, 0.5), 1) AS p50_ms, round(quantile_cont(latency_ms, 0.95), 1) AS p95_ms,
       round(quantile_cont(latency_ms, 0.99), 1) AS p99_ms, round(max(latency_ms), 1) AS max_ms
FROM exchanges WHERE answer_no IS NOT NULL GROUP BY side, action ORDER BY p99_ms DESC, answering, action;
