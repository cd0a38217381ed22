-- name: 05_errors  Which errors come back, for which action, on which make of charger?
WITH make AS (
  SELECT identity, arg_max(coalesce(json_extract_string(payload, '$.chargePointVendor'),
                                    json_extract_string(payload, '$.chargingStation.vendorName')), msg_no) AS vendor
  FROM messages WHERE mtype = 2 AND action = 'BootNotification' GROUP BY identity)
SELECT coalesce(vendor, '?') AS vendor, side AS caller, action, error_code, count(*) AS errors, count(DISTINCT identity) AS chargers
FROM exchanges LEFT JOIN make USING (identity) WHERE outcome = 'error'
GROUP BY vendor, side, action, error_code ORDER BY errors DESC, vendor, caller, action, error_code;
