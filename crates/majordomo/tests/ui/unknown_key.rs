use majordomo::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(que = "mail", retries = 3, colour = "blue")]
struct SendWelcome;

#[derive(Serialize, Deserialize, Task)]
#[task(backoff(exponential, frist = "5s", factor = 2.0))]
struct SendDigest;

fn main() {}
