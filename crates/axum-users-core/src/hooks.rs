//! The application's turn.

use std::{future::Future, net::IpAddr};

use http::StatusCode;

use crate::{
    password::{InvalidPassword, PasswordPolicy},
    profile::UserProfile,
    user::{User, UserCreate, UserUpdate},
};

/// What an application does around the rules. Every method has a default; override those you need.
///
/// Hooks that come before may refuse, with any HTTP answer. Hooks that come after answer nothing: what happened has happened.
///
/// ```
/// use axum_users_core::{RequestInfo, User, UserHooks};
///
/// struct Welcome;
///
/// impl UserHooks<()> for Welcome {
///     async fn on_after_register(&self, user: &User<()>, _request: Option<&RequestInfo>) {
///         println!("{} has registered", user.id);
///     }
/// }
/// ```
pub trait UserHooks<P: UserProfile>: Send + Sync + 'static {
    /// Whether a password may be set. The default is the configured [`PasswordPolicy`].
    ///
    /// Called before anything else when a user is created, and before hashing when a password changes; not at login.
    ///
    /// # Errors
    /// [`InvalidPassword`], whose reason (any JSON) the client reads.
    fn validate_password(
        &self,
        password: &str,
        context: PasswordContext<'_, P>,
    ) -> impl Future<Output = Result<(), InvalidPassword>> + Send {
        async move { context.check_policy(password) }
    }

    /// Before a user is created; the password was accepted.
    ///
    /// # Errors
    /// [`Veto`] becomes the answer.
    fn before_register(
        &self,
        create: &UserCreate<P>,
        request: Option<&RequestInfo>,
    ) -> impl Future<Output = Result<(), Veto>> + Send {
        let _ = (create, request);
        async { Ok(()) }
    }

    /// After a user was stored.
    fn on_after_register(&self, user: &User<P>, request: Option<&RequestInfo>) -> impl Future<Output = ()> + Send {
        let _ = (user, request);
        async {}
    }

    /// After a user was changed. `update` is what was submitted, the password in clear text, without dropped fields and
    /// without the current password; empty updates count too.
    fn on_after_update(
        &self,
        user: &User<P>,
        update: &UserUpdate<P>,
        request: Option<&RequestInfo>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (user, update, request);
        async {}
    }

    /// After the password was proved, before a token is written.
    ///
    /// # Errors
    /// [`Veto`] becomes the answer.
    fn before_login(
        &self,
        user: &User<P>,
        request: Option<&RequestInfo>,
    ) -> impl Future<Output = Result<(), Veto>> + Send {
        let _ = (user, request);
        async { Ok(()) }
    }

    /// After the token was written. `response` is the head of the answer that will be sent: headers and cookies set here
    /// reach the client.
    fn on_after_login(
        &self,
        user: &User<P>,
        request: Option<&RequestInfo>,
        response: &mut http::response::Parts,
    ) -> impl Future<Output = ()> + Send {
        let _ = (user, request, response);
        async {}
    }

    /// Before a user is removed.
    ///
    /// # Errors
    /// [`Veto`] becomes the answer, and the user stays.
    fn on_before_delete(
        &self,
        user: &User<P>,
        request: Option<&RequestInfo>,
    ) -> impl Future<Output = Result<(), Veto>> + Send {
        let _ = (user, request);
        async { Ok(()) }
    }

    /// After a user was removed.
    fn on_after_delete(&self, user: &User<P>, request: Option<&RequestInfo>) -> impl Future<Output = ()> + Send {
        let _ = (user, request);
        async {}
    }
}

/// No hooks: the defaults.
impl<P: UserProfile> UserHooks<P> for () {}

/// For whom a password is meant.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct PasswordContext<'a, P: UserProfile> {
    /// The address: the submitted one on creation, else the stored one.
    pub email: &'a str,
    /// The user with the old values; `None` on creation.
    pub user: Option<&'a User<P>>,
    policy: &'a PasswordPolicy,
}

impl<'a, P: UserProfile> PasswordContext<'a, P> {
    pub(crate) fn new(email: &'a str, user: Option<&'a User<P>>, policy: &'a PasswordPolicy) -> Self {
        Self { email, user, policy }
    }

    /// The configured policy, for a hook that adds to it.
    ///
    /// # Errors
    /// [`InvalidPassword`] with a reason in English.
    pub fn check_policy(&self, password: &str) -> Result<(), InvalidPassword> {
        self.policy.check(password, Some(self.email)).map(drop)
    }
}

/// What a hook may know of a request; small, and free of secrets.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RequestInfo {
    /// The client's address, as far as trusted proxies tell it.
    pub client_address: Option<IpAddr>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// The header `Accept-Language`.
    pub languages: Option<String>,
    /// The header `X-Request-Id`.
    pub request_id: Option<String>,
    /// The id of the user whose session asks; `None` where no session is asked for, as at a login.
    pub actor: Option<String>,
    /// The name of the authentication backend: the one that accepted the session, or whose login this is.
    pub backend: Option<String>,
}

/// A hook's refusal: the answer to send.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "built by applications")]
pub struct Veto {
    /// The status, `403 Forbidden` if in doubt.
    pub status: StatusCode,
    /// The body's `detail`.
    pub detail: serde_json::Value,
}

impl Veto {
    /// An answer `{"detail": …}`.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<serde_json::Value>) -> Self {
        Self { status, detail: detail.into() }
    }
}
