-- name: 18_missing_seqno  Which 2.x transactions lost events (holes in seqNo)?
SELECT identity, tx_id, missing_seq, started_at, stopped_at
FROM transactions WHERE missing_seq > 0 ORDER BY missing_seq DESC, identity, tx_id LIMIT CAST($rows AS INTEGER);
-- parameter: rows = 100  how many, the most holes first
