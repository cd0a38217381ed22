-- name: 11_clock_skew  Whose clock is wrong, and by how much?
WITH stamped AS (
  SELECT identity, epoch(TRY_CAST(json_extract_string(payload, '$.timestamp') AS TIMESTAMPTZ)) - epoch(ts) AS ahead
  FROM messages
  WHERE side = 'station' AND mtype = 2 AND action IN ('StatusNotification', 'StartTransaction', 'StopTransaction', 'TransactionEvent'))
SELECT identity, count(*) AS samples, round(median(ahead), 1) AS ahead_s, round(min(ahead), 1) AS min_s, round(max(ahead), 1) AS max_s
FROM stamped WHERE ahead IS NOT NULL GROUP BY identity
HAVING abs(median(ahead)) > CAST($seconds AS DOUBLE) ORDER BY abs(median(ahead)) DESC, identity;
-- parameter: seconds = 5  wrong by more than this
