//! What requests and answers look like: the five fields of every user and the application's own.

use axum_users_core::{
    Body, Email, Fields, FromBody, OAuthAccount, OAuthToken, ProfileRead, SessionId, StoredSession, UserCreate,
    UserUpdate,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{Secret, User, UserProfile, error::ApiError, input::JsonBody};

/// A user as an answer shows it: `id`, `email`, `is_active`, `is_superuser`, `is_verified`, then the application's own.
///
/// ```
/// use axum::Json;
/// use axum_users::{CurrentUser, UserRead};
///
/// async fn me(user: CurrentUser<()>) -> Json<UserRead<()>> {
///     Json(UserRead::from(user.into_user()))
/// }
/// ```
pub struct UserRead<P: UserProfile> {
    id: P::Id,
    email: Email,
    is_active: bool,
    is_superuser: bool,
    is_verified: bool,
    oauth_accounts: Option<Vec<OAuthAccountRead<P>>>,
    profile: P::Read,
}

impl<P: UserProfile> UserRead<P> {
    /// With the member `oauth_accounts`.
    #[must_use]
    pub fn with_oauth_accounts(mut self, accounts: Vec<OAuthAccountRead<P>>) -> Self {
        self.oauth_accounts = Some(accounts);
        self
    }
}

impl<P: UserProfile> From<User<P>> for UserRead<P> {
    fn from(user: User<P>) -> Self {
        Self {
            id: user.id,
            email: user.email,
            is_active: user.is_active,
            is_superuser: user.is_superuser,
            is_verified: user.is_verified,
            oauth_accounts: None,
            profile: user.profile.into(),
        }
    }
}

impl<P: UserProfile> Serialize for UserRead<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        axum_users_core::serialize_member(&mut map, "id", &self.id)?;
        map.serialize_entry("email", self.email.as_str())?;
        map.serialize_entry("is_active", &self.is_active)?;
        map.serialize_entry("is_superuser", &self.is_superuser)?;
        map.serialize_entry("is_verified", &self.is_verified)?;
        if let Some(accounts) = &self.oauth_accounts {
            map.serialize_entry("oauth_accounts", accounts)?;
        }
        self.profile.serialize_members(&mut map)?;
        map.end()
    }
}

/// An account with a provider as an answer shows it.
pub struct OAuthAccountRead<P: UserProfile> {
    account: OAuthAccount<P>,
    tokens: ShownTokens,
}

enum ShownTokens {
    Omitted,
    Empty,
    InClear(Option<OAuthToken>),
}

impl<P: UserProfile> OAuthAccountRead<P> {
    /// Who it is, and no tokens.
    #[must_use]
    pub fn without_tokens(account: OAuthAccount<P>) -> Self {
        Self { account, tokens: ShownTokens::Omitted }
    }

    /// With empty texts in the place of tokens, for clients that ask for these members.
    #[must_use]
    pub fn with_empty_tokens(account: OAuthAccount<P>) -> Self {
        Self { account, tokens: ShownTokens::Empty }
    }

    /// With its tokens in clear, as far as there are any.
    ///
    /// # Security
    /// Whoever sees the answer acts at the provider as this user: a script in the page, an extension, a log on the way.
    #[must_use]
    pub fn danger_with_tokens(account: OAuthAccount<P>, tokens: Option<OAuthToken>) -> Self {
        Self { account, tokens: ShownTokens::InClear(tokens) }
    }
}

impl<P: UserProfile> Serialize for OAuthAccountRead<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { account, tokens } = self;
        let (access, refresh) = match tokens {
            ShownTokens::Omitted => (None, None),
            ShownTokens::Empty => (Some(""), account.refresh_token.as_ref().map(|_| "")),
            ShownTokens::InClear(tokens) => (
                Some(tokens.as_ref().map_or("", |tokens| tokens.access_token.expose())),
                tokens.as_ref().and_then(|tokens| Some(tokens.refresh_token.as_ref()?.expose())),
            ),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &account.id.to_value())?;
        map.serialize_entry("oauth_name", &account.oauth_name)?;
        if let Some(access) = access {
            map.serialize_entry("access_token", access)?;
            map.serialize_entry("expires_at", &account.expires_at)?;
            map.serialize_entry("refresh_token", &refresh)?;
        }
        map.serialize_entry("account_id", &account.account_id)?;
        map.serialize_entry("account_email", &account.account_email)?;
        map.end()
    }
}

/// A session as an answer shows it. Times are RFC 3339 in UTC.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct SessionRead {
    /// What `DELETE /users/me/sessions/{session}` calls it.
    pub id: String,
    /// The name of the backend that the user logged in by.
    pub backend: String,
    /// When the user logged in.
    pub created_at: Option<String>,
    /// When it was last used, give or take a minute.
    pub last_seen_at: Option<String>,
    /// When it ends by itself; `null`: never.
    pub expires_at: Option<String>,
    /// From where the user logged in.
    pub address: Option<String>,
    /// With what the user logged in.
    pub user_agent: Option<String>,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl SessionRead {
    pub(crate) fn new(session: StoredSession, current: Option<&SessionId>) -> Self {
        let time = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok();
        Self {
            current: Some(&session.id) == current,
            id: session.id.to_string(),
            backend: session.backend,
            created_at: time(session.state.created_at),
            last_seen_at: time(session.state.seen_at),
            expires_at: time(session.valid_until),
            address: session.address,
            user_agent: session.user_agent,
        }
    }
}

/// `{"email": …}`.
pub(crate) fn email_of(body: JsonBody) -> Result<Email, ApiError> {
    let mut body = body.embedded();
    let email = body.email("email");
    body.finish().map_err(ApiError::Unprocessable)?;
    email.ok_or(ApiError::Internal)
}

/// `{"token": …}`.
pub(crate) fn token_of(body: JsonBody) -> Result<Secret, ApiError> {
    let mut body = body.embedded();
    let token = body.token("token");
    body.finish().map_err(ApiError::Unprocessable)?;
    token.ok_or(ApiError::Internal)
}

/// `{"token": …, "password": …}`.
pub(crate) fn reset_of(body: JsonBody) -> Result<(Secret, Secret), ApiError> {
    let mut body = body.embedded();
    let (token, password) = (body.token("token"), body.password("password"));
    body.finish().map_err(ApiError::Unprocessable)?;
    token.zip(password).ok_or(ApiError::Internal)
}

/// What a registration asks for.
pub(crate) fn user_create<P: UserProfile>(body: JsonBody) -> Result<UserCreate<P>, ApiError> {
    let mut body = body.into_body()?;
    let email = body.email("email");
    let password = body.password("password");
    let is_active = body.flag("is_active");
    let is_superuser = body.flag("is_superuser");
    let is_verified = body.flag("is_verified");
    let profile = P::Create::from_body(&mut body);
    body.finish().map_err(ApiError::Unprocessable)?;
    let create = || {
        Some(UserCreate {
            email: email?,
            password: password?,
            is_active: is_active?,
            is_superuser: is_superuser?,
            is_verified: is_verified?,
            profile: profile?.into(),
        })
    };
    create().ok_or(ApiError::Internal)
}

/// What an update asks for. Null for a flag is a mistake where flags count, and dropped with them elsewhere.
pub(crate) fn user_update<P: UserProfile>(body: JsonBody, fields: Fields) -> Result<UserUpdate<P>, ApiError> {
    let mut body = body.into_body()?;
    let password = body.update_password("password");
    let current_password = body.update_password("current_password");
    let email = body.update_email("email");
    let flag = match fields {
        Fields::Safe => Body::flag,
        Fields::All => Body::update_flag,
    };
    let is_active = flag(&mut body, "is_active");
    let is_superuser = flag(&mut body, "is_superuser");
    let is_verified = flag(&mut body, "is_verified");
    let profile = P::Update::from_body(&mut body);
    body.finish().map_err(ApiError::Unprocessable)?;
    let update = || {
        Some(UserUpdate {
            password: password?,
            current_password: current_password?,
            email: email?,
            is_active: is_active?,
            is_superuser: is_superuser?,
            is_verified: is_verified?,
            profile: profile?,
        })
    };
    update().ok_or(ApiError::Internal)
}
