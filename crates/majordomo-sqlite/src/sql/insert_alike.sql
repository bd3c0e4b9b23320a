-- By jobs_id; an id that is known changes nothing. For jobs that differ in nothing but their ids and
-- payloads; `insert.rs` repeats the row of values.
INSERT OR ROLLBACK INTO jobs (
    state, queue, task, priority, due, version, max_attempts, created_at, changed_at, id, payload
) VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?, ?)
ON CONFLICT (id) DO NOTHING
