-- By the primary key.
INSERT OR IGNORE INTO job_tags (tag, job) VALUES (?1, ?2)
