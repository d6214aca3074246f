//! Without a request: a program creates a superuser, finds, changes and removes users.

use std::error::Error;

use axum_users::{Email, Fields, Secret, SqlStore, UserCreate, UserManager, UserUpdate};

/// Makes sure that there is a superuser with this address; answers whether it had to be made.
pub async fn ensure_superuser(users: &UserManager<()>, email: &str, password: Secret) -> Result<bool, Box<dyn Error>> {
    if let Some(user) = users.get_by_email(email).await? {
        let update = UserUpdate { is_superuser: Some(true), is_verified: Some(true), ..UserUpdate::default() };
        users.update(&user, update, Fields::All, None, None).await?;
        return Ok(false);
    }
    let mut create = UserCreate::new(Email::parse(email)?, password, ());
    (create.is_superuser, create.is_verified) = (Some(true), Some(true));
    users.create(create, Fields::All, None).await?;
    Ok(true)
}

pub async fn manager(database: &str) -> Result<UserManager<()>, Box<dyn Error>> {
    Ok(UserManager::builder(SqlStore::connect(database).await?).build()?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let users = manager("sqlite://programmatic.db").await?;
    let password = std::env::var("SUPERUSER_PASSWORD")?;
    ensure_superuser(&users, "merlin@camelot.bt", Secret::from(password)).await?;
    Ok(())
}
