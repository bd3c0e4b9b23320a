-- By jobs_id: everything that a change from outside can touch.
UPDATE jobs SET
    state = ?2, queue = ?3, task = ?4, priority = ?5, due = ?6, expires = ?7, version = ?8, max_attempts = ?9,
    charged = ?10, crashes = ?11, revision = ?12, changed_at = ?13, ended_at = ?14, cancel_requested = ?15,
    dead_reason = ?16, progress = ?17, tenant = ?18, actor = ?19, limit_key = ?20, schedule = ?21,
    tags = ?22, metadata = ?23, codec = ?24, extra = ?25, parts = ?26, payload = ?27
WHERE id = ?1
