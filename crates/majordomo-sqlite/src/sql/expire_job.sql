-- By the number of the row: a pending job that a claim found past its expiry.
UPDATE jobs SET state = 5, ended_at = ?2, changed_at = ?2, revision = revision + 1 WHERE rowid = ?1
