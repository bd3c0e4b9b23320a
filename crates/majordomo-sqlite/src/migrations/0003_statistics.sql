-- What ended in each minute, by task and queue. Spreads are in microseconds.
CREATE TABLE statistics (
    minute     INTEGER NOT NULL,
    task       TEXT    NOT NULL,
    queue      TEXT    NOT NULL,
    completed  INTEGER NOT NULL,
    retried    INTEGER NOT NULL,
    snoozed    INTEGER NOT NULL,
    released   INTEGER NOT NULL,
    lost       INTEGER NOT NULL,
    dead       INTEGER NOT NULL,
    cancelled  INTEGER NOT NULL,
    expired    INTEGER NOT NULL,
    run_count  INTEGER NOT NULL,
    run_sum    INTEGER NOT NULL,
    run_min    INTEGER NOT NULL,
    run_max    INTEGER NOT NULL,
    wait_count INTEGER NOT NULL,
    wait_sum   INTEGER NOT NULL,
    wait_min   INTEGER NOT NULL,
    wait_max   INTEGER NOT NULL,
    PRIMARY KEY (minute, task, queue)
) WITHOUT ROWID;
