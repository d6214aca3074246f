//! What differs between the databases: one file each. The rest of the crate is generic over [`Engine`].

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{future::Future, sync::Arc, time::Duration};

use axum_users_core::{Kind, Value, ValueError};
use sqlx::Database;

/// A database that sqlx drives.
pub(crate) trait Engine: Database {
    /// How a transaction begins that writes after it has read.
    const BEGIN: &'static str;
    /// Ends a `SELECT` that locks the row it reads.
    const FOR_UPDATE: &'static str;
    /// Ends the `SELECT` of an `INSERT` that refers to the row it reads, where that needs a lock: a row that is about to go is
    /// waited for, and then not there.
    const FOR_REFERENCE: &'static str = "";
    /// Whether an inserted row can be returned.
    const RETURNING: bool;
    /// The type of an id that the database counts.
    const COUNTED_ID: &'static str;
    /// The type of a token's `created_at`.
    const CREATED_AT: &'static str;
    /// Text that is compared to the letter, where the default of the engine is laxer.
    const EXACT_TEXT: &'static str = "";
    /// Ends a table that is found by its primary key alone, where that saves a look-up.
    const BY_KEY: &'static str = "";
    /// Whether a column that somebody else made may find a token in another case.
    const LAX_TEXT: bool = false;
    /// Text of any language, where the default of the database may not hold it.
    const WIDE_TEXT: &'static str = "";
    /// Whether `created_at` has whole seconds only.
    const WHOLE_SECONDS: bool = false;
    /// Whether our side tables may refer to the user table: MySQL asks for the same collation too.
    const SIDE_TABLES_REFER: bool = true;
    /// Whether a table that somebody else made may give the number of a deleted user out again.
    const REUSES_IDS: bool = false;
    /// Whether a connection can fall silent: one that did is thrown away.
    const OVER_NETWORK: bool = true;
    /// Whether a writer locks the whole database.
    const ONE_WRITER: bool = false;

    /// An identifier in quotes.
    fn quote(name: &str) -> String;
    /// The placeholder of the n-th parameter, from 1.
    fn placeholder(n: usize) -> String;
    /// What is compared when an address is looked up; an index of ours serves it.
    fn email_key(column: &str, prefix: &str) -> String;
    /// The same without an index, from the column alone.
    fn folded(column: &str) -> String {
        Self::email_key(column, "")
    }
    /// Whether a text holds anything beyond printable ASCII.
    fn beyond_ascii(column: &str) -> String;
    /// The larger of two expressions.
    fn greatest(a: &str, b: &str) -> String;

    /// Ends an `INSERT` that leaves a row with this key as it is.
    fn or_keep(table: &str, key: &str) -> String {
        let _ = table;
        format!(" ON CONFLICT ({key}) DO NOTHING")
    }
    /// A flag as a condition that [`flag_index`](Self::flag_index) serves.
    fn is_set(column: &str) -> String {
        column.to_owned()
    }
    /// An index of the few rows whose flag is set.
    fn flag_index(table: &str, column: &str, index: &str) -> String {
        format!("CREATE INDEX {index} ON {table} ({column}) WHERE {column}")
    }
    /// Deletes rows for which a condition with one parameter holds, at most as many as the second parameter says.
    fn delete_some(table: &str, key: &str, condition: &str) -> String {
        let limit = Self::placeholder(2);
        format!("DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {condition} LIMIT {limit})")
    }

    /// The type of a column in tables that we make.
    fn type_of(kind: Kind, unique: bool) -> &'static str;
    /// How a value of `kind` is selected from a column of this type, and how its parameter is written.
    fn casts(kind: Kind, stored: &Stored) -> Casts;

    /// Adds a parameter; a null is bound with its column's kind.
    fn bind(arguments: &mut Self::Arguments, kind: Kind, value: Value) -> Result<(), sqlx::Error>;
    /// Reads a value.
    fn read(row: &Self::Row, index: usize, kind: Kind) -> Result<Value, ValueError>;

    /// Runs a statement; answers how many rows it touched and the last id that was counted.
    fn execute(
        connection: &mut Self::Connection,
        sql: Arc<str>,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Executed, sqlx::Error>> + Send;
    /// Runs a query.
    fn fetch(
        connection: &mut Self::Connection,
        sql: Arc<str>,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;
    /// Runs a query of at most one row.
    fn fetch_one(
        connection: &mut Self::Connection,
        sql: Arc<str>,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Option<Self::Row>, sqlx::Error>> + Send;
    /// Runs a command of transactions, which cannot be prepared everywhere.
    fn command(
        connection: &mut Self::Connection,
        sql: &'static str,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
    /// Tells the server to end statements of this connection that take longer, and transactions that nobody goes on with:
    /// it does not always notice that a client is gone.
    fn limit_statements(
        connection: &mut Self::Connection,
        limit: Duration,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Lets one node at a time work on the schema, until the transaction ends or the connection closes.
    fn lock_schema(connection: &mut Self::Connection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
    /// Gives the lock back, where the end of the transaction does not.
    fn unlock_schema(connection: &mut Self::Connection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
    /// The columns of a table as they are; empty when there is no such table.
    fn columns_of(
        connection: &mut Self::Connection,
        table: &str,
    ) -> impl Future<Output = Result<Vec<Stored>, sqlx::Error>> + Send;
    /// The names of the indexes of a table.
    fn indexes_of(
        connection: &mut Self::Connection,
        table: &str,
    ) -> impl Future<Output = Result<Vec<String>, sqlx::Error>> + Send;
    /// Our unique index over the folded address, and what it needs.
    fn email_index(table: &str, column: &str, index: &str) -> Vec<String>;

    /// What of the text of a unique violation names the index or the column: the one place that reads it.
    fn violated(error: &dyn sqlx::error::DatabaseError) -> Option<String>;
    /// What any other error of the database means.
    fn meaning(error: &dyn sqlx::error::DatabaseError) -> Meaning;
    /// Whether the server ended the connection with this error.
    fn ends_connection(error: &dyn sqlx::error::DatabaseError) -> bool {
        let _ = error;
        false
    }
}

/// What an error of a driver means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Try again at once: a deadlock was broken.
    Retry,
    /// Try again later.
    Unavailable,
    /// A value does not fit its column.
    OutOfRange,
    /// Something else.
    Other,
}

/// What a statement did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Executed {
    pub(crate) rows: u64,
    pub(crate) last_id: i64,
}

/// A column as the database describes it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) name: String,
    /// The type in lower case, as the engine writes it.
    pub(crate) type_name: String,
    pub(crate) nullable: bool,
}

/// How a column of an adopted table is read and written; empty where nothing needs to be cast.
#[derive(Clone, Debug, Default)]
pub(crate) struct Casts {
    /// `CAST({} AS …)` around the selected column.
    pub(crate) read: Option<String>,
    /// `CAST({} AS …)` around the parameter.
    pub(crate) write: Option<String>,
}

impl Casts {
    /// No casts.
    pub(crate) const NONE: Self = Self { read: None, write: None };

    pub(crate) fn apply(template: &Option<String>, expression: String) -> String {
        template.as_ref().map_or(expression.clone(), |template| template.replace("{}", &expression))
    }
}

/// The runners are the same text for every engine, but not the same types.
macro_rules! runners {
    () => {
        async fn execute(
            connection: &mut Self::Connection,
            sql: std::sync::Arc<str>,
            arguments: Self::Arguments,
        ) -> Result<crate::engine::Executed, sqlx::Error> {
            let done = sqlx::query_with::<Self, _>(sqlx::AssertSqlSafe(sql), arguments).execute(connection).await?;
            Ok(crate::engine::Executed { rows: done.rows_affected(), last_id: last_id(&done) })
        }
        async fn fetch(
            connection: &mut Self::Connection,
            sql: std::sync::Arc<str>,
            arguments: Self::Arguments,
        ) -> Result<Vec<Self::Row>, sqlx::Error> {
            sqlx::query_with::<Self, _>(sqlx::AssertSqlSafe(sql), arguments).fetch_all(connection).await
        }
        async fn fetch_one(
            connection: &mut Self::Connection,
            sql: std::sync::Arc<str>,
            arguments: Self::Arguments,
        ) -> Result<Option<Self::Row>, sqlx::Error> {
            sqlx::query_with::<Self, _>(sqlx::AssertSqlSafe(sql), arguments).fetch_optional(connection).await
        }
        async fn command(connection: &mut Self::Connection, sql: &'static str) -> Result<(), sqlx::Error> {
            sqlx::Executor::execute(connection, sql).await.map(drop)
        }
    };
}
use runners;
