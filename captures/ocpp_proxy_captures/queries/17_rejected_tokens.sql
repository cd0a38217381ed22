-- name: 17_rejected_tokens  Where did energy flow although the token was refused?
SELECT identity, tx_id, id_token, auth_status, round(kwh, 2) AS kwh, started_at
FROM transactions WHERE gen = '1.6' AND auth_status <> 'Accepted' AND kwh > 0
ORDER BY kwh DESC, identity, tx_id, started_at LIMIT CAST($rows AS INTEGER);
-- parameter: rows = 100  how many, the most energy first
