-- By the primary key.
INSERT INTO controls (kind, name, control) VALUES (?1, ?2, ?3)
ON CONFLICT (kind, name) DO UPDATE SET control = excluded.control
