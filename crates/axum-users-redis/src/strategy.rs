//! Tokens that Redis knows.

use std::time::Duration;

use axum_users_core::{
    Authenticated, DatabaseError, Error, IssuedToken, NewSession, SessionId, Strategy, TokenHash, TokenOwner, UserId,
    UserManager, UserProfile, random,
    session::{admits, is_idle, stored_form, stored_forms},
};

use crate::RedisClient;

/// What FastAPI Users puts before each token.
const KEY_PREFIX: &str = "fastapi_users_token:";

/// Tokens of 256 bits in Redis, on the keys of FastAPI Users, stored as their SHA-256 and removed by Redis when they expire.
///
/// Their sessions stand beside the users, as those of every strategy: a token is one round trip to Redis and one query. While
/// Redis is away, they can neither be issued nor read ([`Error::Database`], 503 on the wire); when it comes back without its
/// data, they count for nobody.
///
/// ```no_run
/// use std::time::Duration;
///
/// use axum_users_redis::{RedisClient, RedisStrategy};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = RedisClient::new("redis://127.0.0.1:6379")?;
/// let strategy = RedisStrategy::new(redis, Duration::from_secs(3600)).idle_lifetime(Duration::from_secs(900));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RedisStrategy {
    client: RedisClient,
    lifetime: Option<Duration>,
    idle_lifetime: Option<Duration>,
    key_prefix: String,
    shared: bool,
}

impl RedisStrategy {
    /// Tokens that live for `lifetime` (whole seconds) after login, however often they are used.
    #[must_use]
    pub fn new(client: RedisClient, lifetime: Duration) -> Self {
        Self { client, lifetime: Some(lifetime), idle_lifetime: None, key_prefix: KEY_PREFIX.into(), shared: false }
    }

    /// Tokens that never expire.
    ///
    /// # Security
    /// A token that leaks works until its user logs out, changes the password or is deleted (ASVS 7.3.2 asks for an end).
    #[must_use]
    pub fn danger_without_lifetime(client: RedisClient) -> Self {
        Self { client, lifetime: None, idle_lifetime: None, key_prefix: KEY_PREFIX.into(), shared: false }
    }

    /// What stands before each token's key. Default: `fastapi_users_token:`.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// A session that was not used for so long ends, give or take a minute (ASVS 7.3.1). Default: it does not.
    #[must_use]
    pub fn idle_lifetime(mut self, idle: Duration) -> Self {
        self.idle_lifetime = Some(idle);
        self
    }

    /// FastAPI Users works on the same keys: its tokens are read, and ours are written so that it can read them. Such a token
    /// cannot say which session it belongs to, so a backend with it has no refresh tokens.
    ///
    /// # Security
    /// Tokens are then stored as they are issued: whoever reads the keys can use them. Ending a session ends it here; the other
    /// system knows of a logout only.
    #[must_use]
    pub fn shared_with_fastapi_users(mut self, shared: bool) -> Self {
        if shared {
            tracing::warn!("access tokens in Redis are stored as they are issued, so that FastAPI Users can read them");
        }
        self.shared = shared;
        self
    }

    fn key(&self, stored: &str) -> String {
        format!("{}{stored}", self.key_prefix)
    }

    /// When a token was issued that FastAPI Users wrote: its end says it. Rounded down, so that it never looks younger.
    fn issued_by_its_end(&self, left: Option<Duration>, asked_at: i64) -> Option<i64> {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).ok();
        asked_at.checked_add(seconds(left?)?)?.checked_sub(seconds(self.lifetime?)?)
    }
}

impl<P: UserProfile> Strategy<P> for RedisStrategy {
    async fn read_token(&self, token: &str, users: &UserManager<P>) -> Result<Option<TokenOwner<P>>, Error> {
        let asked_at = users.clock().unix();
        let hash = TokenHash::of(token);
        for stored in stored_forms(token, &hash, self.shared) {
            let Some((value, left)) = self.client.get_with_ttl(&self.key(&stored)).await? else { continue };
            let Some(value) = Value::<P::Id>::parse(&value) else { return Ok(None) };
            let session = value.session.unwrap_or_else(|| SessionId::of(&hash));
            let Some((user, state)) = users.get_for_token(&value.user_id, &session).await? else { return Ok(None) };
            let began = state.map(|state| state.created_at);
            let issued = value.issued_at.or(began).or_else(|| self.issued_by_its_end(left, asked_at));
            let counts = admits(issued, user.tokens_valid_after, state.as_ref())
                && !is_idle(issued, state.as_ref(), self.idle_lifetime, asked_at);
            // Redis counts down in milliseconds: the nearest second is the one that was asked for.
            let seconds_left = left.and_then(|left| i64::try_from((left + Duration::from_millis(500)).as_secs()).ok());
            return Ok(counts.then(|| TokenOwner {
                user,
                session,
                state,
                stored_token: None,
                expires_at: seconds_left.map(|left| asked_at.saturating_add(left)),
                authenticated_at: began.or(issued),
            }));
        }
        Ok(None)
    }

    async fn write_token(&self, proof: &Authenticated<P>, users: &UserManager<P>) -> Result<IssuedToken, Error> {
        let token = random::token();
        let expires_at = proof.expires_at(self.lifetime);
        let mut session = proof.session(expires_at);
        let user_id = proof.user().id.to_string();
        let value = if self.shared {
            // The other system reads an id and nothing else: the token itself tells the session.
            session = NewSession { id: SessionId::of(&TokenHash::of(token.expose())), ..session };
            user_id
        } else {
            format!("{user_id} {} {}", proof.issued_at().unix_timestamp(), session.id)
        };
        let left = expires_at.map(|at| at.saturating_sub(users.clock().unix()).max(1));
        let left = left.and_then(|left| u64::try_from(left).ok()).map(Duration::from_secs);
        let key = self.key(&stored_form(&token, self.shared));
        // Nobody knows the token before the session is there.
        self.client.set(&key, &value, left).await?;
        if let Err(error) = users.open_session(proof.user(), session, proof.continues()).await {
            if let Err(error) = self.client.delete(&key).await {
                tracing::debug!(%error, "a token that nobody has was not removed");
            }
            return Err(error);
        }
        Ok(IssuedToken { token, expires_at })
    }

    async fn destroy_token(&self, token: &str, owner: &TokenOwner<P>, _users: &UserManager<P>) -> Result<(), Error> {
        for stored in stored_forms(token, &TokenHash::of(token), self.shared) {
            match self.client.delete(&self.key(&stored)).await {
                Ok(()) => {}
                // Its session is stored and has ended, so it counts for nobody here; Redis removes it when it expires.
                Err(error @ DatabaseError::Unavailable(_)) if !self.shared && owner.state.is_some() => {
                    tracing::warn!(%error, "a token of an ended session was not removed from Redis");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn idle_lifetime(&self) -> Option<Duration> {
        self.idle_lifetime
    }

    fn names_sessions(&self) -> bool {
        !self.shared
    }
}

/// What stands under a key: `<user id> <issued, Unix seconds> <session>`, or the id alone.
struct Value<Id> {
    user_id: Id,
    issued_at: Option<i64>,
    session: Option<SessionId>,
}

impl<Id: UserId> Value<Id> {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let user_id = Id::parse(words.next()?)?;
        let (issued_at, session) = match (words.next(), words.next(), words.next()) {
            (None, ..) => (None, None),
            (Some(issued), Some(session), None) => (Some(issued.parse().ok()?), Some(SessionId::parse(session)?)),
            _ => return None,
        };
        Some(Self { user_id, issued_at, session })
    }
}
