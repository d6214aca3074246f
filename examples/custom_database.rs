//! Users anywhere: a whole `UserDatabase` of your own, here a list behind a lock.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use axum_users::{
    AuthBackend, BearerTransport, Condition, Conflict, DatabaseError, EmailKey, JwtStrategy, NewUser, Outcome, User,
    UserChange, UserDatabase, Users, random, session::next_valid_after,
};
use uuid::Uuid;

/// The list.
#[derive(Clone, Default)]
pub struct ListOfUsers(Arc<Mutex<Vec<User<()>>>>);

impl ListOfUsers {
    fn lock(&self) -> MutexGuard<'_, Vec<User<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lock makes each method one transaction.
impl UserDatabase<()> for ListOfUsers {
    async fn get(&self, id: &Uuid) -> Result<Option<User<()>>, DatabaseError> {
        Ok(self.lock().iter().find(|user| user.id == *id).cloned())
    }

    async fn get_by_email(&self, email: &EmailKey) -> Result<Option<User<()>>, DatabaseError> {
        Ok(self.lock().iter().find(|user| email.matches(user.email.as_str())).cloned())
    }

    async fn list(&self, after: Option<&Uuid>, limit: u32) -> Result<Vec<User<()>>, DatabaseError> {
        let mut users = self.lock().clone();
        users.sort_by_key(|user| user.id);
        let later = users.into_iter().filter(|user| after.is_none_or(|after| user.id > *after));
        Ok(later.take(limit as usize).collect())
    }

    async fn create(&self, new: NewUser<()>) -> Result<User<()>, DatabaseError> {
        let mut users = self.lock();
        if users.iter().any(|user| new.email.key().matches(user.email.as_str())) {
            return Err(DatabaseError::Conflict(Conflict::Email));
        }
        let id = new.id.ok_or_else(|| DatabaseError::Driver("a UUID comes with the user".into()))?;
        users.push(User::from_new(id, new));
        users.last().cloned().ok_or_else(|| DatabaseError::Driver("an empty list".into()))
    }

    async fn update(&self, id: &Uuid, change: UserChange<()>) -> Result<Outcome<User<()>>, DatabaseError> {
        let mut users = self.lock();
        let Some(index) = users.iter().position(|user| user.id == *id) else { return Ok(Outcome::Missing) };
        if let Some(broken) = change.only_if.iter().find(|condition| !holds(&users, id, condition)) {
            return Ok(Outcome::Refused(broken.clone()));
        }
        if let Some(email) = &change.email
            && users.iter().any(|user| user.id != *id && email.key().matches(user.email.as_str()))
        {
            return Err(DatabaseError::Conflict(Conflict::Email));
        }
        let Some(user) = users.get_mut(index) else { return Ok(Outcome::Missing) };
        user.email = change.email.unwrap_or_else(|| user.email.clone());
        user.hashed_password = change.hashed_password.unwrap_or_else(|| user.hashed_password.clone());
        user.is_active = change.is_active.unwrap_or(user.is_active);
        user.is_superuser = change.is_superuser.unwrap_or(user.is_superuser);
        user.is_verified = change.is_verified.unwrap_or(user.is_verified);
        if let Some(end) = change.end_tokens {
            // A store that keeps marks would spare the session that acts; here it logs in again.
            user.tokens_valid_after = Some(next_valid_after(end.now, user.tokens_valid_after));
        }
        Ok(Outcome::Done(user.clone()))
    }

    async fn delete(&self, id: &Uuid, only_if: Vec<Condition>) -> Result<Outcome<()>, DatabaseError> {
        let mut users = self.lock();
        if !users.iter().any(|user| user.id == *id) {
            return Ok(Outcome::Missing);
        }
        if let Some(broken) = only_if.into_iter().find(|condition| !holds(&users, id, condition)) {
            return Ok(Outcome::Refused(broken));
        }
        users.retain(|user| user.id != *id);
        Ok(Outcome::Done(()))
    }
}

/// A condition that is not known does not hold.
fn holds(users: &[User<()>], id: &Uuid, condition: &Condition) -> bool {
    let counts = |user: &User<()>| user.is_superuser && user.is_active;
    users.iter().filter(|user| user.id == *id).all(|user| match condition {
        Condition::HashIs(hash) => user.hashed_password.as_str() == hash.as_str(),
        Condition::EmailIs(email) => user.email == *email,
        Condition::TokensValidAfterIs(limit) => user.tokens_valid_after == *limit,
        // There are no sessions here.
        Condition::SessionNotEnded(_) => true,
        Condition::AnotherSuperuserRemains => {
            !counts(user) || users.iter().any(|other| other.id != *id && counts(other))
        }
        _ => false,
    })
}

pub fn app(list: ListOfUsers) -> Result<Router, Box<dyn Error>> {
    let jwt = JwtStrategy::new(random::token().expose().as_bytes(), Duration::from_secs(3600))?;
    let users = Users::<()>::builder(list)
        .backend(AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), jwt))
        .build()?;
    Ok(users.router())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    let service = app(ListOfUsers::default())?.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
