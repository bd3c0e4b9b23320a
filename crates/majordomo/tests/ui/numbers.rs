use majordomo::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(priority = 40_000, attempts = 0, version = 0)]
struct OutOfRange;

#[derive(Serialize, Deserialize, Task)]
#[task(priority = "high", attempts = 2.5, version = -1)]
struct OfAnotherKind;

#[derive(Serialize, Deserialize, Task)]
#[task(attempts, version =, schema = 1, priority(5))]
struct NoValue;

fn main() {}
