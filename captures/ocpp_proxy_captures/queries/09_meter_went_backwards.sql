-- name: 09_meter_went_backwards  Where did an energy register decrease?
-- The window holds numbers alone: 64 bits stand for charger and transaction, whose names are fetched for the few rows found.
WITH told AS (SELECT msg_no, hash(identity, tx_id) AS session FROM messages WHERE mtype = 2),
register AS (
  SELECT msg_no, sampled_at, value, lag(value) OVER one AS before
  FROM samples JOIN told USING (msg_no)
  WHERE measurand = 'Energy.Active.Import.Register' AND phase IS NULL AND location IS DISTINCT FROM 'Inlet'
  WINDOW one AS (PARTITION BY session, evse ORDER BY msg_no, sampled_at, value)),
fallen AS MATERIALIZED (SELECT * FROM register WHERE value < before)
SELECT identity, tx_id, ts, sampled_at, before, value, before - value AS lost_wh
FROM fallen JOIN messages USING (msg_no) ORDER BY lost_wh DESC, identity, msg_no, sampled_at LIMIT CAST($rows AS INTEGER);
-- parameter: rows = 50  how many, the largest step first
