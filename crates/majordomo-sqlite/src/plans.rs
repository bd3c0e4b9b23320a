//! The plans that SQLite makes for our statements: each uses the index that its
//! file names, and the hot ones sort nothing.

use majordomo_core::{
    Cursor, Filter, JobId, NewJob, Order, OrderBy, Payload, Repeat, State, Storage, When,
};
use rusqlite::{Connection, StatementStatus, params};

use crate::Sqlite;
use crate::find::{Hint, Search};

fn plan(db: &Connection, sql: &str) -> String {
    let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let count = statement.parameter_count();
    let nothing = vec![rusqlite::types::Null; count];
    let lines = statement
        .query_map(rusqlite::params_from_iter(nothing), |row| {
            row.get::<_, String>(3)
        })
        .unwrap();
    lines
        .map(|line| line.unwrap())
        .collect::<Vec<_>>()
        .join("; ")
}

async fn migrated() -> (tempfile::TempDir, Sqlite, Connection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let storage = Sqlite::open(&path).await.unwrap();
    let db = Connection::open(path).unwrap();
    (folder, storage, db)
}

#[tokio::test]
async fn g28_every_statement_uses_the_index_it_names() {
    let (_folder, _storage, db) = migrated().await;
    let table = [
        (
            include_str!("sql/claim_due.sql"),
            "SEARCH pending USING PRIMARY KEY (queue=? AND priority=? AND due<?)",
        ),
        (
            include_str!("sql/claim_level.sql"),
            "USING PRIMARY KEY (queue=? AND priority<?)",
        ),
        (
            include_str!("sql/claim_next_due.sql"),
            "USING PRIMARY KEY (queue=? AND priority=? AND due>?)",
        ),
        (
            include_str!("sql/claim_expired.sql"),
            "USING INDEX pending_expiry (expires>? AND expires<?)",
        ),
        (
            include_str!("sql/read_job.sql"),
            "USING INDEX jobs_id (id=?)",
        ),
        (
            include_str!("sql/claim_count.sql"),
            "USING PRIMARY KEY (queue=? AND priority=? AND (due,id)>(?,?) AND (due,id)<(?,?))",
        ),
        (
            include_str!("sql/claim_range.sql"),
            "USING PRIMARY KEY (queue=? AND priority=? AND (due,id)>(?,?) AND (due,id)<(?,?))",
        ),
        (
            include_str!("sql/leave_range.sql"),
            "USING PRIMARY KEY (queue=? AND priority=? AND (due,id)>(?,?) AND (due,id)<(?,?))",
        ),
        (
            include_str!("sql/leave_pending.sql"),
            "USING PRIMARY KEY (queue=? AND priority=? AND due=? AND id=?)",
        ),
        (
            include_str!("sql/enter_pending.sql"),
            "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ),
        (
            include_str!("sql/leave_running.sql"),
            "USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            include_str!("sql/leave_running_range.sql"),
            "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ),
        (
            include_str!("sql/complete_range.sql"),
            "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ),
        (
            include_str!("sql/complete_job.sql"),
            "USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            include_str!("sql/settle_job.sql"),
            "USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            include_str!("sql/renew_job.sql"),
            "USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            include_str!("sql/cancel_running.sql"),
            "USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            include_str!("sql/note_job.sql"),
            "USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            include_str!("sql/keep_parts.sql"),
            "USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            include_str!("sql/update_job.sql"),
            "USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            include_str!("sql/expire_job.sql"),
            "USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            include_str!("sql/delete_job.sql"),
            "USING INDEX jobs_id (id=?)",
        ),
        (
            include_str!("sql/read_attempts.sql"),
            "USING PRIMARY KEY (job=?)",
        ),
        (include_str!("sql/read_part.sql"), "(job=? AND kind=?)"),
        (include_str!("sql/delete_parts.sql"), "(job=?)"),
        (
            include_str!("sql/read_hold.sql"),
            "USING PRIMARY KEY (key=?)",
        ),
        (
            include_str!("sql/prune_holds.sql"),
            "INDEX holds_expiry (expires<?)",
        ),
        (
            include_str!("sql/prune_documents.sql"),
            "INDEX documents_expiry (expires<?)",
        ),
        (
            include_str!("sql/list_documents.sql"),
            "USING PRIMARY KEY (key>?",
        ),
        (
            include_str!("sql/list_statistics.sql"),
            "USING PRIMARY KEY (minute>? AND minute<?)",
        ),
    ];
    for (sql, expected) in table {
        let plan = plan(&db, sql);
        assert!(plan.contains(expected), "{sql}\n{plan}");
        assert!(
            !plan.contains("TEMP B-TREE") && !plan.contains("SCAN jobs"),
            "{sql}\n{plan}"
        );
    }
}

#[tokio::test]
async fn searches_of_the_sweeper_and_the_pruner_use_their_indexes() {
    let (_folder, _storage, db) = migrated().await;
    let now = majordomo_core::Timestamp::UNIX_EPOCH;
    let old = majordomo_core::Between {
        from: None,
        to: Some(now),
    };
    let table = [
        (
            Filter {
                lease_expired: true,
                ..Filter::all()
            },
            "SCAN running",
        ),
        (
            Filter {
                past_expiry: true,
                ..Filter::all()
            },
            "pending_expiry (expires<?)",
        ),
        (
            Filter {
                cancel_requested: true,
                worker: Some("w".into()),
                ..Filter::all()
            },
            "rowid=?); LIST SUBQUERY 1; SCAN running",
        ),
        (
            Filter::all().state(State::Pending).queue("q"),
            "pending USING PRIMARY KEY (queue=?)",
        ),
        (
            Filter::all().state(State::Running),
            "ROWID SEARCH ON TABLE running",
        ),
        (Filter::all().tag("a"), "PRIMARY KEY (tag=?)"),
    ];
    for (filter, expected) in table {
        let plan = plan(&db, &search(&filter, Hint::None));
        assert!(plan.contains(expected), "{filter:?}\n{plan}");
    }
    let table = [
        (
            Filter {
                ended: old,
                ..Filter::all().finished()
            },
            "jobs_ended (state=? AND ended_at>? AND ended_at<?)",
        ),
        (
            Filter {
                past_retention: true,
                ..Filter::all().finished()
            },
            "jobs_retention (<expr><?)",
        ),
        (
            Filter {
                ended: old,
                without_retention: true,
                ..Filter::all().state(State::Dead).task("t")
            },
            "jobs_prune (task=? AND state=? AND ended_at>? AND ended_at<?)",
        ),
        (
            Filter {
                ended: old,
                without_retention: true,
                except_tasks: vec!["t".into(), "u".into()],
                ..Filter::all().finished()
            },
            "jobs_prune (task=? AND state=? AND ended_at>? AND ended_at<?)",
        ),
        (Filter::id(JobId::new()).finished(), "INDEX jobs_id (id=?)"),
        (Filter::all().tag("a").finished(), "PRIMARY KEY (tag=?)"),
    ];
    for (filter, expected) in table {
        let plan = plan(&db, &search(&filter, Hint::Anywhere));
        assert!(plan.contains(expected), "{filter:?}\n{plan}");
    }
}

/// The statement that looks for what matches.
fn search(filter: &Filter, hint: Hint) -> String {
    let search = Search {
        now: majordomo_core::Timestamp::UNIX_EPOCH,
        filter,
        order: Order::default(),
        after: None,
        most: 5,
        hint,
    };
    crate::find::statement(&search).unwrap().0
}

/// Old jobs that have to stay, because their task or they themselves say so,
/// are not walked over to see that nothing has to go.
#[tokio::test]
async fn a_crowd_that_has_to_stay_costs_a_removal_nothing() {
    let (_folder, storage, db) = migrated().await;
    let rules = [
        Filter {
            past_retention: true,
            ..Filter::all().finished()
        },
        Filter {
            ended: majordomo_core::Between {
                from: None,
                to: Some(majordomo_core::Timestamp::MAX),
            },
            without_retention: true,
            except_tasks: vec!["kept".into()],
            ..Filter::all().finished()
        },
    ];
    let steps = || {
        let steps = rules.iter().map(|filter| {
            let search = Search {
                now: majordomo_core::Timestamp::now(),
                filter,
                order: Order::default(),
                after: None,
                most: 5,
                hint: Hint::Anywhere,
            };
            let (sql, values) = crate::find::statement(&search).unwrap();
            let mut statement = db.prepare(&sql).unwrap();
            assert!(
                !statement
                    .exists(rusqlite::params_from_iter(values))
                    .unwrap()
            );
            statement.get_status(StatementStatus::VmStep)
        });
        steps.sum::<i32>()
    };
    let crowd = |count: usize| {
        let job = |number| {
            let mut job = NewJob::new("kept", Payload::json(&()).unwrap());
            if number % 2 == 0 {
                job.task = "other".into();
                job.retention = Some(std::time::Duration::from_secs(9999));
            }
            job
        };
        (0..count).map(job).collect::<Vec<_>>()
    };
    let finished = async |count| {
        storage
            .insert(vec![crowd(count)], Repeat::First)
            .await
            .unwrap();
        let cancel = majordomo_core::Change::Cancel;
        let pending = Filter::all().state(State::Pending);
        while !storage
            .change(&pending, &cancel, None, 1000)
            .await
            .unwrap()
            .items
            .is_empty()
        {}
    };
    finished(2).await;
    let before = steps();
    finished(5000).await;
    assert!(
        steps() <= before + 20,
        "{} steps with a crowd, {before} without",
        steps()
    );
}

#[tokio::test]
async fn lists_of_what_ended_lately_come_sorted_from_their_index() {
    let (_folder, _storage, db) = migrated().await;
    let filter = Filter::all().state(State::Dead);
    let order = Order::descending(OrderBy::Ended);
    let now = majordomo_core::Timestamp::UNIX_EPOCH;
    let after = order.place(&NewJob::new("t", Payload::json(&()).unwrap()).into_job(now));
    let search = Search {
        now,
        filter: &filter,
        order,
        after,
        most: 5,
        hint: Hint::None,
    };
    let (sql, _) = crate::find::statement(&search).unwrap();
    let plan = plan(&db, &sql);
    assert!(
        plan.contains("COVERING INDEX jobs_ended (state=?") && !plan.contains("TEMP B-TREE"),
        "{sql}\n{plan}"
    );
}

#[tokio::test]
async fn lists_by_id_walk_the_ids_and_sort_nothing() {
    let (_folder, _storage, db) = migrated().await;
    let now = majordomo_core::Timestamp::UNIX_EPOCH;
    let filters = [
        Filter::all(),
        Filter::all().task("t"),
        Filter::all().state(State::Completed),
        Filter::all().finished(),
        Filter::all().state(State::Completed).queue("q"),
        Filter {
            tenant: Some("a".into()),
            ..Filter::all()
        },
    ];
    let first = JobId::new();
    for filter in filters {
        for after in [None, Some(Cursor::behind(first))] {
            for order in [Order::default(), Order::descending(OrderBy::Id)] {
                let search = Search {
                    now,
                    filter: &filter,
                    order,
                    after,
                    most: 5,
                    hint: Hint::None,
                };
                let (sql, _) = crate::find::statement(&search).unwrap();
                let plan = plan(&db, &sql);
                assert!(
                    plan.contains("INDEX jobs_id") && !plan.contains("TEMP B-TREE"),
                    "{sql}\n{plan}"
                );
            }
        }
    }
}

/// However much is finished: a claim takes the steps that it takes without.
#[tokio::test]
async fn g28_a_crowd_of_finished_jobs_costs_a_claim_nothing() {
    let (_folder, storage, db) = migrated().await;
    let jobs = |count: usize| {
        let job = |_| NewJob::new("t", Payload::json(&()).unwrap());
        (0..count).map(job).collect::<Vec<_>>()
    };
    let steps = || {
        let due = include_str!("sql/claim_due.sql");
        let mut statement = db.prepare(due).unwrap();
        let now = majordomo_core::Timestamp::now().as_microsecond() + 1_000_000;
        let mut rows = statement
            .query(params!["default", 0, now, "[\"t\"]", "[]", "[]", true])
            .unwrap();
        let mut found = 0;
        while rows.next().unwrap().is_some() {
            found += 1;
        }
        drop(rows);
        (found, statement.get_status(StatementStatus::VmStep))
    };
    let finish = async |count| {
        let insert = storage.insert(vec![jobs(count)], Repeat::First);
        insert.await.unwrap();
        let cancel = majordomo_core::Change::Cancel;
        let pending = Filter::all().state(State::Pending);
        let ended = async || storage.change(&pending, &cancel, None, 1000).await.unwrap();
        while !ended().await.items.is_empty() {}
    };
    let ten = async || {
        let insert = storage.insert(vec![jobs(10)], Repeat::First);
        insert.await.unwrap();
        steps()
    };
    finish(2).await;
    let (few, without) = ten().await;
    finish(5000).await;
    let (many, with) = ten().await;
    assert_eq!((few, many), (10, 10));
    assert!(with <= without + 20, "{with} steps with, {without} without");
}

#[tokio::test]
async fn g28_a_crowd_that_is_not_due_costs_a_claim_nothing() {
    let (_folder, storage, db) = migrated().await;
    let crowd = |priority| {
        let later = move |_| {
            let mut job = NewJob::new("t", Payload::json(&()).unwrap());
            (job.due, job.priority) = (When::In(std::time::Duration::from_secs(9999)), priority);
            job
        };
        (0..2000).map(later).collect::<Vec<_>>()
    };
    let steps = |priority: i64| {
        let mut statement = db.prepare(include_str!("sql/claim_due.sql")).unwrap();
        let now = majordomo_core::Timestamp::now().as_microsecond();
        assert!(
            !statement
                .exists(params![
                    "default", priority, now, "[\"t\"]", "[]", "[]", true
                ])
                .unwrap()
        );
        statement.get_status(StatementStatus::VmStep)
    };
    let before = steps(3);
    storage
        .insert(vec![crowd(3), crowd(2), crowd(1)], Repeat::First)
        .await
        .unwrap();
    assert!(
        steps(3) <= before + 10,
        "{} steps with a crowd, {before} without",
        steps(3)
    );
}
