-- Transactions, as the view of that name has them, with those that began before the capture did, and with what their meter says
-- while they run.
-- 1.6: from the answer that gave it its id (0: not seen) to the next that gave this id (first_no: the earliest there is).
WITH told AS MATERIALIZED (
  SELECT * EXCLUDE said, said[5] AS what, CASE WHEN regexp_full_match(said[6], '-?\d{1,15}') THEN CAST(said[6] AS BIGINT) END AS seq,
         CASE action WHEN 'TransactionEvent' THEN said[4] ELSE said[3] END AS reason,
         TRY_CAST(CASE action WHEN 'StopTransaction' THEN said[2] ELSE said[1] END AS DOUBLE) AS meter
  FROM (SELECT msg_no, call_no, identity, protocol, mtype, action, ts, evse_id, connector_id, tx_id, id_token,
               json_extract_string(payload, ['$.meterStart', '$.meterStop', '$.reason', '$.transactionInfo.stoppedReason',
                 '$.eventType', '$.seqNo']) AS said
        FROM messages m ANTI JOIN far_legs f ON f.link_id = m.link_id AND f.protocol = m.protocol
        WHERE mtype = 2 AND action IN ('StartTransaction', 'StopTransaction', 'TransactionEvent') AND identity IS NOT NULL
          AND ($identity = '' OR identity = $identity))),
start16 AS (
  SELECT r.msg_no, c.identity, c.protocol, c.connector_id, c.ts, c.id_token, c.meter, r.tx_id,
         lead(r.msg_no, 1, 9223372036854775807) OVER (PARTITION BY c.identity, r.tx_id ORDER BY r.msg_no) AS next_no
  FROM told c JOIN (SELECT msg_no, msg_no - call_back AS call_no, tx_id FROM wire
                    WHERE mtype = 3 AND action = 'StartTransaction' AND call_back IS NOT NULL AND tx_id IS NOT NULL) r
       ON r.call_no = c.msg_no
  WHERE c.action = 'StartTransaction'),
first16 AS (SELECT identity, tx_id, min(msg_no) AS first_no FROM start16 GROUP BY identity, tx_id),
metered AS (
  SELECT msg_no, identity, tx_id, w.protocol, connector_id FROM wire w
  ANTI JOIN far_legs f ON f.link_id = w.link_id AND f.protocol = w.protocol
  WHERE mtype = 2 AND action IN ('MeterValues', 'StopTransaction') AND tx_id IS NOT NULL AND identity IS NOT NULL
    AND ($identity = '' OR identity = $identity)),
before16 AS (
  SELECT m.identity, m.tx_id, arg_min(m.protocol, m.msg_no) AS protocol, arg_min(m.connector_id, m.msg_no) AS connector_id,
         coalesce(max(f.first_no), 9223372036854775807) AS next_no
  FROM metered m LEFT JOIN first16 f ON f.identity = m.identity AND f.tx_id = m.tx_id
  WHERE f.first_no IS NULL OR m.msg_no < f.first_no GROUP BY m.identity, m.tx_id),
begun16 AS (
  SELECT identity, tx_id, msg_no AS start_no, next_no, protocol, connector_id, ts AS started_at, id_token, meter AS meter_start
  FROM start16 UNION ALL
  SELECT identity, tx_id, 0, next_no, protocol, connector_id, NULL, NULL, NULL FROM before16),
stop16 AS (
  SELECT b.identity, b.tx_id, b.start_no, min(p.ts) AS stopped_at, arg_min({'meter': p.meter, 'reason': p.reason}, p.msg_no) AS first
  FROM begun16 b JOIN told p ON p.identity = b.identity AND p.tx_id = b.tx_id AND p.action = 'StopTransaction'
       AND p.msg_no > b.start_no AND p.msg_no < b.next_no GROUP BY b.identity, b.tx_id, b.start_no),
whole16 AS (
  SELECT b.*, p.stopped_at, p.first.meter AS meter_stop, p.first.reason AS reason
  FROM begun16 b LEFT JOIN stop16 p ON p.identity = b.identity AND p.tx_id = b.tx_id AND p.start_no = b.start_no),
register16 AS (
  SELECT w.identity, w.tx_id, w.start_no, min(s.value) AS low, max(s.value) AS high
  FROM whole16 w
  JOIN metered m ON m.identity = w.identity AND m.tx_id = w.tx_id AND m.msg_no > w.start_no AND m.msg_no < w.next_no
  JOIN samples s ON s.msg_no = m.msg_no
  WHERE (w.meter_start IS NULL OR w.meter_stop IS NULL) AND s.measurand = 'Energy.Active.Import.Register' AND s.phase IS NULL AND s.unit IN ('Wh', '')
    AND abs(s.value) < 1e18
  GROUP BY w.identity, w.tx_id, w.start_no),
one AS (
  SELECT w.tx_id, w.identity, w.protocol, NULL::BIGINT AS evse, w.connector_id AS connector, w.started_at, w.stopped_at,
         coalesce(w.meter_start, r.low) AS low, coalesce(w.meter_stop, r.high) AS high, w.id_token, w.reason,
         NULL::BIGINT AS missing, w.start_no
  FROM whole16 w LEFT JOIN register16 r ON r.identity = w.identity AND r.tx_id = w.tx_id AND r.start_no = w.start_no),
event2 AS (SELECT * FROM told WHERE action = 'TransactionEvent' AND tx_id IS NOT NULL),
register2 AS (
  SELECT e.identity, e.tx_id, min(s.value) AS low, max(s.value) AS high FROM samples s JOIN event2 e ON e.msg_no = s.msg_no
  WHERE s.measurand = 'Energy.Active.Import.Register' AND s.phase IS NULL AND s.unit IN ('Wh', '') AND abs(s.value) < 1e18 GROUP BY e.identity, e.tx_id),
tx2 AS (
  SELECT tx_id, identity, arg_min(protocol, msg_no) AS protocol, arg_min(evse_id, msg_no) AS evse,
         arg_min(connector_id, msg_no) AS connector, min(ts) FILTER (what = 'Started') AS started_at,
         max(ts) FILTER (what = 'Ended') AS stopped_at, arg_min(id_token, msg_no) AS id_token,
         arg_max(reason, msg_no) FILTER (reason <> '') AS reason, max(seq) - min(seq) + 1 - count(DISTINCT seq) AS missing
  FROM event2 GROUP BY identity, tx_id),
two AS (
  SELECT t.tx_id, t.identity, t.protocol, t.evse, t.connector, t.started_at, t.stopped_at, r.low, r.high, t.id_token, t.reason,
         t.missing, 0 AS start_no
  FROM tx2 t LEFT JOIN register2 r ON r.identity = t.identity AND r.tx_id = t.tx_id)
SELECT tx_id, identity, coalesce(protocol, ''), evse, connector, coalesce(epoch_us(started_at) * 1000, 0),
       coalesce(epoch_us(stopped_at) * 1000, 0), (high - low) / 1000, coalesce(id_token, ''), coalesce(reason, ''), missing
FROM (SELECT * FROM one UNION ALL SELECT * FROM two)
ORDER BY started_at DESC NULLS LAST, identity, tx_id, start_no LIMIT $limit
