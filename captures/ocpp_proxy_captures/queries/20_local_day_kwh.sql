-- name: 20_local_day_kwh  How much energy per local day?
SELECT CAST(timezone($zone, stopped_at) AS DATE) AS day, count(*) AS transactions, round(sum(kwh), 1) AS kwh
FROM transactions WHERE stopped_at IS NOT NULL GROUP BY day ORDER BY day;
-- parameter: zone = UTC  time zone, for example Europe/Berlin
