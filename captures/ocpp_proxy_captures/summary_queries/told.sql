-- What was said with the id of one transaction, the newest first: meter values, its starts' answers.
SELECT msg_no, epoch_us(ts) * 1000, mtype, action, call_no, CAST(payload AS VARCHAR) FROM messages
WHERE identity = $identity AND tx_id = $tx_id
  AND (mtype = 2 AND action IN ('MeterValues', 'StopTransaction', 'TransactionEvent') OR mtype = 3 AND action = 'StartTransaction')
ORDER BY msg_no DESC LIMIT $limit
