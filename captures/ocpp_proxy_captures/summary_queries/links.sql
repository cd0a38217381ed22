-- Of every charger its connections: those that got a 101 (in a trace: all), and what its newest upgrade request became.
-- An outage is the time from the end of all connections before to the next one, in the order of their handshakes.
WITH shaken AS (
  SELECT no, link_id, identity, coalesce(TRY_CAST(said[1] AS INTEGER), 0) AS status, TRY_CAST(said[3] AS BIGINT) AS opened_ns,
         said[4] AS protocol, said[5] AS remote
  FROM (SELECT no, link_id, identity, json_extract_string(body, [
          '$.link.status', '$.upgrade', '$.link.opened_ns', '$.link.protocol', '$.link.remote', '$.link.protocol_guessed',
          '$.request_frame']) AS said
        FROM events WHERE kind = 'handshake' AND identity IS NOT NULL)
  WHERE coalesce(said[2], 'true') = 'true'
    -- not our own guess of the protocol
    AND NOT (coalesce(said[6], 'false') = 'true' AND coalesce(said[7], '0') = '0')),
traced AS (
  SELECT no, link_id, identity, 101 AS status, TRY_CAST(json_extract_string(body, '$.link.opened_ns') AS BIGINT) AS opened_ns,
         json_extract_string(body, '$.link.protocol') AS protocol, json_extract_string(body, '$.link.remote') AS remote
  FROM events WHERE kind = 'link_opened' AND identity IS NOT NULL),
asked AS (SELECT * FROM shaken UNION ALL SELECT * FROM traced),
closed AS (
  SELECT link_id, max(TRY_CAST(json_extract_string(body, '$.time_ns') AS BIGINT)) AS closed_ns
  FROM events WHERE kind = 'link_closed' GROUP BY link_id),
up AS (SELECT a.*, coalesce(c.closed_ns, 9223372036854775807) AS closed_ns
       FROM asked a LEFT JOIN closed c ON c.link_id = a.link_id WHERE a.status = 101),
after AS (
  SELECT *, max(closed_ns) OVER (PARTITION BY identity ORDER BY no ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS down_ns
  FROM up),
connected AS (
  SELECT identity, count(*) AS connections, bool_or(closed_ns = 9223372036854775807) AS is_open,
         coalesce(sum(opened_ns - down_ns) FILTER (down_ns < opened_ns), 0)::BIGINT AS outage_ns
  FROM after GROUP BY identity),
newest AS (
  SELECT identity, arg_max({'status': status, 'opened_ns': opened_ns, 'protocol': protocol, 'remote': remote}, no) AS n
  FROM asked GROUP BY identity)
SELECT identity, n.status, n.opened_ns, n.protocol, n.remote, coalesce(connections, 0), coalesce(is_open, false),
       coalesce(outage_ns, 0)
FROM newest LEFT JOIN connected USING (identity) ORDER BY identity
