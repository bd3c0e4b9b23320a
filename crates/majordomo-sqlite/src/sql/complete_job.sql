-- By the number of the row, and the primary key of running: a plain completion, if what is known of
-- the job from its claim still holds, and the rest of the row is sound. What is left out stays as it was.
UPDATE jobs SET
    state = 2, revision = revision + 1, changed_at = ?2, ended_at = ?2, attempt_ended_at = ?2, ending = 0,
    parts = parts | ?3, failed = 0, dead_reason = NULL, token = ?4, worker = ?5, started_at = ?6, room = NULL
WHERE rowid = ?1 AND id = ?7 AND revision = ?8 AND state = 0 AND parts & ~1 = 0
  AND EXISTS (SELECT 1 FROM running WHERE job = ?1 AND running.token = ?4 AND cancel_requested = 0)
  AND (extra IS NULL OR json_valid(extra)) AND (tags IS NULL OR json_valid(tags))
  AND (metadata IS NULL OR json_valid(metadata)) AND (progress IS NULL OR json_valid(progress))
  AND (error IS NULL OR json_valid(error))
