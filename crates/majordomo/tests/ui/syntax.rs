use majordomo::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task]
struct Bare;

#[derive(Serialize, Deserialize, Task)]
#[task = "send"]
struct Text;

#[derive(Serialize, Deserialize, Task)]
#[task(queue = "mail" attempts = 3)]
struct NoComma;

#[derive(Serialize, Deserialize, Task)]
#[task("mail")]
struct NoKey;

#[derive(Serialize, Deserialize, Task)]
#[task(queue = MAIL, tags = "email", tags2 = "x")]
struct Values;

#[derive(Serialize, Deserialize, Task)]
#[task(output = "Receipt", retry_delay = 5, crate = 7)]
struct Paths;

fn main() {}
