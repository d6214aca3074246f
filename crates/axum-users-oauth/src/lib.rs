//! OAuth 2.0 and OpenID Connect clients for axum-users.
//!
//! - [`OAuth2`]: well-known providers ([`google`](OAuth2::google), [`github`](OAuth2::github), [`microsoft`](OAuth2::microsoft),
//!   …), and any other by its endpoints ([`new`](OAuth2::new)).
//! - [`OpenId`]: any issuer by discovery. The ID token is verified: signature, issuer, audience, nonce and time.
//! - [`OpenId::apple`]: Sign in with Apple, whose client secret is signed anew for every call.
//!
//! Whatever leaves for a provider has 5 seconds, follows no redirects, and takes answers of at most 1 MiB. Endpoints are HTTPS, or
//! HTTP to this machine. Nothing that a provider says is repeated in an answer; the log gets its error code.
//!
//! ```
//! use axum_users_core::oauth::OAuthClient as _;
//! use axum_users_oauth::{OAuth2, OpenId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let github = OAuth2::github("client id", "client secret")?;
//! assert_eq!((github.name(), github.display_name()), ("github", "GitHub"));
//!
//! let camelot = OpenId::new("https://id.camelot.bt", "client id", "client secret")?.named("camelot", "Camelot");
//! assert_eq!(camelot.name(), "camelot");
//! # Ok(()) }
//! ```

mod apple;
mod document;
mod http;
mod id_token;
mod oauth2;
mod openid;
mod profile;
mod providers;
#[cfg(test)]
mod tests;

pub use apple::AppleKey;
pub use oauth2::{OAuth2, OAuth2Endpoints};
pub use openid::OpenId;

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OAuthConfigError {
    /// An endpoint that may not be spoken to.
    #[error("{0:?} is no endpoint: it has to be https, or http to this machine, without a user or a fragment")]
    Endpoint(String),
    /// A part of a host name or path that is none.
    #[error("{0:?} is no name of a tenant, shop or domain")]
    Name(String),
    /// A key that cannot be read.
    #[error("the key cannot be read: it has to be a P-256 key as Apple hands it out (PEM, PKCS #8)")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No HTTP client.
    #[error("no HTTP client")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl OAuthConfigError {
    fn endpoint(url: &str) -> Self {
        // What stands before an `@` may be a password.
        Self::Endpoint(url.rsplit('@').next().unwrap_or_default().to_owned())
    }

    fn client(error: reqwest::Error) -> Self {
        Self::Client(error.into())
    }
}
