//! Statements over accounts with providers.

use std::sync::Arc;

use axum_users_core::{ColumnValue, Kind, UserProfile};

use crate::{
    engine::{Casts, Engine, Stored},
    names::{Mapped, Names, counts},
};

/// What is read of an account, in this order.
const COLUMNS: [(&str, Kind); 11] = [
    ("id", Kind::Uuid),
    ("user_id", Kind::Uuid),
    ("oauth_name", Kind::Text),
    ("account_id", Kind::Text),
    ("account_email", Kind::Text),
    ("expires_at", Kind::Integer),
    ("access_token", Kind::Text),
    ("refresh_token", Kind::Text),
    ("sealed_access_token", Kind::Text),
    ("sealed_refresh_token", Kind::Text),
    ("identity_key", Kind::Text),
];
/// How many rows are read at most.
const LISTED: u32 = 1000;

/// The statements of one store.
#[derive(Debug)]
pub(crate) struct AccountStatements {
    /// The user, then the account.
    pub(crate) find: Arc<str>,
    pub(crate) of_identity: Arc<str>,
    pub(crate) of_user: Arc<str>,
    pub(crate) insert: Arc<str>,
    pub(crate) update: Arc<str>,
    pub(crate) update_with_refresh_token: Arc<str>,
    pub(crate) delete: Arc<str>,
    pub(crate) end: Arc<str>,
}

impl AccountStatements {
    /// For a table whose columns are `accounts`; `select`, `user_table` and `id` are those of users.
    pub(super) fn new<P: UserProfile, E: Engine>(
        names: &Names,
        accounts: &[Stored],
        select: &str,
        user_table: &str,
        id: &str,
    ) -> Self {
        let table = E::quote(&names.oauth_account_table());
        let column = |name: &str| {
            let kind = match name {
                "id" | "user_id" => <P::Id as ColumnValue>::KIND,
                _ => COLUMNS.iter().find(|(known, _)| *known == name).map_or(Kind::Text, |(_, kind)| *kind),
            };
            let stored = accounts.iter().find(|stored| stored.name.eq_ignore_ascii_case(name));
            Mapped { name: E::quote(name), kind, casts: stored.map_or(Casts::NONE, |stored| E::casts(kind, stored)) }
        };
        let is = |name: &str, n: usize| {
            let column = column(name);
            // An index serves integers of any size.
            let parameter = if column.kind == Kind::Integer { E::placeholder(n) } else { column.parameter::<E>(n) };
            format!("{} = {parameter}", column.name)
        };
        let sets = |name: &str, n: usize| format!("{} = {}", column(name).name, column(name).parameter::<E>(n));
        let selected = COLUMNS.map(|(name, _)| column(name).selected("a.")).join(", ");
        let from = format!("SELECT {selected} FROM {table} a WHERE ");
        let of_identity = format!("a.{} AND a.{}", is("account_id", 1), is("oauth_name", 2));

        let mut inserted = vec![
            "user_id",
            "oauth_name",
            "account_id",
            "account_email",
            "expires_at",
            "access_token",
            "sealed_access_token",
            "sealed_refresh_token",
            "identity_key",
        ];
        if !counts::<P>() {
            inserted.insert(0, "id");
        }
        let parameters = inserted.iter().enumerate().map(|(n, name)| column(name).parameter::<E>(n + 1));
        let parameters = parameters.collect::<Vec<_>>().join(", ");
        let inserted = inserted.iter().map(|name| E::quote(name)).collect::<Vec<_>>().join(", ");

        let set = format!(
            "UPDATE {table} SET {}, {}, {}, {}, {}",
            sets("account_email", 1),
            sets("expires_at", 2),
            sets("access_token", 3),
            sets("sealed_access_token", 4),
            sets("identity_key", 5),
        );
        Self {
            find: format!(
                "SELECT {select}, {selected} FROM {table} a JOIN {user_table} u ON u.{id} = a.{} WHERE {of_identity} LIMIT {LISTED}",
                column("user_id").name,
            )
            .into(),
            of_identity: format!("{from}{of_identity} LIMIT {LISTED}").into(),
            of_user: format!("{from}a.{} ORDER BY a.{} LIMIT {LISTED}", is("user_id", 1), column("id").name).into(),
            insert: format!("INSERT INTO {table} ({inserted}) VALUES ({parameters})").into(),
            update: format!("{set} WHERE {}", is("id", 6)).into(),
            update_with_refresh_token: format!(
                "{set}, {} = NULL, {} WHERE {}",
                column("refresh_token").name,
                sets("sealed_refresh_token", 6),
                is("id", 7)
            )
            .into(),
            delete: format!("DELETE FROM {table} WHERE {}", is("id", 1)).into(),
            end: format!("DELETE FROM {table} WHERE {}", is("user_id", 1)).into(),
        }
    }
}
