//! The plan of the house: every crate with its floor, what it may lean on, and
//! what it must not know. A new crate is added here first.

/// Where a crate stands, and what it may lean on. Dev-dependencies are apart.
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) floor: u8,
    /// Our own crates it may use. All of them are on lower floors.
    pub(super) uses: &'static [&'static str],
    /// Others' crates that must not be reached, not even through its guests.
    pub(super) must_not_know: &'static [&'static [&'static str]],
}

/// The crate whose guests are counted.
pub(super) const CORE: &str = "majordomo-core";

/// All crates of the workspace.
pub(super) const PLACES: &[Place] = &[
    Place {
        name: "majordomo-macros",
        floor: 0,
        uses: &[],
        must_not_know: &[RUNTIMES, DATABASES, HTTP],
    },
    Place {
        name: CORE,
        floor: 1,
        uses: &[],
        must_not_know: &[RUNTIMES, DATABASES, HTTP],
    },
    Place {
        name: "majordomo-engine",
        floor: 2,
        uses: &[CORE],
        must_not_know: &[DATABASES, HTTP],
    },
    Place {
        name: "majordomo-sqlite",
        floor: 2,
        uses: &[CORE],
        must_not_know: &[RUNTIMES, HTTP],
    },
    Place {
        name: "majordomo-testkit",
        floor: 3,
        uses: &[CORE, "majordomo-engine"],
        must_not_know: &[DATABASES, HTTP],
    },
    Place {
        name: "majordomo",
        floor: 4,
        uses: LIBRARIES,
        must_not_know: &[],
    },
    Place {
        name: "majordomo-cli",
        floor: 5,
        uses: EVERYTHING,
        must_not_know: &[],
    },
    Place {
        name: "majordomo-crucible",
        floor: 5,
        uses: EVERYTHING,
        must_not_know: &[],
    },
    Place {
        name: "examples",
        floor: 5,
        uses: EVERYTHING,
        must_not_know: &[],
    },
    Place {
        name: "xtask",
        floor: 5,
        uses: EVERYTHING,
        must_not_know: &[],
    },
];

const LIBRARIES: &[&str] = &[
    "majordomo-macros",
    CORE,
    "majordomo-engine",
    "majordomo-sqlite",
    "majordomo-testkit",
];

const EVERYTHING: &[&str] = &[
    "majordomo-macros",
    CORE,
    "majordomo-engine",
    "majordomo-sqlite",
    "majordomo-testkit",
    "majordomo",
];

/// The only guests of core.
pub(super) const GUESTS_OF_CORE: &[&str] = &[
    "async-trait",
    "fastrand",
    "jiff",
    "serde",
    "serde_json",
    "uuid",
];

const RUNTIMES: &[&str] = &[
    "tokio",
    "async-std",
    "async-executor",
    "async-global-executor",
    "smol",
    "futures-executor",
    "compio",
    "embassy-executor",
    "glommio",
    "monoio",
];

const DATABASES: &[&str] = &[
    "libsqlite3-sys",
    "rusqlite",
    "sqlx",
    "sqlx-core",
    "sea-orm",
    "diesel",
    "diesel-async",
    "postgres",
    "tokio-postgres",
    "deadpool-postgres",
    "mysql",
    "mysql_async",
    "redis",
    "mongodb",
    "tiberius",
];

const HTTP: &[&str] = &[
    "hyper",
    "axum",
    "axum-core",
    "actix-web",
    "tower-http",
    "reqwest",
    "ureq",
];
