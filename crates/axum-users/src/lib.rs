//! User management for axum: registration, login, sessions, users of your own shape, OpenAPI. Interchangeable with FastAPI
//! Users 15: same routes and answers, same tables, same password hashes, same tokens.
//!
//! # From nothing to a known user
//!
//! A **store** keeps the users; here one in memory, else `SqlStore::connect("sqlite://app.db")` (features `sqlite`, `postgres`,
//! `mysql`). A **backend** is a name, a *transport* (how a token travels: [`BearerTransport`], [`CookieTransport`]) and a
//! *strategy* (how a token stands for a user: [`JwtStrategy`], [`DatabaseStrategy`], `RedisStrategy` with the feature `redis`).
//! [`Users`] puts them together, and is part of your application's state.
//!
//! ```
//! use std::time::Duration;
//! use axum::{Router, extract::FromRef, routing::get};
//! use axum_users::{AuthBackend, BearerTransport, CurrentUser, JwtStrategy, UserProfile, Users, memory::MemoryStore};
//!
//! /// Your own columns: asked for at registration, shown, changed by PATCH, in the table and in OpenAPI.
//! #[derive(Clone, Debug, UserProfile)]
//! struct Profile {
//!     first_name: String,
//!     nick: Option<String>,
//! }
//!
//! #[derive(Clone, FromRef)]
//! struct App {
//!     users: Users<Profile>,
//! }
//!
//! /// Whoever is calling; nobody gets here without a token that counts.
//! async fn hello(user: CurrentUser<Profile>) -> String {
//!     format!("Hello {}", user.profile.first_name)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u"; // from your configuration
//! let jwt = JwtStrategy::new(secret, Duration::from_secs(3600))?;
//! let users = Users::builder(MemoryStore::new())
//!     .backend(AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), jwt))
//!     .build()?;
//! let app: Router = users.router().route("/hello", get(hello)).with_state(App { users });
//! # Ok(()) }
//! ```
//!
//! That serves `POST /auth/jwt/login`, `POST /auth/jwt/logout`, `POST /auth/register`, `GET` and `PATCH /users/me`, and for
//! superusers `GET`, `PATCH` and `DELETE /users/{id}`; sessions are listed and ended under `/users/me/sessions` and
//! `/users/{id}/sessions`. [`Users::auth_router`], [`Users::register_router`], [`Users::users_router`] and
//! [`Users::sessions_router`] put the same routes elsewhere.
//!
//! # Choosing transport and strategy
//!
//! | who calls | transport | strategy |
//! |---|---|---|
//! | pages of your own site, or an app on another origin of it | cookie | [`DatabaseStrategy`] of two weeks, [idle](DatabaseStrategy::idle_lifetime) a day |
//! | a single-page app on another site, a mobile app | bearer with [refresh tokens](AuthBackend::refresh) | [`JwtStrategy`] of 15 minutes |
//! | a program | bearer | [`JwtStrategy`] of an hour |
//!
//! With several backends a request is tried with each, in the order in which they were added; [`Guard::enabled`] leaves some out for
//! a route. Each strategy reads user and session in one query, so what was ended or changed counts at the next request. What each
//! costs, what ends when, and sharing tokens with FastAPI Users: `docs/transport-and-strategy.md` in the repository.
//!
//! # Where to go from here
//!
//! - **Who may pass**: the second parameter of [`CurrentUser`]: [`Active`] (default), [`Verified`], [`Superuser`], tuples of them, or a
//!   [`Guard`] of your own. `Option<CurrentUser<P>>` lets everybody in.
//! - **Your own columns**: [`UserProfile`](derive@UserProfile) says which attributes a field takes; [`ColumnValue`] is the one trait of a
//!   type in a column.
//! - **Your turn**: [`UserHooks`], before and after registration, login, change and deletion.
//! - **Without a request**: [`UserManager`], which [`Users`] dereferences to.
//! - **Sessions**: [`UserManager::sessions`], [`UserManager::end_session_by_id`], [`UserManager::end_sessions`]; refresh tokens by
//!   [`RefreshTokens`].
//! - **Mail**: [`UsersBuilder::verification`], [`UsersBuilder::reset_password`] and [`UsersBuilder::mailer`]; with the feature `mail`,
//!   `SmtpMailer` and `DevelopmentMailer`.
//! - **Providers**: [`UsersBuilder::oauth`] with an [`OAuthClient`]; with the feature `oauth`, `OAuth2` and `OpenId` are those of
//!   well-known providers and of any OpenID issuer.
//! - **OpenAPI**: [`Users::openapi`]; with the feature `docs`, `openapi::openapi_router` serves it with a page.
//! - **Breached passwords**: [`UsersBuilder::breached_passwords`], by a file or, with the feature `breached-range`, by a service.
//! - **Other stores**: implement [`UserDatabase`]; `axum-users-testing` says whether it is right.
//!
//! # Security
//!
//! Cookie writes need proof of their origin; put other origins of yours on the list with
//! [`UsersBuilder::allowed_origins`]. Behind a proxy, say how many hops are yours: [`UsersBuilder::trusted_proxies`]. Attempts are
//! [limited](UsersBuilder::throttle) by client address, among others: serve with
//! [`into_make_service_with_connect_info`](axum::Router::into_make_service_with_connect_info), and make browsers known with
//! [`UsersBuilder::known_devices`]. What begins with `danger_` explains the attack where the switch is.

mod authenticator;
mod backend;
#[cfg(feature = "breached-range")]
mod breached;
mod error;
mod extract;
mod guard;
mod input;
mod oauth_settings;
pub mod openapi;
mod origin;
mod redirect;
mod respond;
mod routes;
mod schemas;
pub mod transport;
mod users;

pub use axum_users_core::*;
#[cfg(feature = "mail")]
pub use axum_users_mail::{
    DevelopmentMailer, MailTemplates, MailTemplatesBuilder, RenderedMail, SmtpConfigError, SmtpMailer,
    SmtpMailerBuilder, TemplateError,
};
#[cfg(feature = "mongodb")]
pub use axum_users_mongodb::{MongoId, MongoStore, MongoStoreBuilder, SetupError};
#[cfg(feature = "oauth")]
pub use axum_users_oauth::{AppleKey, OAuth2, OAuth2Endpoints, OAuthConfigError, OpenId};
#[cfg(feature = "redis")]
pub use axum_users_redis::{RedisClient, RedisClientBuilder, RedisConfigError, RedisStrategy};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use axum_users_sql::{SchemaError, SqlId, SqlStore, SqlStoreBuilder};

pub use axum_users_macros::{ColumnValue, UserProfile};
pub use backend::AuthBackend;
#[cfg(feature = "breached-range")]
pub use breached::BreachedPasswordsRange;
pub use error::{ErrorCode, FRESH_LOGIN_REQUIRED};
pub use extract::{CurrentUser, PresentedToken};
pub use guard::{Active, Anyone, Denied, Guard, Superuser, Verified};
pub use oauth_settings::OAuthSettings;
pub use origin::{RequestOrigin, is_navigation};
pub use routes::client_address;
pub use schemas::{OAuthAccountRead, SessionRead, UserRead};
pub use transport::{BearerTransport, CookieTransport, LoginTokens, SameSite, Transport};
pub use users::{ConfigError, Users, UsersBuilder};
