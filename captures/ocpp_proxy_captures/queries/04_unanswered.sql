-- name: 04_unanswered  Which Calls got no answer in time?
SELECT called_at, identity, side AS caller, action, message_id
FROM exchanges WHERE outcome = 'unanswered'
ORDER BY called_at DESC, identity, message_id, call_no LIMIT CAST($rows AS INTEGER);
-- parameter: rows = 50  how many, the newest first
