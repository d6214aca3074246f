//! SQLite.

use std::time::Duration;

use axum_users_core::{Kind, Value, ValueError};
use sqlx::{Arguments as _, Row as _, Sqlite, sqlite::SqliteQueryResult};
use time::{
    OffsetDateTime, PrimitiveDateTime, UtcOffset, format_description::BorrowedFormatItem, macros::format_description,
};
use uuid::Uuid;

use super::{Casts, Engine, Meaning, Stored, runners};

/// The contract's text of an instant: UTC, a blank, always six digits, no offset. It is compared as text.
const INSTANT: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]");
/// What other writers leave: a fraction of any length or none.
const INSTANT_LAX: &[BorrowedFormatItem<'static>] = format_description!(
    version = 2,
    "[year]-[month]-[day][first [ ][T]][hour]:[minute]:[second][optional [.[subsecond]]][optional [[offset_hour sign:mandatory]:[offset_minute]]]"
);
const DATE: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]");

fn last_id(done: &SqliteQueryResult) -> i64 {
    done.last_insert_rowid()
}

impl Engine for Sqlite {
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    const FOR_UPDATE: &'static str = "";
    const RETURNING: bool = true;
    // Without the word, the number of a deleted user is given out again.
    const COUNTED_ID: &'static str = "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL";
    const CREATED_AT: &'static str = "TIMESTAMP";
    const BY_KEY: &'static str = " WITHOUT ROWID";
    const REUSES_IDS: bool = true;
    const OVER_NETWORK: bool = false;
    const ONE_WRITER: bool = true;

    fn quote(name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
    fn placeholder(n: usize) -> String {
        format!("?{n}")
    }
    fn email_key(column: &str, prefix: &str) -> String {
        format!("lower({prefix}{column})")
    }
    fn beyond_ascii(column: &str) -> String {
        format!("{column} GLOB '*[^ -~]*'")
    }
    fn greatest(a: &str, b: &str) -> String {
        format!("max({a}, {b})")
    }

    fn type_of(kind: Kind, _unique: bool) -> &'static str {
        match kind {
            Kind::Bool => "BOOLEAN",
            Kind::Integer => "INTEGER",
            Kind::Real => "REAL",
            Kind::Bytes => "BLOB",
            Kind::Uuid => "CHAR(36)",
            Kind::Date => "DATE",
            Kind::Timestamp => "TIMESTAMP",
            _ => "TEXT",
        }
    }
    fn casts(_kind: Kind, _stored: &Stored) -> Casts {
        Casts::NONE // every value says what it is
    }

    fn bind(arguments: &mut Self::Arguments, _kind: Kind, value: Value) -> Result<(), sqlx::Error> {
        match value {
            Value::Bool(it) => arguments.add(it),
            Value::Integer(it) => arguments.add(it),
            Value::Real(it) => arguments.add(it),
            Value::Text(it) => arguments.add(it),
            Value::Bytes(it) => arguments.add(it),
            Value::Uuid(it) => arguments.add(it.hyphenated().to_string()),
            Value::Date(it) => arguments.add(it.format(&DATE).unwrap_or_default()),
            Value::Timestamp(it) => arguments.add(it.to_offset(UtcOffset::UTC).format(&INSTANT).unwrap_or_default()),
            Value::Json(it) => arguments.add(it.to_string()),
            _ => arguments.add(None::<String>),
        }
        .map_err(sqlx::Error::Encode)
    }

    fn read(row: &Self::Row, index: usize, kind: Kind) -> Result<Value, ValueError> {
        let wrong = || ValueError::Kind { expected: kind };
        let text = || row.try_get_unchecked::<Option<String>, _>(index).map_err(|_| wrong());
        let parsed =
            |parse: fn(&str) -> Option<Value>| text()?.map_or(Ok(Value::Null), |text| parse(&text).ok_or_else(wrong));
        macro_rules! plain {
            ($variant:ident) => {
                row.try_get_unchecked::<Option<_>, _>(index)
                    .map(|it| it.map_or(Value::Null, Value::$variant))
                    .map_err(|_| wrong())
            };
        }
        match kind {
            Kind::Bool => plain!(Bool),
            Kind::Integer => plain!(Integer),
            Kind::Real => plain!(Real),
            Kind::Text => plain!(Text),
            Kind::Bytes => plain!(Bytes),
            Kind::Uuid => parsed(|text| Uuid::parse_str(text).ok().map(Value::Uuid)),
            Kind::Date => parsed(|text| Value::parse_date(text.get(..10)?).map(Value::Date)),
            Kind::Timestamp => parsed(|text| instant(text).map(Value::Timestamp)),
            Kind::Json => parsed(|text| serde_json::from_str(text).ok().map(Value::Json)),
            _ => Err(wrong()),
        }
    }

    runners!();

    async fn limit_statements(_connection: &mut Self::Connection, _limit: Duration) -> Result<(), sqlx::Error> {
        Ok(()) // the busy timeout is an option of the connection
    }

    async fn lock_schema(_connection: &mut Self::Connection) -> Result<(), sqlx::Error> {
        Ok(()) // BEGIN IMMEDIATE is the lock
    }
    async fn unlock_schema(_connection: &mut Self::Connection) -> Result<(), sqlx::Error> {
        Ok(())
    }
    async fn columns_of(connection: &mut Self::Connection, table: &str) -> Result<Vec<Stored>, sqlx::Error> {
        let rows = sqlx::query("SELECT name, lower(type), \"notnull\", hidden FROM pragma_table_xinfo(?1)")
            .bind(table)
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Stored {
                    name: row.try_get(0)?,
                    type_name: row.try_get(1)?,
                    nullable: row.try_get::<i64, _>(2)? == 0,
                })
            })
            .collect()
    }
    async fn indexes_of(connection: &mut Self::Connection, table: &str) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?1")
            .bind(table)
            .fetch_all(connection)
            .await
    }
    fn email_index(table: &str, column: &str, index: &str) -> Vec<String> {
        vec![format!("CREATE UNIQUE INDEX {index} ON {table} (lower({column}))")]
    }

    /// `UNIQUE constraint failed: user.handle`, `…: index 'axum_users_user_email'`.
    fn violated(error: &dyn sqlx::error::DatabaseError) -> Option<String> {
        let (_, what) = error.message().split_once("UNIQUE constraint failed: ")?;
        let what = match what.strip_prefix("index ") {
            Some(index) => index,
            None => what.rsplit('.').next().unwrap_or(what),
        };
        Some(what.trim_matches('\'').to_owned())
    }
    fn meaning(error: &dyn sqlx::error::DatabaseError) -> Meaning {
        // Extended codes hold the primary one in their low byte.
        match error.code().unwrap_or_default().parse::<u32>().map(|code| code & 0xff) {
            // BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN
            Ok(5 | 6 | 8 | 10 | 13 | 14) => Meaning::Unavailable,
            // TOOBIG
            Ok(18) => Meaning::OutOfRange,
            _ => Meaning::Other,
        }
    }
}

fn instant(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &INSTANT_LAX)
        .or_else(|_| PrimitiveDateTime::parse(text, &INSTANT_LAX).map(PrimitiveDateTime::assume_utc))
        .ok()
}
