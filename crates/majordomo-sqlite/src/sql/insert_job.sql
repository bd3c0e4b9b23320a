-- By jobs_id; an id that is known changes nothing.
INSERT INTO jobs (
    id, state, queue, task, priority, due, expires, version, max_attempts, created_at, changed_at,
    tenant, actor, limit_key, schedule, tags, metadata, codec, extra, payload
) VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
ON CONFLICT (id) DO NOTHING
