//! Users.

use axum_users_core::{
    Condition, Conflict, DatabaseError, EmailKey, NewOAuthAccount, NewUser, Outcome, SessionId, User, UserChange,
    UserId as _, UserProfile, WithSession, random,
};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    accounts,
    change::{Change, Found, TURNS, before_turn, too_busy},
    document::{ACCOUNTS, OURS, SESSIONS, broken, email_key, is_mailbox, new_user, ours, text, to_bson, user},
    error::{Failure, again, classify, conflict},
    indexes::their_collation,
    pending,
    sessions::{end_tokens, only, session_in},
    store::{Store, all, id_bson},
};

/// How a conditional change stands before it is written.
enum Checked {
    Holds(Option<crate::superusers::Leaving>),
    Broken(Condition),
}

impl<P: UserProfile> Store<P> {
    pub(crate) async fn get(&self, id: &P::Id) -> Result<Option<User<P>>, DatabaseError> {
        let found = self.users.find_one(doc! { "_id": id_bson(id)? }).projection(self.fields.clone()).await;
        found.map_err(classify)?.map(|document| user(&document)).transpose()
    }

    pub(crate) async fn get_for_token(
        &self,
        id: &P::Id,
        session: &SessionId,
    ) -> Result<Option<WithSession<P>>, DatabaseError> {
        self.with_session(id_bson(id)?, session).await
    }

    pub(crate) async fn with_session(
        &self,
        id: Bson,
        session: &SessionId,
    ) -> Result<Option<WithSession<P>>, DatabaseError> {
        let mut fields = self.fields.clone();
        fields.insert(SESSIONS, only(session));
        let found = self.users.find_one(doc! { "_id": id }).projection(fields).await.map_err(classify)?;
        let with_state =
            |document: Document| Ok((user(&document)?, session_in(&document, session).map(|session| session.state)));
        found.map(with_state).transpose()
    }

    /// By our key, and by the address as FastAPI Users looks for it: always both, so that it takes the same for everybody.
    pub(crate) async fn get_by_email(&self, email: &EmailKey) -> Result<Option<User<P>>, DatabaseError> {
        let by_key = self.users.find_one(doc! { email_key_path(): email.as_str() }).projection(self.fields.clone());
        let candidates = email.candidates();
        let by_address = self.users.find(doc! { "email": { "$in": candidates.as_slice() } });
        let by_address = by_address.projection(self.fields.clone()).limit(FEW);
        let by_address = match self.finds_by_collation {
            true => by_address.collation(their_collation()),
            false => by_address,
        };
        let by_address = async { all(by_address.await?).await };
        let by_key = async { Ok::<_, Failure>(by_key.await?) };
        let (by_key, by_address) = tokio::try_join!(by_key, by_address).map_err(Failure::into_error)?;
        // The server may find more than our rule does. Of two that another system let in, ours is the normal one.
        let mut found: Vec<_> = by_key.into_iter().chain(by_address).filter(|it| is_mailbox(it, email)).collect();
        let is_normal =
            |document: &Document| text(document, "email").is_some_and(|it| it.to_ascii_lowercase() == email.as_str());
        let normal = found.iter().position(is_normal).unwrap_or(0);
        if found.is_empty() { Ok(None) } else { user(&found.swap_remove(normal)).map(Some) }
    }

    pub(crate) async fn list(&self, after: Option<&P::Id>, limit: u32) -> Result<Vec<User<P>>, DatabaseError> {
        let filter = match after {
            None => Document::new(),
            Some(after) => doc! { "_id": { "$gt": id_bson(after)? } },
        };
        let users = self.users.find(filter).sort(doc! { "_id": 1 }).limit(i64::from(limit));
        let users = users.projection(self.fields.clone()).await.map_err(classify)?;
        all(users).await.map_err(Failure::into_error)?.iter().map(user).collect()
    }

    pub(crate) async fn create(
        &self,
        new: NewUser<P>,
        account: Option<NewOAuthAccount>,
    ) -> Result<User<P>, DatabaseError> {
        let id = new.id.clone().or_else(P::Id::generate).ok_or_else(|| broken("MongoDB counts no ids"))?;
        let (id, revision) = (id_bson(&id)?, random::short_token());
        let mut document = new_user::<P>(&id, &new, &revision)?;
        if let Some(account) = &account {
            self.check_is_free(account, None).await?;
            accounts::add_to(&mut document, account);
        }
        if let Some(message) = &new.consumes {
            self.check_is_there(message, None).await?;
            pending::add_to(&mut document, self.clock.unix(), message);
        }
        let mut is_healed = false;
        loop {
            let inserted = again(|| self.users.insert_one(&document)).await;
            let Err(error) = inserted else { break };
            match Failure::from(error) {
                Failure::Other(error) => return Err(error),
                Failure::Duplicate(_) if self.is_inserted(&id, &revision).await? => break,
                Failure::Duplicate(index) => {
                    let conflict = self.conflict(index, &document).await?;
                    if !is_healed && self.heal(&conflict, &document).await? {
                        is_healed = true;
                        continue;
                    }
                    return Err(DatabaseError::Conflict(conflict));
                }
            }
        }
        self.move_pending(&document).await?;
        user(&document)
    }

    pub(crate) async fn update(&self, id: &P::Id, change: UserChange<P>) -> Result<Outcome<User<P>>, DatabaseError> {
        let mut is_healed = false;
        for turn in 0..TURNS {
            before_turn(turn).await;
            let Some(found) = self.found(id).await? else { return Ok(Outcome::Missing) };
            let leaving = match self.check(&found, &change.only_if).await? {
                Checked::Holds(leaving) => leaving,
                Checked::Broken(condition) => return Ok(Outcome::Refused(condition)),
            };
            let written = self.try_update(&found, &change).await;
            self.left(leaving).await?;
            match written {
                Ok(Some(document)) => {
                    self.move_pending(&document).await?;
                    if let Some(end) = &change.end_tokens {
                        self.delete_tokens(&found.id(), end.keep.as_ref()).await?;
                    }
                    return user(&document).map(Outcome::Done);
                }
                Ok(None) => {}
                Err(Failure::Other(error)) => return Err(error),
                Err(Failure::Duplicate(index)) => {
                    let wanted = wanted(&found, &change)?;
                    let conflict = self.conflict(index, &wanted).await?;
                    if is_healed || !self.heal(&conflict, &wanted).await? {
                        return Err(DatabaseError::Conflict(conflict));
                    }
                    is_healed = true;
                }
            }
        }
        Err(too_busy())
    }

    async fn try_update(&self, found: &Found<P>, change: &UserChange<P>) -> Result<Option<Document>, Failure> {
        if let Some(message) = &change.consumes {
            self.check_is_there(message, Some(&found.document)).await?;
        }
        let mut write = Change { set: sets(change)?, ..Change::default() };
        if let Some(end) = &change.end_tokens {
            end_tokens(found, end, &mut write);
        }
        if change.unlinks_accounts {
            write.set.insert(ACCOUNTS, Bson::Array(Vec::new()));
            write.set.insert(format!("{OURS}.accounts"), Bson::Array(Vec::new()));
        }
        let entry = pending::Entry::of(found.next_change(), self.clock.unix(), change);
        entry.add_to_change(&mut write);
        if write.is_empty() {
            return Ok(Some(found.document.clone()));
        }
        self.write(found, Document::new(), write).await
    }

    pub(crate) async fn delete(&self, id: &P::Id, only_if: &[Condition]) -> Result<Outcome<()>, DatabaseError> {
        for turn in 0..TURNS {
            before_turn(turn).await;
            let Some(found) = self.found(id).await? else { return Ok(Outcome::Missing) };
            let leaving = match self.check(&found, only_if).await? {
                Checked::Holds(leaving) => leaving,
                Checked::Broken(condition) => return Ok(Outcome::Refused(condition)),
            };
            // What was told before is still to be told.
            let deleted = match self.move_pending(&found.document).await {
                Ok(()) => self.delete_found(&found).await,
                Err(error) => Err(error),
            };
            self.left(leaving).await?;
            if deleted? {
                self.delete_tokens(&found.id(), None).await?;
                return Ok(Outcome::Done(()));
            }
        }
        Err(too_busy())
    }

    /// Whether the conditions hold: with the note that was written, if one needs it.
    async fn check(&self, found: &Found<P>, only_if: &[Condition]) -> Result<Checked, DatabaseError> {
        let by_others = |condition: &&Condition| matches!(condition, Condition::AnotherSuperuserRemains);
        if let Some(broken) = only_if.iter().find(|it| !by_others(it) && !found.holds(it)) {
            return Ok(Checked::Broken(broken.clone()));
        }
        match only_if.iter().find(|it| by_others(it) && !found.holds(it)) {
            None => Ok(Checked::Holds(None)),
            Some(condition) => Ok(match self.leave(found).await? {
                Some(leaving) => Checked::Holds(Some(leaving)),
                None => Checked::Broken(condition.clone()),
            }),
        }
    }

    /// What the violated index stands for. Where the server does not name it, it is found out.
    pub(crate) async fn conflict(&self, index: Option<String>, wanted: &Document) -> Result<Conflict, DatabaseError> {
        let by_name = index.as_deref().and_then(conflict::<P>);
        if let Some(conflict) = by_name.filter(|it| *it == Conflict::Message || !is_made_by_a_message(wanted)) {
            return Ok(conflict);
        }
        // One message makes one user, whatever else clashes.
        let me = wanted.get("_id").cloned().unwrap_or_default();
        let has = async |path: &str, value: Bson| {
            let other = doc! { path: value, "_id": { "$ne": me.clone() } };
            Ok::<_, DatabaseError>(
                self.users.find_one(other).projection(doc! { "_id": 1 }).await.map_err(classify)?.is_some(),
            )
        };
        if let Some(key) = ours(wanted).and_then(|ours| ours.get("made_by"))
            && has(&format!("{OURS}.made_by"), key.clone()).await?
        {
            return Ok(Conflict::Message);
        }
        for column in P::columns().iter().filter(|column| column.unique) {
            match wanted.get(column.name) {
                None | Some(Bson::Null) => {}
                Some(value) if has(column.name, value.clone()).await? => return Ok(Conflict::Column(column.field)),
                Some(_) => {}
            }
        }
        for key in accounts::keys(wanted) {
            if has(&format!("{OURS}.accounts.key"), Bson::String(key)).await? {
                return Ok(Conflict::OAuthAccount);
            }
        }
        Ok(by_name.unwrap_or(Conflict::Email))
    }

    /// FastAPI Users changes an address, or takes an account away, without our key. Who has the key of what is theirs no more
    /// loses it; answers whether anybody had.
    async fn heal(&self, conflict: &Conflict, wanted: &Document) -> Result<bool, DatabaseError> {
        match conflict {
            Conflict::Email => {
                let Some(key) = ours(wanted).and_then(|ours| text(ours, "email_key")) else { return Ok(false) };
                let Some(other) = self.users.find_one(doc! { email_key_path(): key }).await.map_err(classify)? else {
                    return Ok(false);
                };
                let Some(address) = text(&other, "email") else { return Ok(false) };
                if is_mailbox(&other, &EmailKey::of_typed(key)) {
                    return Ok(false);
                }
                let id = other.get("_id").cloned().unwrap_or_default();
                let stale = doc! { "_id": id, "email": address, email_key_path(): key };
                let right = EmailKey::of_typed(address).as_str().to_owned();
                let set = doc! { "$set": { email_key_path(): right } };
                match self.users.update_one(stale.clone(), set).await.map_err(Failure::from) {
                    Ok(_) => {}
                    Err(Failure::Duplicate(_)) => {
                        let unset = doc! { "$unset": { email_key_path(): "" } };
                        self.users.update_one(stale, unset).await.map_err(classify)?;
                    }
                    Err(Failure::Other(error)) => return Err(error),
                }
                Ok(true)
            }
            Conflict::OAuthAccount => self.heal_accounts(wanted).await,
            _ => Ok(false),
        }
    }

    /// Whether it was still what was read, and is gone.
    async fn delete_found(&self, found: &Found<P>) -> Result<bool, DatabaseError> {
        let gone = self.users.find_one_and_delete(found.filter()).projection(doc! { "_id": 1 }).await;
        Ok(gone.map_err(classify)?.is_some())
    }
}

fn is_made_by_a_message(user: &Document) -> bool {
    ours(user).is_some_and(|ours| ours.contains_key("made_by"))
}

/// So many documents may be found by one address.
const FEW: i64 = 8;

pub(crate) fn email_key_path() -> String {
    format!("{OURS}.email_key")
}

/// The fields that a change sets.
fn sets<P: UserProfile>(change: &UserChange<P>) -> Result<Document, DatabaseError> {
    let mut set = Document::new();
    if let Some(email) = &change.email {
        set.insert("email", email.as_str());
        set.insert(email_key_path(), email_key(email));
    }
    if let Some(hash) = &change.hashed_password {
        set.insert("hashed_password", hash.as_str());
    }
    for (field, value) in
        [("is_active", change.is_active), ("is_superuser", change.is_superuser), ("is_verified", change.is_verified)]
    {
        if let Some(value) = value {
            set.insert(field, value);
        }
    }
    if let Some(hash) = &change.reset_token_hash {
        set.insert(format!("{OURS}.reset_token_hash"), crate::document::optional(hash.as_deref()));
    }
    for (index, value) in P::changes(&change.profile).iter() {
        if let Some(column) = P::columns().get(*index) {
            set.insert(column.name, to_bson(value)?);
        }
    }
    Ok(set)
}

/// What of a change may clash, in the shape of a user.
fn wanted<P: UserProfile>(found: &Found<P>, change: &UserChange<P>) -> Result<Document, DatabaseError> {
    let mut wanted = doc! { "_id": found.id() };
    for (index, value) in P::changes(&change.profile).iter() {
        if let Some(column) = P::columns().get(*index) {
            wanted.insert(column.name, to_bson(value)?);
        }
    }
    if let Some(email) = &change.email {
        wanted.insert(OURS, doc! { "email_key": email_key(email) });
    }
    Ok(wanted)
}
