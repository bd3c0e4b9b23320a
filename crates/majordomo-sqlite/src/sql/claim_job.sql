-- By the number of the row, which was read in the same transaction.
UPDATE jobs SET
    state = 1, token = ?2, started_at = ?3, changed_at = ?3, worker = ?4, lease_expires = ?5, parts = ?6,
    ending = NULL, attempt_ended_at = NULL, failed = 0
WHERE rowid = ?1
