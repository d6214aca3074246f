//! Mail in two ways: a mailer with templates, and hooks that send by themselves. Both run in a worker, after the answer.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use axum_users::{
    AuthBackend, BearerTransport, Delivery, DevelopmentMailer, JwtStrategy, MailTemplates, Secret, SqlStore,
    TokenSettings, User, UserHooks, Users, UsersBuilder,
    mail::{Mailer, Undelivered},
    random,
};

/// The first way: facts go to a mailer, which makes mails of them; `SmtpMailer` sends them, `DevelopmentMailer` prints them.
pub async fn with_a_mailer(database: &str, mailer: impl Mailer) -> Result<Router, Box<dyn Error>> {
    serve(builder(database).await?.mailer(mailer))
}

/// The second way: you send what you like, where you like; here short messages.
pub async fn with_hooks(database: &str, messages: Messages) -> Result<Router, Box<dyn Error>> {
    serve(builder(database).await?.hooks(messages))
}

/// Somebody who carries short messages.
#[derive(Clone, Default)]
pub struct Messages(Arc<Mutex<Vec<(String, String)>>>);

impl Messages {
    pub fn sent(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An error, [`Undelivered::for_now`], is tried again for hours. The key is the same for each attempt: what was sent, and whose
    /// answer was lost, is not sent twice.
    fn send(&self, key: &str, text: String) -> Result<(), Undelivered> {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !sent.iter().any(|(other, _)| other == key) {
            sent.push((key.to_owned(), text));
        }
        Ok(())
    }
}

impl UserHooks<()> for Messages {
    async fn on_after_request_verify(
        &self,
        user: &User<()>,
        token: &Secret,
        by: Delivery<'_>,
    ) -> Result<(), Undelivered> {
        self.send(by.key(), format!("{}: verify with {}", user.email, token.expose()))
    }

    async fn on_after_forgot_password(
        &self,
        user: &User<()>,
        token: &Secret,
        by: Delivery<'_>,
    ) -> Result<(), Undelivered> {
        self.send(by.key(), format!("{}: reset with {}", user.email, token.expose()))
    }
}

/// Verification and reset need secrets of their own, from your configuration: a new one at each start ends all links.
async fn builder(database: &str) -> Result<UsersBuilder<()>, Box<dyn Error>> {
    let jwt = JwtStrategy::new(random::token().expose().as_bytes(), Duration::from_secs(3600))?;
    Ok(Users::builder(SqlStore::connect(database).await?)
        .backend(AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), jwt))
        .verification(TokenSettings::new(random::token().expose().as_bytes())?)
        .reset_password(TokenSettings::new(random::token().expose().as_bytes())?))
}

fn serve(builder: UsersBuilder<()>) -> Result<Router, Box<dyn Error>> {
    let users = builder.build()?;
    // What an earlier run left is sent now; else it would wait for the next message.
    users.start_worker();
    Ok(users.router())
}

/// Links lead to this address, whatever a request says.
pub fn templates() -> Result<MailTemplates, Box<dyn Error>> {
    Ok(MailTemplates::builder("Camelot <noreply@camelot.bt>", "http://localhost:8000")
        .product_name("Camelot")
        .build()?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mailer = DevelopmentMailer::new(templates()?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    let router = with_a_mailer("sqlite://mail.db", mailer).await?;
    // Limits count by the client's address.
    Ok(axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await?)
}
