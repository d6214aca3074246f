//! The audit trail: one record for each event of authentication, credentials, roles and tokens (ASVS 16.2.1).
//!
//! The only place that writes to the target `axum_users::audit`, so that no record lacks a field. It holds ids, never
//! addresses of people: what was typed as an unknown address may be a password.

use std::fmt::Display;

use crate::{
    error::{BadOAuthState, Error},
    hooks::RequestInfo,
};

/// What happened, before it is known how it ended.
#[derive(Debug)]
#[must_use = "nothing is recorded before the outcome is said"]
pub struct Audit<'a> {
    event: &'static str,
    request: Option<&'a RequestInfo>,
    user: Option<String>,
    actor: Option<String>,
    method: Option<&'static str>,
    provider: Option<String>,
    changes: AuditChanges,
}

/// What a change of a user touches.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AuditChanges {
    /// Whether it sets a password.
    pub password: bool,
    /// Whether it sets another address.
    pub email: bool,
    /// The new value.
    pub is_active: Option<bool>,
    /// The new value.
    pub is_superuser: Option<bool>,
    /// The new value.
    pub is_verified: Option<bool>,
    /// Whether it ends tokens of the user.
    pub tokens_ended: bool,
    /// Whether it unlinks accounts with providers.
    pub accounts_unlinked: bool,
}

impl<'a> Audit<'a> {
    /// An event of this name. Who acts is who the request's session belongs to.
    pub fn of(event: &'static str, request: Option<&'a RequestInfo>) -> Self {
        let actor = request.and_then(|request| request.actor.clone());
        Self { event, request, user: None, actor, method: None, provider: None, changes: AuditChanges::default() }
    }

    /// Whom it happened to.
    pub fn user(mut self, id: &impl Display) -> Self {
        self.user = Some(id.to_string());
        self
    }

    /// Who did it, where the request does not tell.
    pub fn actor(mut self, id: Option<&impl Display>) -> Self {
        self.actor = id.map(ToString::to_string).or(self.actor);
        self
    }

    /// How somebody proved who they are, for instance `password`.
    pub fn method(mut self, method: &'static str) -> Self {
        self.method = Some(method);
        self
    }

    /// The name of the provider whose account proves it, is linked or is unlinked.
    pub fn provider(mut self, name: &str) -> Self {
        self.provider = Some(name.to_owned());
        self
    }

    /// What changes.
    pub fn changes(mut self, changes: AuditChanges) -> Self {
        self.changes = changes;
        self
    }

    /// It was done.
    pub fn succeeded(self) {
        self.write("success", None);
    }

    /// It was done, and this is why.
    pub fn succeeded_because(self, reason: &'static str) {
        self.write("success", Some(reason));
    }

    /// A rule did not let it happen.
    pub fn refused(self, reason: &'static str) {
        self.write("refused", Some(reason));
    }

    /// It did not happen, for this reason.
    pub fn ended_by(self, error: &Error) {
        let (outcome, reason) = reason(error);
        self.write(outcome, Some(reason));
    }

    fn write(self, outcome: &'static str, reason: Option<&'static str>) {
        let Self { event, request, user, actor, method, provider, changes } = self;
        let said = |changed: bool| changed.then_some(true);
        tracing::info!(
            target: "axum_users::audit",
            event,
            outcome,
            reason,
            user = user.as_deref(),
            actor = actor.as_deref().filter(|actor| Some(*actor) != user.as_deref()),
            client = request.and_then(|it| it.client_address).map(tracing::field::display),
            request_id = request.and_then(|it| it.request_id.as_deref()),
            method,
            provider = provider.as_deref(),
            backend = request.and_then(|it| it.backend.as_deref()),
            password = said(changes.password),
            email = said(changes.email),
            is_active = changes.is_active,
            is_superuser = changes.is_superuser,
            is_verified = changes.is_verified,
            tokens_ended = said(changes.tokens_ended),
            accounts_unlinked = said(changes.accounts_unlinked),
            "{event}: {outcome}"
        );
    }
}

/// Refused by a rule, or failed for want of something.
fn reason(error: &Error) -> (&'static str, &'static str) {
    match error {
        Error::UserAlreadyExists => ("refused", "user_already_exists"),
        Error::ValueAlreadyExists(_) => ("refused", "value_already_exists"),
        Error::ValueOutOfRange => ("refused", "value_out_of_range"),
        Error::InvalidPassword(_) => ("refused", "invalid_password"),
        Error::CurrentPasswordRequired => ("refused", "current_password_required"),
        Error::CurrentPasswordWrong => ("refused", "wrong_current_password"),
        Error::InvalidRefreshToken => ("refused", "invalid_refresh_token"),
        Error::InvalidVerifyToken | Error::InvalidResetToken => ("refused", "invalid_token"),
        Error::UserAlreadyVerified => ("refused", "already_verified"),
        Error::BadOAuthState(BadOAuthState::Expired) => ("refused", "expired_state"),
        Error::BadOAuthState(_) => ("refused", "invalid_state"),
        Error::OAuthProvider(_) => ("failed", "provider"),
        Error::OAuthEmailUnavailable => ("refused", "no_email"),
        Error::OAuthAccountAlreadyExists => ("refused", "account_already_exists"),
        Error::LastLoginMethod => ("refused", "last_login_method"),
        Error::NotConfigured(_) => ("failed", "not_configured"),
        Error::BreachedPasswordsUnavailable => ("failed", "breached_passwords"),
        Error::BadCredentials => ("refused", "bad_credentials"),
        Error::UserNotVerified => ("refused", "not_verified"),
        Error::UserNotExists => ("refused", "no_such_user"),
        Error::SessionEnded => ("refused", "session_ended"),
        Error::LastSuperuser => ("refused", "last_superuser"),
        Error::Veto(_) => ("refused", "hook"),
        Error::Throttled { .. } => ("refused", "throttled"),
        Error::Busy { .. } => ("failed", "busy"),
        Error::Database(_) => ("failed", "database"),
        Error::Internal(_) => ("failed", "internal"),
    }
}
