-- name: 13_boot_loops  Which chargers boot again and again, and with which firmware?
WITH boot AS (
  SELECT identity, ts, coalesce(json_extract_string(payload, '$.firmwareVersion'),
                                json_extract_string(payload, '$.chargingStation.firmwareVersion')) AS firmware
  FROM messages WHERE mtype = 2 AND action = 'BootNotification'),
crowd AS (
  SELECT *, count(*) OVER (PARTITION BY identity ORDER BY epoch_us(ts)
                           RANGE BETWEEN CAST($hours AS BIGINT) * 3600000000 PRECEDING AND CURRENT ROW) AS near FROM boot)
SELECT identity, count(*) AS boots, max(near) AS most_in_window, list_sort(list(DISTINCT firmware)) AS firmware
FROM crowd GROUP BY identity HAVING max(near) > CAST($boots AS INTEGER) ORDER BY most_in_window DESC, boots DESC, identity;
-- parameter: boots = 3  more boots than this
-- parameter: hours = 24  within so many hours
