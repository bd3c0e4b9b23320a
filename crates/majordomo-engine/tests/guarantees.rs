//! The promises of the engine, on the memory storage.

use majordomo_testkit::Subject;

async fn memory() -> Subject {
    Subject::memory()
}

majordomo_testkit::guarantees!(promises, memory);
