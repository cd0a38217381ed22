-- name: 01_overview  Which chargers are in this capture, how busy, and since when?
SELECT identity, min(protocol) AS protocol, count(*) AS messages, min(ts) AS first, max(ts) AS last,
       count(DISTINCT link_id) AS links, count(*) FILTER (mtype IN (4, 5)) AS errors
FROM messages GROUP BY identity ORDER BY messages DESC, identity LIMIT CAST($rows AS INTEGER);
-- parameter: rows = 1000  how many chargers
