use majordomo::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
struct Generic<T> {
    value: T,
}

#[derive(Serialize, Task)]
struct Lifetime<'a> {
    value: &'a str,
}

#[derive(Task)]
union Union {
    byte: u8,
    bits: i8,
}

fn main() {}
