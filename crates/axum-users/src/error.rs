//! What the wire says when something is not done. All codes stand here.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use axum_users_core::{BadOAuthState, DatabaseError, Issue, Veto};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::{Denied, Error, respond, users::RETRY_AFTER};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal,)*) => {
        /// The codes in `detail` of a 400.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }
        }
    };
}

error_codes! {
    /// The password may not be set; comes with a reason.
    RegisterInvalidPassword = "REGISTER_INVALID_PASSWORD",
    /// The mailbox has an account.
    RegisterUserAlreadyExists = "REGISTER_USER_ALREADY_EXISTS",
    /// A unique column of the application's own is taken; comes with the field.
    RegisterValueAlreadyExists = "REGISTER_VALUE_ALREADY_EXISTS",
    /// Unknown user, wrong password or inactive user.
    LoginBadCredentials = "LOGIN_BAD_CREDENTIALS",
    /// The address is not proved yet.
    LoginUserNotVerified = "LOGIN_USER_NOT_VERIFIED",
    /// The mailbox has an account of somebody else.
    UpdateUserEmailAlreadyExists = "UPDATE_USER_EMAIL_ALREADY_EXISTS",
    /// The password may not be set; comes with a reason.
    UpdateUserInvalidPassword = "UPDATE_USER_INVALID_PASSWORD",
    /// A new password or address needs the current password, or a login of the last 10 minutes.
    UpdateUserCurrentPasswordRequired = "UPDATE_USER_CURRENT_PASSWORD_REQUIRED",
    /// The current password that was sent is not the one.
    UpdateUserCurrentPasswordWrong = "UPDATE_USER_CURRENT_PASSWORD_WRONG",
    /// A unique column of the application's own is taken; comes with the field.
    UpdateUserValueAlreadyExists = "UPDATE_USER_VALUE_ALREADY_EXISTS",
    /// The token verifies no address (any more).
    VerifyUserBadToken = "VERIFY_USER_BAD_TOKEN",
    /// The address is proved already.
    VerifyUserAlreadyVerified = "VERIFY_USER_ALREADY_VERIFIED",
    /// The token sets no password (any more).
    ResetPasswordBadToken = "RESET_PASSWORD_BAD_TOKEN",
    /// The password may not be set; comes with a reason.
    ResetPasswordInvalidPassword = "RESET_PASSWORD_INVALID_PASSWORD",
    /// The refresh token counts for nothing (any more); `error` is `invalid_grant` (RFC 6749 section 5.2).
    RefreshBadToken = "REFRESH_BAD_TOKEN",
    /// The state of a login by a provider cannot be read, or nobody here signed it.
    AccessTokenDecodeError = "ACCESS_TOKEN_DECODE_ERROR",
    /// The state of a login by a provider is older than ten minutes.
    AccessTokenAlreadyExpired = "ACCESS_TOKEN_ALREADY_EXPIRED",
    /// The state of a login by a provider is for another browser, provider, backend or flow, or was used already.
    OAuthInvalidState = "OAUTH_INVALID_STATE",
    /// The provider, or the person there, refused, or its answer is of no use.
    OAuthProviderError = "OAUTH_PROVIDER_ERROR",
    /// The provider tells no address that a user can have.
    OAuthNotAvailableEmail = "OAUTH_NOT_AVAILABLE_EMAIL",
    /// The address, or the account with the provider, belongs to a user already.
    OAuthUserAlreadyExists = "OAUTH_USER_ALREADY_EXISTS",
    /// `redirect_to` leads to where browsers are not sent.
    OAuthRedirectNotAllowed = "OAUTH_REDIRECT_NOT_ALLOWED",
    /// The user could not log in any more.
    LastLoginMethod = "LAST_LOGIN_METHOD",
    /// Nobody could manage users any more.
    LastSuperuser = "LAST_SUPERUSER",
}

/// The `detail` of a 403 for a session that is too old for what it asks: log in again.
pub const FRESH_LOGIN_REQUIRED: &str = "FRESH_LOGIN_REQUIRED";

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// 400 `{"detail": "<code>"}`.
    Code(ErrorCode),
    /// 400 `{"detail": {"code": …, "<name>": …}}`.
    Explained(ErrorCode, &'static str, Value),
    /// 400 `{"error": "<error>", "detail": "<code or text>"}` (RFC 6749 section 5.2).
    OAuth(&'static str, &'static str),
    /// 403 `{"detail": "FRESH_LOGIN_REQUIRED"}`: the user has to prove again who they are.
    NotFresh,
    /// 422 with its items.
    Unprocessable(Vec<Issue>),
    /// 400 `{"detail": "<text>"}`: the body cannot be read at all.
    BadBody(String),
    /// 413.
    TooLarge,
    /// 401 or 403.
    Denied(Denied),
    /// 404.
    NotFound,
    /// What a hook wants to be answered.
    Veto(Veto),
    /// 429 with Retry-After.
    TooManyRequests(Duration),
    /// 503 with Retry-After.
    Unavailable(Duration),
    /// 500; already logged.
    Internal,
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

/// What an error is on every route that has no word of its own for it.
impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::CurrentPasswordRequired => Self::Code(ErrorCode::UpdateUserCurrentPasswordRequired),
            Error::CurrentPasswordWrong => Self::Code(ErrorCode::UpdateUserCurrentPasswordWrong),
            Error::BadCredentials => Self::Code(ErrorCode::LoginBadCredentials),
            Error::UserNotVerified => Self::Code(ErrorCode::LoginUserNotVerified),
            Error::InvalidVerifyToken => Self::Code(ErrorCode::VerifyUserBadToken),
            Error::UserAlreadyVerified => Self::Code(ErrorCode::VerifyUserAlreadyVerified),
            Error::InvalidResetToken => Self::Code(ErrorCode::ResetPasswordBadToken),
            Error::InvalidRefreshToken => Self::OAuth("invalid_grant", ErrorCode::RefreshBadToken.as_str()),
            Error::LastSuperuser => Self::Code(ErrorCode::LastSuperuser),
            Error::BadOAuthState(BadOAuthState::Unreadable) => Self::Code(ErrorCode::AccessTokenDecodeError),
            Error::BadOAuthState(BadOAuthState::Expired) => Self::Code(ErrorCode::AccessTokenAlreadyExpired),
            Error::BadOAuthState(BadOAuthState::OtherUser) => Self::BadBody("Bad Request".into()),
            Error::BadOAuthState(_) => Self::Code(ErrorCode::OAuthInvalidState),
            Error::OAuthProvider(error) => {
                tracing::warn!(error = %chain(&error), "a provider did not do it");
                Self::Code(ErrorCode::OAuthProviderError)
            }
            Error::OAuthEmailUnavailable => Self::Code(ErrorCode::OAuthNotAvailableEmail),
            Error::OAuthAccountAlreadyExists => Self::Code(ErrorCode::OAuthUserAlreadyExists),
            Error::LastLoginMethod => Self::Code(ErrorCode::LastLoginMethod),
            Error::UserNotExists => Self::NotFound,
            Error::SessionEnded => Self::Denied(Denied::UNAUTHORIZED),
            Error::ValueOutOfRange => Self::Unprocessable(vec![Issue::new(
                "value_error",
                ["body".into()],
                "Value error, a value is too long or too large for its column",
            )]),
            Error::Veto(veto) => Self::Veto(veto),
            Error::Throttled { retry_after } => Self::TooManyRequests(retry_after),
            Error::Busy { retry_after } => Self::Unavailable(retry_after),
            Error::BreachedPasswordsUnavailable => Self::Unavailable(RETRY_AFTER),
            Error::Database(DatabaseError::Unavailable(source)) => {
                tracing::error!(error = %chain(&*source), "the database is not available");
                Self::Unavailable(RETRY_AFTER)
            }
            other => {
                tracing::error!(error = %chain(&other), "unexpected error");
                Self::Internal
            }
        }
    }
}

impl ApiError {
    /// The same on the routes of providers.
    pub(crate) fn of_oauth(error: Error) -> Self {
        match error {
            Error::UserAlreadyExists => Self::Code(ErrorCode::OAuthUserAlreadyExists),
            Error::ValueAlreadyExists(field) => {
                Self::Explained(ErrorCode::RegisterValueAlreadyExists, "field", Value::from(field))
            }
            // Nothing that a client sent is stored here.
            Error::ValueOutOfRange => Self::Code(ErrorCode::OAuthProviderError),
            other => other.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Code(code) => respond::detail(StatusCode::BAD_REQUEST, code.as_str()),
            Self::Explained(code, name, value) => {
                respond::detail(StatusCode::BAD_REQUEST, json!({ "code": code.as_str(), name: value }))
            }
            Self::OAuth(error, detail) => {
                respond::json(StatusCode::BAD_REQUEST, &json!({ "error": error, "detail": detail }))
            }
            Self::NotFresh => respond::detail(StatusCode::FORBIDDEN, FRESH_LOGIN_REQUIRED),
            Self::Unprocessable(issues) => respond::detail(StatusCode::UNPROCESSABLE_ENTITY, issues),
            Self::BadBody(text) => respond::detail(StatusCode::BAD_REQUEST, text),
            Self::TooLarge => {
                let mut response = respond::detail(StatusCode::PAYLOAD_TOO_LARGE, "Content Too Large");
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                response
            }
            Self::Denied(denied) => denied.into_response(),
            Self::NotFound => respond::detail(StatusCode::NOT_FOUND, "Not Found"),
            Self::Veto(veto) => respond::detail(veto.status, veto.detail),
            Self::TooManyRequests(after) => {
                retry_after(respond::detail(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"), after)
            }
            Self::Unavailable(after) => {
                retry_after(respond::detail(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"), after)
            }
            Self::Internal => respond::internal_error(),
        }
    }
}

/// RFC 9110 section 10.2.3: whole seconds, and not too early.
fn retry_after(mut response: Response, after: Duration) -> Response {
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

/// An error with its sources, for the log.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
