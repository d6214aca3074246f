//! Nodes in this process.

use std::time::Duration;

use anyhow::Result;
use axum::{Router, body::Body, http};
use axum_users::{
    AccessTokenDatabase, AuthBackend, BearerTransport, Clock, CookieTransport, DatabaseStrategy, JwtStrategy,
    OAuthKeys, OAuthSettings, RefreshTokenDatabase, RefreshTokens, UserDatabase, Users,
    password::{Argon2Params, DefaultHasher, PasswordPool},
};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::{Answer, Node, Provider, Request};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A router over a store of its own.
pub struct Local(Router);

impl Local {
    /// The three [backends](crate::Backend); `jwt` and `db` have refresh tokens. Logins by the provider are answered by `jwt`.
    ///
    /// # Errors
    /// When the parts do not fit together.
    pub fn new<S>(store: S, clock: &Clock, provider: &Provider) -> Result<Self>
    where
        S: UserDatabase<()> + AccessTokenDatabase<()> + RefreshTokenDatabase<()> + Clone,
    {
        let refresh = || RefreshTokens::new(store.clone(), DAY);
        let database = || DatabaseStrategy::new(store.clone(), HOUR);
        let bearer = |name: &str| BearerTransport::new(format!("auth/{name}/login"));
        let jwt = JwtStrategy::new(b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u", HOUR)?;
        let passwords = PasswordPool::builder(DefaultHasher::new(Self::params()?)).build()?;
        let users = Users::builder(store.clone())
            .passwords(passwords)
            .clock(clock.clone())
            .throttle(None)
            .backend(AuthBackend::new("jwt", bearer("jwt"), jwt).refresh(refresh()))
            .backend(AuthBackend::new("db", bearer("db"), database()).refresh(refresh()))
            .backend(AuthBackend::new("cookie", CookieTransport::new(), database()))
            .oauth_keys(OAuthKeys::new(b"Yd2Kq7Lw9Xz4Rt6Vb8Nm3Hj5Gf1Cs0Pe")?)
            .public_url("http://localhost")
            .oauth(provider.client()?, OAuthSettings::new())
            .build()?;
        Ok(Self(users.router()))
    }

    /// What it hashes with: the lowest cost, for races are not about hashing.
    ///
    /// # Errors
    /// Never: these are possible.
    pub fn params() -> Result<Argon2Params> {
        Ok(Argon2Params::danger_below_floor(8, 1, 1)?)
    }
}

impl Node for Local {
    async fn send(&self, request: Request) -> Result<Answer> {
        let mut builder = http::Request::builder().method(request.method).uri(&request.path);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let response = self.0.clone().oneshot(builder.body(Body::from(request.body))?).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer::new(head.status.as_u16(), |name| head.headers.get(name)?.to_str().ok(), &body))
    }
}
