//! Refresh tokens.

use axum_users_core::{
    DatabaseError, NewRefreshToken, NewSession, Rotation, SessionId, Successor, TokenHash, UserProfile,
    refresh::{StoredRefreshToken, Verdict, successor_row},
};
use mongodb::bson::{Bson, Document, doc};
use time::OffsetDateTime;

use crate::{
    access_tokens::noting,
    change::TURNS,
    document::{OURS, SESSIONS, broken, id_of, instant_of, number, text},
    error::{Failure, classify},
    store::{Store, id_bson},
};

fn stored(document: &Document) -> Result<StoredRefreshToken, DatabaseError> {
    let required = |name: &str| number(document, name).ok_or_else(|| broken(format!("a refresh token without {name}")));
    let used_at = number(document, "used_at");
    Ok(StoredRefreshToken {
        session: text(document, "session")
            .and_then(SessionId::parse)
            .ok_or_else(|| broken("the session of a refresh token cannot be read"))?,
        issued_at: required("issued_at")?,
        valid_until: required("valid_until")?,
        used: used_at.zip(text(document, "nonce").map(str::to_owned)),
    })
}

impl<P: UserProfile> Store<P> {
    pub(crate) async fn create_refresh_token(&self, new: &NewRefreshToken<P>) -> Result<bool, DatabaseError> {
        // Noted in the user first, so that whoever ends the tokens of this user ends this one.
        let note = noting(new.issued_at);
        let user = doc! { "_id": id_bson(&new.user_id)? };
        if self.users.update_one(user, note).await.map_err(classify)?.matched_count == 0 {
            return Ok(false);
        }
        self.insert_refresh_token(new).await?;
        Ok(true)
    }

    async fn insert_refresh_token(&self, new: &NewRefreshToken<P>) -> Result<(), DatabaseError> {
        let mut document = doc! {
            "_id": new.token.as_str(),
            "user_id": id_bson(&new.user_id)?,
            "session": new.session.as_str(),
            "issued_at": new.issued_at,
            "valid_until": new.valid_until,
            "used_at": Bson::Null,
            "nonce": Bson::Null,
        };
        if new.valid_until != i64::MAX {
            document.insert("expires_at", instant_of(new.valid_until));
        }
        match self.refresh_tokens.insert_one(&document).await.map_err(Failure::from) {
            Ok(_) | Err(Failure::Duplicate(_)) => Ok(()),
            Err(Failure::Other(error)) => Err(error),
        }
    }

    /// The successor is written before the token is used up, and counts once that is done: what stops in between leaves one
    /// behind that nobody knows.
    pub(crate) async fn rotate(
        &self,
        token: &TokenHash,
        successor: &Successor,
        now: OffsetDateTime,
    ) -> Result<Rotation<P>, DatabaseError> {
        let unix = now.unix_timestamp();
        for _ in 0..TURNS {
            let found = self.refresh_tokens.find_one(doc! { "_id": token.as_str() }).await.map_err(classify)?;
            let Some(row) = found else { return Ok(Rotation::Unknown) };
            let row_of = id_of::<P>(&row, "user_id")?;
            let stored = stored(&row)?;
            let user = self.with_session(id_bson(&row_of)?, &stored.session).await?;
            let Some((user, state)) = user else { return Ok(Rotation::Unknown) };
            let (nonce, rotated_at) = match stored.judge(&user, state.as_ref(), successor, unix) {
                Verdict::Refuse => return Ok(Rotation::Unknown),
                Verdict::NotVerified => return Ok(Rotation::NotVerified { user_id: row_of }),
                Verdict::Repeat(nonce, used_at) => (nonce, OffsetDateTime::from_unix_timestamp(used_at).unwrap_or(now)),
                Verdict::EndSession => {
                    let ended = NewSession::of(stored.session.clone(), "", unix, stored.valid_until, None);
                    self.end_session(&row_of, &ended).await?;
                    return Ok(Rotation::Reused { user_id: row_of, session: stored.session });
                }
                Verdict::Rotate => {
                    let next = successor_row(&user, &stored, successor.hash.clone(), now);
                    self.insert_refresh_token(&next).await?;
                    if !self.use_up(token, successor, unix).await? {
                        // Another use was first.
                        self.delete_refresh_token(&successor.hash).await?;
                        continue;
                    }
                    if !self.still_counts(&user.id, user.tokens_valid_after, &stored.session, &next, unix).await? {
                        self.delete_refresh_token(&successor.hash).await?;
                        return Ok(Rotation::Unknown);
                    }
                    (successor.nonce.clone(), now)
                }
            };
            let (session, valid_until) = (stored.session, stored.valid_until);
            return Ok(Rotation::Rotated { user, session, valid_until, nonce, rotated_at });
        }
        Err(crate::change::too_busy())
    }

    /// Whether this use is the first.
    async fn use_up(&self, token: &TokenHash, successor: &Successor, now: i64) -> Result<bool, DatabaseError> {
        let unused = doc! { "_id": token.as_str(), "used_at": Bson::Null };
        let used = doc! { "used_at": now, "nonce": &successor.nonce };
        let written = self.refresh_tokens.update_one(unused, doc! { "$set": used.clone() }).await.map_err(classify)?;
        if written.matched_count == 1 {
            return Ok(true);
        }
        // A write that the driver sent twice does not find what it has changed.
        let mut mine = used;
        mine.insert("_id", token.as_str());
        Ok(self.refresh_tokens.find_one(mine).await.map_err(classify)?.is_some())
    }

    /// Whether neither the session nor all tokens of the user were ended while the token was rotated; what was issued is noted in
    /// the same write, so that whoever ends them later ends it too.
    async fn still_counts(
        &self,
        user: &P::Id,
        tokens_valid_after: Option<i64>,
        session: &SessionId,
        issued: &NewRefreshToken<P>,
        now: i64,
    ) -> Result<bool, DatabaseError> {
        let as_read = doc! {
            "_id": id_bson(user)?,
            format!("{OURS}.tokens_valid_after"): tokens_valid_after,
            SESSIONS: { "$not": { "$elemMatch": { "id": session.as_str(), "ended": true } } },
        };
        let mut note = noting(issued.issued_at);
        if let Ok(max) = note.get_document_mut("$max") {
            max.insert(format!("{SESSIONS}.$[session].seen_at"), now);
        }
        let written = self.users.update_one(as_read, note).array_filters(vec![doc! { "session.id": session.as_str() }]);
        Ok(written.await.map_err(classify)?.matched_count == 1)
    }

    async fn delete_refresh_token(&self, token: &TokenHash) -> Result<(), DatabaseError> {
        self.refresh_tokens.delete_one(doc! { "_id": token.as_str() }).await.map(drop).map_err(classify)
    }

    pub(crate) async fn delete_expired_refresh_tokens(&self, now: i64, limit: u32) -> Result<u64, DatabaseError> {
        self.delete_some(&self.refresh_tokens, doc! { "valid_until": { "$lt": now } }, limit).await
    }
}
