-- By the primary key. A row that no longer counts is taken over.
INSERT INTO holds (key, job, until, expires) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (key) DO UPDATE SET job = excluded.job, until = excluded.until, expires = excluded.expires, reason = NULL
