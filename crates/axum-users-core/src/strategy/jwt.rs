//! Tokens that say themselves whose they are: JWTs.

use std::{sync::OnceLock, time::Duration};

use super::{IssuedToken, Strategy, TokenOwner};
use crate::{
    error::Error,
    id::UserId,
    jwt::{Claims, JwtKey, JwtKeys, Validation, WeakSecret, canonical},
    manager::{Authenticated, UserManager},
    profile::UserProfile,
    secret::Secret,
    session::{SessionId, TokenHash, admits, is_idle},
};

/// The audience of login tokens, unless told otherwise.
const AUDIENCE: &str = "fastapi-users:auth";

/// The type of an access token (RFC 9068 section 2.1).
const ACCESS_TOKEN: &str = "at+jwt";

/// Signed tokens (RFC 7519) with `sub`, `aud`, `exp`, `iat` and `sid` (the session), and `iss` where an issuer is set: the id of the
/// user is all that they tell of a person.
///
/// The tokens themselves are not stored. Their sessions are, beside the users, and are read with the user in one query.
#[derive(Clone, Debug)]
pub struct JwtStrategy {
    keys: JwtKeys,
    audience: Vec<String>,
    issuer: Option<String>,
    lifetime: Option<Duration>,
    accept_without_exp: bool,
    idle_lifetime: Option<Duration>,
    explicit_type: bool,
    /// What all that demands of a token, put together at the first one.
    validation: OnceLock<Validation>,
}

impl JwtStrategy {
    /// Signs with HS256; tokens live for `lifetime` (whole seconds).
    ///
    /// # Errors
    /// [`WeakSecret`] when the secret is short, guessable or published (RFC 8725 section 3.5).
    pub fn new(secret: &[u8], lifetime: Duration) -> Result<Self, WeakSecret> {
        Self::with_keys(JwtKeys::new(JwtKey::hs256(secret)), lifetime)
    }

    /// Signs with the current one of these keys, and accepts the previous ones too.
    ///
    /// # Errors
    /// [`WeakSecret`] as [`new`](Self::new), for any of the keys: an old one lets whoever guesses it in as well.
    pub fn with_keys(keys: JwtKeys, lifetime: Duration) -> Result<Self, WeakSecret> {
        keys.check_strength()?;
        Self::danger_weak_keys(keys, lifetime)
    }

    /// Signs with HS256 and any secret: for a deployment that is taken over with a short one.
    ///
    /// # Security
    /// Whoever guesses the secret is whoever they want to be.
    ///
    /// # Errors
    /// [`WeakSecret`] when it is [no secret at all](WeakSecret::is_unusable).
    pub fn danger_weak_secret(secret: &[u8], lifetime: Duration) -> Result<Self, WeakSecret> {
        Self::danger_weak_keys(JwtKeys::new(JwtKey::hs256(secret)), lifetime)
    }

    /// [`with_keys`](Self::with_keys) with secrets of any strength, for the same purpose.
    ///
    /// # Security
    /// Whoever guesses one of the secrets is whoever they want to be.
    ///
    /// # Errors
    /// [`WeakSecret`] when one is [no secret at all](WeakSecret::is_unusable).
    pub fn danger_weak_keys(keys: JwtKeys, lifetime: Duration) -> Result<Self, WeakSecret> {
        keys.check_usable()?;
        Ok(Self {
            keys,
            audience: vec![AUDIENCE.into()],
            issuer: None,
            lifetime: Some(lifetime),
            accept_without_exp: false,
            idle_lifetime: None,
            explicit_type: false,
            validation: OnceLock::new(),
        })
    }

    /// Which audiences tokens are for; one of them in common is enough. Default: `fastapi-users:auth`.
    #[must_use]
    pub fn audience(mut self, audience: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.audience = audience.into_iter().map(Into::into).collect();
        self.validation = OnceLock::new();
        self
    }

    /// Tokens name this issuer (`iss`); those of other issuers and those without one, as FastAPI Users writes them, are
    /// refused. Default: none.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self.validation = OnceLock::new();
        self
    }

    /// Tokens say in their header that they are access tokens (`typ` is `at+jwt`), and others are refused, so that no token of
    /// another purpose that was signed with the same secret is one (RFC 8725 section 3.11). Default: they say `JWT`, and it is not
    /// looked at, as FastAPI Users has it.
    #[must_use]
    pub fn explicit_type(mut self) -> Self {
        self.explicit_type = true;
        self.validation = OnceLock::new();
        self
    }

    /// Accepts tokens without `exp`, which a deployment that is taken over may have issued.
    ///
    /// # Security
    /// Such a token works until its user logs out, changes the password or is deleted.
    #[must_use]
    pub fn danger_accept_without_exp(mut self) -> Self {
        self.accept_without_exp = true;
        self.validation = OnceLock::new();
        self
    }

    /// Tokens never expire, and those without `exp` are accepted.
    ///
    /// # Security
    /// A token that leaks works until its user logs out, changes the password or is deleted (ASVS 7.3.2 asks for an end).
    #[must_use]
    pub fn danger_without_lifetime(mut self) -> Self {
        self.lifetime = None;
        self.validation = OnceLock::new();
        self
    }

    /// A session that was not used for so long ends, give or take a minute (ASVS 7.3.1). Default: it does not.
    #[must_use]
    pub fn idle_lifetime(mut self, idle: Duration) -> Self {
        self.idle_lifetime = Some(idle);
        self
    }

    fn validation(&self) -> &Validation {
        self.validation.get_or_init(|| self.demands())
    }

    fn demands(&self) -> Validation {
        let mut validation = Validation::audiences(&self.audience);
        if let Some(issuer) = &self.issuer {
            validation = validation.issuer(issuer);
        }
        if self.explicit_type {
            validation = validation.typ(ACCESS_TOKEN);
        }
        if self.lifetime.is_none() || self.accept_without_exp {
            validation = validation.danger_accept_without_exp();
        }
        validation
    }

    /// When a token was issued: `iat`, else what its end says (tokens of FastAPI Users have no `iat`).
    fn issued(&self, claims: &Claims) -> Option<i64> {
        let lifetime = || i64::try_from(self.lifetime?.as_secs()).ok();
        claims.issued_at().or_else(|| claims.expires_at()?.checked_sub(lifetime()?))
    }
}

impl<P: UserProfile> Strategy<P> for JwtStrategy {
    async fn read_token(&self, token: &str, users: &UserManager<P>) -> Result<Option<TokenOwner<P>>, Error> {
        let now = users.clock().unix();
        let Ok(claims) = self.keys.decode(token, self.validation(), now) else { return Ok(None) };
        let Some(id) = claims.subject().and_then(P::Id::parse) else { return Ok(None) };
        let named = claims.text("sid").and_then(SessionId::parse);
        let session = named.unwrap_or_else(|| SessionId::of(&TokenHash::of(&canonical(token))));
        let Some((user, state)) = users.get_for_token(&id, &session).await? else { return Ok(None) };
        let issued = self.issued(&claims);
        let counts = admits(issued, user.tokens_valid_after, state.as_ref())
            && !is_idle(issued, state.as_ref(), self.idle_lifetime, now);
        Ok(counts.then(|| TokenOwner {
            user,
            session,
            state,
            stored_token: None,
            expires_at: claims.expires_at(),
            authenticated_at: state.map_or(issued, |state| Some(state.created_at)),
        }))
    }

    async fn write_token(&self, proof: &Authenticated<P>, users: &UserManager<P>) -> Result<IssuedToken, Error> {
        let issued = proof.issued_at().unix_timestamp();
        let expires_at = proof.expires_at(self.lifetime);
        let mut claims = Claims::new().with("sub", proof.user().id.to_string()).with("aud", self.audience.clone());
        if let Some(expires_at) = expires_at {
            claims = claims.with("exp", expires_at);
        }
        // The session makes tokens of one second differ: ending one login must not end the other.
        claims = claims.with("iat", issued).with("sid", proof.session_id().to_string());
        if let Some(issuer) = &self.issuer {
            claims = claims.with("iss", issuer.clone());
        }
        let kind = if self.explicit_type { ACCESS_TOKEN } else { "JWT" };
        let token = self.keys.encode_as(kind, &claims).map_err(|error| Error::Internal(error.into()))?;
        users.open_session(proof.user(), proof.session(expires_at), proof.continues()).await?;
        Ok(IssuedToken { token: Secret::from(token), expires_at })
    }

    fn idle_lifetime(&self) -> Option<Duration> {
        self.idle_lifetime
    }
}
