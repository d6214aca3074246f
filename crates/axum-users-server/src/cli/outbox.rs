//! `axum-users outbox …`.

use axum_users::{
    UserId, UserManager,
    outbox::{NEVER, StoredMessage},
};
use clap::{Args, Subcommand};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{block_on, print, quiet_log};
use crate::{
    Config, Failure, app,
    logging::escape,
    profile::ServerProfile,
    storage::{Storage, for_store},
};

#[derive(Subcommand)]
pub(super) enum Outbox {
    /// List what waits to be sent, what waits for the answer to a mail (parked), and what was given up (failed)
    List {
        /// Print JSON, for scripts
        #[arg(long)]
        json: bool,
        /// Show to whom each goes
        #[arg(long)]
        show_addresses: bool,
    },
    /// Try again what was given up
    Retry(Which),
    /// Delete a message, and with it what it asks for
    Delete {
        /// Its key, as `list` shows it
        key: String,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// Its key, as `list` shows it
    key: Option<String>,
    /// All that were given up
    #[arg(long)]
    failed: bool,
}

/// Messages that one question brings.
const PAGE: u32 = 500;

impl Outbox {
    pub(super) fn run(&self, config: &Config) -> Result<(), Failure> {
        quiet_log(config);
        block_on(async {
            for_store!(config, Store => {
                let store = Store::open(config).await?;
                let done = self.run_on(config, store.clone()).await;
                store.close().await;
                done
            })
        })
    }

    async fn run_on<S: Storage>(&self, config: &Config, store: S) -> Result<(), Failure> {
        let users = app::manager(config, store)?;
        let there_is_none = || Failure::failed("there is no such message");
        match self {
            Self::List { json, show_addresses } => list(&users, *json, *show_addresses).await,
            Self::Retry(Which { key: Some(key), .. }) => {
                if !users.retry_message(key).await? {
                    return Err(Failure::failed("no message with this key was given up"));
                }
                print(format_args!("due now: {}", escape(key, false)))
            }
            Self::Retry(Which { key: None, .. }) => {
                let mut count = 0;
                for message in all(&users).await?.iter().filter(|message| state(message) == "failed") {
                    count += u64::from(users.retry_message(&message.key).await?);
                }
                print(format_args!("due now: {count}"))
            }
            Self::Delete { key } => {
                if !users.delete_message(key).await? {
                    return Err(there_is_none());
                }
                print(format_args!("deleted: {}", escape(key, false)))
            }
        }
    }
}

async fn all<Id: UserId>(users: &UserManager<ServerProfile<Id>>) -> Result<Vec<StoredMessage>, Failure> {
    let mut all: Vec<StoredMessage> = Vec::new();
    loop {
        let page = users.messages(all.last().map(|last| last.key.as_str()), PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

async fn list<Id: UserId>(
    users: &UserManager<ServerProfile<Id>>,
    as_json: bool,
    show_addresses: bool,
) -> Result<(), Failure> {
    let messages = all(users).await?;
    let to = |message: &StoredMessage| {
        let message = message.message.as_ref().filter(|_| show_addresses)?;
        Some(escape(message.task.mailbox(), false))
    };
    if as_json {
        let list: Vec<_> = messages
            .iter()
            .map(|message| {
                let mut line = json!({
                    "key": message.key,
                    "state": state(message),
                    "kind": kind(message),
                    "attempts": message.attempts,
                    "created_at": instant(message.created_at),
                    "due_at": instant(message.due_at),
                });
                if let (Some(line), Some(to)) = (line.as_object_mut(), to(message)) {
                    line.insert("to".into(), to.into());
                }
                line
            })
            .collect();
        return print(json!(list));
    }
    for message in &messages {
        let due = instant(message.due_at).unwrap_or_else(|| "never".into());
        let to = to(message).map(|to| format!("  {to}")).unwrap_or_default();
        let (state, kind) = (state(message), kind(message).unwrap_or("unknown"));
        print(format_args!(
            "{}  {state}  {kind}  attempts {}  due {due}{to}",
            escape(&message.key, false),
            message.attempts
        ))?;
    }
    Ok(())
}

fn state(message: &StoredMessage) -> &'static str {
    match &message.message {
        _ if message.due_at == NEVER => "failed",
        Some(known) if known.parked => "parked",
        _ => "waiting",
    }
}

/// `None`: another release stored it.
fn kind(message: &StoredMessage) -> Option<&'static str> {
    message.message.as_ref().map(|message| message.task.kind())
}

/// Unix seconds as people read them.
fn instant(seconds: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}
