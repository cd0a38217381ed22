-- When each charger last sent a frame (HTTP heads, pings and all), in us.
WITH named AS (
  SELECT link_id, arg_max(identity, no) AS identity FROM events
  WHERE kind IN ('link_opened', 'handshake') AND identity IS NOT NULL GROUP BY link_id),
last AS (SELECT link_id, max(ts) AS ts FROM wire WHERE station AND opcode IS NOT NULL GROUP BY link_id)
SELECT identity, epoch_us(max(ts)) FROM last JOIN named USING (link_id) GROUP BY identity ORDER BY identity
