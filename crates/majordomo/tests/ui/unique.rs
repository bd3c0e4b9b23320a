use majordomo::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(unique = "welcome-{recipent}")]
struct Misspelt {
    recipient: String,
    text: String,
}

#[derive(Serialize, Deserialize, Task)]
#[task(unique = "{x}")]
struct Unknown {
    recipient: String,
    text: String,
}

#[derive(Serialize, Deserialize, Task)]
#[task(unique = "{2}")]
struct OutOfRange(String, u8);

#[derive(Serialize, Deserialize, Task)]
#[task(unique = "{to}")]
struct NoFields;

#[derive(Serialize, Deserialize, Task)]
#[task(unique = "")]
struct Empty {
    to: String,
}

#[derive(Serialize, Deserialize, Task)]
#[task(unique = "{to.name}")]
struct Path {
    to: String,
}

#[derive(Serialize, Deserialize, Task)]
#[task(unique = "{to:?}")]
struct Format {
    to: String,
}

#[derive(Serialize, Deserialize, Task)]
#[task(unique = "{to")]
struct NotClosed {
    to: String,
}

#[derive(Serialize, Deserialize, Task)]
#[task(unique = "{}")]
struct NoName {
    to: String,
}

#[derive(Serialize, Deserialize, Task)]
#[task(unique = "{to}")]
enum Enum {
    Mail { to: String },
}

#[derive(Serialize, Deserialize, Task)]
#[task(unique("to"))]
struct Parentheses {
    to: String,
}

fn main() {}
