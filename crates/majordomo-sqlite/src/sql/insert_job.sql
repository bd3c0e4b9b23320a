-- By jobs_id; an id that is known changes nothing. `insert.rs` repeats the row of values. Here and
-- elsewhere OR ROLLBACK saves SQLite from keeping what it would need to undo one statement alone.
INSERT OR ROLLBACK INTO jobs (
    id, state, queue, task, priority, due, expires, version, max_attempts, created_at, changed_at,
    tenant, actor, limit_key, schedule, tags, metadata, codec, extra, payload
) VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
