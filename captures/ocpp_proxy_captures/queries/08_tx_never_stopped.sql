-- name: 08_tx_never_stopped  Which transactions began and were never stopped?
SELECT identity, tx_id, gen, started_at, id_token
FROM transactions
WHERE stopped_at IS NULL AND started_at < (SELECT max(ts) FROM messages) - to_hours(CAST($hours AS INTEGER))
ORDER BY started_at, identity, tx_id;
-- parameter: hours = 3  begun at least so long before the end of the capture
