//! MySQL and MariaDB.

use std::time::Duration;

use axum_users_core::{Kind, Value, ValueError};
use sqlx::{
    Arguments as _, MySql, Row as _,
    mysql::{MySqlDatabaseError, MySqlQueryResult},
};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{Casts, Engine, Meaning, Stored, runners};

fn last_id(done: &MySqlQueryResult) -> i64 {
    i64::try_from(done.last_insert_id()).unwrap_or(i64::MAX)
}

impl Engine for MySql {
    const BEGIN: &'static str = "BEGIN";
    const FOR_UPDATE: &'static str = " FOR UPDATE";
    const RETURNING: bool = false;
    const COUNTED_ID: &'static str = "INTEGER NOT NULL AUTO_INCREMENT";
    const CREATED_AT: &'static str = "TIMESTAMP";
    const EXACT_TEXT: &'static str = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
    const LAX_TEXT: bool = true;
    const WIDE_TEXT: &'static str = " CHARACTER SET utf8mb4";
    const SIDE_TABLES_REFER: bool = false;
    const WHOLE_SECONDS: bool = true;

    fn quote(name: &str) -> String {
        format!("`{}`", name.replace('`', "``"))
    }
    fn placeholder(_n: usize) -> String {
        "?".into()
    }
    fn email_key(_column: &str, prefix: &str) -> String {
        format!("{prefix}`email_key`")
    }
    fn folded(column: &str) -> String {
        format!("CONVERT(lower({column}) USING utf8mb4) COLLATE utf8mb4_bin")
    }
    fn beyond_ascii(column: &str) -> String {
        format!("{column} REGEXP '[^ -~]'")
    }
    fn greatest(a: &str, b: &str) -> String {
        format!("greatest({a}, {b})")
    }

    fn or_keep(table: &str, key: &str) -> String {
        format!(" ON DUPLICATE KEY UPDATE {table}.{key} = {table}.{key}")
    }
    fn is_set(column: &str) -> String {
        format!("{column} = TRUE")
    }
    fn flag_index(table: &str, column: &str, index: &str) -> String {
        format!("CREATE INDEX {index} ON {table} ({column})")
    }
    fn delete_some(table: &str, _key: &str, condition: &str) -> String {
        format!("DELETE FROM {table} WHERE {condition} LIMIT ?")
    }

    fn type_of(kind: Kind, unique: bool) -> &'static str {
        match kind {
            Kind::Bool => "BOOL",
            Kind::Integer => "BIGINT",
            Kind::Real => "DOUBLE",
            Kind::Bytes if unique => "VARBINARY(255)",
            Kind::Bytes => "LONGBLOB",
            Kind::Uuid => "CHAR(36)",
            Kind::Date => "DATE",
            Kind::Timestamp => "DATETIME(6)",
            Kind::Json => "JSON",
            // An index needs a length; the binary collation compares as the other engines do.
            _ if unique => "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            _ => "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        }
    }
    fn casts(kind: Kind, stored: &Stored) -> Casts {
        let bare = stored.type_name.split('(').next().unwrap_or_default();
        match (kind, bare) {
            // Sixteen bytes in the order of the text.
            (Kind::Uuid, "binary" | "varbinary") => Casts {
                read: Some(
                    "LOWER(CONCAT(SUBSTR(HEX({}), 1, 8), '-', SUBSTR(HEX({}), 9, 4), '-', SUBSTR(HEX({}), 13, 4), '-', \
                     SUBSTR(HEX({}), 17, 4), '-', SUBSTR(HEX({}), 21)))"
                        .into(),
                ),
                write: Some("UNHEX(REPLACE({}, '-', ''))".into()),
            },
            (Kind::Uuid, "char" | "varchar") | (Kind::Text, "char" | "varchar" | "text" | "longtext" | "mediumtext") => {
                Casts::NONE
            }
            // MariaDB's own type, enumerations: text both ways.
            (Kind::Uuid | Kind::Text, _) => Casts { read: Some("CAST({} AS CHAR)".into()), write: None },
            (Kind::Integer, "bigint" | "int" | "mediumint" | "smallint" | "tinyint") if !stored.type_name.contains("unsigned") => {
                Casts::NONE
            }
            (Kind::Integer, _) => Casts { read: Some("CAST({} AS SIGNED)".into()), write: None },
            (Kind::Real, "double") => Casts::NONE,
            (Kind::Real, _) => Casts { read: Some("CAST({} AS DOUBLE)".into()), write: None },
            _ => Casts::NONE,
        }
    }

    fn bind(arguments: &mut Self::Arguments, _kind: Kind, value: Value) -> Result<(), sqlx::Error> {
        match value {
            Value::Bool(it) => arguments.add(it),
            Value::Integer(it) => arguments.add(it),
            Value::Real(it) => arguments.add(it),
            Value::Text(it) => arguments.add(it),
            Value::Bytes(it) => arguments.add(it),
            Value::Uuid(it) => arguments.add(it.hyphenated().to_string()),
            Value::Date(it) => arguments.add(it),
            Value::Timestamp(it) => arguments.add(it),
            Value::Json(it) => arguments.add(it.to_string()),
            _ => arguments.add(None::<String>),
        }
        .map_err(sqlx::Error::Encode)
    }

    fn read(row: &Self::Row, index: usize, kind: Kind) -> Result<Value, ValueError> {
        let wrong = || ValueError::Kind { expected: kind };
        macro_rules! plain {
            ($type:ty, $variant:ident) => {
                row.try_get_unchecked::<Option<$type>, _>(index)
                    .map(|it| it.map_or(Value::Null, Value::$variant))
                    .map_err(|_| wrong())
            };
        }
        let text = || row.try_get_unchecked::<Option<String>, _>(index).map_err(|_| wrong());
        match kind {
            Kind::Bool => plain!(bool, Bool),
            Kind::Integer => plain!(i64, Integer),
            Kind::Real => plain!(f64, Real),
            Kind::Text => plain!(String, Text),
            Kind::Bytes => plain!(Vec<u8>, Bytes),
            Kind::Uuid => {
                text()?.map_or(Ok(Value::Null), |text| Uuid::parse_str(&text).map(Value::Uuid).map_err(|_| wrong()))
            }
            Kind::Date => plain!(Date, Date),
            Kind::Timestamp => plain!(OffsetDateTime, Timestamp),
            Kind::Json => text()?
                .map_or(Ok(Value::Null), |text| serde_json::from_str(&text).map(Value::Json).map_err(|_| wrong())),
            _ => Err(wrong()),
        }
    }

    runners!();

    async fn limit_statements(connection: &mut Self::Connection, limit: Duration) -> Result<(), sqlx::Error> {
        let seconds = limit.as_millis().div_ceil(1000).clamp(1, 86_400);
        let seconds = i64::try_from(seconds).unwrap_or(86_400);
        sqlx::query("SET @axum_users_limit = ?").bind(seconds).execute(&mut *connection).await?;
        // The comments are read by MariaDB alone, and by MySQL alone, which can limit a SELECT only.
        sqlx::query(
            "SET SESSION innodb_lock_wait_timeout = @axum_users_limit, lock_wait_timeout = @axum_users_limit \
             /*M!100300 , max_statement_time = @axum_users_limit, idle_transaction_timeout = @axum_users_limit */ \
             /*!80000 , max_execution_time = @axum_users_limit * 1000 */",
        )
        .execute(connection)
        .await
        .map(drop)
    }

    async fn lock_schema(connection: &mut Self::Connection) -> Result<(), sqlx::Error> {
        // Every DDL statement commits, so the lock is the session's; it holds for one database.
        let got: Option<i64> =
            sqlx::query_scalar("SELECT GET_LOCK(CONCAT('axum-users.', LEFT(SHA1(DATABASE()), 40)), 60)")
                .fetch_one(connection)
                .await?;
        if got == Some(1) { Ok(()) } else { Err(sqlx::Error::PoolTimedOut) }
    }
    async fn unlock_schema(connection: &mut Self::Connection) -> Result<(), sqlx::Error> {
        sqlx::query("DO RELEASE_LOCK(CONCAT('axum-users.', LEFT(SHA1(DATABASE()), 40)))").execute(connection).await?;
        Ok(())
    }
    async fn columns_of(connection: &mut Self::Connection, table: &str) -> Result<Vec<Stored>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT CAST(column_name AS CHAR), LOWER(CAST(column_type AS CHAR)), is_nullable = 'YES' \
             FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position",
        )
        .bind(table)
        .fetch_all(connection)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Stored {
                    name: row.try_get_unchecked(0)?,
                    type_name: row.try_get_unchecked(1)?,
                    nullable: row.try_get_unchecked::<i64, _>(2)? != 0,
                })
            })
            .collect()
    }
    async fn indexes_of(connection: &mut Self::Connection, table: &str) -> Result<Vec<String>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT DISTINCT CAST(index_name AS CHAR) FROM information_schema.statistics \
             WHERE table_schema = DATABASE() AND table_name = ?",
        )
        .bind(table)
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| row.try_get_unchecked(0)).collect()
    }
    fn email_index(table: &str, column: &str, index: &str) -> Vec<String> {
        // No index over an expression in MariaDB; a virtual column takes no room and no other writer needs to know it.
        vec![format!(
            "ALTER TABLE {table} ADD COLUMN `email_key` VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin \
             GENERATED ALWAYS AS (lower({column})) VIRTUAL, ADD UNIQUE INDEX {index} (`email_key`)"
        )]
    }

    /// `Duplicate entry 'x' for key 'handle'`, with the table before it since MySQL 8.0.19.
    fn violated(error: &dyn sqlx::error::DatabaseError) -> Option<String> {
        let (_, key) = error.message().rsplit_once(" for key '")?;
        let key = key.strip_suffix('\'').unwrap_or(key);
        Some(key.rsplit('.').next().unwrap_or(key).to_owned())
    }
    fn meaning(error: &dyn sqlx::error::DatabaseError) -> Meaning {
        match number(error) {
            // ER_LOCK_DEADLOCK, ER_CHECKREAD
            1213 | 1020 => Meaning::Retry,
            // connections, shutdown, disk, lock wait, read-only, statement time, server gone
            1021
            | 1040
            | 1041
            | 1053
            | 1077
            | 1079
            | 1080
            | 1129
            | 1152
            | 1158..=1161
            | 1184
            | 1203
            | 1205
            | 1226
            | 1290
            | 1317
            | 1836
            | 1927
            | 1969
            | 3024
            | 3032
            | 3169
            | 4031 => Meaning::Unavailable,
            // longer than a packet, out of range, too long, wrong for the column or its character set, invalid JSON
            1153 | 1264 | 1292 | 1366 | 1406 | 3140 | 4025 => Meaning::OutOfRange,
            _ => Meaning::Other,
        }
    }
    /// A shutdown, `KILL` (also of the statement alone), a packet that did not go through, an idle limit.
    fn ends_connection(error: &dyn sqlx::error::DatabaseError) -> bool {
        matches!(number(error), 1053 | 1077 | 1079 | 1080 | 1152..=1161 | 1184 | 1317 | 1927 | 3032 | 3169 | 4031)
    }
}

fn number(error: &dyn sqlx::error::DatabaseError) -> u16 {
    error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number)
}
