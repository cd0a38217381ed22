-- How many findings every charger has, and the worst level.
SELECT identity, count(DISTINCT finding_id), max(level) FROM found WHERE identity IS NOT NULL GROUP BY identity ORDER BY identity
