-- name: 24_audit  What did people do to the traffic, when, and what came of it?
SELECT ts, who, action, identity, detail, outcome
FROM audit WHERE $identity = '' OR identity = $identity
ORDER BY no DESC LIMIT CAST($rows AS INTEGER);
-- parameter: identity =   about this charger; empty: about all
-- parameter: rows = 1000  how many, the newest first
