-- The newest BootNotification of every charger (connector NULL), and the newest StatusNotification of each connector, in order;
-- as the station said them, not a translation.
WITH said AS (
  SELECT identity, evse_id, connector_id, msg_no, action FROM wire w ANTI JOIN far_legs f ON f.link_id = w.link_id AND f.protocol = w.protocol
  WHERE mtype = 2 AND action IN ('BootNotification', 'StatusNotification') AND identity IS NOT NULL)
SELECT identity, NULL::BIGINT AS evse_id, NULL::BIGINT AS connector_id, max(msg_no) AS msg_no FROM said
WHERE action = 'BootNotification' GROUP BY identity
UNION ALL
SELECT identity, evse_id, connector_id, max(msg_no) FROM said
WHERE action = 'StatusNotification' AND connector_id IS NOT NULL
GROUP BY identity, evse_id, connector_id ORDER BY msg_no
