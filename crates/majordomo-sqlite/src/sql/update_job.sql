-- By the number of the row, which was read in the same transaction: everything that a change from outside can touch.
UPDATE jobs SET
    state = ?2, queue = ?3, task = ?4, priority = ?5, due = ?6, expires = ?7, version = ?8, max_attempts = ?9,
    charged = ?10, crashes = ?11, revision = ?12, changed_at = ?13, ended_at = ?14,
    dead_reason = ?15, progress = ?16, tenant = ?17, actor = ?18, limit_key = ?19, schedule = ?20,
    tags = ?21, metadata = ?22, codec = ?23, extra = ?24, parts = ?25, payload = ?26
WHERE rowid = ?1
