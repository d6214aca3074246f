//! An empty database for each run, and what the recording does to it with SQL.

use std::sync::atomic::{AtomicUsize, Ordering};

use mongodb::bson::{Bson, Document, doc};
use sqlx::{Connection as _, MySqlConnection, PgConnection, SqliteConnection};

/// Where the replayed application keeps its users.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
    MySql,
    /// SecantusDB, or whichever was named.
    Mongo,
    /// FerretDB.
    Ferret,
}

pub(crate) enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    MySql(MySqlConnection),
    Mongo(mongodb::Collection<Document>),
}

impl Engine {
    /// The URL of an empty database.
    pub(crate) async fn empty(self) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("parity{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        match self {
            Self::Sqlite => {
                let folder = std::env::temp_dir().join(format!("axum-users-parity-{}", std::process::id()));
                std::fs::create_dir_all(&folder).unwrap();
                format!("sqlite://{}", folder.join(format!("{name}.db")).display())
            }
            Self::Postgres => {
                let server = variable("AXUM_USERS_TEST_POSTGRES_URL");
                let mut connection = PgConnection::connect(&server).await.unwrap();
                sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
                with_database(&server, &name)
            }
            Self::MySql => {
                let server = variable("AXUM_USERS_TEST_MYSQL_URL");
                let mut connection = MySqlConnection::connect(&server).await.unwrap();
                sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
                with_database(&server, &name)
            }
            Self::Mongo => with_database(&variable("AXUM_USERS_TEST_MONGODB_URL"), &name),
            Self::Ferret => with_database(&variable("AXUM_USERS_TEST_FERRETDB_URL"), &name),
        }
    }

    pub(crate) async fn open(self, url: &str) -> Database {
        match self {
            Self::Sqlite => Database::Sqlite(SqliteConnection::connect(url).await.unwrap()),
            Self::Postgres => Database::Postgres(PgConnection::connect(url).await.unwrap()),
            Self::MySql => Database::MySql(MySqlConnection::connect(url).await.unwrap()),
            Self::Mongo | Self::Ferret => {
                let client = mongodb::Client::with_uri_str(url).await.unwrap();
                let database = client.default_database().unwrap();
                // The clock of the recording is not the server's. FerretDB does it, and answers what the driver cannot read.
                let tokens = database.collection::<Document>("AccessToken");
                let _ = tokens.drop_index("axum_users_expires_at").await;
                let left = tokens.list_index_names().await.unwrap();
                assert!(!left.iter().any(|name| name == "axum_users_expires_at"), "{left:?}");
                Database::Mongo(database.collection("User"))
            }
        }
    }
}

impl Database {
    /// Runs a statement of the recording, which was made with SQLite.
    pub(crate) async fn run(&mut self, sql: &str) {
        // SQLite compares in any case.
        let sql = sql.replace("email LIKE", "lower(email) LIKE");
        let quoted = |quote: char| sql.replace("UPDATE user SET", &format!("UPDATE {quote}user{quote} SET"));
        match self {
            Self::Sqlite(connection) => {
                sqlx::raw_sql(sqlx::AssertSqlSafe(quoted('"'))).execute(connection).await.unwrap();
            }
            Self::Postgres(connection) => {
                let flags = ["is_active", "is_verified", "is_superuser"];
                let sql = flags.iter().fold(quoted('"'), |sql, flag| {
                    sql.replace(&format!("{flag}=1"), &format!("{flag}=true"))
                        .replace(&format!("{flag}=0"), &format!("{flag}=false"))
                });
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.unwrap();
            }
            Self::MySql(connection) => {
                sqlx::raw_sql(sqlx::AssertSqlSafe(quoted('`'))).execute(connection).await.unwrap();
            }
            Self::Mongo(users) => update(users, &sql).await,
        }
    }
}

/// The statements of the recording, `UPDATE user SET field=value [WHERE field=value]`, on documents.
async fn update(users: &mongodb::Collection<Document>, sql: &str) {
    let sql = sql.strip_prefix("UPDATE user SET ").unwrap();
    let (set, filter) = sql.split_once(" WHERE ").map_or((sql, None), |(set, filter)| (set, Some(filter)));
    let pair = |text: &str| {
        let (field, value) = text.split_once('=').unwrap();
        let (field, value) = (field.trim(), value.trim());
        let value = match (field, value.trim_matches('\'')) {
            ("id", id) => Bson::from(mongodb::bson::Uuid::parse_str(id).unwrap()),
            (_, "NULL") => Bson::Null,
            (_, "0" | "1") => Bson::Boolean(value == "1"),
            (_, text) => Bson::String(text.to_owned()),
        };
        let field = match field {
            "id" => "_id",
            "reset_token_hash" => "axum_users.reset_token_hash",
            other => other,
        };
        (field.to_owned(), value)
    };
    let filter = match filter.map(|filter| filter.split_once("lower(email) LIKE ")) {
        None => Document::new(),
        Some(Some((_, prefix))) => {
            doc! { "email": { "$regex": format!("^{}", prefix.trim_matches(['\'', '%'])), "$options": "i" } }
        }
        Some(None) => {
            let (field, value) = pair(sql.split_once(" WHERE ").unwrap().1);
            doc! { field: value }
        }
    };
    let (field, value) = pair(set);
    if field == "_id" {
        // An id cannot be changed: the same user, under another one.
        let mut user = users.find_one_and_delete(filter).await.unwrap().unwrap();
        user.insert("_id", value);
        users.insert_one(user).await.unwrap();
        return;
    }
    users.update_many(filter, doc! { "$set": { field: value } }).await.unwrap();
}

/// What `cargo xtask test` and `cargo xtask services` name.
pub(crate) fn variable(name: &str) -> String {
    let set = std::env::var(name).map_err(|_| {
        format!("{name} is not set: run `cargo xtask test`, or `cargo xtask services` and export what it prints")
    });
    set.unwrap()
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (base, _) = url.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}
