-- name: 19_search  In which messages does a text or pattern occur?
SELECT msg_no, ts, identity, side, action, regexp_extract(CAST(payload AS VARCHAR), '.{0,30}(?:' || $pattern || ').{0,30}') AS hit
FROM messages WHERE regexp_matches(CAST(payload AS VARCHAR), $pattern) ORDER BY ts, msg_no LIMIT CAST($rows AS INTEGER);
-- parameter: pattern = Faulted|InternalError|GroundFailure  regular expression (RE2)
-- parameter: rows = 100  how many, the oldest first
