-- name: 22_compare_firmware  Do Calls of one firmware fail more often than those of another?
WITH boot AS (
  SELECT identity, arg_max(coalesce(json_extract_string(payload, '$.firmwareVersion'),
                                    json_extract_string(payload, '$.chargingStation.firmwareVersion')), msg_no) AS firmware
  FROM messages WHERE mtype = 2 AND action = 'BootNotification' GROUP BY identity)
SELECT firmware, count(DISTINCT identity) AS chargers, count(*) AS calls,
       round(100.0 * count(*) FILTER (outcome IN ('error', 'unanswered'))
             / nullif(count(*) FILTER (outcome <> 'pending'), 0), 3) AS bad_percent
FROM exchanges JOIN boot USING (identity) GROUP BY firmware ORDER BY bad_percent DESC, firmware;
