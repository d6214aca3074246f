//! Sessions: elements of an array in their user.

use axum_users_core::{
    DatabaseError, EndTokens, NewSession, SessionId, SessionState, StoredSession, UserProfile, random,
    session::next_valid_after,
};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    change::{Change, Found, revision_path},
    document::{OURS, SESSIONS, items, number, optional, text},
    error::classify,
    store::{Store, all, id_bson},
};

/// So many sessions of one user are kept, those that began last; of older ones, tokens count as if nothing was stored.
const KEPT: i32 = 10_000;
/// So many are listed.
const LISTED: usize = 1000;

/// A session as an element.
pub(crate) fn element(session: &NewSession) -> Document {
    doc! {
        "id": session.id.as_str(),
        "backend": &session.backend,
        "created_at": session.created_at,
        "seen_at": session.created_at,
        "valid_until": session.valid_until,
        "ended": false,
        "renewed_at": Bson::Null,
        "address": optional(session.address.map(|address| address.to_string()).as_deref()),
        "user_agent": optional(session.user_agent.as_deref()),
    }
}

fn stored(element: &Document) -> Option<StoredSession> {
    Some(StoredSession {
        id: SessionId::parse(text(element, "id")?)?,
        backend: text(element, "backend").unwrap_or_default().to_owned(),
        state: SessionState {
            ended: element.get_bool("ended").unwrap_or(false),
            renewed_at: number(element, "renewed_at"),
            created_at: number(element, "created_at")?,
            seen_at: number(element, "seen_at")?,
        },
        valid_until: number(element, "valid_until")?,
        address: text(element, "address").map(str::to_owned),
        user_agent: text(element, "user_agent").map(str::to_owned),
    })
}

/// What is stored of a session in its user's document.
pub(crate) fn session_in(user: &Document, session: &SessionId) -> Option<StoredSession> {
    items(user, SESSIONS).find(|element| text(element, "id") == Some(session.as_str())).and_then(stored)
}

/// The projection that picks one session.
pub(crate) fn only(session: &SessionId) -> Document {
    doc! { "$elemMatch": { "id": session.as_str() } }
}

fn last_issued_path() -> String {
    format!("{OURS}.last_issued_at")
}

/// Ends the tokens of a user with the change that asks for it: no session is left but the one that is kept.
pub(crate) fn end_tokens<P: UserProfile>(found: &Found<P>, end: &EndTokens, change: &mut Change) {
    let now = found.last_issued().map_or(end.now, |last| last.max(end.now));
    let limit = next_valid_after(now, found.user.tokens_valid_after);
    change.set.insert(format!("{OURS}.tokens_valid_after"), limit);
    let kept = end.keep.as_ref().map(|keep| {
        let id = keep.session.id.as_str();
        let stored = items(&found.document, SESSIONS).find(|element| text(element, "id") == Some(id)).cloned();
        let mut kept = stored.unwrap_or_else(|| element(&keep.session));
        let until =
            number(&kept, "valid_until").map_or(keep.session.valid_until, |it| it.max(keep.session.valid_until));
        kept.insert("valid_until", until);
        kept.insert("renewed_at", limit);
        kept
    });
    change.set.insert(SESSIONS, kept.into_iter().map(Bson::Document).collect::<Vec<_>>());
}

impl<P: UserProfile> Store<P> {
    pub(crate) async fn begin_session(&self, id: &P::Id, session: &NewSession) -> Result<bool, DatabaseError> {
        for turn in 0..crate::change::TURNS {
            crate::change::before_turn(turn).await;
            let Some(found) = self.found(id).await? else { return Ok(false) };
            if session.only_if.iter().any(|condition| !found.holds(condition)) {
                return Ok(false);
            }
            if session_in(&found.document, &session.id).is_some() {
                return Ok(true);
            }
            let last = found.last_issued().map_or(session.created_at, |last| last.max(session.created_at));
            let push = doc! { SESSIONS: { "$each": [element(session)], "$slice": -KEPT } };
            let change = Change { set: doc! { last_issued_path(): last }, push, ..Change::default() };
            let written = self.write(&found, Document::new(), change).await;
            if written.map_err(crate::error::Failure::into_error)?.is_some() {
                return Ok(true);
            }
        }
        Err(crate::change::too_busy())
    }

    pub(crate) async fn touch_session(&self, id: &P::Id, session: &NewSession, now: i64) -> Result<(), DatabaseError> {
        let mut new = element(session);
        new.insert("seen_at", now.max(session.created_at));
        let touch = doc! { "$max": { format!("{SESSIONS}.$.seen_at"): now } };
        self.change_or_push(&id_bson(id)?, session, touch, new).await
    }

    pub(crate) async fn end_session(&self, id: &P::Id, session: &NewSession) -> Result<(), DatabaseError> {
        let user = id_bson(id)?;
        let mut new = element(session);
        new.insert("ended", true);
        let end = doc! {
            "$set": { format!("{SESSIONS}.$.ended"): true, revision_path(): random::short_token() },
            "$max": { format!("{SESSIONS}.$.valid_until"): session.valid_until },
        };
        self.change_or_push(&user, session, end, new).await?;
        self.delete_tokens_of_session(&user, &session.id).await
    }

    /// Changes the session, or adds it when it is not stored; nothing when the user is gone.
    async fn change_or_push(
        &self,
        user: &Bson,
        session: &NewSession,
        change: Document,
        new: Document,
    ) -> Result<(), DatabaseError> {
        // Another one may add it, or take it away, in between; hardly twice.
        for _ in 0..3 {
            let known = doc! { "_id": user.clone(), SESSIONS: only(&session.id) };
            if self.users.update_one(known, change.clone()).await.map_err(classify)?.matched_count == 1 {
                return Ok(());
            }
            let unknown = doc! { "_id": user.clone(), format!("{SESSIONS}.id"): { "$ne": session.id.as_str() } };
            let push = doc! {
                "$push": { SESSIONS: { "$each": [new.clone()], "$slice": -KEPT } },
                "$set": { revision_path(): random::short_token() },
            };
            if self.users.update_one(unknown, push).await.map_err(classify)?.matched_count == 1 {
                return Ok(());
            }
        }
        Ok(())
    }

    pub(crate) async fn sessions(&self, id: &P::Id) -> Result<Vec<StoredSession>, DatabaseError> {
        let found = self.users.find_one(doc! { "_id": id_bson(id)? }).projection(doc! { SESSIONS: 1 }).await;
        let Some(document) = found.map_err(classify)? else { return Ok(Vec::new()) };
        let mut sessions: Vec<_> =
            items(&document, SESSIONS).filter_map(stored).filter(|session| !session.state.ended).collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.state.seen_at));
        sessions.truncate(LISTED);
        Ok(sessions)
    }

    pub(crate) async fn delete_expired_sessions(&self, now: i64, limit: u32) -> Result<u64, DatabaseError> {
        Ok(self.pull_expired(now, limit).await? + self.delete_expired_refresh_tokens(now, limit).await?)
    }

    async fn pull_expired(&self, now: i64, limit: u32) -> Result<u64, DatabaseError> {
        let expired = doc! { format!("{SESSIONS}.valid_until"): { "$lt": now } };
        let users = self.users.find(expired).projection(doc! { SESSIONS: 1 }).limit(i64::from(limit));
        let users = all(users.await.map_err(classify)?).await.map_err(crate::error::Failure::into_error)?;
        let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut pulled = 0;
        for user in users {
            let over = |element: &&Document| number(element, "valid_until").is_some_and(|until| until < now);
            let ids: Vec<_> =
                items(&user, SESSIONS).filter(over).filter_map(|element| text(element, "id")).take(left).collect();
            if ids.is_empty() {
                break;
            }
            (left, pulled) = (left - ids.len(), pulled + ids.len() as u64);
            // One that was prolonged meanwhile stays.
            let pull = doc! { "$pull": { SESSIONS: { "id": { "$in": ids }, "valid_until": { "$lt": now } } } };
            let id = user.get("_id").cloned().unwrap_or_default();
            self.users.update_one(doc! { "_id": id }, pull).await.map_err(classify)?;
        }
        Ok(pulled)
    }
}
