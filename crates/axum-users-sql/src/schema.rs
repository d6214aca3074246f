//! The schema: made when it is missing, adopted when asked for, checked always.
//!
//! What is there is compared with what is needed, under a lock, so that nodes that start at once do not meet. Nothing that
//! exists is altered but for columns and indexes that are added; no row is rewritten.

use std::collections::HashSet;

use axum_users_core::{Column, Email, Kind, UserProfile, Value, ValueError};
use sqlx::Pool;

use crate::{
    engine::{Engine, Stored},
    names::{Names, OURS, counts},
};

/// The version that this release makes and understands.
const VERSION: i64 = 3;

/// Why the schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The database's address is wrong; it is not repeated here, it may hold a password.
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// Tables are there that somebody else made.
    #[error(
        "the table `{table}` exists and was not made by axum-users. To use it as it is, allow adoption; then these \
         statements are run, and no row is changed:\n{}",
        statements.join(";\n")
    )]
    NotOurs {
        /// The table.
        table: String,
        /// What adoption would run.
        statements: Vec<String>,
    },
    /// The schema is older than this release.
    #[error("the schema is not up to date. Missing:\n{}", .0.join(";\n"))]
    Outdated(Vec<String>),
    /// The schema was made by a newer release.
    #[error("the schema has version {found}, this release knows up to {VERSION}: update axum-users")]
    Newer {
        /// The version that stands in the database.
        found: i64,
    },
    /// A table is not what is expected.
    #[error("{0}")]
    Unexpected(String),
    /// Rows of an adopted table that stand for one mailbox.
    #[error(
        "{rows} addresses stand for a mailbox that another row has already, for instance {example}; they must be told apart first"
    )]
    Collisions {
        /// How many.
        rows: i64,
        /// One of them.
        example: String,
    },
    /// The database did not do it.
    #[error("the database did not answer as expected")]
    Sql(#[from] sqlx::Error),
}

impl SchemaError {
    pub(crate) fn url(error: sqlx::Error) -> Self {
        // The text of a configuration error never holds the URL itself.
        Self::Url(match error {
            sqlx::Error::Configuration(source) => source.to_string(),
            other => other.to_string(),
        })
    }
}

/// Brings the schema up to date.
pub(crate) async fn migrate<P: UserProfile, E: Engine>(
    pool: &Pool<E>,
    names: &Names,
    adopt: bool,
) -> Result<(), SchemaError> {
    let mut transaction = pool.begin_with(E::BEGIN).await?;
    E::lock_schema(&mut transaction).await?;
    let done: Result<(), SchemaError> = async {
        let plan = Plan::make::<P, E>(&mut transaction, names).await?;
        plan.allowed(adopt)?;
        if plan.foreign {
            refuse_collisions::<E>(&mut transaction, names).await?;
        }
        for statement in &plan.statements {
            let first_line = statement.lines().next().unwrap_or_default().trim_end_matches(" (");
            tracing::info!(statement = %first_line, "migrating");
            E::execute(&mut transaction, statement.as_str().into(), E::Arguments::default()).await?;
        }
        Ok(())
    }
    .await;
    E::unlock_schema(&mut transaction).await?;
    done?;
    transaction.commit().await?;
    Ok(())
}

/// What [`migrate`] would run.
pub(crate) async fn plan<P: UserProfile, E: Engine>(
    pool: &Pool<E>,
    names: &Names,
    adopt: bool,
) -> Result<Vec<String>, SchemaError> {
    let mut connection = pool.acquire().await?;
    let plan = Plan::make::<P, E>(&mut connection, names).await?;
    plan.allowed(adopt)?;
    Ok(plan.statements)
}

/// Refuses a schema that is not up to date.
pub(crate) async fn check<P: UserProfile, E: Engine>(pool: &Pool<E>, names: &Names) -> Result<(), SchemaError> {
    let statements = plan::<P, E>(pool, names, true).await?;
    if statements.is_empty() { Ok(()) } else { Err(SchemaError::Outdated(statements)) }
}

/// What is missing.
struct Plan {
    statements: Vec<String>,
    /// Whether the user table is there without our schema table.
    foreign: bool,
    user_table: String,
}

impl Plan {
    async fn make<P: UserProfile, E: Engine>(
        connection: &mut E::Connection,
        names: &Names,
    ) -> Result<Self, SchemaError> {
        let users = E::columns_of(connection, &names.user_table).await?;
        let tokens = E::columns_of(connection, &names.access_token_table).await?;
        let has_sessions = !E::columns_of(connection, &names.session_table()).await?.is_empty();
        let has_refresh_tokens = !E::columns_of(connection, &names.refresh_token_table()).await?.is_empty();
        let has_outbox = !E::columns_of(connection, &names.outbox_table()).await?.is_empty();
        let has_buckets = !E::columns_of(connection, &names.bucket_table()).await?.is_empty();
        let has_marks = !E::columns_of(connection, &names.mark_table()).await?.is_empty();
        let accounts = E::columns_of(connection, &names.oauth_account_table()).await?;
        let schema = E::columns_of(connection, &names.schema_table()).await?;
        let ours = !schema.is_empty();
        let version = if ours { version_of::<E>(connection, names).await? } else { VERSION };
        let mut statements = Vec::new();
        if users.is_empty() {
            statements.extend(create_users::<P, E>(names));
        } else {
            statements.extend(missing_columns::<P, E>(names, &users)?);
        }
        let indexes = E::indexes_of(connection, &names.user_table).await?;
        if !indexes.contains(&names.email_index()) {
            let (table, column) = (E::quote(&names.user_table), E::quote(names.column("email")));
            statements.extend(E::email_index(&table, &column, &E::quote(&names.email_index())));
        }
        if !indexes.contains(&names.superuser_index()) {
            let (table, column) = (E::quote(&names.user_table), E::quote(names.column("is_superuser")));
            statements.push(E::flag_index(&table, &column, &E::quote(&names.superuser_index())));
        }
        for column in P::columns().iter().filter(|column| column.unique) {
            let index = names.unique_index(column.name);
            if !indexes.contains(&index) {
                statements.push(format!(
                    "CREATE UNIQUE INDEX {} ON {} ({})",
                    E::quote(&index),
                    E::quote(&names.user_table),
                    E::quote(column.name)
                ));
            }
        }
        let id_type = users
            .iter()
            .find(|stored| stored.name.eq_ignore_ascii_case(names.column("id")))
            .map_or_else(|| id_type::<P, E>().to_owned(), |stored| stored.type_name.clone());
        if tokens.is_empty() {
            statements.extend(create_tokens::<E>(names, &id_type));
        } else {
            let indexes = E::indexes_of(connection, &names.access_token_table).await?;
            statements.extend(complete_tokens::<E>(names, &tokens, &indexes));
        }
        if accounts.is_empty() {
            statements.extend(create_accounts::<P, E>(names, &id_type));
        } else {
            let indexes = E::indexes_of(connection, &names.oauth_account_table()).await?;
            statements.extend(complete_accounts::<E>(names, &accounts, &indexes)?);
        }
        if !has_sessions {
            statements.extend(create_sessions::<E>(names, &id_type));
        }
        if !has_refresh_tokens {
            statements.extend(create_refresh_tokens::<E>(names, &id_type));
        }
        if !has_outbox {
            statements.extend(create_outbox::<E>(names));
        }
        if !has_buckets {
            statements.extend(create_buckets::<E>(names));
        }
        if has_marks {
            statements.extend(sessions_of_marks::<E>(names));
        }
        let table = E::quote(&names.schema_table());
        let last_valid_after = "last_valid_after BIGINT NOT NULL DEFAULT 0";
        if !ours {
            statements.push(format!("CREATE TABLE {table} (version BIGINT NOT NULL, {last_valid_after})"));
            statements.push(format!("INSERT INTO {table} (version) VALUES ({VERSION})"));
        } else if !schema.iter().any(|column| column.name == "last_valid_after") {
            statements.push(format!("ALTER TABLE {table} ADD COLUMN {last_valid_after}"));
        }
        if version < VERSION {
            statements.push(format!("UPDATE {table} SET version = {VERSION}"));
        }
        Ok(Self { statements, foreign: !ours && !users.is_empty(), user_table: names.user_table.clone() })
    }

    fn allowed(&self, adopt: bool) -> Result<(), SchemaError> {
        if self.foreign && !adopt {
            return Err(SchemaError::NotOurs { table: self.user_table.clone(), statements: self.statements.clone() });
        }
        Ok(())
    }
}

fn id_type<P: UserProfile, E: Engine>() -> &'static str {
    match <P::Id as axum_users_core::ColumnValue>::KIND {
        Kind::Integer => "INTEGER",
        kind => E::type_of(kind, false),
    }
}

/// The contract's user table, with our column and the application's own.
fn create_users<P: UserProfile, E: Engine>(names: &Names) -> Vec<String> {
    let column = |ours: &str| E::quote(names.column(ours));
    let mut lines = vec![
        if counts::<P>() {
            format!("{} {}", column("id"), E::COUNTED_ID)
        } else {
            format!("{} {} NOT NULL", column("id"), id_type::<P, E>())
        },
        format!("{} VARCHAR(320){} NOT NULL", column("email"), E::EXACT_TEXT),
        format!("{} VARCHAR(1024) NOT NULL", column("hashed_password")),
    ];
    for flag in ["is_active", "is_superuser", "is_verified"] {
        lines.push(format!("{} {} NOT NULL", column(flag), E::type_of(Kind::Bool, false)));
    }
    for (name, of_type) in added_columns::<E>() {
        lines.push(format!("{} {of_type}", column(name)));
    }
    for own in P::columns() {
        let null = if own.nullable { "" } else { " NOT NULL" };
        lines.push(format!("{} {}{null}", E::quote(own.name), E::type_of(own.kind, own.unique)));
    }
    if !(counts::<P>() && E::COUNTED_ID.contains("PRIMARY KEY")) {
        lines.push(format!("PRIMARY KEY ({})", column("id")));
    }
    let table = E::quote(&names.user_table);
    let index = E::quote(&format!("ix_{}_email", names.user_table));
    vec![
        format!("CREATE TABLE {table} (\n    {}\n)", lines.join(",\n    ")),
        format!("CREATE UNIQUE INDEX {index} ON {table} ({})", column("email")),
    ]
}

/// Our columns that the other system does not have, with their types; null in its rows.
fn added_columns<E: Engine>() -> [(&'static str, String); 2] {
    [("tokens_valid_after", "BIGINT".into()), ("reset_token_hash", format!("VARCHAR(43){}", E::EXACT_TEXT))]
}

/// Our columns and the application's own that a table does not have yet.
fn missing_columns<P: UserProfile, E: Engine>(names: &Names, actual: &[Stored]) -> Result<Vec<String>, SchemaError> {
    let has = |name: &str| actual.iter().any(|stored| stored.name.eq_ignore_ascii_case(name));
    let table = E::quote(&names.user_table);
    let mut statements = Vec::new();
    for (ours, _) in [("id", Kind::Text)].into_iter().chain(OURS) {
        let name = names.column(ours);
        if has(name) {
            continue;
        }
        let Some((_, of_type)) = added_columns::<E>().into_iter().find(|(added, _)| *added == ours) else {
            return Err(SchemaError::Unexpected(format!(
                "the table `{}` has no column `{name}`, where `{ours}` of a user would stand",
                names.user_table
            )));
        };
        statements.push(format!("ALTER TABLE {table} ADD COLUMN {} {of_type}", E::quote(name)));
    }
    for own in P::columns() {
        match actual.iter().find(|stored| stored.name.eq_ignore_ascii_case(own.name)) {
            None => statements.push(add_column::<E>(&table, own)?),
            Some(stored) if stored.nullable == own.nullable => {}
            Some(stored) => {
                let (is, instead) =
                    if stored.nullable { ("may be null", "an `Option`") } else { ("is never null", "no `Option`") };
                return Err(SchemaError::Unexpected(format!(
                    "the column `{}` of the table `{}` {is}: make `{}` in the profile {instead}, or change the column",
                    own.name, names.user_table, own.field
                )));
            }
        }
    }
    Ok(statements)
}

/// Rows that are there already need a value: null, or the column's default.
fn add_column<E: Engine>(table: &str, own: &Column) -> Result<String, SchemaError> {
    let name = E::quote(own.name);
    let add = format!("ALTER TABLE {table} ADD COLUMN {name} {}", E::type_of(own.kind, own.unique));
    if own.nullable {
        return Ok(add);
    }
    let default = own.default.map(|default| default()).and_then(|value| literal(&value).ok());
    default.map(|default| format!("{add} DEFAULT {default} NOT NULL")).ok_or_else(|| {
        SchemaError::Unexpected(format!(
            "the column {name} is new, and the rows that are there need a value: make it an `Option`, give it a `default`, \
             or add it yourself: {add} NOT NULL"
        ))
    })
}

/// A constant of the program as SQL. Never a value from outside.
fn literal(value: &Value) -> Result<String, ValueError> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    Ok(match value {
        Value::Null => "NULL".into(),
        Value::Bool(it) => if *it { "TRUE" } else { "FALSE" }.into(),
        Value::Integer(it) => it.to_string(),
        Value::Real(it) => it.to_string(),
        Value::Text(it) if !it.contains('\\') => quoted(it),
        Value::Json(it) if !it.to_string().contains('\\') => quoted(&it.to_string()),
        Value::Uuid(it) => quoted(&it.hyphenated().to_string()),
        other => return Err(ValueError::Refused(format!("{other:?} cannot be a default in SQL"))),
    })
}

fn create_tokens<E: Engine>(names: &Names, id_type: &str) -> Vec<String> {
    let table = E::quote(&names.access_token_table);
    let (created_at, exact) = (E::CREATED_AT, E::EXACT_TEXT);
    vec![
        format!(
            "CREATE TABLE {table} (\n    user_id {id_type} NOT NULL,\n    token VARCHAR(43){exact} NOT NULL,\n    \
             created_at {created_at} NOT NULL,\n    session_id VARCHAR(22){exact},\n    PRIMARY KEY (token),\n    \
             FOREIGN KEY(user_id) REFERENCES {} ({}) ON DELETE CASCADE\n)",
            E::quote(&names.user_table),
            E::quote(names.column("id")),
        ),
        format!(
            "CREATE INDEX {} ON {table} (created_at)",
            E::quote(&format!("ix_{}_created_at", names.access_token_table))
        ),
        format!("CREATE INDEX {} ON {table} (user_id)", E::quote(&format!("ix_{}_user_id", names.access_token_table))),
    ]
}

/// What a table of access tokens that is there lacks.
fn complete_tokens<E: Engine>(names: &Names, tokens: &[Stored], indexes: &[String]) -> Vec<String> {
    let table = E::quote(&names.access_token_table);
    let mut statements = Vec::new();
    if !tokens.iter().any(|column| column.name == "session_id") {
        statements.push(format!("ALTER TABLE {table} ADD COLUMN session_id VARCHAR(22){}", E::EXACT_TEXT));
    }
    let index = format!("ix_{}_user_id", names.access_token_table);
    if !indexes.contains(&index) {
        statements.push(format!("CREATE INDEX {} ON {table} (user_id)", E::quote(&index)));
    }
    statements
}

/// Our columns of accounts with providers: null in rows of the other system.
fn account_columns<E: Engine>() -> [(&'static str, String); 3] {
    let exact = E::EXACT_TEXT;
    [
        ("sealed_access_token", format!("TEXT{exact}")),
        ("sealed_refresh_token", format!("TEXT{exact}")),
        ("identity_key", format!("VARCHAR(43){exact}")),
    ]
}

/// The contract's table of accounts with providers, with our columns.
fn create_accounts<P: UserProfile, E: Engine>(names: &Names, id_type: &str) -> Vec<String> {
    let name = names.oauth_account_table();
    let (table, exact) = (E::quote(&name), E::EXACT_TEXT);
    let id = if counts::<P>() { E::COUNTED_ID.to_owned() } else { format!("{id_type} NOT NULL") };
    let ours: String =
        account_columns::<E>().iter().map(|(name, of_type)| format!("    {name} {of_type},\n")).collect();
    let key = if id.contains("PRIMARY KEY") { "" } else { "    PRIMARY KEY (id),\n" };
    let index =
        |column: &str| format!("CREATE INDEX {} ON {table} ({column})", E::quote(&format!("ix_{name}_{column}")));
    vec![
        format!(
            "CREATE TABLE {table} (\n    id {id},\n    user_id {id_type} NOT NULL,\n    \
             oauth_name VARCHAR(100){exact} NOT NULL,\n    access_token VARCHAR(1024) NOT NULL,\n    \
             expires_at INTEGER,\n    refresh_token VARCHAR(1024),\n    account_id VARCHAR(320){exact} NOT NULL,\n    \
             account_email VARCHAR(320){exact} NOT NULL,\n{ours}{key}    \
             FOREIGN KEY(user_id) REFERENCES {} ({}) ON DELETE CASCADE\n)",
            E::quote(&names.user_table),
            E::quote(names.column("id")),
        ),
        index("account_id"),
        index("oauth_name"),
        index("user_id"),
        unique_identity::<E>(names),
    ]
}

fn unique_identity<E: Engine>(names: &Names) -> String {
    let (index, table) = (E::quote(&names.identity_index()), E::quote(&names.oauth_account_table()));
    format!("CREATE UNIQUE INDEX {index} ON {table} (identity_key)")
}

/// What a table of accounts that is there lacks.
fn complete_accounts<E: Engine>(
    names: &Names,
    accounts: &[Stored],
    indexes: &[String],
) -> Result<Vec<String>, SchemaError> {
    let name = names.oauth_account_table();
    let table = E::quote(&name);
    let has = |column: &str| accounts.iter().any(|stored| stored.name.eq_ignore_ascii_case(column));
    let theirs =
        ["id", "user_id", "oauth_name", "access_token", "expires_at", "refresh_token", "account_id", "account_email"];
    if let Some(missing) = theirs.into_iter().find(|column| !has(column)) {
        return Err(SchemaError::Unexpected(format!(
            "the table `{name}` has no column `{missing}`: it is not that of accounts with providers; give ours another name"
        )));
    }
    let columns = account_columns::<E>().into_iter().filter(|(column, _)| !has(column));
    let mut statements: Vec<_> =
        columns.map(|(column, of_type)| format!("ALTER TABLE {table} ADD COLUMN {column} {of_type}")).collect();
    let index = format!("ix_{name}_user_id");
    if !indexes.contains(&index) {
        statements.push(format!("CREATE INDEX {} ON {table} (user_id)", E::quote(&index)));
    }
    if !indexes.contains(&names.identity_index()) {
        statements.push(unique_identity::<E>(names));
    }
    Ok(statements)
}

/// The end of a side table's columns: its user goes, it goes.
fn refers_to_user<E: Engine>(names: &Names) -> String {
    if !E::SIDE_TABLES_REFER {
        return String::new();
    }
    let (table, id) = (E::quote(&names.user_table), E::quote(names.column("id")));
    format!(",\n    FOREIGN KEY (user_id) REFERENCES {table} ({id}) ON DELETE CASCADE")
}

fn side_index<E: Engine>(table: &str, column: &str) -> String {
    format!("CREATE INDEX {} ON {} ({column})", E::quote(&format!("{table}_{column}")), E::quote(table))
}

fn create_sessions<E: Engine>(names: &Names, id_type: &str) -> Vec<String> {
    let table = names.session_table();
    let exact = E::EXACT_TEXT;
    let wide = E::WIDE_TEXT;
    vec![
        format!(
            "CREATE TABLE {} (\n    id VARCHAR(22){exact} NOT NULL,\n    user_id {id_type} NOT NULL,\n    \
             backend VARCHAR(64) NOT NULL,\n    created_at BIGINT NOT NULL,\n    seen_at BIGINT NOT NULL,\n    \
             renewed_at BIGINT,\n    valid_until BIGINT NOT NULL,\n    ended BOOLEAN NOT NULL,\n    \
             address VARCHAR(45),\n    user_agent VARCHAR(255){wide},\n    PRIMARY KEY (id){}\n){}",
            E::quote(&table),
            refers_to_user::<E>(names),
            E::BY_KEY,
        ),
        side_index::<E>(&table, "user_id"),
        side_index::<E>(&table, "valid_until"),
    ]
}

fn create_refresh_tokens<E: Engine>(names: &Names, id_type: &str) -> Vec<String> {
    let table = names.refresh_token_table();
    let exact = E::EXACT_TEXT;
    vec![
        format!(
            "CREATE TABLE {} (\n    token VARCHAR(43){exact} NOT NULL,\n    user_id {id_type} NOT NULL,\n    \
             session_id VARCHAR(22){exact} NOT NULL,\n    issued_at BIGINT NOT NULL,\n    valid_until BIGINT NOT NULL,\n    \
             used_at BIGINT,\n    nonce VARCHAR(43){exact},\n    PRIMARY KEY (token){}\n)",
            E::quote(&table),
            refers_to_user::<E>(names),
        ),
        side_index::<E>(&table, "user_id"),
        side_index::<E>(&table, "session_id"),
        side_index::<E>(&table, "valid_until"),
    ]
}

/// Texts of people: wide, and longer than any address.
fn create_outbox<E: Engine>(names: &Names) -> Vec<String> {
    let table = names.outbox_table();
    vec![
        format!(
            "CREATE TABLE {} (\n    id VARCHAR(22){} NOT NULL,\n    body TEXT{} NOT NULL,\n    created_at BIGINT NOT NULL,\n    \
             due_at BIGINT NOT NULL,\n    attempts BIGINT NOT NULL,\n    first_claimed_at BIGINT,\n    PRIMARY KEY (id)\n)",
            E::quote(&table),
            E::EXACT_TEXT,
            E::WIDE_TEXT,
        ),
        side_index::<E>(&table, "due_at"),
    ]
}

fn create_buckets<E: Engine>(names: &Names) -> Vec<String> {
    let table = names.bucket_table();
    vec![
        format!(
            "CREATE TABLE {} (\n    id VARCHAR(43){} NOT NULL,\n    full_at BIGINT NOT NULL,\n    PRIMARY KEY (id)\n)",
            E::quote(&table),
            E::EXACT_TEXT,
        ),
        side_index::<E>(&table, "full_at"),
    ]
}

/// The marks of version 1 were single tokens, each of which is a session of its own.
fn sessions_of_marks<E: Engine>(names: &Names) -> Vec<String> {
    let (sessions, marks) = (E::quote(&names.session_table()), E::quote(&names.mark_table()));
    let (users, id) = (E::quote(&names.user_table), E::quote(names.column("id")));
    let limit = format!("coalesce(u.{}, 0)", E::quote(names.column("tokens_valid_after")));
    vec![
        format!(
            "INSERT INTO {sessions} (id, user_id, backend, created_at, seen_at, renewed_at, valid_until, ended)\n    \
             SELECT substr(m.token, 1, 22), m.user_id, '', {limit}, {limit}, CASE WHEN m.kept THEN {limit} END, \
             m.valid_until, NOT m.kept FROM {marks} m JOIN {users} u ON u.{id} = m.user_id"
        ),
        format!("DROP TABLE {marks}"),
    ]
}

/// The version of a schema of ours; one that is newer than this release is refused.
async fn version_of<E: Engine>(connection: &mut E::Connection, names: &Names) -> Result<i64, SchemaError> {
    let sql = format!("SELECT version FROM {}", E::quote(&names.schema_table()));
    let rows = E::fetch(connection, sql.into(), E::Arguments::default()).await?;
    let version = |row| E::read(row, 0, Kind::Integer).ok();
    match rows.first().and_then(version) {
        Some(Value::Integer(found)) if found > VERSION => Err(SchemaError::Newer { found }),
        Some(Value::Integer(found)) => Ok(found),
        _ => Ok(VERSION),
    }
}

/// Two rows for one mailbox cannot be told apart by a login: the operator decides, not we.
async fn refuse_collisions<E: Engine>(connection: &mut E::Connection, names: &Names) -> Result<(), SchemaError> {
    let (table, email) = (E::quote(&names.user_table), E::quote(names.column("email")));
    let key = E::folded(&email);
    let sql = format!("SELECT min({email}) FROM {table} GROUP BY {key} HAVING count(*) > 1 LIMIT 1000");
    let rows = E::fetch(connection, sql.into(), E::Arguments::default()).await?;
    match rows.first().map(|row| E::read(row, 0, Kind::Text)) {
        Some(Ok(Value::Text(example))) => {
            Err(SchemaError::Collisions { rows: i64::try_from(rows.len()).unwrap_or(i64::MAX), example })
        }
        _ => refuse_collisions_of_spelling::<E>(connection, &table, &email).await,
    }
}

/// The database folds ASCII; what is beyond it has our normal form in rows of ours only.
async fn refuse_collisions_of_spelling<E: Engine>(
    connection: &mut E::Connection,
    table: &str,
    email: &str,
) -> Result<(), SchemaError> {
    let beyond = E::beyond_ascii(email);
    let sql = format!("SELECT {email} FROM {table} WHERE {beyond} OR lower({email}) LIKE '%xn--%'");
    let mut keys = HashSet::new();
    let (mut collisions, mut odd) = (Vec::new(), Vec::new());
    for row in E::fetch(connection, sql.into(), E::Arguments::default()).await? {
        let Ok(Value::Text(stored)) = E::read(&row, 0, Kind::Text) else { continue };
        let key = Email::from_stored(stored.clone()).key();
        let normal = key.candidates().first().copied().unwrap_or_default().to_owned();
        if !stored.eq_ignore_ascii_case(&normal) {
            odd.push(stored.clone());
        }
        if !keys.insert(normal) {
            collisions.push(stored);
        }
    }
    if let Some(example) = odd.first() {
        tracing::warn!(
            rows = odd.len(),
            %example,
            "addresses are not in the normal form: they are found as they are spelled, and a registration in another spelling \
             of such a mailbox is not recognised"
        );
    }
    let rows = i64::try_from(collisions.len()).unwrap_or(i64::MAX);
    collisions.into_iter().next().map_or(Ok(()), |example| Err(SchemaError::Collisions { rows, example }))
}
