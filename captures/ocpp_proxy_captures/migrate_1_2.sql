-- Schema 1 to 2: meter samples as readings; those that are there stay as they are.
ALTER TABLE samples RENAME TO odd_samples;
CREATE TABLE readings(
  msg_no BIGINT NOT NULL, evse BIGINT, sampled_at TIMESTAMPTZ, kind INTEGER NOT NULL, amounts DOUBLE[] NOT NULL);
CREATE TABLE reading_kinds(
  kind INTEGER NOT NULL, place INTEGER NOT NULL, measurand VARCHAR, phase VARCHAR, context VARCHAR, location VARCHAR, unit VARCHAR);
CREATE VIEW samples AS
SELECT msg_no, evse, sampled_at, measurand, phase, context, location, amounts[place] AS value, unit
FROM readings JOIN reading_kinds USING (kind) UNION ALL SELECT * FROM odd_samples;
UPDATE meta SET value = '2' WHERE key = 'schema_version';
