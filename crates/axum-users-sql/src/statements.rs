//! Every statement that does not depend on a call, built once from constant names.

mod accounts;

use std::sync::Arc;

use axum_users_core::UserProfile;

pub(crate) use accounts::AccountStatements;

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
    pub(crate) tokens_without_session: Arc<str>,
    pub(crate) tokens_end_of_session: Arc<str>,
    pub(crate) tokens_end: Arc<str>,
    pub(crate) tokens_end_but: Arc<str>,
    pub(crate) session_lock: Arc<str>,
    pub(crate) session_insert: Arc<str>,
    pub(crate) session_insert_missing: Arc<str>,
    pub(crate) session_touch: Arc<str>,
    pub(crate) session_end: Arc<str>,
    pub(crate) session_renew: Arc<str>,
    pub(crate) sessions_list: Arc<str>,
    pub(crate) sessions_end: Arc<str>,
    pub(crate) last_issued: Arc<str>,
    pub(crate) sessions_end_but: Arc<str>,
    pub(crate) sessions_delete_expired: Arc<str>,
    pub(crate) refresh_insert: Arc<str>,
    pub(crate) refresh_owner: Arc<str>,
    pub(crate) refresh_get: Arc<str>,
    pub(crate) refresh_used: Arc<str>,
    pub(crate) refresh_end_of_session: Arc<str>,
    pub(crate) refresh_end: Arc<str>,
    pub(crate) refresh_end_but: Arc<str>,
    pub(crate) refresh_delete_expired: Arc<str>,
    pub(crate) remember_valid_after: Arc<str>,
    pub(crate) message_insert: Arc<str>,
    pub(crate) messages_due: Arc<str>,
    pub(crate) message_claim: Arc<str>,
    pub(crate) message_done: Arc<str>,
    pub(crate) message_later: Arc<str>,
    pub(crate) message_parked: Arc<str>,
    pub(crate) message_get: Arc<str>,
    pub(crate) message_lock: Arc<str>,
    pub(crate) message_retry: Arc<str>,
    pub(crate) message_delete: Arc<str>,
    pub(crate) messages_list: Arc<str>,
    pub(crate) messages_list_after: Arc<str>,
    pub(crate) bucket_take: Arc<str>,
    pub(crate) bucket_insert: Arc<str>,
    pub(crate) bucket_get: Arc<str>,
    pub(crate) bucket_give_back: Arc<str>,
    pub(crate) bucket_fill: Arc<str>,
    pub(crate) buckets_delete_full: Arc<str>,
    pub(crate) accounts: AccountStatements,
}

/// What is read of a session, in the order of `sessions::state`.
const STATE: &str = "s.ended, s.renewed_at, s.created_at, s.seen_at";
/// How many sessions of a user are listed.
const LISTED: u32 = 1000;

impl Statements {
    /// For tables whose columns are `users`, `tokens` and `accounts`.
    pub(crate) fn new<P: UserProfile, E: Engine>(
        names: &Names,
        users: &[Stored],
        tokens: &[Stored],
        accounts: &[Stored],
    ) -> Self {
        let columns = map::<P, E>(names, users);
        let user_table = E::quote(&names.user_table);
        let session_table = E::quote(&names.session_table());
        let refresh_table = E::quote(&names.refresh_token_table());
        let outbox = E::quote(&names.outbox_table());
        let buckets = E::quote(&names.bucket_table());
        let schema_table = E::quote(&names.schema_table());
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
        let insert_session = format!(
            "INSERT INTO {session_table} (id, backend, created_at, seen_at, valid_until, ended, address, user_agent, user_id) \
             SELECT {}, {}, {}, {}, {}, FALSE, {}, {}, u.{id} FROM {user_table} u WHERE u.{id} = {}{}",
            p(1),
            p(2),
            p(3),
            p(4),
            p(5),
            p(6),
            p(7),
            id_is(8),
            E::FOR_REFERENCE
        );
        let of_user = |table: &str| format!("DELETE FROM {table} WHERE user_id = {}", id_is(1));

        let message = format!("SELECT body FROM {outbox} WHERE id = {}", p(1));
        let messages = format!("SELECT id, body, created_at, due_at, attempts FROM {outbox}");

        // A number that is given out again inherits nothing.
        let valid_after = name_of(at::TOKENS_VALID_AFTER);
        let value = |column: &Mapped, n: usize| {
            let parameter = column.parameter::<E>(n);
            if counts::<P>() && E::REUSES_IDS && column.name == valid_after {
                let last = format!("(SELECT max(last_valid_after) + 1 FROM {schema_table})");
                E::greatest(&parameter, &last)
            } else {
                parameter
            }
        };
        let selected = |index: usize| columns.get(index).map_or_else(String::new, |column| column.selected(""));
        let inserted: Vec<_> =
            columns.iter().skip(if counts::<P>() { 1 } else { 0 }).enumerate().map(|(n, it)| (it, n + 1)).collect();
        let insert = format!(
            "INSERT INTO {user_table} ({}) VALUES ({}){}",
            inserted.iter().map(|(column, _)| column.name.as_str()).collect::<Vec<_>>().join(", "),
            inserted.iter().map(|(column, n)| value(column, *n)).collect::<Vec<_>>().join(", "),
            if counts::<P>() && E::RETURNING {
                format!(" RETURNING {}, {}", selected(at::ID), selected(at::TOKENS_VALID_AFTER))
            } else {
                String::new()
            },
        );

        let accounts = AccountStatements::new::<P, E>(names, accounts, &select, &user_table, id);
        Self {
            accounts,
            get: by_id.as_str().into(),
            get_for_update: format!("{by_id}{}", E::FOR_UPDATE).into(),
            get_for_token: format!(
                "SELECT {select}, {STATE} FROM {user_table} u LEFT JOIN {session_table} s ON s.id = {} WHERE u.{id} = {}",
                p(1),
                id_is(2)
            )
            .into(),
            get_by_email: format!("{from} WHERE {} IN ({}, {})", E::email_key(email, "u."), p(1), p(2)).into(),
            list: format!("{from} ORDER BY u.{id} LIMIT {}", p(1)).into(),
            list_after: format!("{from} WHERE u.{id} > {} ORDER BY u.{id} LIMIT {}", id_is(1), p(2)).into(),
            insert: insert.into(),
            delete: format!("DELETE FROM {user_table} WHERE {id} = {}", id_is(1)).into(),
            lock_superusers: format!("SELECT version FROM {schema_table}{}", E::FOR_UPDATE).into(),
            another_superuser: format!(
                "SELECT 1 FROM {user_table} u WHERE {} AND u.{} AND u.{id} <> {} LIMIT 1",
                E::is_set(&format!("u.{}", name_of(at::IS_SUPERUSER))),
                name_of(at::IS_ACTIVE),
                id_is(1)
            )
            .into(),
            token_get: format!(
                "SELECT {select}, {}, t.session_id, {STATE}{} FROM {token_table} t JOIN {user_table} u ON u.{id} = t.{} \
                 LEFT JOIN {session_table} s ON s.id = coalesce(t.session_id, {}) WHERE t.{} = {}",
                created_at.selected("t."),
                if E::LAX_TEXT { format!(", t.{}", token.name) } else { String::new() },
                user_id.name,
                p(1),
                token.name,
                p(2)
            )
            .into(),
            token_insert: format!(
                "INSERT INTO {token_table} ({}, {}, session_id, {}) SELECT {}, {}, {}, u.{id} FROM {user_table} u WHERE u.{id} = {}{}",
                token.name,
                created_at.name,
                user_id.name,
                token.parameter::<E>(1),
                created_at.parameter::<E>(2),
                p(3),
                id_is(4),
                E::FOR_REFERENCE,
            )
            .into(),
            token_delete: format!("DELETE FROM {token_table} WHERE {} = {}", token.name, p(1)).into(),
            token_delete_expired: E::delete_some(
                &token_table,
                &token.name,
                &format!("{} < {}", created_at.name, created_at.parameter::<E>(1)),
            )
            .into(),
            tokens_without_session: format!(
                "SELECT {} FROM {token_table} WHERE {} = {} AND session_id IS NULL LIMIT {LISTED}",
                token.name,
                user_id.name,
                user_id.parameter::<E>(1)
            )
            .into(),
            tokens_end_of_session: format!(
                "DELETE FROM {token_table} WHERE {} = {} AND session_id = {}",
                user_id.name,
                user_id.parameter::<E>(1),
                p(2)
            )
            .into(),
            tokens_end: format!("DELETE FROM {token_table} WHERE {} = {}", user_id.name, user_id.parameter::<E>(1)).into(),
            tokens_end_but: format!(
                "DELETE FROM {token_table} WHERE {} = {} AND {} <> {} AND (session_id IS NULL OR session_id <> {})",
                user_id.name,
                user_id.parameter::<E>(1),
                token.name,
                p(2),
                p(3)
            )
            .into(),
            session_lock: format!("SELECT {STATE} FROM {session_table} s WHERE s.id = {}{}", p(1), E::FOR_UPDATE).into(),
            session_insert_missing: format!("{insert_session}{}", E::or_keep(&session_table, "id")).into(),
            session_insert: insert_session.into(),
            session_touch: format!(
                "UPDATE {session_table} SET seen_at = {} WHERE id = {}",
                E::greatest("seen_at", &p(1)),
                p(2)
            )
            .into(),
            session_end: format!(
                "UPDATE {session_table} SET ended = TRUE, valid_until = {} WHERE id = {}",
                E::greatest("valid_until", &p(1)),
                p(2)
            )
            .into(),
            session_renew: format!(
                "UPDATE {session_table} SET renewed_at = {}, valid_until = {} WHERE id = {}",
                p(1),
                E::greatest("valid_until", &p(2)),
                p(3)
            )
            .into(),
            sessions_list: format!(
                "SELECT {STATE}, s.id, s.backend, s.valid_until, s.address, s.user_agent FROM {session_table} s \
                 WHERE s.user_id = {} AND NOT s.ended ORDER BY s.seen_at DESC LIMIT {LISTED}",
                id_is(1)
            )
            .into(),
            sessions_end: of_user(&session_table).into(),
            last_issued: format!(
                "SELECT max(issued) FROM (SELECT max(created_at) AS issued FROM {session_table} WHERE user_id = {} \
                 UNION ALL SELECT max(issued_at) FROM {refresh_table} WHERE user_id = {}) issued",
                id_is(1),
                id_is(2)
            )
            .into(),
            sessions_end_but: format!("{} AND id <> {}", of_user(&session_table), p(2)).into(),
            sessions_delete_expired: E::delete_some(&session_table, "id", &format!("valid_until < {}", p(1))).into(),
            refresh_insert: format!(
                "INSERT INTO {refresh_table} (token, session_id, issued_at, valid_until, user_id) \
                 SELECT {}, {}, {}, {}, u.{id} FROM {user_table} u WHERE u.{id} = {}{}",
                p(1),
                p(2),
                p(3),
                p(4),
                id_is(5),
                E::FOR_REFERENCE
            )
            .into(),
            refresh_owner: format!(
                "SELECT {} FROM {refresh_table} r JOIN {user_table} u ON u.{id} = r.user_id WHERE r.token = {}",
                columns.first().map_or_else(String::new, |column| column.selected("u.")),
                p(1)
            )
            .into(),
            refresh_get: format!(
                "SELECT {STATE}, r.session_id, r.issued_at, r.valid_until, r.used_at, r.nonce FROM {refresh_table} r \
                 LEFT JOIN {session_table} s ON s.id = r.session_id WHERE r.token = {}",
                p(1)
            )
            .into(),
            refresh_used: format!(
                "UPDATE {refresh_table} SET used_at = {}, nonce = {} WHERE token = {}",
                p(1),
                p(2),
                p(3)
            )
            .into(),
            refresh_end_of_session: format!("DELETE FROM {refresh_table} WHERE session_id = {}", p(1)).into(),
            refresh_end: of_user(&refresh_table).into(),
            refresh_end_but: format!("{} AND session_id <> {}", of_user(&refresh_table), p(2)).into(),
            refresh_delete_expired: E::delete_some(&refresh_table, "token", &format!("valid_until < {}", p(1))).into(),
            message_insert: format!(
                "INSERT INTO {outbox} (id, body, created_at, due_at, attempts) VALUES ({}, {}, {}, {}, 0)",
                p(1),
                p(2),
                p(3),
                p(4)
            )
            .into(),
            messages_due: format!(
                "SELECT id, body, created_at, due_at, attempts, first_claimed_at FROM {outbox} WHERE due_at <= {} \
                 ORDER BY due_at LIMIT {}",
                p(1),
                p(2)
            )
            .into(),
            message_claim: format!(
                "UPDATE {outbox} SET due_at = {}, attempts = attempts + 1, first_claimed_at = coalesce(first_claimed_at, {}) \
                 WHERE id = {} AND due_at = {} AND body = {}",
                p(1),
                p(2),
                p(3),
                p(4),
                p(5)
            )
            .into(),
            message_done: format!("DELETE FROM {outbox} WHERE id = {} AND due_at = {}", p(1), p(2)).into(),
            message_later: format!("UPDATE {outbox} SET due_at = {} WHERE id = {} AND due_at = {}", p(1), p(2), p(3)).into(),
            message_parked: format!(
                "UPDATE {outbox} SET body = {}, due_at = {} WHERE id = {} AND due_at = {}",
                p(1),
                p(2),
                p(3),
                p(4)
            )
            .into(),
            message_get: message.as_str().into(),
            message_lock: format!("{message}{}", E::FOR_UPDATE).into(),
            message_retry: format!(
                "UPDATE {outbox} SET due_at = {}, attempts = 0, first_claimed_at = NULL WHERE id = {} AND due_at = {}",
                p(1),
                p(2),
                p(3)
            )
            .into(),
            message_delete: format!("DELETE FROM {outbox} WHERE id = {}", p(1)).into(),
            messages_list: format!("{messages} ORDER BY id LIMIT {}", p(1)).into(),
            messages_list_after: format!("{messages} WHERE id > {} ORDER BY id LIMIT {}", p(1), p(2)).into(),
            bucket_take: format!(
                "UPDATE {buckets} SET full_at = {} + {} WHERE id = {} AND full_at <= {}",
                E::greatest("full_at", &p(1)),
                p(2),
                p(3),
                p(4)
            )
            .into(),
            bucket_insert: format!("INSERT INTO {buckets} (id, full_at) VALUES ({}, {})", p(1), p(2)).into(),
            bucket_get: format!("SELECT full_at FROM {buckets} WHERE id = {}", p(1)).into(),
            bucket_give_back: format!("UPDATE {buckets} SET full_at = full_at - {} WHERE id = {}", p(1), p(2)).into(),
            bucket_fill: format!("UPDATE {buckets} SET full_at = 0 WHERE id = {}", p(1)).into(),
            buckets_delete_full: E::delete_some(&buckets, "id", &format!("full_at < {}", p(1))).into(),
            remember_valid_after: format!(
                "UPDATE {schema_table} SET last_valid_after = {}",
                E::greatest("last_valid_after", &p(1))
            )
            .into(),
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
