-- name: 06_outages  How often and for how long was each charger away?
SELECT identity, count(*) AS outages, max(down_for) AS longest, to_seconds(sum(epoch(down_for))) AS in_all,
       list(DISTINCT close_code ORDER BY close_code) AS close_codes
FROM outages WHERE down_for > INTERVAL 0 SECOND
GROUP BY identity ORDER BY in_all DESC, outages DESC, identity LIMIT CAST($rows AS INTEGER);
-- parameter: rows = 50  how many chargers
