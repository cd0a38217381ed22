-- name: 07_transactions  Which transactions ran, how long, and with how much energy?
SELECT identity, tx_id, gen, started_at, duration, round(kwh, 2) AS kwh, id_token, stop_reason
FROM transactions ORDER BY started_at NULLS LAST, identity, tx_id, stopped_at NULLS LAST LIMIT CAST($rows AS INTEGER);
-- parameter: rows = 1000  how many, the oldest first
