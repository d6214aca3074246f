//! Log in with others (OAuth 2.0, OpenID Connect), and the identities that are linked to a user.
//!
//! An [`OAuthClient`] speaks with one provider. What it answers is an [`ExternalIdentity`]; which user that is, the
//! [`UserManager`](crate::UserManager) decides:
//!
//! - An identity is the name of the provider and the id that it gives to the account ([`OAuthIdentity`]). It belongs to one
//!   user; a unique index decides. No address is an identity: whoever shows one that a user has here, without that identity,
//!   is not that user, unless the application [allows it](OAuthRules::associate_by_email) and both sides proved the address.
//! - Between the two legs of a login stands a [state token](OAuthState), which counts once, for ten minutes, for one provider,
//!   one flow, one user, and in one browser.
//! - Tokens of the provider are stored [sealed](OAuthKeys).

mod account;
mod client;
pub(crate) mod keys;
mod state;

pub use account::{AccountId, NewOAuthAccount, OAuthAccount, OAuthIdentity, ProviderToken};
pub use client::{
    AnyOAuthClient, AuthorizationRequest, ExternalIdentity, OAuthClient, OAuthClientError, OAuthCode, OAuthToken,
    code_challenge,
};
pub use keys::OAuthKeys;
pub(crate) use state::BrowserSecret;
pub use state::{OAuthFlow, OAuthState, STATE_LIFETIME};

/// What an application allows for the logins of one provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by callers, with `..Default::default()`")]
pub struct OAuthRules {
    /// Whether an identity that nobody has yet is linked to the user whose address it shows, if the provider proved that
    /// address and the user did too (ASVS 6.8.1). Default: no, such a person logs in first and links then.
    pub associate_by_email: bool,
    /// Whether a user who registers with an address that the provider proved counts as verified. Default: no.
    pub is_verified_by_default: bool,
}
