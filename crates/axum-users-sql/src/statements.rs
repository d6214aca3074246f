//! Every statement that does not depend on a call, built once from constant names.

use std::sync::Arc;

use axum_users_core::UserProfile;

use crate::{
    engine::{Engine, Stored},
    names::{Mapped, Names, at, counts, map},
};

/// The statements of one store.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) columns: Vec<Mapped>,
    pub(crate) user_table: String,
    pub(crate) get: Arc<str>,
    pub(crate) get_for_update: Arc<str>,
    pub(crate) get_for_token: Arc<str>,
    pub(crate) get_by_email: Arc<str>,
    pub(crate) list: Arc<str>,
    pub(crate) list_after: Arc<str>,
    pub(crate) insert: Arc<str>,
    pub(crate) delete: Arc<str>,
    pub(crate) lock_superusers: Arc<str>,
    pub(crate) another_superuser: Arc<str>,
    pub(crate) token_get: Arc<str>,
    pub(crate) token_insert: Arc<str>,
    pub(crate) token_delete: Arc<str>,
    pub(crate) token_delete_expired: Arc<str>,
    pub(crate) tokens_end: Arc<str>,
    pub(crate) tokens_end_but: Arc<str>,
    pub(crate) mark_insert: Arc<str>,
    pub(crate) marks_forget_kept: Arc<str>,
    pub(crate) marks_delete_of_user: Arc<str>,
    pub(crate) marks_delete_expired: Arc<str>,
}

impl Statements {
    /// For tables whose columns are `users` and `tokens`.
    pub(crate) fn new<P: UserProfile, E: Engine>(names: &Names, users: &[Stored], tokens: &[Stored]) -> Self {
        let columns = map::<P, E>(names, users);
        let user_table = E::quote(&names.user_table);
        let mark_table = E::quote(&names.mark_table());
        let token_table = E::quote(&names.access_token_table);
        let p = E::placeholder;
        let select = columns.iter().map(|column| column.selected("u.")).collect::<Vec<_>>().join(", ");
        let name_of = |index: usize| columns.get(index).map_or("", |column| column.name.as_str());
        let (id, email) = (name_of(at::ID), name_of(at::EMAIL));
        // The parameter is cast where the column is bytes, never for integers: an index serves both.
        let id_is = |n| match columns.get(at::ID) {
            Some(column) if column.kind != axum_users_core::Kind::Integer => column.parameter::<E>(n),
            _ => p(n),
        };
        let from = format!("SELECT {select} FROM {user_table} u");
        let by_id = format!("{from} WHERE u.{id} = {}", id_is(1));

        let token_column = |name: &str| {
            let stored = tokens.iter().find(|stored| stored.name == name);
            let kind = match name {
                "created_at" => axum_users_core::Kind::Timestamp,
                "user_id" => <P::Id as axum_users_core::ColumnValue>::KIND,
                _ => axum_users_core::Kind::Text,
            };
            let casts = stored.map_or(crate::engine::Casts::NONE, |stored| E::casts(kind, stored));
            Mapped { name: E::quote(name), kind, casts }
        };
        let (token, user_id, created_at) = (token_column("token"), token_column("user_id"), token_column("created_at"));

        let inserted: Vec<_> =
            columns.iter().skip(if counts::<P>() { 1 } else { 0 }).enumerate().map(|(n, it)| (it, n + 1)).collect();
        let insert = format!(
            "INSERT INTO {user_table} ({}) VALUES ({}){}",
            inserted.iter().map(|(column, _)| column.name.as_str()).collect::<Vec<_>>().join(", "),
            inserted.iter().map(|(column, n)| column.parameter::<E>(*n)).collect::<Vec<_>>().join(", "),
            if counts::<P>() && E::RETURNING {
                format!(" RETURNING {}", columns.first().map_or_else(String::new, |column| column.selected("")))
            } else {
                String::new()
            },
        );

        Self {
            get: by_id.as_str().into(),
            get_for_update: format!("{by_id}{}", E::FOR_UPDATE).into(),
            get_for_token: format!(
                "SELECT {select}, m.kept FROM {user_table} u LEFT JOIN {mark_table} m ON m.token = {} WHERE u.{id} = {}",
                p(1),
                id_is(2)
            )
            .into(),
            get_by_email: format!("{from} WHERE {} IN ({}, {})", E::email_key(email, "u."), p(1), p(2)).into(),
            list: format!("{from} ORDER BY u.{id} LIMIT {}", p(1)).into(),
            list_after: format!("{from} WHERE u.{id} > {} ORDER BY u.{id} LIMIT {}", id_is(1), p(2)).into(),
            insert: insert.into(),
            delete: format!("DELETE FROM {user_table} WHERE {id} = {}", id_is(1)).into(),
            lock_superusers: format!("SELECT version FROM {}{}", E::quote(&names.schema_table()), E::FOR_UPDATE).into(),
            another_superuser: format!(
                "SELECT 1 FROM {user_table} u WHERE u.{} AND u.{} AND u.{id} <> {} LIMIT 1",
                name_of(at::IS_SUPERUSER),
                name_of(at::IS_ACTIVE),
                id_is(1)
            )
            .into(),
            token_get: format!(
                "SELECT {select}, {}, m.kept, t.{} FROM {token_table} t JOIN {user_table} u ON u.{id} = t.{} \
                 LEFT JOIN {mark_table} m ON m.token = t.{} WHERE t.{} = {}",
                created_at.selected("t."),
                token.name,
                user_id.name,
                token.name,
                token.name,
                p(1)
            )
            .into(),
            token_insert: format!(
                "INSERT INTO {token_table} ({}, {}, {}) SELECT {}, {}, {} FROM {user_table} u WHERE u.{id} = {}",
                token.name,
                user_id.name,
                created_at.name,
                token.parameter::<E>(1),
                format_args!("u.{id}"),
                created_at.parameter::<E>(2),
                id_is(3),
            )
            .into(),
            token_delete: format!("DELETE FROM {token_table} WHERE {} = {}", token.name, p(1)).into(),
            token_delete_expired: E::delete_some(
                &token_table,
                &token.name,
                &format!("{} < {}", created_at.name, created_at.parameter::<E>(1)),
            )
            .into(),
            tokens_end: format!("DELETE FROM {token_table} WHERE {} = {}", user_id.name, user_id.parameter::<E>(1)).into(),
            tokens_end_but: format!(
                "DELETE FROM {token_table} WHERE {} = {} AND {} <> {}",
                user_id.name,
                user_id.parameter::<E>(1),
                token.name,
                p(2)
            )
            .into(),
            mark_insert: E::insert_mark(&mark_table).into(),
            marks_forget_kept: format!("DELETE FROM {mark_table} WHERE user_id = {} AND kept", p(1)).into(),
            marks_delete_of_user: format!("DELETE FROM {mark_table} WHERE user_id = {}", p(1)).into(),
            marks_delete_expired: E::delete_some(&mark_table, "token", &format!("valid_until < {}", p(1))).into(),
            columns,
            user_table,
        }
    }

    /// Sets these columns of one user; the id is the last parameter.
    pub(crate) fn update<E: Engine>(&self, set: &[usize], now: Option<usize>) -> String {
        let mut parts = Vec::with_capacity(set.len() + 1);
        let mut n = 0;
        for column in set.iter().filter_map(|index| self.columns.get(*index)) {
            n += 1;
            parts.push(format!("{} = {}", column.name, column.parameter::<E>(n)));
        }
        if let (Some(_), Some(column)) = (now, self.columns.get(at::TOKENS_VALID_AFTER)) {
            n += 1;
            let old = format!("coalesce({}, 0)", column.name);
            parts.push(format!("{} = {} + 1", column.name, E::greatest(&E::placeholder(n), &old)));
        }
        let id = self.columns.first();
        let parameter = match id {
            Some(column) if column.kind != axum_users_core::Kind::Integer => column.parameter::<E>(n + 1),
            _ => E::placeholder(n + 1),
        };
        format!(
            "UPDATE {} SET {} WHERE {} = {parameter}",
            self.user_table,
            parts.join(", "),
            id.map_or("", |column| &column.name)
        )
    }
}
