-- By the primary key.
INSERT INTO job_parts (job, kind, value) VALUES (?1, ?2, ?3)
ON CONFLICT (job, kind) DO UPDATE SET value = excluded.value
