-- name: 23_losses  Which fields did a plugin not carry as they came, how often, and why?
SELECT plugin, what, action, path, reason, count(*) AS times, count(DISTINCT identity) AS chargers,
       min(ts) AS first, max(ts) AS last, max(msg_no) AS last_message
FROM losses WHERE ($plugin = '' OR plugin = $plugin) AND ($identity = '' OR identity = $identity)
GROUP BY plugin, what, action, path, reason
ORDER BY times DESC, plugin, action, path, what, reason LIMIT CAST($rows AS INTEGER);
-- parameter: plugin =   of this plugin; empty: of all
-- parameter: identity =   of this charger; empty: of all
-- parameter: rows = 200  how many, the most frequent first
