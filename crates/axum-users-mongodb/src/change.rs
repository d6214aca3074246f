//! A change of one document, under the condition that it still is what was read.

use std::time::Duration;

use axum_users_core::{Condition, DatabaseError, User, UserProfile, random};
use mongodb::{
    bson::{Bson, Document, doc},
    options::ReturnDocument,
};

use crate::{
    accounts::has,
    document::{OURS, number, ours, text, user},
    error::{Failure, again, classify},
    sessions::session_in,
    store::{Store, id_bson},
};

/// A user as it was read to be changed.
pub(crate) struct Found<P: UserProfile> {
    pub(crate) document: Document,
    pub(crate) user: User<P>,
}

/// What a write does, operator by operator.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) set: Document,
    pub(crate) push: Document,
    pub(crate) pull: Document,
}

impl Change {
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.push.is_empty() && self.pull.is_empty()
    }

    fn into_update(self, revision: &str) -> Document {
        let Self { mut set, push, pull } = self;
        set.insert(revision_path(), revision);
        let mut update = doc! { "$set": set };
        for (operator, operands) in [("$push", push), ("$pull", pull)] {
            if !operands.is_empty() {
                update.insert(operator, operands);
            }
        }
        update
    }
}

/// What every write of ours changes.
pub(crate) fn revision_path() -> String {
    format!("{OURS}.revision")
}

/// So often a change begins again when the user was changed meanwhile.
pub(crate) const TURNS: u32 = 200;

/// Before the next turn: some milliseconds, so that those who met do not meet again.
pub(crate) async fn before_turn(turn: u32) {
    if turn > 0 {
        let mut byte = [0];
        random::fill(&mut byte);
        let most = 1_u64 << turn.min(6);
        tokio::time::sleep(Duration::from_micros(u64::from(byte[0]) * most * 4)).await;
    }
}

/// When all turns are over.
pub(crate) fn too_busy() -> DatabaseError {
    DatabaseError::Unavailable("a user is changed by too many at once".into())
}

impl<P: UserProfile> Found<P> {
    pub(crate) fn id(&self) -> Bson {
        self.document.get("_id").cloned().unwrap_or_default()
    }

    /// What must still be so: our revision, and what FastAPI Users writes.
    pub(crate) fn filter(&self) -> Document {
        let mut guard = doc! { "_id": self.id() };
        for field in ["email", "hashed_password", "is_active", "is_superuser", "is_verified"] {
            guard.insert(field, self.document.get(field).cloned().unwrap_or_default());
        }
        let revision = ours(&self.document).and_then(|ours| ours.get("revision")).cloned().unwrap_or_default();
        guard.insert(revision_path(), revision);
        guard
    }

    /// When the latest session or refresh token was issued.
    pub(crate) fn last_issued(&self) -> Option<i64> {
        ours(&self.document).and_then(|ours| number(ours, "last_issued_at"))
    }

    /// The next number of a change that has something for the outbox.
    pub(crate) fn next_change(&self) -> i64 {
        ours(&self.document).and_then(|ours| number(ours, "changes")).unwrap_or(0).saturating_add(1)
    }

    /// Whether it holds; what hangs on other documents does not.
    pub(crate) fn holds(&self, condition: &Condition) -> bool {
        let user = &self.user;
        match condition {
            Condition::HashIs(hash) => user.hashed_password.as_str() == hash.as_str(),
            Condition::EmailIs(email) => user.email == *email,
            Condition::TokensValidAfterIs(limit) => user.tokens_valid_after == *limit,
            Condition::SessionNotEnded(session) => {
                !session_in(&self.document, session).is_some_and(|session| session.state.ended)
            }
            Condition::ResetTokenHashIs(hash) => user.reset_token_hash == *hash,
            Condition::AnotherSuperuserRemains => !(user.is_superuser && user.is_active),
            // `put_oauth_account` asks that the accounts still are what was read.
            Condition::OAuthAccountLinked(identity) => has(&self.document, identity),
            Condition::OAuthAccountNotLinked(identity) => !has(&self.document, identity),
            _ => false,
        }
    }
}

impl<P: UserProfile> Store<P> {
    /// The user with everything that is stored of it.
    pub(crate) async fn found(&self, id: &P::Id) -> Result<Option<Found<P>>, DatabaseError> {
        let document = self.users.find_one(doc! { "_id": id_bson(id)? }).await.map_err(classify)?;
        document.map(|document| Ok(Found { user: user(&document)?, document })).transpose()
    }

    /// Writes if the user is still what was read, and `and` holds; answers the user after it, or nothing.
    pub(crate) async fn write(
        &self,
        found: &Found<P>,
        and: Document,
        change: Change,
    ) -> Result<Option<Document>, Failure> {
        let mut filter = found.filter();
        filter.extend(and);
        let revision = random::short_token();
        let update = change.into_update(&revision);
        let write = || {
            let written = self.users.find_one_and_update(filter.clone(), update.clone());
            written.return_document(ReturnDocument::After)
        };
        let written = again(write).await?;
        match written {
            Some(document) => Ok(Some(document)),
            // A write that the driver sent twice does not find what it has changed.
            None => Ok(self.users.find_one(doc! { "_id": found.id(), revision_path(): revision }).await?),
        }
    }

    /// Whether a document of this revision is there: an insert that the driver sent twice meets itself.
    pub(crate) async fn is_inserted(&self, id: &Bson, revision: &str) -> Result<bool, DatabaseError> {
        let found = self.users.find_one(doc! { "_id": id.clone() }).projection(doc! { OURS: 1 }).await;
        let found = found.map_err(classify)?;
        Ok(found.as_ref().and_then(ours).and_then(|ours| text(ours, "revision")) == Some(revision))
    }
}
