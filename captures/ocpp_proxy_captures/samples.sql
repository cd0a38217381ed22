-- The samples of the messages in {source}: definition of the rows of samples (energy in Wh, power in W).
WITH read AS (
  SELECT msg_no, coalesce(evse_id, connector_id) AS evse,
         from_json(payload, '{"meterValue": [{"timestamp": "VARCHAR", "sampledValue": [{
            "value": "VARCHAR", "measurand": "VARCHAR", "phase": "VARCHAR", "context": "VARCHAR", "location": "VARCHAR",
            "unit": "VARCHAR", "unitOfMeasure": {"unit": "VARCHAR", "multiplier": "INTEGER"}}]}],
          "transactionData": [{"timestamp": "VARCHAR", "sampledValue": [{
            "value": "VARCHAR", "measurand": "VARCHAR", "phase": "VARCHAR", "context": "VARCHAR", "location": "VARCHAR",
            "unit": "VARCHAR", "unitOfMeasure": {"unit": "VARCHAR", "multiplier": "INTEGER"}}]}]}') AS body
  FROM {source}
  WHERE mtype = 2 AND action IN ('MeterValues', 'StopTransaction', 'TransactionEvent') AND verdict IS DISTINCT FROM 'translated'),
entry AS (SELECT * EXCLUDE body, unnest(coalesce(body.meterValue, body.transactionData)) AS m FROM read),
sample AS (
  SELECT * EXCLUDE m, TRY_CAST(m.timestamp AS TIMESTAMPTZ) AS sampled_at, unnest(m.sampledValue) AS s FROM entry),
field AS (
  SELECT * EXCLUDE s, s.measurand AS measurand, s.phase AS phase, s.context AS context, s.location AS location,
         TRY_CAST(s.value AS DOUBLE) AS value, coalesce(s.unitOfMeasure.multiplier, 0) AS power,
         coalesce(s.unit, s.unitOfMeasure.unit) AS unit
  FROM sample WHERE s IS NOT NULL)
SELECT msg_no, evse, sampled_at,
       coalesce(measurand, 'Energy.Active.Import.Register') AS measurand, phase,
       coalesce(context, 'Sample.Periodic') AS context, location,
       value * CASE WHEN power = 0 THEN 1 WHEN power BETWEEN -30 AND 30 THEN pow(10, power) END
             * CASE WHEN unit IN ('kWh', 'kW') THEN 1000 ELSE 1 END AS value,
       CASE unit WHEN 'kWh' THEN 'Wh' WHEN 'kW' THEN 'W' ELSE coalesce(unit, 'Wh') END AS unit
FROM field
