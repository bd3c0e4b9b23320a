use majordomo::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(name = "", title = "a\nb", queue = " ", tags("email", ""), aliases())]
struct SendWelcome;

#[derive(Serialize, Deserialize, Task)]
#[task(
    name = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901"
)]
struct TooLong;

#[derive(Serialize, Deserialize, Task)]
struct __;

fn main() {}
