//! Indexes: made when they are missing, by however many nodes at once, or adopted as they are.

use std::time::Duration;

use axum_users_core::{Kind, UserProfile};
use mongodb::{
    Collection, IndexModel,
    bson::{Document, doc},
    error::{Error, ErrorKind},
    options::{Collation, CollationStrength, IndexOptions},
};

use crate::{
    builder::SetupError,
    document::{ACCOUNTS, OURS, SESSIONS, email_key},
    names::{ACCOUNT_KEY_INDEX, EMAIL_KEY_INDEX, MADE_BY_INDEX, THEIR_EMAIL_INDEX, unique_index},
    store::{Store, all},
};

/// How FastAPI Users compares addresses.
pub(crate) fn their_collation() -> Collation {
    Collation::builder().locale("en").strength(CollationStrength::Secondary).build()
}

/// An index over one path.
fn over(path: &str, name: &str) -> IndexModel {
    let options = IndexOptions::builder().name(name.to_owned()).build();
    IndexModel::builder().keys(doc! { path: 1 }).options(options).build()
}

fn with(mut index: IndexModel, set: impl FnOnce(&mut IndexOptions)) -> IndexModel {
    set(index.options.get_or_insert_default());
    index
}

fn unique(index: IndexModel) -> IndexModel {
    with(index, |options| options.unique = Some(true))
}

/// Without the documents that lack it.
fn sparse(index: IndexModel) -> IndexModel {
    with(index, |options| options.sparse = Some(true))
}

/// Documents go an hour after this instant of theirs: a server whose clock is ahead logs nobody out.
fn expiring() -> IndexModel {
    with(over("expires_at", "axum_users_expires_at"), |options| options.expire_after = Some(Duration::from_secs(3600)))
}

fn their_email_index() -> IndexModel {
    unique(with(over("email", THEIR_EMAIL_INDEX), |options| options.collation = Some(their_collation())))
}

fn ours(path: &str) -> String {
    format!("{OURS}.{path}")
}

/// All of them but that of FastAPI Users over addresses, which not every server can make.
fn needed<P: UserProfile>(store: &Store<P>) -> Vec<(&Collection<Document>, Vec<IndexModel>)> {
    let own = P::columns().iter().filter(|column| column.unique).map(|column| {
        let present = doc! { column.name: { "$type": types(column.kind) } };
        unique(with(over(column.name, &unique_index(column.name)), |options| {
            options.partial_filter_expression = Some(present);
        }))
    });
    let mut users = vec![
        unique(sparse(over(&ours("email_key"), EMAIL_KEY_INDEX))),
        unique(sparse(over(&ours("accounts.key"), ACCOUNT_KEY_INDEX))),
        unique(sparse(over(&ours("made_by"), MADE_BY_INDEX))),
        over(&format!("{ACCOUNTS}.account_id"), "axum_users_account_id"),
        over("is_superuser", "axum_users_is_superuser"),
        sparse(over(&format!("{SESSIONS}.valid_until"), "axum_users_session_valid_until")),
        sparse(over(&ours("pending.at"), "axum_users_pending")),
    ];
    users.extend(own);
    let tokens = vec![
        unique(over("token", "token_1")),
        over("user_id", "axum_users_user_id"),
        over("created_at", "axum_users_created_at"),
        expiring(),
    ];
    vec![
        (&store.users, users),
        (&store.access_tokens, tokens),
        (
            &store.refresh_tokens,
            vec![over("user_id", "axum_users_user_id"), over("valid_until", "axum_users_valid_until"), expiring()],
        ),
        (&store.outbox, vec![over("due_at", "axum_users_due_at"), expiring()]),
        (&store.buckets, vec![over("full_at", "axum_users_full_at")]),
    ]
}

/// What BSON calls the values of a kind.
fn types(kind: Kind) -> Vec<&'static str> {
    match kind {
        Kind::Bool => vec!["bool"],
        Kind::Integer | Kind::Real => vec!["int", "long", "double"],
        Kind::Bytes | Kind::Uuid => vec!["binData"],
        Kind::ObjectId => vec!["objectId"],
        Kind::Date | Kind::Timestamp => vec!["date"],
        Kind::Json => vec!["object", "array"],
        _ => vec!["string"],
    }
}

fn name(index: &IndexModel) -> String {
    index.options.as_ref().and_then(|options| options.name.clone()).unwrap_or_default()
}

/// Those that are not there, as `collection.name`.
pub(crate) async fn missing<P: UserProfile>(store: &Store<P>) -> Result<Vec<String>, SetupError> {
    let mut missing = Vec::new();
    for (collection, indexes) in needed(store) {
        let there = names_of(collection).await?;
        let absent = indexes.iter().map(name).filter(|name| !there.contains(name));
        missing.extend(absent.map(|name| format!("{}.{name}", collection.name())));
    }
    if !names_of(&store.users).await?.iter().any(|name| name == THEIR_EMAIL_INDEX || name == PLAIN_EMAIL_INDEX) {
        missing.push(format!("{}.{THEIR_EMAIL_INDEX}", store.users.name()));
    }
    Ok(missing)
}

async fn names_of(collection: &Collection<Document>) -> Result<Vec<String>, SetupError> {
    match collection.list_index_names().await {
        Ok(names) => Ok(names),
        Err(error) if code(&error) == Some(26) => Ok(Vec::new()), // no such collection
        Err(error) => Err(error.into()),
    }
}

/// Where a server makes no unique index with a collation.
const PLAIN_EMAIL_INDEX: &str = "axum_users_email";

/// Makes or checks them; answers whether addresses are found by the index of FastAPI Users.
pub(crate) async fn ensure<P: UserProfile>(store: &Store<P>, migrate: bool) -> Result<bool, SetupError> {
    if !migrate {
        let missing = missing(store).await?;
        if !missing.is_empty() {
            return Err(SetupError::Outdated(missing));
        }
        return Ok(names_of(&store.users).await?.iter().any(|name| name == THEIR_EMAIL_INDEX));
    }
    for (collection, indexes) in needed(store) {
        for index in indexes {
            make(collection, index).await?;
        }
    }
    match make(&store.users, their_email_index()).await {
        Ok(()) => Ok(true),
        Err(SetupError::Mongo(error)) if cannot(&error) => {
            make(&store.users, over("email", PLAIN_EMAIL_INDEX)).await?;
            backfill(store).await?;
            Ok(false)
        }
        Err(other) => Err(other),
    }
}

async fn make(collection: &Collection<Document>, index: IndexModel) -> Result<(), SetupError> {
    const TURNS: u32 = 20;
    for turn in 1..=TURNS {
        match collection.create_index(index.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) if is_duplicate(&error) => return Err(SetupError::Collisions { index: name(&index) }),
            // The same index under another name or with options of somebody else's: it serves.
            Err(error) if matches!(code(&error), Some(85 | 86)) => return Ok(()),
            // Another node makes it, or the collection, at this moment.
            Err(error) if turn < TURNS && meets_another(&error) => {
                tokio::time::sleep(Duration::from_millis(u64::from(turn) * 20)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Documents of FastAPI Users get our key where they cannot be found by its index.
async fn backfill<P: UserProfile>(store: &Store<P>) -> Result<(), SetupError> {
    let path = ours("email_key");
    let without = store.users.find(doc! { &path: null }).projection(doc! { "_id": 1, "email": 1 }).await?;
    let documents = all(without).await.map_err(|failure| match failure.into_error() {
        axum_users_core::DatabaseError::Driver(source) | axum_users_core::DatabaseError::Unavailable(source) => {
            SetupError::Mongo(Error::custom(source.to_string()))
        }
        other => SetupError::Mongo(Error::custom(other.to_string())),
    })?;
    for document in documents {
        let (Some(id), Ok(email)) = (document.get("_id"), document.get_str("email")) else { continue };
        let key = email_key(&axum_users_core::Email::from_stored(email.to_owned()));
        let set =
            store.users.update_one(doc! { "_id": id, "email": email, &path: null }, doc! { "$set": { &path: key } });
        match set.await {
            // Of two spellings of one mailbox, one has the key.
            Err(error) if !is_duplicate(&error) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(error) => Some(error.code),
        _ => None,
    }
}

fn is_duplicate(error: &Error) -> bool {
    matches!(crate::error::Failure::from(error.clone()), crate::error::Failure::Duplicate(_))
}

/// Whether the server has no such index at all, whichever code it says that with.
fn cannot(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Command(error) => {
            matches!(error.code, 67 | 72 | 115 | 197 | 238) || error.message.to_ascii_lowercase().contains("collation")
        }
        _ => false,
    }
}

fn meets_another(error: &Error) -> bool {
    matches!(code(error), Some(48 | 112 | 117 | 263 | 276 | 12586 | 12587))
        || error.contains_label("RetryableWriteError")
}
