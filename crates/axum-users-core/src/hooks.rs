//! The application's turn.

use std::{future::Future, net::IpAddr};

use http::StatusCode;

use crate::{
    body::Body,
    email::Email,
    erased::DynMailer,
    json::JsonInput,
    mail::{Mail, MailKind, Undelivered},
    oauth::ExternalIdentity,
    password::{InvalidPassword, PasswordPolicy},
    profile::UserProfile,
    secret::Secret,
    throttle::KnownDevice,
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

    /// A user wants to prove the address, and this token does it (`POST /verify`). The default sends the mail of the configured
    /// [`Mailer`](crate::mail::Mailer); an application that sends its own overrides this. Runs in a worker, after the answer.
    ///
    /// # Errors
    /// [`Undelivered`]: it is tried again later, with the same token.
    fn on_after_request_verify(
        &self,
        user: &User<P>,
        token: &Secret,
        delivery: Delivery<'_>,
    ) -> impl Future<Output = Result<(), Undelivered>> + Send {
        async move { delivery.send(MailKind::VerifyAddress, &user.email, Some(token)).await }
    }

    /// After a user proved the address.
    fn on_after_verify(&self, user: &User<P>, request: Option<&RequestInfo>) -> impl Future<Output = ()> + Send {
        let _ = (user, request);
        async {}
    }

    /// A user forgot the password, and this token sets another one (`POST /reset-password`). As
    /// [`on_after_request_verify`](Self::on_after_request_verify).
    ///
    /// # Errors
    /// [`Undelivered`]: it is tried again later, with the same token.
    fn on_after_forgot_password(
        &self,
        user: &User<P>,
        token: &Secret,
        delivery: Delivery<'_>,
    ) -> impl Future<Output = Result<(), Undelivered>> + Send {
        async move { delivery.send(MailKind::ResetPassword, &user.email, Some(token)).await }
    }

    /// After a forgotten password was replaced.
    fn on_after_reset_password(
        &self,
        user: &User<P>,
        request: Option<&RequestInfo>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (user, request);
        async {}
    }

    /// The application's own columns of a user who registers with an account of this provider. The default is what a
    /// registration gets that sends none of them; `None`, as where a column has to be sent, means that nobody registers so.
    fn oauth_profile(&self, provider: &str, identity: &ExternalIdentity) -> impl Future<Output = Option<P>> + Send {
        let _ = (provider, identity);
        async { Body::embedded(JsonInput::Null).read::<P::Create>().ok().map(Into::into) }
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

/// How a mailed token reaches its user: what is known of the request, and the configured mailer.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    pub(crate) key: &'a str,
    pub(crate) request: &'a RequestInfo,
    pub(crate) mailer: Option<&'a dyn DynMailer>,
}

impl Delivery<'_> {
    /// The same for every attempt to deliver this token, and for no other: 22 characters of base64url.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key
    }

    /// What is known of the request that asked for it, which ended long ago.
    #[must_use]
    pub fn request(&self) -> &RequestInfo {
        self.request
    }

    /// Hands a mail to the configured mailer; without one nothing is sent, which the log says.
    ///
    /// # Errors
    /// The mailer's.
    pub async fn send(self, kind: MailKind, to: &Email, token: Option<&Secret>) -> Result<(), Undelivered> {
        let Some(mailer) = self.mailer else {
            tracing::warn!(?kind, "no mailer is configured: a mail was not sent");
            return Ok(());
        };
        let mut mail = Mail::new(kind, to.clone(), token.cloned(), self.key);
        mail.languages.clone_from(&self.request.languages);
        mailer.send(&mail).await
    }
}

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// The device, if a user has logged in with it before.
    pub device: Option<KnownDevice>,
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
