//! What requests and answers look like: the five fields of every user and the application's own.

use axum_users_core::{Body, Email, FromBody, ProfileRead, Property, Secret, UserCreate, UserUpdate};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{User, UserProfile};

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
