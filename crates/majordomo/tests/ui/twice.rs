use majordomo::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(queue = "mail", queue = "post")]
struct InOneAttribute;

#[derive(Serialize, Deserialize, Task)]
#[task(queue = "mail")]
#[task(attempts = 3, queue = "post")]
struct InTwo;

#[derive(Serialize, Deserialize, Task)]
#[task(aliases("old", "older", "old"), tags("Email", " email"))]
struct InALists;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "send", aliases("older", "send"))]
struct AliasIsName;

#[derive(Serialize, Deserialize, Task)]
#[task(aliases("default-name"))]
struct DefaultName;

fn main() {}
