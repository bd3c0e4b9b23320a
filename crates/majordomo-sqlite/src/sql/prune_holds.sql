-- Walks holds_expiry; a few at a time, because it rides along with inserts.
DELETE FROM holds WHERE key IN (SELECT key FROM holds WHERE expires <= ?1 ORDER BY expires LIMIT 10)
