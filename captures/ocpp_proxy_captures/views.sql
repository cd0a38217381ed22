-- Views over the tables of schema.sql. The same text is run inside every capture file and over the union of a folder's segments.

CREATE OR REPLACE VIEW frames AS
SELECT frame_id, link_id, seq, ts, CASE WHEN station THEN 'station' ELSE 'csms' END AS side,
       list_extract(['text', 'binary', 'continuation', 'ping', 'pong', 'close', 'http_req', 'http_res', 'raw'], opcode + 1) AS opcode,
       size, fin, header, mask AS mask_key,
       CASE WHEN built & 4 > 0 THEN NULL WHEN built & 1 = 0 THEN data
            WHEN prefix IS NOT NULL OR suffix IS NOT NULL OR mtype = 0
            THEN coalesce(prefix, ''::BLOB) || coalesce(encode(payload::VARCHAR), odd) || coalesce(suffix, ''::BLOB)
            ELSE encode('[' || mtype || ',"' || message_id || CASE WHEN mtype IN (2, 6) THEN '","' || action || '",'
                 WHEN mtype = 3 THEN '",' ELSE '","' || coalesce(error_code, '') || '","' || coalesce(error_desc, '') || '",' END)
                 || coalesce(encode(payload::VARCHAR), odd) || ']'::BLOB END AS payload,
       raw, faults, cause, verdict, masked, no
FROM wire WHERE opcode IS NOT NULL;

CREATE OR REPLACE VIEW messages AS
SELECT msg_no, frame_id, link_id, identity, ts, CASE WHEN station THEN 'station' ELSE 'csms' END AS side, mtype, message_id,
       action, protocol, msg_no - call_back AS call_no, error_code, error_desc, evse_id, connector_id, tx_id, id_token, payload, masked, no
FROM wire WHERE msg_no IS NOT NULL
-- large payloads
  AND built & 4 = 0
UNION ALL
SELECT msg_no, frame_id, link_id, identity, ts, CASE WHEN station THEN 'station' ELSE 'csms' END, mtype, message_id, action, protocol,
       msg_no - call_back, error_code, error_desc, evse_id, connector_id, tx_id, id_token,
       coalesce(payload, (SELECT TRY_CAST(string_agg(decode(data), '' ORDER BY part) AS JSON) FROM pieces p
                          WHERE p.no = wire.no AND place = 0)), masked, no
FROM wire WHERE msg_no IS NOT NULL AND built & 4 > 0
-- end of large payloads
;

-- Where a bridge speaks another OCPP version to the CSMS than to the station: the version of the CSMS's leg. What is said in it there
-- is a translation (or what it was made from): transactions and meter values are those of the station's leg.
CREATE OR REPLACE VIEW far_legs AS
SELECT DISTINCT link_id, json_extract_string(body, '$.link.csms_protocol') AS protocol FROM events
WHERE kind IN ('handshake', 'link_opened') AND json_extract_string(body, '$.link.csms_protocol') <> '';

CREATE OR REPLACE VIEW meter_values AS
SELECT s.msg_no, m.link_id, m.identity, m.ts, m.tx_id, m.protocol, s.evse, s.sampled_at, s.measurand, s.phase, s.context,
       s.location, s.value, s.unit
FROM samples s JOIN messages m ON m.msg_no = s.msg_no
ANTI JOIN far_legs f ON f.link_id = m.link_id AND f.protocol = m.protocol;

CREATE OR REPLACE VIEW links AS
WITH opened AS (SELECT link_id, ts AS opened_at, no, body FROM events WHERE kind = 'link_opened'),
shaken AS (SELECT link_id, arg_max(body, no) AS body FROM events WHERE kind = 'handshake' GROUP BY link_id),
closed AS (SELECT link_id, arg_max(ts, no) AS closed_at, arg_max(body, no) AS body FROM events WHERE kind = 'link_closed' GROUP BY link_id),
known AS (
  SELECT o.link_id, o.no, o.opened_at, c.closed_at, json_extract(coalesce(s.body, o.body), '$.link') AS link, c.body AS closed
  FROM opened o LEFT JOIN shaken s USING (link_id) LEFT JOIN closed c USING (link_id))
SELECT link_id, coalesce(json_extract_string(link, '$.identity'), '') AS identity,
       nullif(json_extract_string(link, '$.protocol'), '') AS protocol, opened_at, closed_at,
       TRY_CAST(json_extract_string(closed, '$.close_code') AS INTEGER) AS close_code,
       json_extract_string(closed, '$.close_reason') AS close_reason, json_extract_string(closed, '$.closed_by') AS closed_by,
       json_extract_string(closed, '$.how') AS how,
       json_extract_string(link, '$.remote') AS remote_addr, json_extract_string(link, '$.listener') AS listener,
       json_extract_string(link, '$.identity_source') AS identity_source,
       json_extract_string(link, '$.upstream') AS upstream_url, json_extract_string(link, '$.target') AS target,
       json_extract(link, '$.offered') AS offered, json_extract_string(link, '$.extensions') AS extensions,
       TRY_CAST(json_extract_string(link, '$.status') AS INTEGER) AS handshake_status,
       TRY_CAST(json_extract_string(link, '$.handshake_ms') AS DOUBLE) AS handshake_ms,
       json_extract_string(link, '$.station_tls.version') AS tls_version,
       json_extract_string(link, '$.station_tls.cipher') AS tls_cipher,
       nullif(json_extract_string(link, '$.csms_protocol'), '') AS csms_protocol, no
FROM known;

CREATE OR REPLACE VIEW notes AS
SELECT no, ts, link_id, identity, json_extract_string(body, '$.kind') AS kind, json_extract_string(body, '$.side') AS side,
       json_extract_string(body, '$.text') AS text
FROM events WHERE kind = 'note';

CREATE OR REPLACE VIEW gaps AS
SELECT no AS gap_id, nullif(link_id, 0) AS link_id, TRY_CAST(json_extract_string(body, '$.worker') AS INTEGER) AS worker,
       TRY_CAST(json_extract_string(body, '$.from_seq') AS BIGINT) AS from_seq,
       TRY_CAST(json_extract_string(body, '$.to_seq') AS BIGINT) AS to_seq,
       TRY_CAST(json_extract_string(body, '$.frames') AS BIGINT) AS frames,
       TRY_CAST(json_extract_string(body, '$.bytes') AS BIGINT) AS bytes, ts AS started_at,
       make_timestamptz(nullif(TRY_CAST(json_extract_string(body, '$.ended_ns') AS BIGINT), 0) // 1000) AS ended_at,
       json_extract_string(body, '$.reason') AS reason
FROM events WHERE kind = 'gap';

-- The loss ledger. msg_no: the newest message of that id on that link before it (or, where it came first, the one behind it).
CREATE OR REPLACE VIEW losses AS
WITH lost AS (
  SELECT no, ts, link_id, json_extract_string(body, '$.plugin') AS plugin, json_extract_string(body, '$.action') AS action,
         json_extract_string(body, '$.message_id') AS message_id, json_extract_string(body, '$.path') AS path,
         json_extract_string(body, '$.what') AS what, json_extract_string(body, '$.reason') AS reason
  FROM events WHERE kind = 'lost'),
told AS (
  SELECT l.no, coalesce(max(w.msg_no) FILTER (w.no < l.no), min(w.msg_no)) AS msg_no, min(w.identity) AS identity,
         coalesce(arg_max(w.frame_id, w.msg_no) FILTER (w.no < l.no), arg_min(w.frame_id, w.msg_no)) AS frame_id
  FROM lost l JOIN wire w ON w.link_id = l.link_id AND w.message_id = l.message_id AND w.msg_no IS NOT NULL GROUP BY l.no)
SELECT l.no, l.ts, l.link_id, t.identity, t.msg_no, t.frame_id, l.plugin, l.action, l.message_id, l.path, l.what, l.reason
FROM lost l LEFT JOIN told t ON t.no = l.no;

-- What people did. identity: of the link, where it is about one.
CREATE OR REPLACE VIEW audit AS
SELECT e.no, e.ts, nullif(e.link_id, 0) AS link_id, l.identity, json_extract_string(e.body, '$.who') AS who,
       json_extract_string(e.body, '$.action') AS action, json_extract_string(e.body, '$.detail') AS detail,
       nullif(json_extract_string(e.body, '$.outcome'), '') AS outcome
FROM events e LEFT JOIN (SELECT link_id, min(identity) AS identity FROM links GROUP BY link_id) l ON l.link_id = e.link_id
WHERE e.kind = 'audited';

CREATE OR REPLACE VIEW findings AS
SELECT finding_id, rule, severity, level, blame, link_id, identity, ts, message, msg_no, evidence, path, spec_ref, count, no, line_no
FROM found WHERE no IN (SELECT max(no) FROM found GROUP BY finding_id);

-- Calls made before "due" had their time when the capture ended: record time (the last record or beat) less the answer's time limit,
-- that of the rules (R07). A Call made later whose link is still open is "pending": its answer may come.
-- One row per Call. The joins are aggregated: one row per Call whatever came, and a LIMIT above keeps its meaning on DuckDB 2.0.
CREATE OR REPLACE VIEW exchanges AS
WITH clock AS (
  SELECT greatest((SELECT max(ts) FROM wire), (SELECT max(ts) FROM events),
                  (SELECT max(make_timestamptz(TRY_CAST(json_extract_string(value, '$.last_beat_ns') AS BIGINT) // 1000))
                   FROM meta WHERE key = 'progress'))
         - to_microseconds(CAST(1000000 * coalesce(
             (SELECT max(TRY_CAST(json_extract_string(value, '$.call_seconds') AS DOUBLE)) FROM meta WHERE key = 'rules_settings'),
             30.0) AS BIGINT)) AS due)
SELECT c.msg_no AS call_no, r.msg_no AS answer_no, c.link_id, c.identity, c.protocol, c.side, c.action, c.message_id,
       c.ts AS called_at, r.ts AS answered_at, (epoch_us(r.ts) - epoch_us(c.ts)) / 1000.0 AS latency_ms,
       CASE WHEN r.msg_no IS NULL AND c.ts > (SELECT due FROM clock)
                 AND c.link_id NOT IN (SELECT link_id FROM events WHERE kind = 'link_closed') THEN 'pending'
            WHEN r.msg_no IS NULL THEN 'unanswered' WHEN r.mtype = 4 OR e.call_no IS NOT NULL THEN 'error' ELSE 'ok' END AS outcome,
       coalesce(e.error_code, r.error_code) AS error_code, coalesce(e.error_desc, r.error_desc) AS error_desc,
       c.evse_id, c.connector_id, coalesce(c.tx_id, r.tx_id) AS tx_id, c.id_token, c.payload AS req, r.payload AS res
FROM messages c
LEFT JOIN messages r ON r.call_no = c.msg_no AND r.mtype IN (3, 4)
LEFT JOIN (SELECT call_no, min(error_code) AS error_code, min(error_desc) AS error_desc
           FROM messages WHERE mtype = 5 AND call_no IS NOT NULL GROUP BY call_no) e ON e.call_no = c.msg_no
WHERE c.mtype = 2;

-- 1.6: a Stop belongs to the latest Start with that id before it (some CSMS give every transaction the id 0 or -1).
-- "told" reads the payloads once: unpacking them is most of the time, so every message is parsed once for all its fields.
CREATE OR REPLACE VIEW transactions AS
WITH told AS MATERIALIZED (
  SELECT * EXCLUDE said, said[1] AS id, said[2] AS status, said[6] AS what, TRY_CAST(said[7] AS BIGINT) AS seq,
         CASE action WHEN 'TransactionEvent' THEN said[8] ELSE said[5] END AS reason,
         TRY_CAST(CASE action WHEN 'StopTransaction' THEN said[4] ELSE said[3] END AS DOUBLE) AS meter
  FROM (SELECT msg_no, call_no, identity, mtype, action, ts, evse_id, connector_id, tx_id, id_token,
               json_extract_string(payload, ['$.transactionId', '$.idTagInfo.status', '$.meterStart', '$.meterStop', '$.reason',
                 '$.eventType', '$.seqNo', '$.transactionInfo.stoppedReason']) AS said
        FROM messages m ANTI JOIN far_legs f ON f.link_id = m.link_id AND f.protocol = m.protocol
        WHERE (mtype = 2 AND action IN ('StartTransaction', 'StopTransaction', 'TransactionEvent'))
          OR (mtype = 3 AND action IN ('StartTransaction', 'StopTransaction')))),
call16 AS (
  SELECT c.msg_no, c.identity, c.action, c.ts, c.connector_id, c.id_token, c.meter, c.reason, r.status,
         CASE c.action WHEN 'StopTransaction' THEN coalesce(c.tx_id, c.id) ELSE coalesce(r.tx_id, r.id) END AS tx_id
  FROM (SELECT * FROM told WHERE mtype = 2 AND action <> 'TransactionEvent') c
  LEFT JOIN (SELECT * FROM told WHERE mtype = 3) r ON r.call_no = c.msg_no),
start16 AS (
  SELECT *, lead(msg_no, 1, 9223372036854775807) OVER (PARTITION BY identity, tx_id ORDER BY msg_no) AS next_no
  FROM call16 WHERE action = 'StartTransaction' AND tx_id IS NOT NULL),
stop16 AS (
  SELECT s.msg_no, min(p.ts) AS stopped_at, arg_min({'meter': p.meter, 'reason': p.reason}, p.msg_no) AS first
  FROM start16 s JOIN call16 p ON p.identity = s.identity AND p.tx_id = s.tx_id AND p.action = 'StopTransaction'
       AND p.msg_no > s.msg_no AND p.msg_no < s.next_no GROUP BY s.msg_no),
one AS (
  SELECT s.identity, s.tx_id, '1.6' AS gen, s.connector_id AS evse, s.ts AS started_at, p.stopped_at, s.id_token,
         s.status AS auth_status, s.meter AS meter_start, p.first.meter AS meter_stop,
         CASE WHEN p.msg_no IS NOT NULL THEN coalesce(p.first.reason, 'Local') END AS stop_reason, NULL::BIGINT AS missing_seq
  FROM start16 s LEFT JOIN stop16 p USING (msg_no)),
event2 AS (
  SELECT identity, tx_id, evse_id, ts, msg_no, id_token, what, seq, reason
  FROM told WHERE action = 'TransactionEvent' AND tx_id IS NOT NULL),
tx2 AS (
  SELECT identity, tx_id, arg_min(evse_id, msg_no) AS evse, min(ts) FILTER (what = 'Started') AS started_at,
         max(ts) FILTER (what = 'Ended') AS stopped_at, arg_min(id_token, msg_no) AS id_token, arg_max(reason, msg_no) AS stop_reason,
         max(seq) - min(seq) + 1 - count(DISTINCT seq) AS missing_seq
  FROM event2 GROUP BY identity, tx_id),
energy2 AS (
  SELECT identity, tx_id, min(value) AS meter_start, max(value) AS meter_stop FROM meter_values
  WHERE protocol <> 'ocpp1.6' AND measurand = 'Energy.Active.Import.Register' AND phase IS NULL AND tx_id IS NOT NULL
  GROUP BY identity, tx_id),
two AS (
  SELECT t.identity, t.tx_id, '2.x' AS gen, t.evse, t.started_at, t.stopped_at, t.id_token, NULL::VARCHAR AS auth_status,
         e.meter_start, e.meter_stop, t.stop_reason, t.missing_seq
  FROM tx2 t LEFT JOIN energy2 e USING (identity, tx_id))
SELECT *, (meter_stop - meter_start) / 1000 AS kwh, stopped_at - started_at AS duration
FROM (SELECT * FROM one UNION ALL SELECT * FROM two);

CREATE OR REPLACE VIEW outages AS
SELECT identity, closed_at AS down_at, next_open AS up_at, next_open - closed_at AS down_for, close_code, close_reason, closed_by
FROM (SELECT *, lead(opened_at) OVER (PARTITION BY identity ORDER BY opened_at, link_id) AS next_open FROM links WHERE identity <> '')
WHERE closed_at IS NOT NULL;

-- The records that are lines of their own in tail, in order.
CREATE OR REPLACE VIEW lines AS
SELECT no, 'wire' AS source FROM wire WHERE msg_no IS NOT NULL OR opcode > 2 OR raw IS NOT NULL
UNION ALL SELECT no, 'event' FROM events WHERE kind NOT IN ('plugin_finding', 'beat')
UNION ALL SELECT no, 'found' FROM found WHERE line_no = no;
