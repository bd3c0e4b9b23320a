use majordomo::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(backoff)]
struct Nothing;

#[derive(Serialize, Deserialize, Task)]
#[task(backoff(cap = "1h"))]
struct NoShape;

#[derive(Serialize, Deserialize, Task)]
#[task(backoff(fixed = "1s", exponential, first = "1s", factor = 2.0))]
struct TwoShapes;

#[derive(Serialize, Deserialize, Task)]
#[task(backoff(linear, first = "1s"))]
struct NoStep;

#[derive(Serialize, Deserialize, Task)]
#[task(backoff(fixed = "1s", factor = 2.0))]
struct Stranger;

#[derive(Serialize, Deserialize, Task)]
#[task(backoff(exponential, first = "1s", factor = 0.5, jitter = 1.5, cap = "0s", max_age = "0s"))]
struct OutOfRange;

#[derive(Serialize, Deserialize, Task)]
#[task(backoff(list()))]
struct EmptyList;

#[derive(Serialize, Deserialize, Task)]
#[task(backoff(list(1, 5)))]
struct NumbersInList;

fn main() {}
