-- name: 19_search  In which messages does a text or pattern occur?
-- Up to four plain words are looked for as text, which is seven times as quick as the same words as a pattern.
SELECT msg_no, ts, identity, side, action, regexp_extract(text, '.{0,30}(?:' || $pattern || ').{0,30}') AS hit
FROM (SELECT *, CAST(payload AS VARCHAR) AS text FROM messages)
WHERE CASE WHEN regexp_full_match($pattern, '\w+(\|\w+){0,3}')
           THEN contains(text, split_part($pattern, '|', 1))
             OR (split_part($pattern, '|', 2) <> '' AND contains(text, split_part($pattern, '|', 2)))
             OR (split_part($pattern, '|', 3) <> '' AND contains(text, split_part($pattern, '|', 3)))
             OR (split_part($pattern, '|', 4) <> '' AND contains(text, split_part($pattern, '|', 4)))
           ELSE regexp_matches(text, $pattern) END
ORDER BY ts, msg_no LIMIT CAST($rows AS INTEGER);
-- parameter: pattern = Faulted|InternalError|GroundFailure  regular expression (RE2)
-- parameter: rows = 100  how many, the oldest first
