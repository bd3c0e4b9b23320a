use majordomo::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(timeout = "0s", expires = "0ns", retention = "a week")]
struct SendWelcome;

#[derive(Serialize, Deserialize, Task)]
#[task(timeout = 30, expires = "5", retention = "3 fortnights", backoff = "soon")]
struct SendDigest;

fn main() {}
