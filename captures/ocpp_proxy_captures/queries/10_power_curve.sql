-- name: 10_power_curve  Power and state of charge of one transaction, in steps of time
WITH one AS (
  SELECT identity, tx_id FROM transactions
  WHERE $session = '' OR tx_id = $session ORDER BY duration DESC NULLS LAST, identity, tx_id LIMIT 1),
told AS MATERIALIZED (SELECT m.msg_no, m.ts, m.identity, m.tx_id FROM messages m JOIN one USING (identity, tx_id))
SELECT time_bucket(to_minutes(CAST($minutes AS INTEGER)), ts) AS step, identity, tx_id,
       round(avg(value) FILTER (measurand = 'Power.Active.Import')) AS watts,
       round(max(value) FILTER (measurand = 'Energy.Active.Import.Register')) AS register_wh,
       round(max(value) FILTER (measurand = 'SoC'), 1) AS soc
FROM samples JOIN told USING (msg_no) GROUP BY ALL ORDER BY step, identity, tx_id;
-- parameter: session =   transaction id; empty: the longest one
-- parameter: minutes = 5  length of a step
