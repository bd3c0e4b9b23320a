-- A range of the primary key of pending: how many lie between two jobs of a level, both included.
SELECT count(*) FROM pending
WHERE queue = ?1 AND priority = ?2 AND (due, id) >= (?3, ?4) AND (due, id) <= (?5, ?6)
