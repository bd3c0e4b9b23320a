//! Controls at work: how much room each limited scope has left while a claim goes on.

use std::collections::HashMap;

use majordomo_core::{Control, Job, Scope, Timestamp};
use rusqlite::Connection;

use crate::controls;
use crate::error::Run;

/// How many more jobs may start in each scope that a control limits.
pub(crate) struct Rooms(HashMap<Scope, u64>);

impl Rooms {
    pub(crate) fn load(db: &Connection, now: Timestamp) -> Run<Self> {
        let controls = controls::list(db)?;
        let counts = controls
            .iter()
            .any(|(_, control)| control.max_running.is_some());
        let running = if counts { running(db)? } else { Vec::new() };
        let room = |(scope, control): (Scope, Control)| {
            let already = running
                .iter()
                .filter(|one| one.is_in(&scope))
                .map(|one| one.count)
                .sum();
            control.room(already, now).map(|room| (scope, room))
        };
        Ok(Self(controls.into_iter().filter_map(room).collect()))
    }

    pub(crate) fn of_queue(&self, queue: &str) -> Option<u64> {
        self.0
            .iter()
            .find(|(scope, _)| matches!(scope, Scope::Queue(name) if name == queue))
            .map(|(_, room)| *room)
    }

    /// The tasks and the limit keys without room.
    pub(crate) fn closed(&self) -> (Vec<&str>, Vec<&str>) {
        let closed = |kind: fn(&Scope) -> bool| {
            let full = self
                .0
                .iter()
                .filter(|(scope, room)| **room == 0 && kind(scope));
            full.map(|(scope, _)| scope.name()).collect()
        };
        (
            closed(|scope| matches!(scope, Scope::Task(_))),
            closed(|scope| matches!(scope, Scope::LimitKey(_))),
        )
    }

    /// Takes room for `job`, and says whether that was the last of some scope.
    pub(crate) fn take(&mut self, job: &Job) -> bool {
        let mut filled = false;
        for (_, room) in self.0.iter_mut().filter(|(scope, _)| scope.covers(job)) {
            *room = room.saturating_sub(1);
            filled |= *room == 0;
        }
        filled
    }
}

struct Running {
    queue: String,
    task: String,
    limit_key: Option<String>,
    count: u64,
}

impl Running {
    fn is_in(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Queue(name) => *name == self.queue,
            Scope::Task(name) => *name == self.task,
            Scope::LimitKey(name) => self.limit_key.as_ref() == Some(name),
        }
    }
}

fn running(db: &Connection) -> Run<Vec<Running>> {
    let mut statement = db.prepare_cached(include_str!("sql/claim_running.sql"))?;
    let rows = statement.query_map([], |row| {
        let count = row.get::<_, i64>(3)?.unsigned_abs();
        Ok(Running {
            queue: row.get(0)?,
            task: row.get(1)?,
            limit_key: row.get(2)?,
            count,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
