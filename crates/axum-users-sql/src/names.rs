//! Tables and columns: what they are called, and how an adopted one is read and written.

use axum_users_core::{Column, ColumnValue, Kind, UserId, UserProfile};

use crate::engine::{Casts, Engine, Stored};

/// What our tables and columns are called. The default is what FastAPI Users calls them.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) user_table: String,
    pub(crate) access_token_table: String,
    /// `None`: by the user table.
    pub(crate) oauth_account_table: Option<String>,
    /// Other names for columns of the user table: (`email`, `mail`).
    pub(crate) columns: Vec<(String, String)>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            user_table: "user".into(),
            access_token_table: "accesstoken".into(),
            oauth_account_table: None,
            columns: Vec::new(),
        }
    }
}

impl Names {
    pub(crate) fn column<'a>(&'a self, ours: &'a str) -> &'a str {
        self.columns.iter().find(|(it, _)| it == ours).map_or(ours, |(_, theirs)| theirs)
    }

    /// The table of accounts with providers. That of other users than `user` is another one.
    pub(crate) fn oauth_account_table(&self) -> String {
        match (&self.oauth_account_table, self.user_table.as_str()) {
            (Some(name), _) => name.clone(),
            (None, "user") => "oauth_account".into(),
            (None, other) => format!("{other}_oauth_account"),
        }
    }

    /// Our unique index over the key of an account.
    pub(crate) fn identity_index(&self) -> String {
        format!("axum_users_{}_identity", self.oauth_account_table())
    }

    /// Our side table of sessions.
    pub(crate) fn session_table(&self) -> String {
        format!("axum_users_{}_session", self.user_table)
    }

    /// Our side table of refresh tokens.
    pub(crate) fn refresh_token_table(&self) -> String {
        format!("axum_users_{}_refresh", self.user_table)
    }

    /// Our side table of messages that are to leave.
    pub(crate) fn outbox_table(&self) -> String {
        format!("axum_users_{}_outbox", self.user_table)
    }

    /// Our side table of buckets of attempts.
    pub(crate) fn bucket_table(&self) -> String {
        format!("axum_users_{}_bucket", self.user_table)
    }

    /// What version 1 had in the place of sessions.
    pub(crate) fn mark_table(&self) -> String {
        format!("axum_users_{}_mark", self.user_table)
    }

    /// Our side table that says which version the schema has.
    pub(crate) fn schema_table(&self) -> String {
        format!("axum_users_{}_schema", self.user_table)
    }

    /// Our unique index over the folded address.
    pub(crate) fn email_index(&self) -> String {
        format!("axum_users_{}_email", self.user_table)
    }

    /// Our index of superusers.
    pub(crate) fn superuser_index(&self) -> String {
        format!("axum_users_{}_superuser", self.user_table)
    }

    /// The unique index of one of the application's own columns.
    pub(crate) fn unique_index(&self, column: &str) -> String {
        format!("axum_users_{}_{column}", self.user_table)
    }
}

/// The columns of a user that are ours, in the order in which they are selected.
pub(crate) const OURS: [(&str, Kind); 7] = [
    ("email", Kind::Text),
    ("hashed_password", Kind::Text),
    ("is_active", Kind::Bool),
    ("is_superuser", Kind::Bool),
    ("is_verified", Kind::Bool),
    ("tokens_valid_after", Kind::Integer),
    ("reset_token_hash", Kind::Text),
];
/// Where they stand in a row; the id comes first.
pub(crate) mod at {
    pub(crate) const ID: usize = 0;
    pub(crate) const EMAIL: usize = 1;
    pub(crate) const HASHED_PASSWORD: usize = 2;
    pub(crate) const IS_ACTIVE: usize = 3;
    pub(crate) const IS_SUPERUSER: usize = 4;
    pub(crate) const IS_VERIFIED: usize = 5;
    pub(crate) const TOKENS_VALID_AFTER: usize = 6;
    pub(crate) const RESET_TOKEN_HASH: usize = 7;
    pub(crate) const PROFILE: usize = 8;
}

/// A column of the user table: its quoted name, its kind, and its casts.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) casts: Casts,
}

impl Mapped {
    pub(crate) fn selected(&self, prefix: &str) -> String {
        Casts::apply(&self.casts.read, format!("{prefix}{}", self.name))
    }
    pub(crate) fn parameter<E: Engine>(&self, n: usize) -> String {
        Casts::apply(&self.casts.write, E::placeholder(n))
    }
}

/// All columns of a user, the id first, then ours, then the application's own.
pub(crate) fn map<P: UserProfile, E: Engine>(names: &Names, actual: &[Stored]) -> Vec<Mapped> {
    wanted::<P>(names)
        .into_iter()
        .map(|(name, kind)| {
            let stored = actual.iter().find(|stored| stored.name.eq_ignore_ascii_case(&name));
            let casts = stored.map_or(Casts::NONE, |stored| E::casts(kind, stored));
            Mapped { name: E::quote(&name), kind, casts }
        })
        .collect()
}

/// Name and kind of every column of a user, as [`map`] orders them.
pub(crate) fn wanted<P: UserProfile>(names: &Names) -> Vec<(String, Kind)> {
    std::iter::once(("id", <P::Id as ColumnValue>::KIND))
        .chain(OURS)
        .map(|(name, kind)| (names.column(name).to_owned(), kind))
        .chain(P::columns().iter().map(|column: &Column| (column.name.to_owned(), column.kind)))
        .collect()
}

/// Whether the database counts the ids.
pub(crate) fn counts<P: UserProfile>() -> bool {
    <P::Id as ColumnValue>::KIND == Kind::Integer && P::Id::generate().is_none()
}
