//! A job as a row of `jobs`, there and back.
//!
//! What is rare or default is NULL. Fields that nothing searches by share one
//! JSON column, `extra`. A row that breaks these rules is an error that names
//! the job, never a panic.

use std::collections::BTreeMap;
use std::time::Duration;

use majordomo_core::backoff::{Backoff, Delays};
use majordomo_core::time::optional_micros;
use majordomo_core::{
    Codec, EndingKind, Hold, Job, JobId, Lease, Occurrence, Payload, State, Tags, Timestamp, Trace,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Fault, Run, job_id};
use crate::parts::Parts;

pub(crate) use crate::codes::{
    count, ending_code, ending_of, instant, micros, state_of, stored_state,
};

/// A row of `jobs`, read.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) job: Job,
    pub(crate) latest: Latest,
    pub(crate) parts: Parts,
    /// The number of the row, good within this transaction.
    pub(crate) rowid: i64,
}

/// The latest attempt, as far as the job itself does not tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latest {
    pub(crate) worker: Option<String>,
    pub(crate) ending: Option<EndingKind>,
    pub(crate) ended_at: Option<Timestamp>,
    /// Whether the job's error is this attempt's.
    pub(crate) failed: bool,
}

/// The fields without a column of their own.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Extra {
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff: Option<Backoff>,
    #[serde(with = "optional_micros", skip_serializing_if = "Option::is_none")]
    timeout: Option<Duration>,
    #[serde(with = "optional_micros", skip_serializing_if = "Option::is_none")]
    retention: Option<Duration>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    holds: Vec<Hold>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Trace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nominal_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The columns that need encoding, encoded.
pub(crate) struct Encoded<'a> {
    pub(crate) tags: Option<String>,
    pub(crate) metadata: Option<String>,
    pub(crate) codec: Option<&'a str>,
    pub(crate) schedule: Option<&'a str>,
    pub(crate) extra: Option<String>,
}

impl<'a> Encoded<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_none()
            && self.metadata.is_none()
            && self.codec.is_none()
            && self.schedule.is_none()
            && self.extra.is_none()
    }

    pub(crate) fn of(job: &'a Job) -> Run<Self> {
        Ok(Self {
            tags: (!job.tags.is_empty())
                .then(|| json(&job.tags))
                .transpose()?,
            metadata: (!job.metadata.is_empty())
                .then(|| json(&job.metadata))
                .transpose()?,
            codec: (job.payload.codec != Codec::JSON).then(|| job.payload.codec.as_str()),
            schedule: job
                .schedule
                .as_ref()
                .map(|occurrence| occurrence.schedule.as_str()),
            extra: extra(job)?,
        })
    }
}

fn extra(job: &Job) -> Run<Option<String>> {
    let plain = job.timeout.is_none()
        && job.retention.is_none()
        && job.holds.is_empty()
        && job.trace.is_none()
        && job.schedule.is_none()
        && job.backoff == Backoff::default();
    if plain {
        return Ok(None);
    }
    let extra = Extra {
        backoff: (job.backoff != Backoff::default()).then(|| finite(job.backoff.clone())),
        timeout: job.timeout,
        retention: job.retention,
        holds: job.holds.clone(),
        trace: job.trace.clone(),
        nominal_at: job
            .schedule
            .as_ref()
            .map(|occurrence| occurrence.nominal_at),
        reason: job
            .schedule
            .as_ref()
            .map(|occurrence| occurrence.reason.clone()),
    };
    json(&extra).map(Some)
}

/// JSON has no word for what is not a number, and a job must stay readable. The
/// values are those that the backoff's own rules put in its place.
fn finite(mut backoff: Backoff) -> Backoff {
    if !backoff.jitter.is_finite() {
        backoff.jitter = if backoff.jitter > 0.0 { 1.0 } else { 0.0 };
    }
    if let Delays::Exponential { factor, .. } = &mut backoff.delays
        && !factor.is_finite()
    {
        *factor = if *factor > 0.0 { f64::MAX } else { 1.0 };
    }
    backoff
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Run<String> {
    serde_json::to_string(value).map_err(|source| {
        Fault::Storage(majordomo_core::Error::invalid("cannot encode as JSON").source(source))
    })
}

/// Reads one job with its row.
pub(crate) fn load(db: &Connection, id: JobId) -> Run<Option<Stored>> {
    let mut statement = db.prepare_cached(include_str!("sql/read_job.sql"))?;
    let mut rows = statement.query(params![id.as_bytes()])?;
    rows.next()?.map(read).transpose()
}

/// The places of the columns in `read_job.sql`; `claim_due.sql` and `claim_expired.sql`
/// have those up to [`Column::Rest`], and `claim_rest.sql` the others.
#[derive(Clone, Copy, Debug)]
enum Column {
    Id,
    State,
    Queue,
    Task,
    Priority,
    Due,
    Version,
    MaxAttempts,
    Token,
    Charged,
    Crashes,
    Revision,
    CreatedAt,
    ChangedAt,
    Parts,
    Payload,
    Rowid,
    /// Whether any of those that follow may say something.
    Rest,
    Expires,
    StartedAt,
    EndedAt,
    LeaseExpires,
    CancelRequested,
    Worker,
    Ending,
    AttemptEndedAt,
    Failed,
    DeadReason,
    Error,
    Progress,
    Tenant,
    Actor,
    LimitKey,
    Schedule,
    Tags,
    Metadata,
    Codec,
    Extra,
}

/// The id of a row, which may be all of it that can be read.
pub(crate) fn id_of(row: &Row<'_>) -> Run<JobId> {
    match row.get_ref(Column::Id as usize)? {
        ValueRef::Blob(bytes) => job_id(bytes),
        other => Err(Fault::corrupt_job(
            format!("{other:?}"),
            "its id is not a blob",
        )),
    }
}

/// Reads a row of all columns in the order of [`Column`].
fn read(row: &Row<'_>) -> Run<Stored> {
    let id = id_of(row)?;
    let mut stored = read_first(&Cells { row, id, first: 0 })?;
    read_rest(&Cells { row, id, first: 0 }, &mut stored)?;
    Ok(stored)
}

/// Reads a row of a pending job, with the columns up to [`Column::Rest`], and
/// the others if there is anything in them.
pub(crate) fn read_waiting(db: &Connection, row: &Row<'_>) -> Run<Stored> {
    let id = id_of(row)?;
    let cells = Cells { row, id, first: 0 };
    let mut stored = read_first(&cells)?;
    if cells.integer(Column::Rest)? != 0 {
        let mut statement = db.prepare_cached(include_str!("sql/claim_rest.sql"))?;
        let mut rows = statement.query(params![stored.rowid])?;
        if let Some(row) = rows.next()? {
            let first = Column::Expires as usize;
            read_rest(&Cells { row, id, first }, &mut stored)?;
        }
    }
    Ok(stored)
}

/// Reads the columns up to [`Column::Rest`].
fn read_first(cells: &Cells<'_>) -> Run<Stored> {
    use Column as C;
    let id = cells.id;
    let state = state_of(cells.integer(C::State)?).ok_or_else(|| cells.broken(C::State))?;
    let job = Job {
        id,
        task: cells.required_text(C::Task)?,
        version: cells.small(C::Version)?,
        payload: Payload {
            codec: Codec::JSON,
            bytes: cells.bytes(C::Payload)?,
        },
        queue: cells.required_text(C::Queue)?,
        priority: i16::try_from(cells.integer(C::Priority)?)
            .map_err(|_| cells.broken(C::Priority))?,
        due: instant(cells.integer(C::Due)?),
        expires: None,
        max_attempts: cells.small(C::MaxAttempts)?,
        backoff: Backoff::default(),
        timeout: None,
        retention: None,
        holds: Vec::new(),
        tags: Tags::none(),
        metadata: BTreeMap::new(),
        actor: None,
        tenant: None,
        limit_key: None,
        trace: None,
        schedule: None,
        state,
        token: u64::try_from(cells.integer(C::Token)?).map_err(|_| cells.broken(C::Token))?,
        charged: cells.small(C::Charged)?,
        crashes: cells.small(C::Crashes)?,
        revision: u64::try_from(cells.integer(C::Revision)?)
            .map_err(|_| cells.broken(C::Revision))?,
        created_at: instant(cells.integer(C::CreatedAt)?),
        changed_at: instant(cells.integer(C::ChangedAt)?),
        started_at: None,
        ended_at: None,
        lease: None,
        cancel_requested: false,
        dead_reason: None,
        error: None,
        progress: None,
    };
    Ok(Stored {
        job,
        latest: Latest::default(),
        parts: Parts::of_bits(cells.integer(C::Parts)?),
        rowid: cells.integer(C::Rowid)?,
    })
}

/// Reads what a job that waits for its first attempt has only if someone asked for it.
fn read_rest(cells: &Cells<'_>, stored: &mut Stored) -> Run<()> {
    use Column as C;
    let job = &mut stored.job;
    job.expires = cells.time(C::Expires)?;
    job.started_at = cells.time(C::StartedAt)?;
    job.ended_at = cells.time(C::EndedAt)?;
    job.cancel_requested = cells.integer(C::CancelRequested)? != 0;
    let worker = cells.text(C::Worker)?;
    job.lease = match (job.state, &worker, cells.time(C::LeaseExpires)?) {
        (State::Running, Some(worker), Some(expires)) => Some(Lease {
            job: job.id,
            token: job.token,
            worker: worker.clone(),
            expires,
        }),
        (State::Running, ..) => return Err(cells.broken(C::LeaseExpires)),
        _ => None,
    };
    let ending = cells.optional_integer(C::Ending)?;
    stored.latest = Latest {
        worker,
        ending: ending
            .map(|code| ending_of(code).ok_or_else(|| cells.broken(C::Ending)))
            .transpose()?,
        ended_at: cells.time(C::AttemptEndedAt)?,
        failed: cells.integer(C::Failed)? != 0,
    };
    job.dead_reason = cells
        .text(C::DeadReason)?
        .map(|text| text.parse().map_err(|_| cells.broken(C::DeadReason)))
        .transpose()?;
    job.error = cells.json(C::Error)?;
    job.progress = cells.json(C::Progress)?;
    job.tenant = cells.text(C::Tenant)?;
    job.actor = cells.text(C::Actor)?;
    job.limit_key = cells.text(C::LimitKey)?;
    job.tags = cells.json(C::Tags)?.unwrap_or_default();
    job.metadata = cells
        .json::<BTreeMap<_, _>>(C::Metadata)?
        .unwrap_or_default();
    if let Some(codec) = cells.text(C::Codec)? {
        job.payload.codec = Codec::named(codec);
    }
    let extra: Extra = cells.json(C::Extra)?.unwrap_or_default();
    job.schedule = match (cells.text(C::Schedule)?, extra.nominal_at) {
        (Some(schedule), Some(nominal_at)) => Some(Occurrence {
            schedule,
            nominal_at,
            reason: extra.reason.unwrap_or_default(),
        }),
        (None, _) => None,
        (Some(_), None) => return Err(cells.broken(C::Schedule)),
    };
    job.backoff = extra.backoff.unwrap_or_default();
    job.timeout = extra.timeout;
    job.retention = extra.retention;
    job.holds = extra.holds;
    job.trace = extra.trace;
    Ok(())
}

struct Cells<'r> {
    row: &'r Row<'r>,
    id: JobId,
    /// The first [`Column`] that the row has.
    first: usize,
}

impl Cells<'_> {
    fn broken(&self, column: Column) -> Fault {
        Fault::corrupt_job(
            self.id,
            format_args!("its column {column:?} does not hold what this program wrote"),
        )
    }

    fn cell(&self, column: Column) -> Run<ValueRef<'_>> {
        Ok(self.row.get_ref(column as usize - self.first)?)
    }

    fn optional_integer(&self, column: Column) -> Run<Option<i64>> {
        match self.cell(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            _ => Err(self.broken(column)),
        }
    }

    fn integer(&self, column: Column) -> Run<i64> {
        self.optional_integer(column)?
            .ok_or_else(|| self.broken(column))
    }

    fn small(&self, column: Column) -> Run<u32> {
        u32::try_from(self.integer(column)?).map_err(|_| self.broken(column))
    }

    fn time(&self, column: Column) -> Run<Option<Timestamp>> {
        Ok(self.optional_integer(column)?.map(instant))
    }

    fn text(&self, column: Column) -> Run<Option<String>> {
        match self.cell(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(self.broken(column)),
            },
            _ => Err(self.broken(column)),
        }
    }

    fn required_text(&self, column: Column) -> Run<String> {
        self.text(column)?.ok_or_else(|| self.broken(column))
    }

    fn bytes(&self, column: Column) -> Run<Vec<u8>> {
        match self.cell(column)? {
            ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Ok(bytes.to_vec()),
            _ => Err(self.broken(column)),
        }
    }

    fn json<T: DeserializeOwned>(&self, column: Column) -> Run<Option<T>> {
        match self.cell(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) => serde_json::from_slice(bytes).map(Some).map_err(|error| {
                Fault::corrupt_job(
                    self.id,
                    format_args!("its column {column:?} is bad JSON: {error}"),
                )
            }),
            _ => Err(self.broken(column)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_list_the_columns_as_they_are_read() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("migrations/0001_jobs.sql"))
            .unwrap();
        let (id, rest, expires, extra) = (Column::Id, Column::Rest, Column::Expires, Column::Extra);
        for (sql, first, last) in [
            (include_str!("sql/read_job.sql"), id, extra),
            (include_str!("sql/claim_due.sql"), id, rest),
            (include_str!("sql/claim_expired.sql"), id, rest),
            (include_str!("sql/claim_rest.sql"), expires, extra),
        ] {
            let statement = db.prepare(sql).unwrap();
            let names: Vec<String> = statement
                .column_names()
                .map(|name| name.replace('_', ""))
                .collect();
            let first = first as usize;
            assert_eq!(names.len(), last as usize + 1 - first, "{sql}");
            for column in [
                Column::Id,
                Column::Parts,
                Column::Rowid,
                Column::Rest,
                Column::AttemptEndedAt,
                Column::Extra,
            ] {
                let place = (column as usize).checked_sub(first);
                if let Some(name) = place.and_then(|place| names.get(place)) {
                    assert_eq!(*name, format!("{column:?}").to_lowercase(), "{sql}");
                }
            }
        }
    }

    #[test]
    fn a_backoff_that_json_cannot_say_is_stored_as_it_acts() {
        let odd = Backoff::exponential(Duration::from_secs(1), f64::INFINITY).jitter(f64::NAN);
        let stored: Backoff =
            serde_json::from_str(&json(&finite(odd.clone())).unwrap_or_default()).unwrap();
        for attempt in 1..4 {
            assert_eq!(stored.delay(attempt, 0.3), odd.delay(attempt, 0.3));
        }
    }
}
