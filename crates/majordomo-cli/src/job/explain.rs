//! `majordomo job explain`: why a job does not run.

use majordomo::{Client, JobId};
use serde_json::{Value, json};

use crate::exit::{Exit, Problem};
use crate::output::Output;
use crate::plain;

pub(super) async fn run(client: &Client, id: JobId, output: &Output) -> Result<Exit, Problem> {
    let explanation = client.explain(id).await?;
    if output.is_table() {
        output.line(format_args!("job {id} is {}", explanation.state))?;
        for reason in &explanation.reasons {
            output.line(format_args!("- {}", plain::line(&reason.to_string())))?;
        }
        return Ok(Exit::Ok);
    }
    let reasons = explanation.reasons.iter().map(|reason| {
        let mut value = json!(reason);
        // So that a program can pass the words on too.
        if let Value::Object(fields) = &mut value {
            fields.insert("message".to_owned(), reason.to_string().into());
        }
        value
    });
    let reasons: Vec<Value> = reasons.collect();
    output.json(&json!({
        "id": id, "state": explanation.state, "at": explanation.at, "reasons": reasons,
    }))?;
    Ok(Exit::Ok)
}
