-- By the number of the row, and the primary key of pending: a job waits no more. Nothing happens if it did not.
DELETE FROM pending
WHERE (queue, priority, due, id) = (SELECT queue, priority, due, id FROM jobs WHERE rowid = ?1)
