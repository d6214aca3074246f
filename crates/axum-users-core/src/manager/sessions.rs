//! Sessions of a user: seen, listed, ended.

use super::{Acting, UserManager};
use crate::{
    audit::Audit,
    database::{Outcome, UserChange},
    error::Error,
    hooks::RequestInfo,
    profile::UserProfile,
    session::{EndTokens, NewSession, SEEN_EVERY, SessionId, StoredSession, admits},
    strategy::TokenOwner,
    user::User,
};

/// For how many seconds after a login a session may do what asks for a fresh one.
pub const FRESH: i64 = 600;

impl<P: UserProfile> UserManager<P> {
    /// Whether a user who proved who they are at `authenticated_at` (Unix seconds) did so in the last [`FRESH`] seconds.
    #[must_use]
    pub fn is_fresh(&self, authenticated_at: Option<i64>) -> bool {
        authenticated_at.is_some_and(|at| self.0.clock.unix() < at.saturating_add(FRESH))
    }

    /// Stores a session that begins, or keeps one that goes on; for strategies whose tokens are not in the store of the users.
    ///
    /// # Errors
    /// [`Error::SessionEnded`] when the user is gone, their tokens were ended since they proved who they are, or the session was
    /// ended; [`Error::Database`].
    pub async fn open_session(&self, user: &User<P>, session: NewSession, continues: bool) -> Result<(), Error> {
        let open = if continues {
            let state = self.get_for_token(&user.id, &session.id).await?;
            matches!(state, Some((_, Some(state))) if !state.ended)
        } else {
            self.0.database.begin_session(&user.id, session).await?
        };
        if open { Ok(()) } else { Err(Error::SessionEnded) }
    }

    /// Notes that a token was used, at most once in [`SEEN_EVERY`] seconds, without making the caller wait.
    pub fn session_seen(&self, owner: &TokenOwner<P>, session: impl FnOnce() -> NewSession) {
        let now = self.0.clock.unix();
        if owner.state.is_some_and(|known| now < known.seen_at.saturating_add(SEEN_EVERY)) {
            return;
        }
        let (manager, id, session) = (self.clone(), owner.user.id.clone(), session());
        tokio::spawn(async move {
            if let Err(error) = manager.0.database.touch_session(&id, session, now).await {
                tracing::debug!(%error, "the use of a session was not noted");
            }
        });
    }

    /// The sessions of a user that count, the one that was used last first. Whether one was idle for too long is for its
    /// backend to say.
    ///
    /// Tokens of FastAPI Users are among them once they were used here.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn sessions(&self, user: &User<P>) -> Result<Vec<StoredSession>, Error> {
        let now = self.0.clock.unix();
        let mut sessions = self.0.database.sessions(&user.id).await?;
        sessions.retain(|session| {
            let state = &session.state;
            session.valid_until > now && admits(Some(state.created_at), user.tokens_valid_after, Some(state))
        });
        sessions.sort_by(|a, b| (b.state.seen_at, &b.id).cmp(&(a.state.seen_at, &a.id)));
        Ok(sessions)
    }

    /// Ends a session with all its tokens.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn end_session(&self, user: &User<P>, session: NewSession) -> Result<(), Error> {
        Ok(self.0.database.end_session(&user.id, session).await?)
    }

    /// Ends the session of this id, if the user has one that counts; answers whether there was one. A change of address that waits
    /// for its proof ends with it: that session may have asked for it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn end_session_by_id(
        &self,
        user: &User<P>,
        id: &SessionId,
        request: Option<&RequestInfo>,
    ) -> Result<bool, Error> {
        let Some(found) = self.sessions(user).await?.into_iter().find(|session| session.id == *id) else {
            return Ok(false);
        };
        let session = NewSession {
            id: found.id,
            backend: found.backend,
            created_at: found.state.created_at,
            valid_until: found.valid_until,
            address: None,
            user_agent: None,
            only_if: Vec::new(),
        };
        // Before, so that a failure is seen while the session is still there to be ended; and after, as it could ask until then.
        self.drop_pending_change(user).await?;
        self.end_session(user, session).await?;
        self.drop_pending_change(user).await?;
        Audit::of("session_ended", request).user(&user.id).succeeded();
        Ok(true)
    }

    async fn drop_pending_change(&self, user: &User<P>) -> Result<(), Error> {
        let change = UserChange { drops: self.pending_change(user), ..UserChange::default() };
        if !change.is_empty() {
            // Who is gone has asked for nothing.
            let _ = self.0.database.update(&user.id, change).await?;
        }
        Ok(())
    }

    /// Ends all sessions of a user but the acting one, if there is one: every token that was issued until now, of every
    /// strategy.
    ///
    /// # Errors
    /// [`Error::UserNotExists`], [`Error::Database`].
    pub async fn end_sessions(
        &self,
        user: &User<P>,
        keep: Option<&Acting<P>>,
        request: Option<&RequestInfo>,
    ) -> Result<(), Error> {
        let keep = keep.filter(|acting| acting.user_id == user.id).map(Acting::kept);
        let end_tokens = Some(EndTokens { now: self.0.clock.unix(), keep });
        let drops = self.pending_change(user);
        match self.0.database.update(&user.id, UserChange { end_tokens, drops, ..UserChange::default() }).await? {
            Outcome::Done(_) | Outcome::Refused(_) => {}
            Outcome::Missing => return Err(Error::UserNotExists),
        }
        Audit::of("sessions_ended", request).user(&user.id).succeeded();
        Ok(())
    }

    /// Removes sessions and refresh tokens that expired, at most `limit` of each; answers how many.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn delete_expired_sessions(&self, limit: u32) -> Result<u64, Error> {
        Ok(self.0.database.delete_expired_sessions(self.0.clock.unix(), limit).await?)
    }
}
