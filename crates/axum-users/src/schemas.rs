//! What requests and answers look like: the five fields of every user and the application's own.

use axum_users_core::{Body, Email, Fields, FromBody, ProfileRead, UserCreate, UserUpdate};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{User, UserProfile, error::ApiError, input::JsonBody};

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
    profile: P::Read,
}

impl<P: UserProfile> From<User<P>> for UserRead<P> {
    fn from(user: User<P>) -> Self {
        Self {
            id: user.id,
            email: user.email,
            is_active: user.is_active,
            is_superuser: user.is_superuser,
            is_verified: user.is_verified,
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
        self.profile.serialize_members(&mut map)?;
        map.end()
    }
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
