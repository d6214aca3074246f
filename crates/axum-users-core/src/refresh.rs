//! Refresh tokens (RFC 6749 sections 1.5 and 6): a client stays logged in while its access tokens are short-lived.
//!
//! Each use gives a new one in the place of the old (*rotation*). One that is used again later than [`GRACE`] was copied: its
//! session ends, whoever holds the successor (RFC 9700 section 4.14.2). Within [`GRACE`] the client may have lost the answer,
//! and gets the same successor: that is derived from the old token, which only its holders know, and a stored nonce.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use time::OffsetDateTime;

use crate::{
    audit::Audit,
    database::RefreshTokenDatabase,
    erased::DynRefreshTokenDatabase,
    error::Error,
    hooks::RequestInfo,
    manager::{Authenticated, UserManager},
    profile::UserProfile,
    random,
    secret::Secret,
    session::{SessionId, SessionState, TokenHash, admits, is_idle},
    user::User,
};

/// For how many seconds after its first use a refresh token may be repeated.
pub const GRACE: i64 = 10;

/// Writes and rotates refresh tokens of 256 bits, stored as hashes. A session ends `lifetime` after its login, however often it
/// is refreshed (ASVS 7.3.2).
pub struct RefreshTokens<P: UserProfile> {
    tokens: Arc<dyn DynRefreshTokenDatabase<P>>,
    lifetime: Duration,
}

impl<P: UserProfile> Clone for RefreshTokens<P> {
    fn clone(&self) -> Self {
        Self { tokens: Arc::clone(&self.tokens), lifetime: self.lifetime }
    }
}

impl<P: UserProfile> RefreshTokens<P> {
    /// Kept in this store, the one that keeps the users; `lifetime` in whole seconds from the login on.
    pub fn new(tokens: impl RefreshTokenDatabase<P>, lifetime: Duration) -> Self {
        Self { tokens: Arc::new(tokens), lifetime }
    }

    /// How long a session lives.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// When a session that begins with this proof is over (Unix seconds).
    #[must_use]
    pub fn session_end(&self, proof: &Authenticated<P>) -> i64 {
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        proof.issued_at().unix_timestamp().saturating_add(lifetime)
    }

    /// The first refresh token of a session, whose access token was written before.
    ///
    /// # Errors
    /// [`Error::SessionEnded`] when the user is gone, [`Error::Database`].
    pub async fn issue(&self, backend: &str, proof: &Authenticated<P>) -> Result<Secret, Error> {
        let token = random::token();
        let row = NewRefreshToken {
            token: stored(backend, token.expose()),
            user_id: proof.user().id.clone(),
            session: proof.session_id().clone(),
            issued_at: proof.issued_at().unix_timestamp(),
            valid_until: self.session_end(proof),
        };
        if self.tokens.create(row).await? { Ok(token) } else { Err(Error::SessionEnded) }
    }

    /// The proof that a new access token needs, and the refresh token that takes the place of this one. It counts as use of the
    /// session, which must not have been unused for `idle_lifetime`.
    ///
    /// # Errors
    /// [`Error::InvalidRefreshToken`] (unknown, of another backend, expired, ended, used before; session idle; user inactive),
    /// [`Error::Throttled`] in its place, [`Error::UserNotVerified`], [`Error::Database`].
    pub async fn rotate(
        &self,
        backend: &str,
        token: &Secret,
        requires_verification: bool,
        idle_lifetime: Option<Duration>,
        users: &UserManager<P>,
        request: Option<&RequestInfo>,
    ) -> Result<(Authenticated<P>, Secret), Error> {
        let now = users.clock().now();
        let nonce = random::token().expose().to_owned();
        let hash = stored(backend, successor(token, &nonce).expose());
        let wanted = Successor { hash, nonce, requires_verification, idle_lifetime };
        let audit = Audit::of("refresh", request).method("refresh_token");
        match self.tokens.rotate(&stored(backend, token.expose()), wanted, now).await? {
            Rotation::Rotated { user, session, valid_until, nonce, rotated_at } => {
                audit.user(&user.id).succeeded();
                let proof = Authenticated::danger_without_password(user, rotated_at)
                    .through(backend, request)
                    .continuing(session, valid_until);
                Ok((proof, successor(token, &nonce)))
            }
            Rotation::NotVerified { user_id } => {
                audit.user(&user_id).refused("not_verified");
                Err(Error::UserNotVerified)
            }
            Rotation::Reused { user_id, .. } => {
                audit.user(&user_id).refused("reused");
                Err(users.failed_token(Error::InvalidRefreshToken, request).await)
            }
            Rotation::Unknown => {
                audit.refused("unknown");
                Err(users.failed_token(Error::InvalidRefreshToken, request).await)
            }
        }
    }
}

/// What a token is stored as. The backend is part of it: no other one finds the token.
fn stored(backend: &str, token: &str) -> TokenHash {
    TokenHash::of(&format!("refresh {backend} {token}"))
}

/// Who holds the token and the nonce knows the successor; who holds one of them does not.
fn successor(token: &Secret, nonce: &str) -> Secret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.expose().as_bytes());
    let tag = hmac::sign(&key, format!("axum-users refresh successor {nonce}").as_bytes());
    Secret::from(URL_SAFE_NO_PAD.encode(tag))
}

/// A refresh token that is about to be stored.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "read by adapters")]
pub struct NewRefreshToken<P: UserProfile> {
    /// What it is known by.
    pub token: TokenHash,
    /// Whose it is.
    pub user_id: P::Id,
    /// Its session.
    pub session: SessionId,
    /// When it was issued (Unix seconds).
    pub issued_at: i64,
    /// When it expires (Unix seconds); its successors expire then too.
    pub valid_until: i64,
}

/// What takes a token's place.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "read by adapters")]
pub struct Successor {
    /// What the successor is known by.
    pub hash: TokenHash,
    /// Stored with the token, so that its holder can be given the same successor again. 43 characters.
    pub nonce: String,
    /// Whether the user must be verified.
    pub requires_verification: bool,
    /// For how long the session may have been unused; `None`: for ever.
    pub idle_lifetime: Option<Duration>,
}

/// How a rotation ended.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "adapters answer exactly these")]
pub enum Rotation<P: UserProfile> {
    /// The successor of this nonce counts, which may be the one of an earlier call.
    Rotated {
        /// Whose it is.
        user: User<P>,
        /// Its session.
        session: SessionId,
        /// When the session is over (Unix seconds).
        valid_until: i64,
        /// Of the successor.
        nonce: String,
        /// The instant of the call that made the successor. What an earlier call's answer is given again with is issued then: the
        /// store knows of nothing later, and whoever ends tokens ends what it knows of.
        rotated_at: OffsetDateTime,
    },
    /// It was used before; its session was ended now.
    Reused {
        /// Whose it was.
        user_id: P::Id,
        /// What was ended.
        session: SessionId,
    },
    /// The user must be verified first; nothing was written.
    NotVerified {
        /// Whose it is.
        user_id: P::Id,
    },
    /// It counts for nothing.
    Unknown,
}

/// A refresh token as it is stored.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "built by adapters")]
pub struct StoredRefreshToken {
    /// Its session.
    pub session: SessionId,
    /// When it was issued (Unix seconds).
    pub issued_at: i64,
    /// When it expires (Unix seconds).
    pub valid_until: i64,
    /// When it was used (Unix seconds), and the nonce of its successor.
    pub used: Option<(i64, String)>,
}

/// What a store does with a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "adapters do exactly these")]
pub enum Verdict {
    /// Note that it and its session were used, and store the successor.
    Rotate,
    /// Answer the successor of this nonce, which was made at this instant (Unix seconds); write nothing.
    Repeat(String, i64),
    /// End its session.
    EndSession,
    /// Answer [`Rotation::NotVerified`].
    NotVerified,
    /// Answer [`Rotation::Unknown`].
    Refuse,
}

impl StoredRefreshToken {
    /// The rule. The user and the session are those of the same transaction, which has locked the user's row.
    #[must_use]
    pub fn judge<P: UserProfile>(
        &self,
        user: &User<P>,
        session: Option<&SessionState>,
        successor: &Successor,
        now: i64,
    ) -> Verdict {
        let issued = Some(self.issued_at);
        let counts =
            admits(issued, user.tokens_valid_after, session) && !is_idle(issued, session, successor.idle_lifetime, now);
        if !counts || !user.is_active || now >= self.valid_until {
            return Verdict::Refuse;
        }
        if successor.requires_verification && !user.is_verified {
            return Verdict::NotVerified;
        }
        match &self.used {
            None => Verdict::Rotate,
            Some((used_at, nonce)) if now <= used_at.saturating_add(GRACE) => Verdict::Repeat(nonce.clone(), *used_at),
            Some(_) => Verdict::EndSession,
        }
    }
}

/// The row of a successor, for a store that rotates.
#[must_use]
pub fn successor_row<P: UserProfile>(
    user: &User<P>,
    token: &StoredRefreshToken,
    hash: TokenHash,
    now: OffsetDateTime,
) -> NewRefreshToken<P> {
    NewRefreshToken {
        token: hash,
        user_id: user.id.clone(),
        session: token.session.clone(),
        issued_at: crate::session::issued_at(now, user.tokens_valid_after).unix_timestamp(),
        valid_until: token.valid_until,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mf_01_a_successor_needs_both_the_token_and_the_nonce() {
        let (a, b) = (random::token(), random::token());
        let first = successor(&a, "nonce");
        assert_eq!(first.expose().len(), 43);
        assert!(first.ct_eq(successor(&a, "nonce").expose()));
        assert!(!first.ct_eq(successor(&a, "another").expose()));
        assert!(!first.ct_eq(successor(&b, "nonce").expose()));
        assert_ne!(stored("jwt", a.expose()), stored("other", a.expose()));
    }
}
