-- Tables of a capture file, schema 2. Rows are only ever appended; what changes (links, findings) is a view over its history.
-- "no" is the ordinal of the record in the whole capture: one stream, one order. Empty text is stored as NULL.
CREATE TABLE meta(key VARCHAR NOT NULL, value VARCHAR);
CREATE TABLE runs(run_no INTEGER NOT NULL, started_at TIMESTAMPTZ NOT NULL, first_no BIGINT NOT NULL, tool_version VARCHAR);
CREATE TABLE positions(worker INTEGER NOT NULL, incarnation UBIGINT NOT NULL, seq UBIGINT NOT NULL);
CREATE TABLE state(key VARCHAR NOT NULL, value BLOB NOT NULL);

-- Everything that is neither frame nor derived, exactly as it came: LinkOpened, Handshake, LinkClosed, Note, Gap, PluginFinding, Lost,
-- Audited; and a Beat where the record after it is older than it.
CREATE TABLE events(
  no BIGINT NOT NULL, ts TIMESTAMPTZ NOT NULL, link_id BIGINT, identity VARCHAR, kind VARCHAR NOT NULL,
  body JSON USING COMPRESSION zstd);

-- Every frame and HTTP head, with the message it completed (views: frames, messages). Wire bytes are stored once:
-- header + mask key + data masked with it, or raw. NULL header: the shortest one for opcode, size and mask. built & 1: data,
-- built & 2: text is what the message spells: prefix, payload, suffix, or without prefix and suffix the shortest spelling.
-- call_back: msg_no less that of the Call this answers (small numbers pack well). payload is the message's JSON text; where DuckDB cannot read it as JSON or UTF-8 it is NULL and "odd" holds the bytes.
CREATE TABLE wire(
  no BIGINT NOT NULL, frame_id BIGINT NOT NULL, link_id BIGINT NOT NULL, seq BIGINT, ts TIMESTAMPTZ NOT NULL, ns USMALLINT,
  mono_offset BIGINT, station BOOLEAN NOT NULL, opcode UTINYINT, size INTEGER, fin BOOLEAN, built UTINYINT,
  header BLOB, mask UINTEGER, data BLOB, text BLOB, raw BLOB,
  faults VARCHAR, cause BIGINT[], verdict VARCHAR, masked BOOLEAN,
  msg_no BIGINT, identity VARCHAR, mtype UTINYINT, message_id VARCHAR,
  action VARCHAR, protocol VARCHAR, call_back BIGINT, error_code VARCHAR, error_desc VARCHAR,
  evse_id BIGINT, connector_id BIGINT, tx_id VARCHAR, id_token VARCHAR,
  payload JSON USING COMPRESSION zstd, odd BLOB, prefix BLOB, suffix BLOB);

-- Values of "wire" over 16 KiB, cut up; built & 4: the row has some. place: 0 payload, 1 data, 2 text,
-- 3 raw, 4 odd, 5 header, 6 prefix, 7 suffix. In "wire" they are NULL (raw and odd: empty).
CREATE TABLE pieces(no BIGINT NOT NULL, place UTINYINT NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL);

-- Meter samples, unpacked once when their message is stored (view: meter_values). Energy in Wh, power in W. One row of readings for
-- the samples of a message: amounts[place] is what reading_kinds says of that place. Samples of messages of another form than
-- nearly all have are rows of odd_samples. "samples" is both, one row a sample; in schema 1 it was a table.
CREATE TABLE readings(
  msg_no BIGINT NOT NULL, evse BIGINT, sampled_at TIMESTAMPTZ, kind INTEGER NOT NULL, amounts DOUBLE[] NOT NULL);
CREATE TABLE reading_kinds(
  kind INTEGER NOT NULL, place INTEGER NOT NULL, measurand VARCHAR, phase VARCHAR, context VARCHAR, location VARCHAR, unit VARCHAR);
CREATE TABLE odd_samples(
  msg_no BIGINT NOT NULL, evse BIGINT, sampled_at TIMESTAMPTZ, measurand VARCHAR, phase VARCHAR, context VARCHAR,
  location VARCHAR, value DOUBLE, unit VARCHAR);
CREATE VIEW samples AS
SELECT msg_no, evse, sampled_at, measurand, phase, context, location, amounts[place] AS value, unit
FROM readings JOIN reading_kinds USING (kind) UNION ALL SELECT * FROM odd_samples;

-- Every report of a finding; the view "findings" keeps the newest of each. line_no: the record it is shown on (itself: alone).
CREATE TABLE found(
  no BIGINT NOT NULL, line_no BIGINT NOT NULL, finding_id BIGINT NOT NULL, rule VARCHAR NOT NULL, severity VARCHAR NOT NULL,
  level UTINYINT NOT NULL, blame VARCHAR, link_id BIGINT, identity VARCHAR, ts TIMESTAMPTZ NOT NULL, ns USMALLINT,
  message VARCHAR, msg_no BIGINT, evidence BIGINT[], path VARCHAR, spec_ref VARCHAR, count BIGINT NOT NULL);

-- Of a folder the newest segment has them all: they are carried over by a rotation.
CREATE TABLE bookmarks(msg_no BIGINT, ts TIMESTAMPTZ, author VARCHAR, note VARCHAR, tags VARCHAR[]);
