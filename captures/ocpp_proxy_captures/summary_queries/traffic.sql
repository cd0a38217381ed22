-- Messages of every charger: how many, errors among them, how many in the 30 steps of ten seconds that end with the newest one,
-- their protocol, us from the first to the last.
WITH told AS (SELECT identity, epoch_us(ts) AS us, us // 10000000 AS step, mtype, protocol, msg_no FROM wire WHERE msg_no IS NOT NULL
              AND identity IS NOT NULL),
all_of AS (
  SELECT identity, count(*) AS messages, count(*) FILTER (mtype IN (4, 5)) AS errors, max(step) AS newest, max(us) - min(us) AS age,
         arg_max(protocol, msg_no) AS protocol
  FROM told GROUP BY identity),
late AS (SELECT t.identity, count(*) AS lately FROM told t JOIN all_of a ON a.identity = t.identity AND t.step > a.newest - 30
         GROUP BY t.identity)
SELECT identity, messages, errors, lately, protocol, age FROM all_of JOIN late USING (identity) ORDER BY identity
