//! `[users.profile.<name>]`: own columns of the users.

use axum_users::Kind;

use super::{
    database::{COLUMNS, DatabaseSettings, is_name},
    keys::{Keys, words},
};

/// An own column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnColumn {
    /// Its name in requests and answers.
    pub(crate) field: String,
    /// Its name in the table.
    pub(crate) column: String,
    pub(crate) kind: Kind,
    /// Whether a registration must give a value, and it cannot be null.
    pub(crate) required: bool,
    pub(crate) unique: bool,
    /// Whether no request may set it.
    pub(crate) read_only: bool,
    /// Whether no request may set it and no answer shows it.
    pub(crate) hidden: bool,
}

words! {
    enum KindWord {
        Bool = "bool",
        Integer = "integer",
        Real = "real",
        Text = "text",
        Uuid = "uuid",
        Date = "date",
        Timestamp = "timestamp",
        Json = "json",
    }
}

/// All own columns, in the order of their names.
pub(super) fn read(keys: &mut Keys, database: &DatabaseSettings) -> Vec<OwnColumn> {
    let mut columns: Vec<OwnColumn> = Vec::new();
    for field in keys.names_below("users.profile.") {
        let column = read_one(keys, &field);
        if let Some(problem) = refused(&column, database, &columns) {
            keys.problem(format!("users.profile.{field}: {problem}"));
        }
        columns.push(column);
    }
    columns
}

fn read_one(keys: &mut Keys, field: &str) -> OwnColumn {
    let prefix = format!("users.profile.{field}");
    keys.empty_table(&prefix);
    let key = |setting: &str| format!("{prefix}.{setting}");
    OwnColumn {
        kind: keys.get(&key("type"), KindWord::Text).into(),
        required: keys.get(&key("required"), false),
        unique: keys.get(&key("unique"), false),
        read_only: keys.get(&key("read_only"), false),
        hidden: keys.get(&key("hidden"), false),
        column: keys.get(&key("column"), field.to_owned()),
        field: field.into(),
    }
}

fn refused(column: &OwnColumn, database: &DatabaseSettings, others: &[OwnColumn]) -> Option<String> {
    let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
    if RESERVED.iter().any(|reserved| same(reserved, &column.field)) {
        Some("this name belongs to every user already".into())
    } else if !is_identifier(&column.field) {
        Some("a name begins with a letter and has letters, digits and _ only, 48 at most".into())
    } else if !is_name(&column.column) {
        Some(format!("{:?} cannot be the name of a column", column.column))
    } else if COLUMNS.iter().any(|ours| same(database.column(ours), &column.column))
        || RESERVED_COLUMNS.iter().any(|reserved| same(reserved, &column.column))
    {
        Some(format!("the column {:?} holds something else already", column.column))
    } else if let Some(other) = others.iter().find(|other| same(&other.column, &column.column)) {
        Some(format!("the column {:?} is that of {:?} already", column.column, other.field))
    } else if column.required && (column.read_only || column.hidden) {
        Some("required, and no request may set it: nobody could register".into())
    } else if column.unique && column.kind == Kind::Json {
        Some("values of type json cannot be unique".into())
    } else {
        None
    }
}

/// Words of requests and answers.
const RESERVED: [&str; 11] = [
    "id",
    "email",
    "password",
    "current_password",
    "hashed_password",
    "is_active",
    "is_superuser",
    "is_verified",
    "oauth_accounts",
    "tokens_valid_after",
    "reset_token_hash",
];

/// Columns that the user table has or will have besides.
const RESERVED_COLUMNS: [&str; 2] = ["reset_token_hash", "email_key"];

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= 48
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl From<KindWord> for Kind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::Bool => Self::Bool,
            KindWord::Integer => Self::Integer,
            KindWord::Real => Self::Real,
            KindWord::Text => Self::Text,
            KindWord::Uuid => Self::Uuid,
            KindWord::Date => Self::Date,
            KindWord::Timestamp => Self::Timestamp,
            KindWord::Json => Self::Json,
        }
    }
}
