-- A range of row numbers: plain completions of jobs that were claimed together and are known as they are.
UPDATE OR ROLLBACK jobs SET
    state = 2, revision = revision + 1, changed_at = ?3, ended_at = ?3, attempt_ended_at = ?3, ending = 0,
    parts = parts | ?4, failed = 0, dead_reason = NULL, token = ?5, worker = ?6, started_at = ?7, room = NULL
WHERE rowid BETWEEN ?1 AND ?2 AND state = 0 AND token = ?5 - 1
