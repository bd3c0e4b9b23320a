-- Jobs, and what belongs to one job only.
--
-- Times are whole microseconds since the Unix epoch. States and endings are
-- the codes of `row.rs`. What is rare is NULL, which costs one byte.
CREATE TABLE jobs (
    id               BLOB    NOT NULL,
    state            INTEGER NOT NULL,
    queue            TEXT    NOT NULL,
    task             TEXT    NOT NULL,
    priority         INTEGER NOT NULL,
    due              INTEGER NOT NULL,
    expires          INTEGER,
    version          INTEGER NOT NULL,
    max_attempts     INTEGER NOT NULL,
    token            INTEGER NOT NULL DEFAULT 0,
    charged          INTEGER NOT NULL DEFAULT 0,
    crashes          INTEGER NOT NULL DEFAULT 0,
    revision         INTEGER NOT NULL DEFAULT 1,
    created_at       INTEGER NOT NULL,
    changed_at       INTEGER NOT NULL,
    started_at       INTEGER,
    ended_at         INTEGER,
    lease_expires    INTEGER,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    -- The latest attempt; its token and start are those of the job. It moves to
    -- `attempts` when the next one begins.
    worker           TEXT,
    ending           INTEGER,
    attempt_ended_at INTEGER,
    failed           INTEGER NOT NULL DEFAULT 0,
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
    -- Which rows the job has in `attempts` and `job_parts`, and whether its output is null, as bits.
    parts            INTEGER NOT NULL DEFAULT 0,
    payload          BLOB    NOT NULL
);
-- Rows lie by number and not by id: a row that changes is then written over in place, and a large
-- one does not crowd the inner pages.
CREATE UNIQUE INDEX jobs_id ON jobs (id);

-- What a claim walks: by priority level, then due time, then id. The others ride
-- along, so that a job that can't be claimed is passed over unread.
CREATE INDEX jobs_claim ON jobs (queue, priority DESC, due, id, task, limit_key, expires) WHERE state = 0;
-- What the sweeper looks for, and what counts as running.
CREATE INDEX jobs_leases ON jobs (lease_expires) WHERE state = 1;
-- Jobs that expire although nobody claims them.
CREATE INDEX jobs_expiry ON jobs (expires) WHERE state = 0 AND expires IS NOT NULL;
-- What the pruner looks for, and lists of what ended lately.
CREATE INDEX jobs_ended ON jobs (state, ended_at, id) WHERE ended_at IS NOT NULL;

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
