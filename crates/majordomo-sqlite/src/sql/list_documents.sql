-- Walks the primary key from the prefix on; the reader stops at the first key that lacks it.
SELECT key, value, version, created_at, changed_at, expires FROM documents
WHERE key >= ?1 AND (?2 IS NULL OR key > ?2) AND (expires IS NULL OR expires > ?3)
ORDER BY key LIMIT ?4
