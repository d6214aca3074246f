//! Messages that leave after the answer: asked for by a request, kept with the users, worked off by a worker.
//!
//! A message is stored in the transaction of the change that it tells of, and removed when it was handed over: what stops in
//! between is done again, at least once, with the same [key](Message::key). A store that keeps none
//! ([`UserDatabase::keeps_messages`](crate::UserDatabase::keeps_messages)) is helped out by a bounded queue in memory.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};

use crate::{database::DatabaseError, email::Email, hooks::RequestInfo, random};

/// For how long a claimed message is nobody else's, in seconds. A worker that needs longer has lost it.
pub const LEASE: i64 = 120;
/// How often a message is tried.
pub const ATTEMPTS: u32 = 12;

/// Something to be done after the answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// The same for every attempt, 22 characters of base64url.
    pub key: String,
    /// What is to be done.
    pub task: Task,
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
    /// Somebody asked to register an address that has an account.
    AlreadyRegistered {
        /// Where.
        to: String,
    },
}

impl Task {
    /// Where it goes.
    pub(crate) fn mailbox(&self) -> &str {
        match self {
            Self::RequestVerify { email } | Self::ForgotPassword { email } => email,
            Self::PasswordChanged { to } | Self::EmailChanged { to, .. } | Self::AlreadyRegistered { to } => to,
        }
    }

    /// Whether it tells somebody of a change of their own account.
    pub(crate) fn is_owed(&self) -> bool {
        match self {
            Self::PasswordChanged { .. } => true,
            Self::EmailChanged { to, old, .. } => to == old,
            Self::RequestVerify { .. } | Self::ForgotPassword { .. } | Self::AlreadyRegistered { .. } => false,
        }
    }
}

impl Message {
    /// A message with a key of its own.
    #[must_use]
    pub fn new(task: Task, request: Option<&RequestInfo>) -> Self {
        Self { key: random::short_token(), task, request: request.cloned().unwrap_or_default() }
    }

    /// As text for a store; [`from_text`](Self::from_text) reads it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let task = match &self.task {
            Task::RequestVerify { email } => json!({ "kind": "request_verify", "email": email }),
            Task::ForgotPassword { email } => json!({ "kind": "forgot_password", "email": email }),
            Task::PasswordChanged { to } => json!({ "kind": "password_changed", "to": to }),
            Task::EmailChanged { to, old, new } => {
                json!({ "kind": "email_changed", "to": to, "old": old, "new": new })
            }
            Task::AlreadyRegistered { to } => json!({ "kind": "already_registered", "to": to }),
        };
        let request = &self.request;
        json!({
            "task": task,
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
        let value: Value = serde_json::from_str(text).ok()?;
        let of = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
        let task = value.get("task")?;
        let part = |name: &str| of(task, name);
        let task = match task.get("kind")?.as_str()? {
            "request_verify" => Task::RequestVerify { email: part("email")? },
            "forgot_password" => Task::ForgotPassword { email: part("email")? },
            "password_changed" => Task::PasswordChanged { to: part("to")? },
            "email_changed" => Task::EmailChanged { to: part("to")?, old: part("old")?, new: part("new")? },
            "already_registered" => Task::AlreadyRegistered { to: part("to")? },
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
        Some(Self { key: key.to_owned(), task, request })
    }
}

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
pub(crate) struct Queue(Mutex<VecDeque<Queued>>);

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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, message: Message, now: i64) -> Result<(), DatabaseError> {
        let mut queue = self.lock();
        if queue.len() >= QUEUE {
            return Err(DatabaseError::Unavailable("too many messages wait to be sent".into()));
        }
        queue.push_back(Queued { message, attempt: 0, created_at: now, first_claimed_at: None, due_at: now });
        Ok(())
    }

    pub(crate) fn claim(&self, now: i64, limit: usize) -> Vec<Claimed> {
        let mut queue = self.lock();
        let due = queue.iter_mut().filter(|queued| queued.due_at <= now).take(limit);
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
        let Some(index) = queue.iter().position(|it| it.message.key == claimed.key && it.due_at == claimed.lease)
        else {
            return;
        };
        match (settled, queue.get_mut(index)) {
            (Settled::Later(due_at), Some(queued)) => queued.due_at = due_at,
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
            Task::AlreadyRegistered { to: "a@camelot.bt".into() },
        ] {
            let message = Message::new(task, Some(&request));
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
