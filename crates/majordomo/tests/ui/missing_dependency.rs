//! A task that needs an application which the worker does not have.

use majordomo::prelude::*;

struct Mailer;

#[derive(Serialize, Deserialize, Task)]
struct Send {
    to: String,
}

impl Run<Mailer> for Send {
    async fn run(self, _app: &Mailer, _cx: &Context) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let jobs = Client::new(Memory::new());
    let _ = Worker::new(&jobs, ()).handle::<Send>();
}
