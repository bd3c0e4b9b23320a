-- By the number of the row, which was read in the same transaction: what the ending of an attempt touches.
UPDATE jobs SET
    state = ?2, due = ?3, charged = ?4, crashes = ?5, revision = ?6, changed_at = ?7, ended_at = ?8,
    dead_reason = ?9, error = ?10, progress = ?11, parts = ?12, ending = ?13, attempt_ended_at = ?7,
    failed = ?14, token = ?15, worker = ?16, started_at = ?17, room = NULL
WHERE rowid = ?1
