//! From a driver's errors to facts.

use axum_users_core::{Column, Conflict, DatabaseError, UserProfile};

use crate::{
    engine::{Engine, Meaning},
    names::Names,
};

/// What an error of sqlx means.
pub(crate) fn classify<P: UserProfile, E: Engine>(error: sqlx::Error, names: &Names) -> DatabaseError {
    match &error {
        sqlx::Error::Database(database) if database.is_unique_violation() => {
            match E::violated(&**database).and_then(|what| conflict::<P>(&what, names)) {
                Some(conflict) => DatabaseError::Conflict(conflict),
                None => DatabaseError::Driver(error.into()),
            }
        }
        sqlx::Error::Database(database) => match E::meaning(&**database) {
            Meaning::Retry | Meaning::Unavailable => DatabaseError::Unavailable(error.into()),
            Meaning::OutOfRange => DatabaseError::OutOfRange(error.into()),
            Meaning::Other if E::ends_connection(&**database) => DatabaseError::Unavailable(error.into()),
            Meaning::Other => DatabaseError::Driver(error.into()),
        },
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => DatabaseError::Unavailable(error.into()),
        _ => DatabaseError::Driver(error.into()),
    }
}

/// Whether the same transaction may go through at once.
pub(crate) fn may_retry<E: Engine>(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database) if E::meaning(&**database) == Meaning::Retry)
}

/// Which column a violated index or constraint stands for: one of the application's own, else the address.
fn conflict<P: UserProfile>(violated: &str, names: &Names) -> Option<Conflict> {
    if violated == names.identity_index() || violated == "identity_key" {
        return Some(Conflict::OAuthAccount);
    }
    let is = |column: &Column| {
        // Ours, the column itself (SQLite, MySQL), or PostgreSQL's own naming of a constraint.
        violated == names.unique_index(column.name)
            || violated == column.name
            || violated == format!("{}_{}_key", names.user_table, column.name)
            || violated == format!("ix_{}_{}", names.user_table, column.name)
    };
    if let Some(column) = P::columns().iter().find(|column| is(column)) {
        return Some(Conflict::Column(column.field));
    }
    let email = names.column("email");
    (violated == names.email_index() || violated == "email_key" || violated.contains(email)).then_some(Conflict::Email)
}
