-- Jobs, and what belongs to one job only.
--
-- Times are whole microseconds since the Unix epoch. States and endings are
-- the codes of `row.rs`. What is rare is NULL, which costs one byte.
-- A row is written whole when the job is inserted and again when an attempt has
-- ended; while an attempt runs, it is in `running`, and `state` stays 0.
CREATE TABLE jobs (
    id               BLOB    NOT NULL,
    state            INTEGER NOT NULL,
    queue            TEXT    NOT NULL,
    task             TEXT    NOT NULL,
    priority         INTEGER NOT NULL,
    due              INTEGER NOT NULL,
    version          INTEGER NOT NULL,
    max_attempts     INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    changed_at       INTEGER NOT NULL,
    token            INTEGER NOT NULL DEFAULT 0,
    charged          INTEGER NOT NULL DEFAULT 0,
    crashes          INTEGER NOT NULL DEFAULT 0,
    revision         INTEGER NOT NULL DEFAULT 1,
    -- Which rows the job has in `attempts` and `job_parts`, and whether its output is null, as bits.
    parts            INTEGER NOT NULL DEFAULT 0,
    ended_at         INTEGER,
    -- The latest attempt that has ended. It moves to `attempts` when the next one begins.
    started_at       INTEGER,
    worker           TEXT,
    ending           INTEGER,
    attempt_ended_at INTEGER,
    failed           INTEGER NOT NULL DEFAULT 0,
    expires          INTEGER,
    dead_reason      TEXT,
    error            TEXT,
    progress         TEXT,
    tenant           TEXT,
    actor            TEXT,
    limit_key        TEXT,
    schedule         TEXT,
    tags             TEXT,
    metadata         TEXT,
    codec            TEXT,
    extra            TEXT,
    payload          BLOB    NOT NULL,
    -- Room for what the first attempt adds, so that its ending is written in place and splits no page.
    room             BLOB    DEFAULT x'000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'
);
-- Rows lie by number and not by id: a row that changes is then written over in place, and a large
-- one does not crowd the inner pages.
CREATE UNIQUE INDEX jobs_id ON jobs (id);
-- What the pruner looks for, and lists of what ended lately.
CREATE INDEX jobs_ended ON jobs (state, ended_at, id) WHERE ended_at IS NOT NULL;

-- The pending jobs as a claim walks them: by priority level, then due time, then id. The others
-- ride along, so that a job that can't be claimed is passed over unread. Each is copied from the
-- row `job` of `jobs`, and written again whenever that one is.
CREATE TABLE pending (
    queue     TEXT    NOT NULL,
    priority  INTEGER NOT NULL,
    due       INTEGER NOT NULL,
    id        BLOB    NOT NULL,
    job       INTEGER NOT NULL,
    token     INTEGER NOT NULL,
    task      TEXT    NOT NULL,
    limit_key TEXT,
    expires   INTEGER,
    PRIMARY KEY (queue, priority DESC, due, id)
) WITHOUT ROWID;
-- Jobs that expire although nobody claims them.
CREATE INDEX pending_expiry ON pending (expires) WHERE expires IS NOT NULL;

-- The running jobs, with their leases. There are never many: what the sweeper looks for and what
-- counts as running is found by walking them.
CREATE TABLE running (
    job              INTEGER PRIMARY KEY,
    token            INTEGER NOT NULL,
    worker           TEXT    NOT NULL,
    started_at       INTEGER NOT NULL,
    lease_expires    INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE job_tags (
    tag TEXT NOT NULL,
    job BLOB NOT NULL,
    PRIMARY KEY (tag, job)
) WITHOUT ROWID;

-- All attempts of a job but the latest.
CREATE TABLE attempts (
    job        BLOB    NOT NULL,
    token      INTEGER NOT NULL,
    worker     TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    ending     INTEGER,
    error      TEXT,
    PRIMARY KEY (job, token)
) WITHOUT ROWID;

-- Progress history, log, checkpoint and output, as JSON; `kind` is the bit in `jobs.parts`.
CREATE TABLE job_parts (
    job   BLOB    NOT NULL,
    kind  INTEGER NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (job, kind)
);

-- Keys that are taken. `until`: 0 the job starts, 1 it is finished, 2 the time `expires`.
CREATE TABLE holds (
    key     TEXT    NOT NULL PRIMARY KEY,
    job     BLOB,
    until   INTEGER NOT NULL,
    expires INTEGER,
    reason  TEXT
) WITHOUT ROWID;
CREATE INDEX holds_expiry ON holds (expires) WHERE expires IS NOT NULL;
