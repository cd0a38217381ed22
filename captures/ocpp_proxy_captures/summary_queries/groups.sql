-- Findings by rule; of one charger where $identity names it.
WITH newest AS (
  SELECT finding_id, arg_max({'rule': rule, 'level': level, 'blame': blame, 'identity': identity, 'us': epoch_us(ts),
                              'message': message, 'spec_ref': spec_ref, 'count': count}, no) AS f
  FROM found WHERE $identity = '' OR identity = $identity GROUP BY finding_id)
SELECT f.rule, max(f.level), CASE WHEN count(DISTINCT f.blame) = 1 THEN min(f.blame) ELSE 'either' END, sum(f.count)::BIGINT,
       list_sort(list(DISTINCT f.identity) FILTER (f.identity IS NOT NULL)), min(f.us) * 1000, max(f.us) * 1000,
       coalesce(arg_max(f.message, finding_id), ''), coalesce(arg_max(f.spec_ref, finding_id), '')
FROM newest GROUP BY f.rule ORDER BY f.rule
