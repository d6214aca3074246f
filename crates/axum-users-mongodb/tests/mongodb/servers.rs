//! An empty database for each test.

use std::sync::atomic::{AtomicUsize, Ordering};

static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// Servers that speak the protocol of MongoDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// SecantusDB, or whichever `MONGODB_URL` named to the test command.
    Mongo,
    /// FerretDB: no transactions, no unique index with a collation.
    Ferret,
}

impl Server {
    /// The URL of an empty database.
    pub(crate) fn empty(self) -> String {
        let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let variable = match self {
            Self::Mongo => "AXUM_USERS_TEST_MONGODB_URL",
            Self::Ferret => "AXUM_USERS_TEST_FERRETDB_URL",
        };
        let set = std::env::var(variable).map_err(|_| {
            format!(
                "{variable} is not set: run `cargo xtask test`, or `cargo xtask services` and export what it prints"
            )
        });
        let url = set.unwrap();
        let (base, query) =
            url.split_once('?').map_or((url.as_str(), String::new()), |(base, query)| (base, format!("?{query}")));
        format!("{}/{name}{query}", base.trim_end_matches('/'))
    }
}
