-- A range of the primary key of pending: all jobs between two of a level, both included, wait no more.
DELETE FROM pending
WHERE queue = ?1 AND priority = ?2 AND (due, id) >= (?3, ?4) AND (due, id) <= (?5, ?6)
