-- By the primary key.
SELECT key, value, version, created_at, changed_at, expires FROM documents
WHERE key = ?1 AND (expires IS NULL OR expires > ?2)
