-- name: 02_actions  Which actions are called, by whom, and how do they end?
SELECT protocol, side AS caller, action, outcome, count(*) AS calls, round(avg(latency_ms), 1) AS mean_ms
FROM exchanges GROUP BY protocol, side, action, outcome
ORDER BY calls DESC, protocol, caller, action, outcome;
