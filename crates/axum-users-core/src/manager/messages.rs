//! Messages: asked for, worked off.

use std::{
    future::Future,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, task::JoinSet, time::timeout};

use super::{Inner, UserManager, throttle::Leave};
use crate::{
    database::Outcome,
    error::{Error, error_chain},
    hooks::{Delivery, RequestInfo},
    mail::{MailKind, Undelivered},
    outbox::{Claimed, Message, Queue, Settled, StoredMessage, Task, address, pause_after},
    profile::UserProfile,
    secret::Secret,
    user::User,
};

/// How often due messages are looked for, when nobody says that there is one.
const LOOK: Duration = Duration::from_secs(1);
/// How long one attempt may take; well within the lease.
const ATTEMPT: Duration = Duration::from_secs(60);
/// How many messages are worked off at a time.
const AT_ONCE: u32 = 8;
/// For how many seconds a mail waits at least, when too many leave.
const CROWDED: i64 = 60;
/// For how long the tokens of repeated attempts are the same, in seconds.
const SAME_TOKEN: i64 = 600;

/// The worker of one manager.
#[derive(Default)]
pub(super) struct Worker {
    started: AtomicBool,
    wake: Arc<Notify>,
    queue: Queue,
}

impl<P: UserProfile> UserManager<P> {
    /// Asks for a mail that verifies this address. The same work and the same answer, whoever has the address and whether
    /// anybody has it: a worker looks it up, later.
    ///
    /// # Errors
    /// [`Error::Throttled`] (by the address that asks only), [`Error::Database`].
    pub async fn request_verify(&self, email: &str, request: Option<&RequestInfo>) -> Result<(), Error> {
        self.may_ask_for_mail(request).await?;
        self.post(Message::new(Task::RequestVerify { email: email.to_owned() }, request)).await
    }

    /// Asks for a mail that sets another password. As [`request_verify`](Self::request_verify).
    ///
    /// # Errors
    /// [`Error::Throttled`] (by the address that asks only), [`Error::Database`].
    pub async fn forgot_password(&self, email: &str, request: Option<&RequestInfo>) -> Result<(), Error> {
        self.may_ask_for_mail(request).await?;
        self.post(Message::new(Task::ForgotPassword { email: email.to_owned() }, request)).await
    }

    /// Begins to work off messages, also those of an earlier run; called once at the start. It happens by itself when a message
    /// is asked for. It ends with the last handle of this manager.
    pub fn start_worker(&self) {
        if !self.0.worker.started.swap(true, Ordering::Relaxed) {
            let wake = Arc::clone(&self.0.worker.wake);
            tokio::spawn(work(Arc::downgrade(&self.0), wake));
        }
    }

    /// Works off what is due now; answers how many messages that were. For tests and for programs without a worker.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn work_off(&self) -> Result<usize, Error> {
        let claimed = self.claim().await?;
        let count = claimed.len();
        let mut running = JoinSet::new();
        for claimed in claimed {
            let manager = self.clone();
            running.spawn(async move { manager.one(claimed).await });
        }
        while running.join_next().await.is_some() {}
        Ok(count)
    }

    /// Messages of the store in the order of their keys, those after `after`, at most `limit`: those that wait, are parked or were
    /// given up.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn messages(&self, after: Option<&str>, limit: u32) -> Result<Vec<StoredMessage>, Error> {
        Ok(self.0.database.list_messages(after, limit).await?)
    }

    /// Tries a message again that was given up; answers whether there was one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn retry_message(&self, key: &str) -> Result<bool, Error> {
        let found = self.0.database.retry_message(key, self.0.clock.unix()).await?;
        self.0.worker.wake.notify_one();
        Ok(found)
    }

    /// Removes a message, and with it what it asks for; answers whether there was one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn delete_message(&self, key: &str) -> Result<bool, Error> {
        Ok(self.0.database.delete_message(key).await?)
    }

    pub(super) async fn post(&self, message: Message) -> Result<(), Error> {
        let now = self.0.clock.unix();
        if self.0.keeps_messages {
            self.0.database.enqueue(message, now).await?;
        } else {
            self.0.worker.queue.put(message, now)?;
        }
        self.wake_worker();
        Ok(())
    }

    /// There is something to do.
    fn wake_worker(&self) {
        if self.0.works_off_messages {
            self.start_worker();
            self.0.worker.wake.notify_one();
        }
    }

    /// What a store keeps in the transaction of a change; another one is helped out afterwards, by
    /// [`post_after`](Self::post_after).
    pub(super) fn with_change(&self, messages: &[Message]) -> Vec<(Message, i64)> {
        let now = self.0.clock.unix();
        if self.0.keeps_messages { messages.iter().map(|it| (it.clone(), now)).collect() } else { Vec::new() }
    }

    /// The change is there: what it tells is on its way.
    pub(super) async fn post_after(&self, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        if self.0.keeps_messages {
            self.wake_worker();
            return;
        }
        for message in messages {
            if let Err(error) = self.post(message).await {
                tracing::warn!(%error, "a user is not told of a change");
            }
        }
    }

    /// A message to tell a user something, unless nothing is told.
    pub(super) fn notice(&self, task: Task, request: Option<&RequestInfo>) -> Option<Message> {
        let is_sent = self.0.mailer.is_some() || !self.0.works_off_messages;
        (self.0.notices && is_sent).then(|| Message::new(task, request))
    }

    async fn claim(&self) -> Result<Vec<Claimed>, Error> {
        let now = self.0.clock.unix();
        if self.0.keeps_messages {
            Ok(self.0.database.claim(now, AT_ONCE).await?)
        } else {
            Ok(self.0.worker.queue.claim(now, AT_ONCE as usize))
        }
    }

    async fn one(&self, claimed: Claimed) {
        let done = match &claimed.message {
            None => Err(Undelivered::for_now("another release stored this message")),
            Some(message) => match timeout(ATTEMPT, self.deliver(message, &claimed)).await {
                Ok(Ok(done)) => done,
                Ok(Err(error)) => Err(Undelivered::for_now(error)),
                Err(_) => Err(Undelivered::for_now("it took too long")),
            },
        };
        let settled = match done {
            Ok(settled) => settled,
            Err(error) => match pause_after(claimed.attempt).filter(|_| !error.is_permanent()) {
                Some(pause) => {
                    let (key, attempt) = (&claimed.key, claimed.attempt);
                    tracing::warn!(%key, attempt, error = error_chain(&error), "a message is tried again later");
                    Settled::Later(self.0.clock.unix().saturating_add(pause))
                }
                None => {
                    tracing::error!(key = %claimed.key, error = error_chain(&error), "a message was given up");
                    let is_request = claimed.message.as_ref().is_some_and(|message| message.task.is_request());
                    if is_request { Settled::Done } else { Settled::Failed }
                }
            },
        };
        let outcome = if self.0.keeps_messages {
            self.0.database.settle(&claimed, settled).await
        } else {
            self.0.worker.queue.settle(&claimed, settled);
            Ok(())
        };
        if let Err(error) = outcome {
            tracing::warn!(key = %claimed.key, %error, "a message will be tried again, though it was handed over");
        }
    }

    /// Does what a message asks for, or says how long it has to wait; the outer error is that of the store.
    async fn deliver(&self, message: &Message, claimed: &Claimed) -> Result<Result<Settled, Undelivered>, Error> {
        let task = &message.task;
        let key = task.nonce().unwrap_or(&message.key);
        let delivery = Delivery { key, request: &message.request, mailer: self.0.mailer.as_deref() };
        if message.parked {
            return Ok(Ok(Settled::Done));
        }
        match task {
            Task::RequestVerify { email } => {
                let user = self.get_by_email(email).await?.filter(|user| user.is_active && !user.is_verified);
                let Some((user, settings)) = user.zip(self.0.verification.as_ref()) else {
                    return Ok(Ok(Settled::Done));
                };
                let token = self.verify_token_at(&user, settings, self.instant(claimed))?;
                self.leave(task, async { Ok(self.0.hooks.on_after_request_verify(&user, &token, delivery).await) })
                    .await
            }
            Task::ForgotPassword { email } => {
                let Some(user) = self.get_by_email(email).await?.filter(|user| user.is_active) else {
                    return Ok(Ok(Settled::Done));
                };
                let send = async {
                    // Only now: it ends the token of the mail before.
                    match self.new_reset_token(&user, &message.key, self.instant(claimed)).await? {
                        Some((user, token)) => Ok(self.0.hooks.on_after_forgot_password(&user, &token, delivery).await),
                        None => Ok(Ok(())),
                    }
                };
                self.leave(task, send).await
            }
            Task::PasswordChanged { to } => {
                let kind = MailKind::PasswordChanged;
                self.leave(task, async { Ok(delivery.send(kind, &address(to), None).await) }).await
            }
            Task::EmailChanged { to, old, new } => {
                let kind = MailKind::EmailChanged { old: address(old), new: address(new) };
                self.leave(task, async { Ok(delivery.send(kind, &address(to), None).await) }).await
            }
            Task::AccountLinked { to, provider } => {
                let kind = MailKind::AccountLinked { provider: provider.clone() };
                self.leave(task, async { Ok(delivery.send(kind, &address(to), None).await) }).await
            }
            Task::AccountUnlinked { to, provider } => {
                let kind = MailKind::AccountUnlinked { provider: provider.clone() };
                self.leave(task, async { Ok(delivery.send(kind, &address(to), None).await) }).await
            }
            Task::AlreadyRegistered { to } => {
                let kind = MailKind::AlreadyRegistered;
                self.leave(task, async { Ok(delivery.send(kind, &address(to), None).await) }).await
            }
            Task::EmailChangeRequested { to, new } => {
                let kind = MailKind::EmailChangeRequested { new: address(new) };
                self.leave(task, async { Ok(delivery.send(kind, &address(to), None).await) }).await
            }
            Task::Register(_) | Task::ChangeEmail(_) | Task::UndoEmailChange(_) => {
                let Some((mail, settled)) = self.mail_of_proof(message, claimed).await? else {
                    return Ok(Ok(Settled::Done));
                };
                let (kind, to, token) = mail;
                self.leave_and(task, settled, async { Ok(delivery.send(kind, &to, token.as_ref()).await) }).await
            }
        }
    }

    /// Sends a mail, unless its mailbox has had enough of them.
    async fn leave(
        &self,
        task: &Task,
        send: impl Future<Output = Result<Result<(), Undelivered>, Error>>,
    ) -> Result<Result<Settled, Undelivered>, Error> {
        self.leave_and(task, Settled::Done, send).await
    }

    /// As [`leave`](Self::leave); and what becomes of the message when the mail has left.
    async fn leave_and(
        &self,
        task: &Task,
        settled: Settled,
        send: impl Future<Output = Result<Result<(), Undelivered>, Error>>,
    ) -> Result<Result<Settled, Undelivered>, Error> {
        let taken = match self.may_leave(task).await? {
            Leave::Now(taken) => taken,
            Leave::Later(wait) => {
                let wait = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX).max(CROWDED);
                return Ok(Ok(Settled::Later(self.0.clock.unix().saturating_add(wait))));
            }
            Leave::Never => {
                tracing::warn!("a mail was dropped: its mailbox has got as many as it may");
                return Ok(Ok(Settled::Done));
            }
        };
        let sent = send.await;
        if !matches!(sent, Ok(Ok(()))) {
            self.did_not_leave(taken).await;
        }
        Ok(sent?.map(|()| settled))
    }

    /// When the token of a message is issued: with the first attempt, so that a repeated mail holds the same token; but its
    /// lifetime begins with the sending.
    pub(super) fn instant(&self, claimed: &Claimed) -> i64 {
        let now = self.0.clock.unix();
        if now.saturating_sub(claimed.first_claimed_at) < SAME_TOKEN { claimed.first_claimed_at } else { now }
    }

    async fn new_reset_token(
        &self,
        user: &User<P>,
        key: &str,
        instant: i64,
    ) -> Result<Option<(User<P>, Secret)>, Error> {
        let Some(settings) = self.0.reset_password.as_ref() else { return Ok(None) };
        let (token, change) = self.reset_token_at(user, settings, key, instant)?;
        match self.0.database.update(&user.id, change).await? {
            Outcome::Done(user) => Ok(Some((user, token))),
            // The password, the address or the state of the user changed just now: nobody asked that user.
            Outcome::Refused(_) | Outcome::Missing => Ok(None),
        }
    }
}

/// Until the last handle is dropped.
async fn work<P: UserProfile>(manager: Weak<Inner<P>>, wake: Arc<Notify>) {
    loop {
        let Some(inner) = manager.upgrade() else { return };
        let worked = UserManager(inner).work_off().await;
        match worked {
            Ok(count) if count == AT_ONCE as usize => continue,
            Ok(_) => {}
            Err(error) => tracing::debug!(error = error_chain(&error), "messages could not be looked for"),
        }
        let _ = timeout(LOOK, wake.notified()).await;
    }
}
