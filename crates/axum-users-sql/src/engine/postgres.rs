//! PostgreSQL.

use std::time::Duration;

use axum_users_core::{Kind, Value, ValueError};
use sqlx::{
    Arguments as _, Postgres, Row as _,
    postgres::{PgDatabaseError, PgQueryResult, PgSeverity},
    types::Json,
};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{Casts, Engine, Meaning, Stored, runners};

/// The key of the advisory lock that guards the schema: "axum-use" in ASCII.
const SCHEMA_LOCK: i64 = 0x6178_756d_2d75_7365;

fn last_id(_done: &PgQueryResult) -> i64 {
    0 // RETURNING says it
}

impl Engine for Postgres {
    const BEGIN: &'static str = "BEGIN";
    const FOR_UPDATE: &'static str = " FOR UPDATE";
    const FOR_REFERENCE: &'static str = " FOR KEY SHARE";
    const RETURNING: bool = true;
    const COUNTED_ID: &'static str = "SERIAL NOT NULL";
    const CREATED_AT: &'static str = "TIMESTAMP WITH TIME ZONE";

    fn quote(name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
    fn placeholder(n: usize) -> String {
        format!("${n}")
    }
    fn email_key(column: &str, prefix: &str) -> String {
        // COLLATE "C" folds ASCII only, whatever the locale of the database.
        format!("lower({prefix}{column} COLLATE \"C\")")
    }
    fn beyond_ascii(column: &str) -> String {
        format!("{column} ~ '[^ -~]'")
    }
    fn greatest(a: &str, b: &str) -> String {
        format!("greatest({a}, {b})")
    }

    fn type_of(kind: Kind, _unique: bool) -> &'static str {
        match kind {
            Kind::Bool => "BOOLEAN",
            Kind::Integer => "BIGINT",
            Kind::Real => "DOUBLE PRECISION",
            Kind::Bytes => "BYTEA",
            Kind::Uuid => "UUID",
            Kind::Date => "DATE",
            Kind::Timestamp => "TIMESTAMP WITH TIME ZONE",
            Kind::Json => "JSONB",
            _ => "TEXT",
        }
    }
    fn casts(kind: Kind, stored: &Stored) -> Casts {
        let (canonical, same): (&str, &[&str]) = match kind {
            Kind::Bool => ("boolean", &["boolean"]),
            Kind::Integer => ("bigint", &["bigint"]),
            Kind::Real => ("double precision", &["double precision"]),
            Kind::Bytes => ("bytea", &["bytea"]),
            Kind::Uuid => ("uuid", &["uuid"]),
            Kind::Date => ("date", &["date"]),
            Kind::Timestamp => ("timestamp with time zone", &["timestamp with time zone"]),
            Kind::Json => ("jsonb", &["jsonb"]),
            _ => ("text", &["text", "character varying"]),
        };
        let bare = stored.type_name.split('(').next().unwrap_or_default().trim();
        if same.contains(&bare) {
            return Casts::NONE;
        }
        if kind == Kind::Timestamp && bare.starts_with("timestamp") {
            // Without a zone: UTC, as the contract writes it.
            return Casts {
                read: Some("({} AT TIME ZONE 'UTC')".into()),
                write: Some("({}::timestamp with time zone AT TIME ZONE 'UTC')".into()),
            };
        }
        Casts {
            read: Some(format!("CAST({{}} AS {canonical})")),
            write: Some(format!("CAST({{}}::{canonical} AS {})", stored.type_name)),
        }
    }

    fn bind(arguments: &mut Self::Arguments, kind: Kind, value: Value) -> Result<(), sqlx::Error> {
        match (value, kind) {
            (Value::Bool(it), _) => arguments.add(it),
            (Value::Integer(it), _) => arguments.add(it),
            (Value::Real(it), _) => arguments.add(it),
            (Value::Text(it), _) => arguments.add(it),
            (Value::Bytes(it), _) => arguments.add(it),
            (Value::Uuid(it), _) => arguments.add(it),
            (Value::Date(it), _) => arguments.add(it),
            (Value::Timestamp(it), _) => arguments.add(it),
            (Value::Json(it), _) => arguments.add(Json(it)),
            // PostgreSQL refuses a null of another type than its column.
            (_, Kind::Bool) => arguments.add(None::<bool>),
            (_, Kind::Integer) => arguments.add(None::<i64>),
            (_, Kind::Real) => arguments.add(None::<f64>),
            (_, Kind::Bytes) => arguments.add(None::<Vec<u8>>),
            (_, Kind::Uuid) => arguments.add(None::<Uuid>),
            (_, Kind::Date) => arguments.add(None::<Date>),
            (_, Kind::Timestamp) => arguments.add(None::<OffsetDateTime>),
            (_, Kind::Json) => arguments.add(None::<Json<serde_json::Value>>),
            _ => arguments.add(None::<String>),
        }
        .map_err(sqlx::Error::Encode)
    }

    fn read(row: &Self::Row, index: usize, kind: Kind) -> Result<Value, ValueError> {
        let wrong = || ValueError::Kind { expected: kind };
        macro_rules! plain {
            ($variant:ident) => {
                row.try_get::<Option<_>, _>(index)
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
            Kind::Uuid => plain!(Uuid),
            Kind::Date => plain!(Date),
            Kind::Timestamp => plain!(Timestamp),
            Kind::Json => plain!(Json),
            _ => Err(wrong()),
        }
    }

    runners!();

    async fn limit_statements(connection: &mut Self::Connection, limit: Duration) -> Result<(), sqlx::Error> {
        sqlx::query(
            "SELECT set_config('statement_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $1, false)",
        )
        .bind(limit.as_millis().clamp(1, 86_400_000).to_string())
        .execute(connection)
        .await
        .map(drop)
    }

    async fn lock_schema(connection: &mut Self::Connection) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SCHEMA_LOCK).execute(connection).await?;
        Ok(())
    }
    async fn unlock_schema(_connection: &mut Self::Connection) -> Result<(), sqlx::Error> {
        Ok(()) // the end of the transaction does it
    }
    async fn columns_of(connection: &mut Self::Connection, table: &str) -> Result<Vec<Stored>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT a.attname::text, lower(format_type(a.atttypid, a.atttypmod)), NOT a.attnotnull \
             FROM pg_attribute a WHERE a.attrelid = to_regclass(quote_ident($1)) AND a.attnum > 0 AND NOT a.attisdropped \
             ORDER BY a.attnum",
        )
        .bind(table)
        .fetch_all(connection)
        .await?;
        rows.iter()
            .map(|row| Ok(Stored { name: row.try_get(0)?, type_name: row.try_get(1)?, nullable: row.try_get(2)? }))
            .collect()
    }
    async fn indexes_of(connection: &mut Self::Connection, table: &str) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(
            "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             WHERE i.indrelid = to_regclass(quote_ident($1)) AND i.indisvalid",
        )
        .bind(table)
        .fetch_all(connection)
        .await
    }
    fn email_index(table: &str, column: &str, index: &str) -> Vec<String> {
        vec![format!("CREATE UNIQUE INDEX {index} ON {table} (lower({column} COLLATE \"C\"))")]
    }

    /// PostgreSQL names the constraint; `user_handle_key` is told apart by [`crate::error`].
    fn violated(error: &dyn sqlx::error::DatabaseError) -> Option<String> {
        error.constraint().map(str::to_owned)
    }
    fn meaning(error: &dyn sqlx::error::DatabaseError) -> Meaning {
        let code = error.code().unwrap_or_default();
        match &*code {
            // serialization_failure, deadlock_detected
            "40001" | "40P01" => Meaning::Retry,
            // read_only_sql_transaction: a replica; query_canceled, idle_in_transaction_session_timeout, transaction_timeout:
            // time limits; lock_not_available
            "25006" | "57014" | "25P03" | "25P04" | "55P03" => Meaning::Unavailable,
            // connection exceptions, insufficient resources, operator intervention
            _ if code.starts_with("08") || code.starts_with("53") || code.starts_with("57") => Meaning::Unavailable,
            // data exceptions; program_limit_exceeded: too large for an index
            _ if code.starts_with("22") || code.starts_with("54") => Meaning::OutOfRange,
            _ => Meaning::Other,
        }
    }
    /// With FATAL and PANIC, whatever the code. A pooler may say less, so the codes that can mean nothing else count too.
    fn ends_connection(error: &dyn sqlx::error::DatabaseError) -> bool {
        let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
        let code = error.code().unwrap_or_default();
        // admin_shutdown, crash_shutdown, cannot_connect_now; connection exceptions
        matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
            || matches!(&*code, "57P01" | "57P02" | "57P03")
            || code.starts_with("08")
    }
}
