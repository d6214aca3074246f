//! Access tokens: documents of FastAPI Users, with their session and when they expire.

use axum_users_core::{DatabaseError, KeptSession, NewToken, SessionId, StoredToken, UserProfile, random};
use mongodb::bson::{Bson, Document, doc};
use time::OffsetDateTime;

use crate::{
    change::revision_path,
    document::{OURS, SESSIONS, broken, instant, instant_of, text, time_of},
    error::{Failure, classify},
    store::{Store, all, id_bson},
};

impl<P: UserProfile> Store<P> {
    pub(crate) async fn token(
        &self,
        token: &str,
        session: &SessionId,
    ) -> Result<Option<StoredToken<P>>, DatabaseError> {
        let Some(row) = self.access_tokens.find_one(doc! { "token": token }).await.map_err(classify)? else {
            return Ok(None);
        };
        let named = text(&row, "session").and_then(SessionId::parse);
        let owner = row.get("user_id").cloned().ok_or_else(|| broken("a token without a user"))?;
        let Some((user, state)) = self.with_session(owner, named.as_ref().unwrap_or(session)).await? else {
            return Ok(None);
        };
        let created_at = row.get("created_at").and_then(Bson::as_datetime).and_then(|at| time_of(*at));
        let created_at = created_at.ok_or_else(|| broken("a token without its instant"))?;
        Ok(Some(StoredToken { user, created_at, session: named, state }))
    }

    /// The session stands in the user first: a token without it would be of a session that nobody can end.
    pub(crate) async fn create_token(&self, new: NewToken<P>) -> Result<bool, DatabaseError> {
        let NewToken { token, user_id, created_at, session, continues } = new;
        if !continues && !self.begin_session(&user_id, &session).await? {
            return Ok(false);
        }
        let user = id_bson(&user_id)?;
        let mut document = doc! {
            "token": &token,
            "user_id": user.clone(),
            "created_at": instant(created_at),
            "session": session.id.as_str(),
        };
        if session.valid_until != i64::MAX {
            document.insert("expires_at", instant_of(session.valid_until));
        }
        match self.access_tokens.insert_one(&document).await.map_err(Failure::from) {
            // A write that the driver sent twice meets itself.
            Ok(_) | Err(Failure::Duplicate(_)) => {}
            Err(Failure::Other(error)) => return Err(error),
        }
        // One that goes on must not outlive an end that came while it was written.
        if continues && !self.goes_on(&user, &session.id, created_at.unix_timestamp()).await? {
            self.delete_token(&token).await?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether a session is there and was not ended; what it issues at `issued_at` is noted, so that whoever ends the tokens of
    /// this user ends that too.
    async fn goes_on(&self, user: &Bson, session: &SessionId, issued_at: i64) -> Result<bool, DatabaseError> {
        let lives = doc! {
            "_id": user.clone(),
            SESSIONS: { "$elemMatch": { "id": session.as_str(), "ended": false } },
        };
        let note = noting(issued_at);
        Ok(self.users.update_one(lives, note).await.map_err(classify)?.matched_count == 1)
    }

    pub(crate) async fn delete_token(&self, token: &str) -> Result<(), DatabaseError> {
        self.access_tokens.delete_one(doc! { "token": token }).await.map(drop).map_err(classify)
    }

    pub(crate) async fn delete_expired_tokens(&self, before: OffsetDateTime, limit: u32) -> Result<u64, DatabaseError> {
        let expired = doc! { "created_at": { "$lt": instant(before) } };
        self.delete_some(&self.access_tokens, expired, limit).await
    }

    /// Removes access tokens and refresh tokens of a session that was ended.
    pub(crate) async fn delete_tokens_of_session(&self, user: &Bson, session: &SessionId) -> Result<(), DatabaseError> {
        let of_session = doc! { "user_id": user.clone(), "session": session.as_str() };
        self.access_tokens.delete_many(of_session.clone()).await.map_err(classify)?;
        self.refresh_tokens.delete_many(of_session).await.map_err(classify)?;
        // Documents of the other system name no session: the token itself tells it.
        let without = doc! { "user_id": user.clone(), "session": Bson::Null };
        let without = self.access_tokens.find(without).projection(doc! { "token": 1 }).limit(LISTED);
        let without = all(without.await.map_err(classify)?).await.map_err(Failure::into_error)?;
        for token in without.iter().filter_map(|document| text(document, "token")) {
            if session.is_of_stored(token) {
                self.delete_token(token).await?;
            }
        }
        Ok(())
    }

    /// Removes access tokens and refresh tokens of a user, but for those of the session that is kept. They count no more already.
    pub(crate) async fn delete_tokens(&self, user: &Bson, keep: Option<&KeptSession>) -> Result<(), DatabaseError> {
        let (mut access, mut refresh) = (doc! { "user_id": user.clone() }, doc! { "user_id": user.clone() });
        if let Some(keep) = keep {
            let kept: Document = doc! { "$ne": keep.session.id.as_str() };
            access.insert("session", kept.clone());
            refresh.insert("session", kept);
            if let Some(token) = &keep.stored_token {
                access.insert("token", doc! { "$ne": token.expose() });
            }
        }
        self.access_tokens.delete_many(access).await.map_err(classify)?;
        self.refresh_tokens.delete_many(refresh).await.map(drop).map_err(classify)
    }
}

/// Notes that something was issued, as a change: whoever ends the tokens of this user must have read it.
pub(crate) fn noting(issued_at: i64) -> Document {
    doc! {
        "$max": { format!("{OURS}.last_issued_at"): issued_at },
        "$set": { revision_path(): random::short_token() },
    }
}

/// So many tokens of one user that name no session are looked through.
const LISTED: i64 = 1000;
