//! From the driver's errors to facts.

use std::future::IntoFuture;

use axum_users_core::{Conflict, DatabaseError, UserProfile};
use mongodb::error::{Error, ErrorKind, WriteFailure};

use crate::names::{ACCOUNT_KEY_INDEX, EMAIL_KEY_INDEX, MADE_BY_INDEX, THEIR_EMAIL_INDEX, unique_index};

/// How a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A unique index refused it; its name, where the server tells.
    Duplicate(Option<String>),
    /// Anything else.
    Other(DatabaseError),
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::Other(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let answer = match &*error.kind {
            ErrorKind::Write(WriteFailure::WriteError(error)) => Some((error.code, &error.message)),
            ErrorKind::Command(error) => Some((error.code, &error.message)),
            _ => None,
        };
        match answer {
            Some((11000 | 11001 | 12582, message)) => Self::Duplicate(index_of(message)),
            // What PostgreSQL says of a unique index, where that is below.
            Some((1, message)) if message.contains("exclusion constraint") => Self::Duplicate(index_of(message)),
            _ => Self::Other(classify(error)),
        }
    }
}

/// The index that a message names: `… index: NAME dup key: …`.
fn index_of(message: &str) -> Option<String> {
    let after = message.split_once("index: ").map(|(_, after)| after)?;
    let name = after.split([' ', ',']).next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

impl Failure {
    /// What it means where a duplicate has no meaning.
    pub(crate) fn into_error(self) -> DatabaseError {
        match self {
            Self::Other(error) => error,
            Self::Duplicate(index) => DatabaseError::Driver(
                format!("a document is there twice, by {}", index.as_deref().unwrap_or("?")).into(),
            ),
        }
    }
}

/// What a unique index of the users stands for.
pub(crate) fn conflict<P: UserProfile>(index: &str) -> Option<Conflict> {
    match index {
        EMAIL_KEY_INDEX | THEIR_EMAIL_INDEX => Some(Conflict::Email),
        ACCOUNT_KEY_INDEX => Some(Conflict::OAuthAccount),
        MADE_BY_INDEX => Some(Conflict::Message),
        other => {
            let column = P::columns().iter().find(|column| unique_index(column.name) == other)?;
            Some(Conflict::Column(column.field))
        }
    }
}

/// What an error of the driver means.
pub(crate) fn classify(error: Error) -> DatabaseError {
    if error.contains_label("RetryableWriteError") || error.contains_label("TransientTransactionError") {
        return DatabaseError::Unavailable(error.into());
    }
    match &*error.kind {
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Authentication { .. }
        | ErrorKind::Shutdown
        | ErrorKind::Write(WriteFailure::WriteConcernError(_)) => DatabaseError::Unavailable(error.into()),
        _ if met_another(&error) => DatabaseError::Unavailable(error.into()),
        ErrorKind::Command(answer) if is_passing(answer.code) => DatabaseError::Unavailable(error.into()),
        ErrorKind::Write(WriteFailure::WriteError(answer)) if is_passing(answer.code) => {
            DatabaseError::Unavailable(error.into())
        }
        ErrorKind::Command(answer) if is_too_much(answer.code) => DatabaseError::OutOfRange(error.into()),
        ErrorKind::Write(WriteFailure::WriteError(answer)) if is_too_much(answer.code) => {
            DatabaseError::OutOfRange(error.into())
        }
        _ => DatabaseError::Driver(error.into()),
    }
}

/// Whether a write met another one and did nothing: a conflict of MongoDB's, or a deadlock of a PostgreSQL below.
fn met_another(error: &Error) -> bool {
    let (code, message) = match &*error.kind {
        ErrorKind::Command(answer) => (answer.code, &answer.message),
        ErrorKind::Write(WriteFailure::WriteError(answer)) => (answer.code, &answer.message),
        _ => return false,
    };
    code == 112 || message.contains("deadlock detected") || message.contains("could not serialize access")
}

/// Does a write again that met another one; the last time its error stands.
pub(crate) async fn again<T, W>(mut write: impl FnMut() -> W) -> Result<T, Error>
where
    W: IntoFuture<Output = Result<T, Error>>,
{
    for turn in 1..=TURNS {
        match write().await {
            Err(error) if met_another(&error) => crate::change::before_turn(turn).await,
            done => return done,
        }
    }
    write().await
}

const TURNS: u32 = 5;

/// Codes of servers that step down, start, stop, are cut off or out of time; and of a write that met another one.
fn is_passing(code: i32) -> bool {
    matches!(
        code,
        6 | 7
            | 50
            | 64
            | 89
            | 91
            | 100
            | 112
            | 133
            | 134
            | 189
            | 202
            | 251
            | 262
            | 317
            | 358
            | 384
            | 462
            | 9001
            | 10058
            | 10107
            | 11600
            | 11602
            | 13388
            | 13435
            | 13436
    )
}

/// Codes of a document or a key that is too large or too deep.
fn is_too_much(code: i32) -> bool {
    matches!(code, 15 | 10334 | 17280 | 17419 | 17420)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_read_from_what_servers_say() {
        let mongod =
            "E11000 duplicate key error collection: app.User index: axum_users_email_key dup key: { a: \"index: x\" }";
        assert_eq!(index_of(mongod).as_deref(), Some(EMAIL_KEY_INDEX));
        let with_collation = "E11000 duplicate key error collection: app.User index: case_insensitive_email_index collation: { locale: \"en\" } dup key: {}";
        assert_eq!(index_of(with_collation).as_deref(), Some(THEIR_EMAIL_INDEX));
        assert_eq!(index_of("conflicting key value violates exclusion constraint"), None);
        assert_eq!(conflict::<()>(EMAIL_KEY_INDEX), Some(Conflict::Email));
        assert_eq!(conflict::<()>("_id_"), None);
    }
}
