//! Changing a user.

use super::UserManager;
use crate::{
    database::{Condition, Outcome, UserChange},
    email::Email,
    error::Error,
    hooks::RequestInfo,
    profile::UserProfile,
    session::{EndTokens, TokenHash},
    user::{Fields, User, UserUpdate},
};

/// The session that asks for a change: it lives on when the change ends the tokens of its own user.
#[derive(Clone, Debug)]
pub struct Acting<P: UserProfile> {
    /// Who is acting.
    pub user_id: P::Id,
    /// With which token.
    pub token: TokenHash,
    /// When that token expires (Unix seconds); `None`: never.
    pub expires_at: Option<i64>,
}

impl<P: UserProfile> UserManager<P> {
    /// Changes a user; absent fields keep. [`Fields::Safe`] drops the three flags.
    ///
    /// Another address makes the user unverified, unless the update says otherwise. A new password and a deactivation end the
    /// user's tokens in the same transaction; the session that made the change (`acting`) lives on.
    ///
    /// # Errors
    /// [`Error::InvalidPassword`], [`Error::UserAlreadyExists`], [`Error::ValueAlreadyExists`], [`Error::LastSuperuser`],
    /// [`Error::UserNotExists`], [`Error::Busy`], [`Error::Database`].
    pub async fn update(
        &self,
        user: &User<P>,
        mut update: UserUpdate<P>,
        fields: Fields,
        acting: Option<&Acting<P>>,
        request: Option<&RequestInfo>,
    ) -> Result<User<P>, Error> {
        if fields == Fields::Safe {
            (update.is_active, update.is_superuser, update.is_verified) = (None, None, None);
        }
        let change = self.change(user, &update, acting).await?;
        let updated = if change.is_empty() {
            user.clone()
        } else {
            let email = change.email.as_ref().map(Email::key);
            match self.0.database.update(&user.id, change).await {
                Ok(Outcome::Done(updated)) => updated,
                Ok(Outcome::Refused(_)) => return Err(Error::LastSuperuser),
                Ok(Outcome::Missing) => return Err(Error::UserNotExists),
                Err(error) => {
                    let email = email.as_ref().map(|email| (email, Some(&user.id)));
                    return Err(self.first_conflict(error, email).await);
                }
            }
        };
        tracing::info!(
            target: "axum_users::audit", event = "update", user = %user.id,
            password = update.password.is_some(), email = update.email.is_some(),
            is_active = update.is_active, is_superuser = update.is_superuser, is_verified = update.is_verified,
            "user updated"
        );
        self.0.hooks.on_after_update(&updated, &update, request).await;
        Ok(updated)
    }

    /// What an update writes.
    async fn change(
        &self,
        user: &User<P>,
        update: &UserUpdate<P>,
        acting: Option<&Acting<P>>,
    ) -> Result<UserChange<P>, Error> {
        let mut change = UserChange {
            is_active: update.is_active,
            is_superuser: update.is_superuser,
            is_verified: update.is_verified,
            profile: update.profile.clone(),
            ..UserChange::default()
        };
        if let Some(password) = &update.password {
            let password = self.validate_password(password, user.email.as_str(), Some(user)).await?;
            change.hashed_password = Some(self.0.passwords.hash(password).await?);
            if !self.0.keep_sessions_on_password_change {
                let keep = acting
                    .filter(|acting| acting.user_id == user.id)
                    .map(|acting| (acting.token.clone(), acting.expires_at.unwrap_or(i64::MAX)));
                change.end_tokens = Some(EndTokens { now: self.0.clock.unix(), keep });
            }
        }
        if let Some(email) = update.email.as_ref().filter(|email| **email != user.email) {
            if email.key() != user.email.key() && update.is_verified.is_none() {
                change.is_verified = Some(false);
            }
            change.email = Some(email.clone());
        }
        if update.is_active == Some(false) {
            change.end_tokens = Some(EndTokens { now: self.0.clock.unix(), keep: None });
        }
        let may_lose_superuser = update.is_active == Some(false) || update.is_superuser == Some(false);
        if self.0.keep_last_superuser && may_lose_superuser {
            change.only_if.push(Condition::AnotherSuperuserRemains);
        }
        Ok(change)
    }
}
