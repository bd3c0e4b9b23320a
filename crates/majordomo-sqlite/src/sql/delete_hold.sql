-- By the primary key: holds that end with an event up to ?3.
DELETE FROM holds WHERE key = ?1 AND job = ?2 AND until <= ?3
