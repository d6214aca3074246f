//! Messages that leave after the answer: asked for by a request, kept with the users, worked off by a worker.
//!
//! A message is stored in the transaction of the change that it tells of, and removed when it was handed over: what stops in
//! between is done again, at least once, with the same [key](Message::key). A store that keeps none
//! ([`UserDatabase::keeps_messages`](crate::UserDatabase::keeps_messages)) is helped out by a bounded queue in memory.
//!
//! A message can also be what is asked for: a registration or a change of address that waits for the proof of a mailbox. When its
//! mail has left it is *parked* until the token of the mail expires; whoever comes with that token makes the change, in a
//! transaction that takes the message away.

use std::{
    collections::VecDeque,
    fmt,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};
use time::{Date, OffsetDateTime};

use crate::{
    database::DatabaseError,
    email::Email,
    hooks::RequestInfo,
    id::{ObjectId, UserId as _},
    password::PasswordHash,
    random,
    session::TokenHash,
    value::Value,
};

/// For how long a claimed message is nobody else's, in seconds. A worker that needs longer has lost it.
pub const LEASE: i64 = 120;
/// How often a message is tried.
pub const ATTEMPTS: u32 = 12;
/// For how long a change of address can be undone, in seconds: 7 days.
pub const UNDO: i64 = 7 * 24 * 3600;
/// How many changes of address in a row can be undone, each by the mailbox that it left; one more only by those before it.
pub(crate) const UNDOS: u8 = 4;

/// Something to be done after the answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// The same for every attempt, 22 characters of base64url.
    pub key: String,
    /// What is to be done.
    pub task: Task,
    /// Whether its mail has left, and it only waits for the answer.
    pub parked: bool,
    /// What is known of the request that asked for it.
    pub request: RequestInfo,
}

/// What a message asks for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Task {
    /// Somebody wants to prove this address. Whether anybody has it is not known yet.
    RequestVerify {
        /// As typed.
        email: String,
    },
    /// Somebody forgot the password of this address. Whether anybody has it is not known yet.
    ForgotPassword {
        /// As typed.
        email: String,
    },
    /// A user is told of a new password.
    PasswordChanged {
        /// Where.
        to: String,
    },
    /// A user is told of a new address.
    EmailChanged {
        /// Where: one of the two.
        to: String,
        /// What it was.
        old: String,
        /// What it is.
        new: String,
    },
    /// A user is told that an account with a provider was linked.
    AccountLinked {
        /// Where.
        to: String,
        /// What people call the provider.
        provider: String,
    },
    /// A user is told that an account with a provider was unlinked.
    AccountUnlinked {
        /// Where.
        to: String,
        /// What people call the provider.
        provider: String,
    },
    /// Somebody asked to register an address that has an account.
    AlreadyRegistered {
        /// Where.
        to: String,
    },
    /// Somebody asks to register. Whether anybody has the address is not known yet; if nobody has, the user is made when the
    /// mailbox is proved.
    Register(Registration),
    /// A user asks for another address; it becomes theirs when its mailbox is proved.
    ChangeEmail(EmailChange),
    /// A user is told that another address was asked for.
    EmailChangeRequested {
        /// Where: the address so far.
        to: String,
        /// What was asked for.
        new: String,
    },
    /// The address of a user was changed; who reads the mail of the old one can have it back.
    UndoEmailChange(EmailUndo),
}

/// A user who is made once the mailbox is proved.
#[derive(Clone)]
#[non_exhaustive]
pub struct Registration {
    /// The id that was drawn, as text; `None` when the database counts.
    pub id: Option<String>,
    /// Which mailbox.
    pub email: String,
    /// As it will be stored.
    pub hashed_password: PasswordHash,
    /// The application's own columns: name on the wire and value.
    pub profile: Vec<(String, Value)>,
}

impl Registration {
    /// With these values.
    #[must_use]
    pub fn new(
        id: Option<String>,
        email: String,
        hashed_password: PasswordHash,
        profile: Vec<(String, Value)>,
    ) -> Self {
        Self { id, email, hashed_password, profile }
    }
}

impl PartialEq for Registration {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.email == other.email
            && self.hashed_password.as_str() == other.hashed_password.as_str()
            && self.profile == other.profile
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A change of address that waits for the proof of the new mailbox. A user has one at most: a newer one replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmailChange {
    /// Whose, as text.
    pub user: String,
    /// The address so far; with another one it counts for nothing.
    pub old: String,
    /// The address that was asked for.
    pub new: String,
    /// The hash of the stored password hash, in messages of earlier releases: with another one it counts for nothing. A new
    /// password drops the message; a new hash of the same password does not.
    pub password: Option<String>,
    /// What the token of the mail names: tells one from the one that replaced it.
    pub nonce: String,
}

/// The way back from a change of address: what it and those after it did is undone. A further change leaves it as it is, but for
/// where it leads back from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmailUndo {
    /// Whose, as text.
    pub user: String,
    /// The address to go back to.
    pub old: String,
    /// The address that the user has now; with another one it counts for nothing.
    pub new: String,
    /// Until when it counts (Unix seconds); that of a later change counts longer.
    pub until: i64,
    /// What the token of the mail names.
    pub nonce: String,
}

impl Task {
    /// Where it goes.
    #[must_use]
    pub fn mailbox(&self) -> &str {
        match self {
            Self::RequestVerify { email } | Self::ForgotPassword { email } => email,
            Self::PasswordChanged { to }
            | Self::EmailChanged { to, .. }
            | Self::AccountLinked { to, .. }
            | Self::AccountUnlinked { to, .. }
            | Self::AlreadyRegistered { to }
            | Self::EmailChangeRequested { to, .. } => to,
            Self::Register(registration) => &registration.email,
            Self::ChangeEmail(change) => &change.new,
            Self::UndoEmailChange(undo) => &undo.old,
        }
    }

    /// Its kind, one word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RequestVerify { .. } => "request_verify",
            Self::ForgotPassword { .. } => "forgot_password",
            Self::PasswordChanged { .. } => "password_changed",
            Self::EmailChanged { .. } => "email_changed",
            Self::AccountLinked { .. } => "account_linked",
            Self::AccountUnlinked { .. } => "account_unlinked",
            Self::AlreadyRegistered { .. } => "already_registered",
            Self::Register(_) => "register",
            Self::ChangeEmail(_) => "change_email",
            Self::EmailChangeRequested { .. } => "email_change_requested",
            Self::UndoEmailChange(_) => "undo_email_change",
        }
    }

    /// What the token of its mail names beside the key of the message.
    pub(crate) fn nonce(&self) -> Option<&str> {
        match self {
            Self::ChangeEmail(change) => Some(&change.nonce),
            Self::UndoEmailChange(undo) => Some(&undo.nonce),
            _ => None,
        }
    }

    /// Whether it was only asked for, and is of no use to anybody once its mail cannot be sent.
    pub(crate) fn is_request(&self) -> bool {
        matches!(self, Self::Register(_) | Self::ChangeEmail(_))
    }

    /// Whether it tells somebody of a change of their own account.
    pub(crate) fn is_owed(&self) -> bool {
        match self {
            Self::PasswordChanged { .. }
            | Self::AccountLinked { .. }
            | Self::AccountUnlinked { .. }
            | Self::EmailChangeRequested { .. }
            | Self::UndoEmailChange(_) => true,
            Self::EmailChanged { to, old, .. } => to == old,
            Self::RequestVerify { .. }
            | Self::ForgotPassword { .. }
            | Self::AlreadyRegistered { .. }
            | Self::Register(_)
            | Self::ChangeEmail(_) => false,
        }
    }
}

impl Message {
    /// A message with a key of its own.
    #[must_use]
    pub fn new(task: Task, request: Option<&RequestInfo>) -> Self {
        Self { key: random::short_token(), task, parked: false, request: request.cloned().unwrap_or_default() }
    }

    /// The message of this kind about this user, of which there is one at most.
    pub(crate) fn about(key: String, task: Task, request: Option<&RequestInfo>) -> Self {
        Self { key, ..Self::new(task, request) }
    }

    /// As text for a store; [`from_text`](Self::from_text) reads it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut task = match &self.task {
            Task::RequestVerify { email } | Task::ForgotPassword { email } => json!({ "email": email }),
            Task::PasswordChanged { to } | Task::AlreadyRegistered { to } => json!({ "to": to }),
            Task::EmailChanged { to, old, new } => json!({ "to": to, "old": old, "new": new }),
            Task::AccountLinked { to, provider } | Task::AccountUnlinked { to, provider } => {
                json!({ "to": to, "provider": provider })
            }
            Task::EmailChangeRequested { to, new } => json!({ "to": to, "new": new }),
            Task::Register(Registration { id, email, hashed_password, profile }) => json!({
                "id": id,
                "email": email,
                "hashed_password": hashed_password.as_str(),
                "profile": profile.iter().map(|(name, value)| json!([name, tagged(value)])).collect::<Vec<_>>(),
            }),
            Task::ChangeEmail(EmailChange { user, old, new, password, nonce }) => {
                json!({ "user": user, "old": old, "new": new, "password": password, "nonce": nonce })
            }
            Task::UndoEmailChange(EmailUndo { user, old, new, until, nonce }) => {
                json!({ "user": user, "old": old, "new": new, "until": until, "nonce": nonce })
            }
        };
        if let Some(task) = task.as_object_mut() {
            task.insert("kind".into(), self.task.kind().into());
        }
        let request = &self.request;
        json!({
            "task": task,
            "parked": self.parked,
            "client_address": request.client_address.map(|address| address.to_string()),
            "user_agent": request.user_agent,
            "languages": request.languages,
            "request_id": request.request_id,
            "actor": request.actor,
            "backend": request.backend,
        })
        .to_string()
    }

    /// A message that was stored; `None` when another release stored what this one does not know.
    #[must_use]
    pub fn from_text(key: &str, text: &str) -> Option<Self> {
        let value: Json = serde_json::from_str(text).ok()?;
        let of = |value: &Json, name: &str| value.get(name)?.as_str().map(str::to_owned);
        let task = value.get("task")?;
        let part = |name: &str| of(task, name);
        let task = match task.get("kind")?.as_str()? {
            "request_verify" => Task::RequestVerify { email: part("email")? },
            "forgot_password" => Task::ForgotPassword { email: part("email")? },
            "password_changed" => Task::PasswordChanged { to: part("to")? },
            "email_changed" => Task::EmailChanged { to: part("to")?, old: part("old")?, new: part("new")? },
            "account_linked" => Task::AccountLinked { to: part("to")?, provider: part("provider")? },
            "account_unlinked" => Task::AccountUnlinked { to: part("to")?, provider: part("provider")? },
            "already_registered" => Task::AlreadyRegistered { to: part("to")? },
            "email_change_requested" => Task::EmailChangeRequested { to: part("to")?, new: part("new")? },
            "register" => Task::Register(Registration {
                id: part("id"),
                email: part("email")?,
                hashed_password: PasswordHash::from_stored(part("hashed_password")?),
                profile: task.get("profile")?.as_array()?.iter().map(column).collect::<Option<_>>()?,
            }),
            "change_email" => Task::ChangeEmail(EmailChange {
                user: part("user")?,
                old: part("old")?,
                new: part("new")?,
                password: part("password"),
                nonce: part("nonce")?,
            }),
            "undo_email_change" => Task::UndoEmailChange(EmailUndo {
                user: part("user")?,
                old: part("old")?,
                new: part("new")?,
                until: task.get("until")?.as_i64()?,
                nonce: part("nonce")?,
            }),
            _ => return None,
        };
        let request = RequestInfo {
            client_address: of(&value, "client_address").and_then(|text| text.parse::<IpAddr>().ok()),
            user_agent: of(&value, "user_agent"),
            languages: of(&value, "languages"),
            request_id: of(&value, "request_id"),
            actor: of(&value, "actor"),
            backend: of(&value, "backend"),
            device: None,
        };
        let parked = value.get("parked").and_then(Json::as_bool).unwrap_or(false);
        Some(Self { key: key.to_owned(), task, parked, request })
    }
}

/// Which of the messages about one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    EmailChange,
    /// Of several, this one.
    EmailUndo(u8),
}

impl About {
    /// The key of this message about this user.
    pub(crate) fn key(self, user: &impl fmt::Display) -> String {
        let kind = match self {
            Self::EmailChange => "change_email".to_owned(),
            Self::EmailUndo(0) => "undo_email_change".to_owned(),
            Self::EmailUndo(place) => format!("undo_email_change {place}"),
        };
        // 132 bits of a hash.
        TokenHash::of(&format!("{kind} {user}")).as_str().chars().take(22).collect()
    }
}

/// A value with its kind, so that the same comes back; numbers as text, which no reader rounds.
fn tagged(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(it) => json!({ "bool": it }),
        Value::Integer(it) => json!({ "integer": it.to_string() }),
        Value::Real(it) => json!({ "real": it.to_string() }),
        Value::Text(it) => json!({ "text": it }),
        Value::Bytes(it) => json!({ "bytes": STANDARD.encode(it) }),
        Value::Uuid(it) => json!({ "uuid": it.to_string() }),
        Value::ObjectId(it) => json!({ "object_id": it.to_string() }),
        Value::Date(it) => json!({ "date": it.to_julian_day() }),
        Value::Timestamp(it) => json!({ "timestamp": it.unix_timestamp_nanos().to_string() }),
        Value::Json(it) => json!({ "json": it }),
    }
}

fn untagged(json: &Json) -> Option<Value> {
    if json.is_null() {
        return Some(Value::Null);
    }
    let (kind, it) = json.as_object()?.iter().next()?;
    Some(match kind.as_str() {
        "bool" => Value::Bool(it.as_bool()?),
        "integer" => Value::Integer(it.as_str()?.parse().ok()?),
        "real" => Value::Real(it.as_str()?.parse().ok()?),
        "text" => Value::Text(it.as_str()?.to_owned()),
        "bytes" => Value::Bytes(STANDARD.decode(it.as_str()?).ok()?),
        "uuid" => Value::Uuid(it.as_str()?.parse().ok()?),
        "object_id" => Value::ObjectId(ObjectId::parse(it.as_str()?)?),
        "date" => Value::Date(Date::from_julian_day(it.as_i64()?.try_into().ok()?).ok()?),
        "timestamp" => Value::Timestamp(OffsetDateTime::from_unix_timestamp_nanos(it.as_str()?.parse().ok()?).ok()?),
        "json" => Value::Json(it.clone()),
        _ => return None,
    })
}

fn column(json: &Json) -> Option<(String, Value)> {
    let [name, value] = json.as_array()?.as_slice() else { return None };
    Some((name.as_str()?.to_owned(), untagged(value)?))
}

/// A message that a store holds, for whoever looks after them.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "built by adapters")]
pub struct StoredMessage {
    /// See [`Message::key`].
    pub key: String,
    /// The message; `None` when another release stored what this one does not know.
    pub message: Option<Message>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was stored (Unix seconds).
    pub created_at: i64,
    /// When it is due (Unix seconds); [`NEVER`]: it was given up.
    pub due_at: i64,
}

/// When a message is due that was given up.
pub const NEVER: i64 = i64::MAX;

/// A message that a worker has for itself until the lease is over.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "built by adapters")]
pub struct Claimed {
    /// The message; `None` when another release stored what this one does not know.
    pub message: Option<Message>,
    /// See [`Message::key`].
    pub key: String,
    /// How often it was claimed, this time included.
    pub attempt: u32,
    /// When it was stored (Unix seconds).
    pub created_at: i64,
    /// When it was claimed first (Unix seconds).
    pub first_claimed_at: i64,
    /// Until when it is this worker's (Unix seconds).
    pub lease: i64,
}

/// What became of a claimed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "adapters do exactly these")]
pub enum Settled {
    /// It was handed over: it is removed.
    Done,
    /// It is due again then (Unix seconds).
    Later(i64),
    /// Its mail has left. It is kept, [`parked`](Message::parked), until it is due again then (Unix seconds), to be removed.
    Parked(i64),
    /// It will not be tried again, and stays to be seen.
    Failed,
}

/// When a message is due again after this attempt failed, in seconds from now; `None`: never.
#[must_use]
pub fn pause_after(attempt: u32) -> Option<i64> {
    const PAUSES: [i64; 6] = [5, 15, 60, 300, 900, 3600];
    if attempt >= ATTEMPTS {
        return None;
    }
    let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    PAUSES.get(index).or(PAUSES.last()).copied()
}

/// Messages in memory, for stores that keep none: gone with the process.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    queued: Mutex<VecDeque<Queued>>,
    /// Whether those that were given up stay to be seen.
    keeps_failed: bool,
}

#[derive(Debug)]
struct Queued {
    message: Message,
    attempt: u32,
    created_at: i64,
    first_claimed_at: Option<i64>,
    due_at: i64,
}

/// So many messages may wait; more are refused until some have left.
const QUEUE: usize = 10_000;

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Queued>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a store in memory.
    #[cfg(feature = "memory")]
    pub(crate) fn of_a_store() -> Self {
        Self { keeps_failed: true, ..Self::default() }
    }

    pub(crate) fn put(&self, message: Message, now: i64) -> Result<(), DatabaseError> {
        self.replace(&[], vec![(message, now)])
    }

    /// Removes those with these keys and puts all of these, with when each is due, or does nothing.
    pub(crate) fn replace(&self, drops: &[&str], messages: Vec<(Message, i64)>) -> Result<(), DatabaseError> {
        let mut queue = self.lock();
        if queue.len() + messages.len() > QUEUE {
            return Err(DatabaseError::Unavailable("too many messages wait to be sent".into()));
        }
        queue.retain(|queued| !drops.contains(&queued.message.key.as_str()));
        let queued = |(message, due_at): (Message, i64)| Queued {
            message,
            attempt: 0,
            created_at: due_at,
            first_claimed_at: None,
            due_at,
        };
        queue.extend(messages.into_iter().map(queued));
        Ok(())
    }

    #[cfg(feature = "memory")]
    pub(crate) fn get(&self, key: &str) -> Option<Message> {
        self.lock().iter().find(|queued| queued.message.key == key).map(|queued| queued.message.clone())
    }

    #[cfg(feature = "memory")]
    pub(crate) fn list(&self, after: Option<&str>, limit: u32) -> Vec<StoredMessage> {
        let queue = self.lock();
        let mut found: Vec<_> =
            queue.iter().filter(|it| after.is_none_or(|after| it.message.key.as_str() > after)).collect();
        found.sort_by(|a, b| a.message.key.cmp(&b.message.key));
        let stored = |queued: &Queued| StoredMessage {
            key: queued.message.key.clone(),
            message: Some(queued.message.clone()),
            attempts: queued.attempt,
            created_at: queued.created_at,
            due_at: queued.due_at,
        };
        found.into_iter().take(limit as usize).map(stored).collect()
    }

    #[cfg(feature = "memory")]
    pub(crate) fn retry(&self, key: &str, now: i64) -> bool {
        let mut queue = self.lock();
        let failed = queue.iter_mut().find(|queued| queued.message.key == key && queued.due_at == NEVER);
        let is_there = failed.is_some();
        if let Some(queued) = failed {
            (queued.due_at, queued.attempt, queued.first_claimed_at) = (now, 0, None);
        }
        is_there
    }

    #[cfg(feature = "memory")]
    pub(crate) fn remove(&self, key: &str) -> bool {
        let mut queue = self.lock();
        let before = queue.len();
        queue.retain(|queued| queued.message.key != key);
        queue.len() < before
    }

    pub(crate) fn claim(&self, now: i64, limit: usize) -> Vec<Claimed> {
        let mut queue = self.lock();
        let due = queue.iter_mut().filter(|queued| queued.due_at <= now && queued.due_at != NEVER).take(limit);
        due.map(|queued| {
            queued.attempt += 1;
            queued.due_at = now.saturating_add(LEASE);
            Claimed {
                message: Some(queued.message.clone()),
                key: queued.message.key.clone(),
                attempt: queued.attempt,
                created_at: queued.created_at,
                first_claimed_at: *queued.first_claimed_at.get_or_insert(now),
                lease: queued.due_at,
            }
        })
        .collect()
    }

    pub(crate) fn settle(&self, claimed: &Claimed, settled: Settled) {
        let mut queue = self.lock();
        // What has the key by now may be another message.
        let is_it = |it: &Queued| Some(&it.message) == claimed.message.as_ref() && it.due_at == claimed.lease;
        let Some(index) = queue.iter().position(is_it) else { return };
        match (settled, queue.get_mut(index)) {
            (Settled::Later(due_at), Some(queued)) => queued.due_at = due_at,
            (Settled::Parked(due_at), Some(queued)) => (queued.due_at, queued.message.parked) = (due_at, true),
            (Settled::Failed, Some(queued)) if self.keeps_failed => queued.due_at = NEVER,
            _ => drop(queue.remove(index)),
        }
    }
}

/// An address that was stored as text.
pub(crate) fn address(text: &str) -> Email {
    Email::from_stored(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration() -> Registration {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_800_000_000_123_456_000).unwrap();
        let values = [
            Value::Null,
            Value::Bool(true),
            Value::Integer(i64::MIN),
            Value::Real(0.1 + 0.2),
            Value::Text("a \"ü\" 🗡".into()),
            Value::Bytes(vec![0, 255]),
            Value::Uuid(uuid::Uuid::from_u128(7)),
            Value::Date(at.date()),
            Value::Timestamp(at),
            Value::Json(json!({ "text": [1, null] })),
        ];
        let named = |(number, value)| (format!("column{number}"), value);
        let profile = values.into_iter().enumerate().map(named).collect();
        Registration::new(Some("7".into()), "a@b.bt".into(), PasswordHash::from_stored("$hash".into()), profile)
    }

    #[test]
    fn cr_04_a_registration_that_waits_prints_neither_hash_nor_address() {
        let text = format!("{:?}", Message::new(Task::Register(registration()), None));
        assert!(!text.contains("$hash") && !text.contains("a@b.bt") && !text.contains("🗡"), "{text}");
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        let request = RequestInfo {
            client_address: "2001:db8::1".parse().ok(),
            user_agent: Some("Excalibur \"1\"\n".into()),
            ..RequestInfo::default()
        };
        for task in [
            Task::RequestVerify { email: "a@camelot.bt".into() },
            Task::ForgotPassword { email: "ü@camelot.bt".into() },
            Task::PasswordChanged { to: "a@camelot.bt".into() },
            Task::EmailChanged { to: "a@b.bt".into(), old: "a@b.bt".into(), new: "c@b.bt".into() },
            Task::AccountLinked { to: "a@camelot.bt".into(), provider: "The \"Round\" Table".into() },
            Task::AccountUnlinked { to: "a@camelot.bt".into(), provider: "GitHub".into() },
            Task::AlreadyRegistered { to: "a@camelot.bt".into() },
            Task::EmailChangeRequested { to: "a@b.bt".into(), new: "c@b.bt".into() },
            Task::Register(registration()),
            Task::Register(Registration { id: None, profile: Vec::new(), ..registration() }),
            Task::ChangeEmail(EmailChange {
                user: "7".into(),
                old: "a@b.bt".into(),
                new: "c@b.bt".into(),
                password: None,
                nonce: "n".into(),
            }),
            Task::ChangeEmail(EmailChange {
                user: "7".into(),
                old: "a@b.bt".into(),
                new: "c@b.bt".into(),
                password: Some("h".into()),
                nonce: "n".into(),
            }),
            Task::UndoEmailChange(EmailUndo {
                user: "7".into(),
                old: "a@b.bt".into(),
                new: "c@b.bt".into(),
                until: i64::MAX,
                nonce: "n".into(),
            }),
        ] {
            let mut message = Message::new(task, Some(&request));
            assert_eq!(Message::from_text(&message.key, &message.to_text()), Some(message.clone()));
            message.parked = true;
            assert_eq!(Message::from_text(&message.key, &message.to_text()), Some(message));
        }
        for odd in ["", "{}", "null", r#"{"task":{"kind":"later"}}"#, r#"{"task":{"kind":"forgot_password"}}"#] {
            assert_eq!(Message::from_text("k", odd), None, "{odd}");
        }
    }

    #[test]
    fn av_07_a_message_is_tried_for_hours_and_then_given_up() {
        let pauses: Vec<i64> = (1..=ATTEMPTS).map_while(pause_after).collect();
        assert_eq!(pauses.len(), ATTEMPTS as usize - 1);
        assert_eq!(pauses[..4], [5, 15, 60, 300]);
        assert!(pauses.iter().sum::<i64>() > 6 * 3600, "an outage of hours loses nothing");
    }

    #[test]
    fn av_07_a_queue_claims_each_message_once_until_the_lease_is_over() {
        let queue = Queue::default();
        let put = |email: &str| queue.put(Message::new(Task::ForgotPassword { email: email.into() }, None), 100);
        put("a").unwrap();
        put("b").unwrap();
        let [first, second] = queue.claim(100, 10).try_into().unwrap();
        assert!(queue.claim(100 + LEASE - 1, 10).is_empty());
        queue.settle(&first, Settled::Done);
        queue.settle(&second, Settled::Later(105));
        let [again] = queue.claim(105, 10).try_into().unwrap();
        assert_eq!((again.key.clone(), again.attempt, again.first_claimed_at), (second.key.clone(), 2, 100));
        queue.settle(&second, Settled::Done);
        let [once_more] = queue.claim(105 + LEASE, 10).try_into().unwrap();
        assert_eq!(once_more.attempt, 3, "the one that lost its lease settles nothing");
        queue.settle(&once_more, Settled::Failed);
        assert!(queue.claim(i64::MAX, 10).is_empty());
        for _ in 0..QUEUE {
            put("x").unwrap();
        }
        assert!(matches!(put("y"), Err(DatabaseError::Unavailable(_))));
    }
}
