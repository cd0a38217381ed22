-- name: 26_lost_fields  Which field of which message did a plugin not carry as it came, one by one?
SELECT ts, identity, plugin, action, message_id, what, path, reason, msg_no, frame_id AS frame
FROM losses WHERE ($plugin = '' OR plugin = $plugin) AND ($identity = '' OR identity = $identity)
  AND ($action = '' OR action = $action)
ORDER BY no LIMIT CAST($rows AS INTEGER);
-- parameter: plugin =   of this plugin; empty: of all
-- parameter: identity =   of this charger; empty: of all
-- parameter: action =   of messages of this action; empty: of all
-- parameter: rows = 1000  how many, the oldest first
