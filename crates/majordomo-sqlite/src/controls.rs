//! Controls: reading and setting them. `claim.rs` enforces them.

use majordomo_core::{Control, Scope, Wake};
use rusqlite::{Connection, params};

use crate::error::{Fault, Run};
use crate::row::json;
use crate::tx::Tx;

pub(crate) fn list(db: &Connection) -> Run<Vec<(Scope, Control)>> {
    let mut statement = db.prepare_cached(include_str!("sql/read_controls.sql"))?;
    let mut rows = statement.query([])?;
    let mut controls = Vec::new();
    while let Some(row) = rows.next()? {
        let (kind, name, text): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let what = format!("the control of {kind} `{name}`");
        let control = serde_json::from_str(&text).map_err(|why| Fault::corrupt(&what, why))?;
        let scope =
            Scope::of(&kind, name).ok_or_else(|| Fault::corrupt(&what, "its kind is not known"))?;
        controls.push((scope, control));
    }
    controls.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(controls)
}

pub(crate) fn set(tx: &mut Tx<'_>, scope: &Scope, control: &Control) -> Run<()> {
    if *control == Control::default() {
        let mut delete = tx
            .db
            .prepare_cached(include_str!("sql/delete_control.sql"))?;
        delete.execute(params![scope.kind(), scope.name()])?;
    } else {
        let mut write = tx
            .db
            .prepare_cached(include_str!("sql/write_control.sql"))?;
        write.execute(params![scope.kind(), scope.name(), json(control)?])?;
    }
    tx.wake(Wake::WORK);
    Ok(())
}
