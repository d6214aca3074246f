//! An empty database for each test.

use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{Connection as _, MySqlConnection, PgConnection};

static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// The three engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
    MySql,
}

impl Engine {
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::MySql];

    /// The URL of an empty database.
    pub(crate) async fn empty(self) -> String {
        let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        match self {
            Self::Sqlite => {
                let folder = std::env::temp_dir().join(format!("axum-users-sql-{}", std::process::id()));
                std::fs::create_dir_all(&folder).unwrap();
                format!("sqlite://{}", folder.join(format!("{name}.db")).display())
            }
            Self::Postgres => {
                let server = server("AXUM_USERS_TEST_POSTGRES_URL");
                let mut connection = PgConnection::connect(&server).await.unwrap();
                sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
                    .execute(&mut connection)
                    .await
                    .unwrap();
                with_database(&server, &name)
            }
            Self::MySql => {
                let server = server("AXUM_USERS_TEST_MYSQL_URL");
                let mut connection = MySqlConnection::connect(&server).await.unwrap();
                sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
                    .execute(&mut connection)
                    .await
                    .unwrap();
                with_database(&server, &name)
            }
        }
    }
}

fn server(variable: &str) -> String {
    let set = std::env::var(variable).map_err(|_| {
        format!("{variable} is not set: run `cargo xtask test`, or `cargo xtask services` and export what it prints")
    });
    set.unwrap()
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
    let base = base.rsplit_once('/').map_or(base, |(base, _)| base);
    if query.is_empty() { format!("{base}/{name}") } else { format!("{base}/{name}?{query}") }
}
