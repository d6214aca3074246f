//! What waits for the proof of a mailbox: a registration, a change of address, and the way back from it.
//!
//! Each is a message of the outbox; the token of its mail names it, and whoever comes with that token makes the change, in one
//! transaction that takes the message away.

use super::UserManager;
use crate::{
    audit::{Audit, AuditChanges},
    database::{Condition, Outcome, UserChange},
    email::Email,
    error::Error,
    hooks::RequestInfo,
    id::UserId,
    jwt::Claims,
    mail::MailKind,
    outbox::{About, Claimed, EmailChange, EmailUndo, Message, Registration, Settled, Task, UNDO, UNDOS, address},
    profile::UserProfile,
    random,
    secret::Secret,
    session::{EndTokens, TokenHash, next_valid_after},
    token::{Purpose, issued_after},
    user::{Fields, NewUser, User, UserCreate, UserUpdate},
    value::{Kind, Row, Value, ValueError},
};

/// What a token of [`UserManager::verify`] did.
pub(super) enum Proved<P: UserProfile> {
    /// The address of a user is proved, for the first time.
    Address { user: User<P>, changes: AuditChanges },
    /// A user was made.
    Registered(User<P>),
    /// A user has another address; or the old one again, which changes this.
    Moved { user: User<P>, undone: Option<AuditChanges> },
}

impl<P: UserProfile> UserManager<P> {
    /// Keeps a registration until its mailbox is proved: the same work and the same answer, whoever has the address.
    pub(super) async fn ask_to_register(
        &self,
        create: UserCreate<P>,
        request: Option<&RequestInfo>,
    ) -> Result<User<P>, Error> {
        let audit = Audit::of("register", request);
        match self.keep_registration(create, request).await {
            Ok(user) => {
                audit.succeeded_because("mailbox_to_be_proved");
                Ok(user)
            }
            Err(error) => {
                audit.ended_by(&error);
                Err(error)
            }
        }
    }

    async fn keep_registration(&self, create: UserCreate<P>, request: Option<&RequestInfo>) -> Result<User<P>, Error> {
        let new = self.new_user(create, Fields::Safe, request).await?;
        let names = P::columns().iter().map(|column| column.field.to_owned());
        let registration = Registration::new(
            new.id.as_ref().map(ToString::to_string),
            new.email.as_str().to_owned(),
            new.hashed_password.clone(),
            names.zip(new.profile.encode()).collect(),
        );
        self.post(Message::new(Task::Register(registration), request)).await?;
        let id = new.id.clone().or_else(not_stored_yet::<P>).ok_or(Error::NotConfigured("prove_mailbox_first"))?;
        Ok(User::from_new(id, new))
    }

    /// Takes an address out of an update that has to be proved first. Another spelling of one's own mailbox need not.
    pub(super) fn take_email_to_prove(
        &self,
        user: &User<P>,
        update: &mut UserUpdate<P>,
        fields: Fields,
    ) -> Option<Email> {
        let waits = self.0.prove_mailbox_first && fields == Fields::Safe;
        update.email.take_if(|email| waits && email.key() != user.email.key())
    }

    /// What asks for the proof of another address, and tells the old one of it. An earlier question counts for nothing any more.
    pub(super) fn ask_for_proof(
        &self,
        user: &User<P>,
        change: &mut UserChange<P>,
        email: &Email,
        request: Option<&RequestInfo>,
    ) -> impl Iterator<Item = Message> + use<P> {
        let key = About::EmailChange.key(&user.id);
        if !change.drops.contains(&key) {
            change.drops.push(key.clone());
        }
        let (old, new) = (user.email.as_str().to_owned(), email.as_str().to_owned());
        let ask = Task::ChangeEmail(EmailChange {
            user: user.id.to_string(),
            old: old.clone(),
            new: new.clone(),
            password: None,
            nonce: random::short_token(),
        });
        let told = self.notice(Task::EmailChangeRequested { to: old, new }, request);
        [Some(Message::about(key, ask, request)), told].into_iter().flatten()
    }

    /// The change of address that a user has asked for, to be dropped.
    pub(super) fn pending_change(&self, user: &User<P>) -> Vec<String> {
        if self.0.prove_mailbox_first { vec![About::EmailChange.key(&user.id)] } else { Vec::new() }
    }

    /// A user who is gone leaves no address behind. What stays after a failure counts for nothing, and goes when it expires.
    pub(super) async fn drop_messages_about(&self, user: &User<P>) {
        if !self.0.prove_mailbox_first {
            return;
        }
        let undos = (0..UNDOS).map(About::EmailUndo);
        for about in undos.chain([About::EmailChange]) {
            if let Err(error) = self.0.database.delete_message(&about.key(&user.id)).await {
                tracing::warn!(user = %user.id, %error, "a message about a deleted user stays until it expires");
            }
        }
    }

    /// The mail that a message of this file asks for, and what becomes of the message then; `None`: it counts for nothing.
    pub(super) async fn mail_of_proof(
        &self,
        message: &Message,
        claimed: &Claimed,
    ) -> Result<Option<(ProofMail, Settled)>, Error> {
        let settings = self.0.verification.as_ref().ok_or(Error::NotConfigured("verification"))?;
        let end = settings.end(self.instant(claimed));
        let with_token = |kind, to: &str, until| {
            let claims = Claims::new().with("pending", message.key.as_str());
            let claims = match message.task.nonce() {
                Some(nonce) => claims.with("nonce", nonce),
                None => claims,
            };
            let token = settings.encode_until(Purpose::Verify, self.0.strict, claims, until)?;
            Ok(Some(((kind, address(to), Some(token)), Settled::Parked(until))))
        };
        match &message.task {
            Task::Register(registration) => {
                let Some(user) = self.get_by_email(&registration.email).await? else {
                    return with_token(MailKind::VerifyAddress, &registration.email, end);
                };
                if claimed.attempt == 1 {
                    let audit = Audit::of("register", Some(&message.request)).user(&user.id);
                    audit.ended_by(&Error::UserAlreadyExists);
                }
                Ok(Some(((MailKind::AlreadyRegistered, user.email, None), Settled::Done)))
            }
            Task::ChangeEmail(change) => {
                if self.user_of_change(change).await?.is_none() {
                    return Ok(None);
                }
                match self.get_by_email(&change.new).await? {
                    None => with_token(MailKind::ConfirmEmailChange, &change.new, end),
                    Some(other) => Ok(Some(((MailKind::AddressInUse, other.email, None), Settled::Done))),
                }
            }
            Task::UndoEmailChange(undo) => {
                if undo.until <= self.0.clock.unix() || self.user_of_undo(undo).await?.is_none() {
                    return Ok(None);
                }
                let kind = MailKind::UndoEmailChange { old: address(&undo.old), new: address(&undo.new) };
                with_token(kind, &undo.old, undo.until)
            }
            _ => Ok(None),
        }
    }

    /// Makes the change that waited for this token, if it still counts.
    pub(super) async fn prove_mailbox(
        &self,
        key: &str,
        nonce: Option<&str>,
        request: Option<&RequestInfo>,
    ) -> Result<Proved<P>, Error> {
        let message = self.0.database.message(key).await?.filter(|message| message.task.nonce() == nonce);
        let message = message.ok_or(Error::InvalidVerifyToken)?;
        match message.task.clone() {
            Task::Register(registration) => self.register_proved(registration, message).await.map(Proved::Registered),
            Task::ChangeEmail(change) => {
                let user = self.move_proved(&change, message, request).await?;
                Ok(Proved::Moved { user, undone: None })
            }
            Task::UndoEmailChange(undo) => {
                let (user, changes) = self.move_back(&undo, message, request).await?;
                Ok(Proved::Moved { user, undone: Some(changes) })
            }
            _ => Err(Error::InvalidVerifyToken),
        }
    }

    async fn register_proved(&self, registration: Registration, message: Message) -> Result<User<P>, Error> {
        let Registration { id, email, hashed_password, profile } = registration;
        let id = match id {
            Some(id) => Some(P::Id::parse(&id).ok_or(Error::InvalidVerifyToken)?),
            None => None,
        };
        let (email, key) = (address(&email), message.key.clone());
        let mailbox = email.key();
        let new = NewUser {
            tokens_valid_after: id.is_none().then(|| next_valid_after(self.0.clock.unix(), None)),
            id,
            email,
            hashed_password,
            is_active: true,
            is_superuser: false,
            is_verified: true,
            // Columns that this release does not have as they were asked for.
            profile: decode::<P>(&profile).map_err(|_| Error::InvalidVerifyToken)?,
            consumes: Some(message),
        };
        let error = match self.0.database.create(new).await {
            Ok(user) => return Ok(user),
            Err(error) => self.first_conflict(error, Some((&mailbox, None))).await,
        };
        if !matches!(error, Error::UserAlreadyExists) {
            return Err(error);
        }
        // Another one was proved first: this one never counts again, whatever becomes of that user.
        self.0.database.delete_message(&key).await?;
        Err(Error::InvalidVerifyToken)
    }

    /// The user that a change is about, if it still counts.
    async fn user_of_change(&self, change: &EmailChange) -> Result<Option<User<P>>, Error> {
        let Some(id) = P::Id::parse(&change.user) else { return Ok(None) };
        let is_password = |user: &User<P>| {
            let hash = TokenHash::of(user.hashed_password.as_str());
            change.password.as_ref().is_none_or(|password| password == hash.as_str())
        };
        let counts = |user: &User<P>| user.is_active && is_mailbox(&user.email, &change.old) && is_password(user);
        Ok(self.get(&id).await?.filter(counts))
    }

    async fn user_of_undo(&self, undo: &EmailUndo) -> Result<Option<User<P>>, Error> {
        let Some(id) = P::Id::parse(&undo.user) else { return Ok(None) };
        Ok(self.get(&id).await?.filter(|user| user.is_active && is_mailbox(&user.email, &undo.new)))
    }

    async fn move_proved(
        &self,
        change: &EmailChange,
        message: Message,
        request: Option<&RequestInfo>,
    ) -> Result<User<P>, Error> {
        let user = self.user_of_change(change).await?.ok_or(Error::InvalidVerifyToken)?;
        let now = self.0.clock.unix();
        let mut earlier = self.undos(&user, now).await?;
        // Who is back where they were has undone what came since: a mailbox in between gets no way back to itself.
        let returned = earlier.iter().find(|way| is_mailbox(&address(&change.new), &way.undo.old));
        let returned = returned.map(|way| way.undo.until);
        earlier.retain(|way| returned.is_none_or(|until| way.undo.until < until));
        // Whoever had the account before keeps the way back, wherever it went since: else a thief would move it twice.
        let mut messages: Vec<_> = earlier.iter().map(|way| way.to(&change.new, now)).collect();
        let free = (0..UNDOS).find(|place| earlier.iter().all(|way| way.place != *place));
        if let Some(place) = free.filter(|_| returned.is_none()) {
            let last = earlier.iter().map(|way| way.undo.until).max();
            let undo = Task::UndoEmailChange(EmailUndo {
                user: change.user.clone(),
                old: change.old.clone(),
                new: change.new.clone(),
                // The later change counts longer: it tells which is which.
                until: now.saturating_add(UNDO).max(last.unwrap_or(0).saturating_add(1)),
                nonce: random::short_token(),
            });
            messages.push((Message::about(About::EmailUndo(place).key(&user.id), undo, request), now));
        } else {
            messages.extend(self.moved(&change.old, &change.old, &change.new, request).map(|notice| (notice, now)));
        }
        let only_if =
            vec![Condition::EmailIs(user.email.clone()), Condition::TokensValidAfterIs(user.tokens_valid_after)];
        let drops = (0..UNDOS).map(|place| About::EmailUndo(place).key(&user.id)).collect();
        let change = UserChange { only_if, drops, messages, ..self.new_address(&change.new, message) };
        self.write_proved(&user, change).await
    }

    /// The ways back that count.
    async fn undos(&self, user: &User<P>, now: i64) -> Result<Vec<WayBack>, Error> {
        let mut found = Vec::new();
        for place in 0..UNDOS {
            let message = self.0.database.message(&About::EmailUndo(place).key(&user.id)).await?;
            if let Some(Message { task: Task::UndoEmailChange(undo), parked, request, .. }) = message
                && undo.until > now
                && is_mailbox(&user.email, &undo.new)
            {
                found.push(WayBack { place, undo, parked, request });
            }
        }
        Ok(found)
    }

    /// Whoever changed the address may have linked an account before or since: none stays.
    async fn move_back(
        &self,
        undo: &EmailUndo,
        message: Message,
        request: Option<&RequestInfo>,
    ) -> Result<(User<P>, AuditChanges), Error> {
        let user = self.user_of_undo(undo).await?.ok_or(Error::InvalidVerifyToken)?;
        let now = self.0.clock.unix();
        let unlinked = self.linked(&user).await?.some;
        // What came later is undone with it, and an earlier change can still be.
        let others = self.undos(&user, now).await?.into_iter().filter(|way| way.undo.nonce != undo.nonce);
        let (later, earlier): (Vec<_>, Vec<_>) = others.partition(|way| way.undo.until > undo.until);
        let mut drops = self.pending_change(&user);
        drops.extend(later.iter().chain(&earlier).map(|way| About::EmailUndo(way.place).key(&user.id)));
        let notice = self.moved(&undo.new, &undo.new, &undo.old, request).map(|notice| (notice, now));
        let change = UserChange {
            only_if: vec![Condition::EmailIs(user.email.clone())],
            end_tokens: Some(EndTokens { now, keep: None }),
            unlinks_accounts: true,
            drops,
            messages: earlier.iter().map(|way| way.to(&undo.old, now)).chain(notice).collect(),
            ..self.new_address(&undo.old, message)
        };
        let user = self.write_proved(&user, change).await?;
        let changes = AuditChanges { tokens_ended: true, accounts_unlinked: unlinked, ..AuditChanges::default() };
        Ok((user, changes))
    }

    fn moved(&self, to: &str, old: &str, new: &str, request: Option<&RequestInfo>) -> Option<Message> {
        self.notice(Task::EmailChanged { to: to.to_owned(), old: old.to_owned(), new: new.to_owned() }, request)
    }

    /// The address is proved; what was mailed to the one before counts for nothing.
    fn new_address(&self, email: &str, message: Message) -> UserChange<P> {
        UserChange {
            email: Some(address(email)),
            is_verified: Some(true),
            reset_token_hash: Some(Some(issued_after(self.0.clock.unix()))),
            consumes: Some(message),
            ..UserChange::default()
        }
    }

    async fn write_proved(&self, user: &User<P>, change: UserChange<P>) -> Result<User<P>, Error> {
        let messages = change.messages.iter().map(|(message, _)| message.clone()).collect();
        match self.0.database.update(&user.id, change).await.map_err(Error::from) {
            Ok(Outcome::Done(user)) => {
                self.post_after(messages).await;
                Ok(user)
            }
            // Somebody else has it by now.
            Ok(Outcome::Refused(_) | Outcome::Missing) | Err(Error::UserAlreadyExists) => {
                Err(Error::InvalidVerifyToken)
            }
            Err(error) => Err(error),
        }
    }

    /// Records what was proved, and gives the application its turn.
    pub(super) async fn after_proof(&self, proved: Proved<P>, request: Option<&RequestInfo>) -> User<P> {
        let verified = |user: &User<P>| Audit::of("verify", request).user(&user.id).succeeded();
        let user = match proved {
            Proved::Address { user, changes } => {
                Audit::of("verify", request).user(&user.id).changes(changes).succeeded();
                user
            }
            Proved::Registered(user) => {
                Audit::of("register", request).user(&user.id).succeeded();
                verified(&user);
                self.0.hooks.on_after_register(&user, request).await;
                user
            }
            Proved::Moved { user, undone } => {
                let event = if undone.is_some() { "email_change_undone" } else { "update" };
                let changes = AuditChanges { email: true, is_verified: Some(true), ..undone.unwrap_or_default() };
                Audit::of(event, request).user(&user.id).changes(changes).succeeded();
                verified(&user);
                let update = UserUpdate { email: Some(user.email.clone()), ..UserUpdate::default() };
                self.0.hooks.on_after_update(&user, &update, request).await;
                user
            }
        };
        self.0.hooks.on_after_verify(&user, request).await;
        user
    }
}

/// A way back from a change of address, as it is kept.
struct WayBack {
    /// Which of the keys.
    place: u8,
    undo: EmailUndo,
    parked: bool,
    request: RequestInfo,
}

impl WayBack {
    /// The same after the account went to this address, with when it is due.
    fn to(&self, new: &str, now: i64) -> (Message, i64) {
        let undo = EmailUndo { new: new.to_owned(), ..self.undo.clone() };
        let due_at = if self.parked { undo.until } else { now };
        let key = About::EmailUndo(self.place).key(&undo.user);
        (
            Message { parked: self.parked, ..Message::about(key, Task::UndoEmailChange(undo), Some(&self.request)) },
            due_at,
        )
    }
}

/// Kind, receiver and token of a mail.
type ProofMail = (MailKind, Email, Option<Secret>);

/// Whether an address is another spelling of the same mailbox, or the same.
fn is_mailbox(email: &Email, other: &str) -> bool {
    email.key() == address(other).key()
}

/// The id of a user who is not stored, where the database counts.
pub(super) fn not_stored_yet<P: UserProfile>() -> Option<P::Id> {
    P::Id::generate().or_else(|| P::Id::parse("0"))
}

/// A profile of values by name; a column that was not there yet has its default.
fn decode<P: UserProfile>(values: &[(String, Value)]) -> Result<P, ValueError> {
    let value = |column: &crate::value::Column| {
        let given = values.iter().find(|(name, _)| name == column.field).map(|(_, value)| value.clone());
        given.or_else(|| column.default.map(|default| default())).unwrap_or(Value::Null)
    };
    P::decode(&Columns(P::columns().iter().map(value).collect()))
}

struct Columns(Vec<Value>);

impl Row for Columns {
    fn value(&self, index: usize, kind: Kind) -> Result<Value, ValueError> {
        self.0.get(index).cloned().ok_or(ValueError::Kind { expected: kind })
    }
}
