-- By the number of the row, which was read in the same transaction: what a completion touches. What is left out stays as it was.
UPDATE jobs SET
    state = ?2, revision = ?3, changed_at = ?4, ended_at = ?4, attempt_ended_at = ?4, ending = ?5, parts = ?6,
    failed = 0, dead_reason = NULL, lease_expires = NULL, cancel_requested = 0
WHERE rowid = ?1
