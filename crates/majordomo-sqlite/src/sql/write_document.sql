-- By the primary key.
INSERT OR REPLACE INTO documents (key, value, version, created_at, changed_at, expires)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
