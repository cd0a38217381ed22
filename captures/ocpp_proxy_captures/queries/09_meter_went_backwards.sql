-- name: 09_meter_went_backwards  Where did an energy register decrease?
WITH register AS (
  SELECT msg_no, identity, tx_id, ts, sampled_at, value, lag(value) OVER one AS before
  FROM meter_values
  WHERE measurand = 'Energy.Active.Import.Register' AND phase IS NULL AND location IS DISTINCT FROM 'Inlet'
  WINDOW one AS (PARTITION BY identity, evse, tx_id ORDER BY msg_no, sampled_at, value))
SELECT identity, tx_id, ts, sampled_at, before, value, before - value AS lost_wh
FROM register WHERE value < before ORDER BY lost_wh DESC, identity, msg_no, sampled_at LIMIT CAST($rows AS INTEGER);
-- parameter: rows = 50  how many, the largest step first
