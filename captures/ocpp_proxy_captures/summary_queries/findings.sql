-- The newest findings as last given, with the line on which each was shown first.
SELECT max(no) AS no, arg_min(line_no, no) AS line_no, finding_id FROM found
WHERE ($code = '' OR rule = $code) AND ($identity = '' OR identity = $identity)
GROUP BY finding_id ORDER BY finding_id DESC LIMIT $limit
