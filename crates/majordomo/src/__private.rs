//! What `#[derive(Task)]` writes refers to this module only, so that it compiles
//! whatever else the user depends on. Nothing here is for use by hand, and it
//! changes without notice together with the derive.

pub mod probe;
pub mod unique;

pub use majordomo_core as core;
pub use {schemars, serde, serde_json};
