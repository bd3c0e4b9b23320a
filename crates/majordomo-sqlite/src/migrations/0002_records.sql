-- Small records that are not jobs.
CREATE TABLE documents (
    key        TEXT    NOT NULL PRIMARY KEY,
    value      TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    expires    INTEGER
) WITHOUT ROWID;
CREATE INDEX documents_expiry ON documents (expires) WHERE expires IS NOT NULL;

CREATE TABLE controls (
    kind    TEXT NOT NULL,
    name    TEXT NOT NULL,
    control TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
