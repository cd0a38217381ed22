-- name: 15_findings_top  Which rules fired, how badly, and on how many chargers?
SELECT rule, severity, blame, count(*) AS findings, sum(count)::BIGINT AS times, count(DISTINCT identity) AS chargers,
       coalesce(min(spec_ref), '') AS spec_ref, min(message) AS example
FROM findings GROUP BY rule, severity, level, blame ORDER BY level DESC, findings DESC, rule, blame;
