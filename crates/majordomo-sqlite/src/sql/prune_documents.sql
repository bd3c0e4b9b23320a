-- Walks documents_expiry; a few at a time, because it rides along with puts.
DELETE FROM documents WHERE key IN (SELECT key FROM documents WHERE expires <= ?1 ORDER BY expires LIMIT 10)
