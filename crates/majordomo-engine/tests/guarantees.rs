//! The promises of the engine, on the memory storage.

use std::sync::Arc;

use majordomo_core::{ManualClock, Memory};
use majordomo_testkit::Subject;

async fn memory() -> Subject {
    let clock = ManualClock::default();
    let storage = Memory::with_clock(Arc::new(clock.clone()));
    let node = storage.clone();
    Subject::manual(clock, Arc::new(storage)).with_nodes(move || {
        let node = node.clone();
        async move { Arc::new(node) as _ }
    })
}

majordomo_testkit::guarantees!(promises, memory);
