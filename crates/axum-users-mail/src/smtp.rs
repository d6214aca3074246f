//! Mail that leaves by SMTP.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum_users_core::{
    Clock,
    mail::{Mail, Mailer, Undelivered},
};
use lettre::transport::smtp::{
    self,
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
    extension::ClientId,
};
use tokio::time::{Instant, timeout};

use crate::{MailTemplates, message::Outgoing};
use server::{Scheme, Server};

mod server;

/// Hands mails to a server by SMTP (RFC 5321, RFC 6409), each at least once, and each attempt with the same `Message-ID` and
/// `Idempotency-Key`. A cheap handle; clones share the connections.
///
/// ```
/// use axum_users_mail::{MailTemplates, SmtpMailer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let templates = MailTemplates::builder("noreply@camelot.bt", "https://users.camelot.bt").build()?;
/// let mailer = SmtpMailer::builder("smtp://arthur:excalibur@mail.camelot.bt:587", templates).build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SmtpMailer(Arc<Inner>);

struct Inner {
    server: Server,
    encryption: Encryption,
    hello: ClientId,
    deadline: Duration,
    templates: MailTemplates,
    clock: Clock,
    /// Connections that have handed over a mail and were not told anything else since, with the time of that.
    idle: Mutex<Vec<(Instant, AsyncSmtpConnection)>>,
}

enum Encryption {
    /// From the first byte on (RFC 8314 section 3.3).
    Tls(TlsParameters),
    /// Asked for with `STARTTLS` (RFC 3207); without it nothing is said.
    StartTls(TlsParameters),
    None,
}

impl SmtpMailer {
    /// To this server: `smtp://user:password@host:587` speaks TLS after `STARTTLS`, `smtps://user:password@host:465` from the
    /// beginning. Escape what means something in a URL. `smtp://` to this very machine speaks no TLS, unless an authority is named.
    pub fn builder(url: impl Into<String>, templates: MailTemplates) -> SmtpMailerBuilder {
        SmtpMailerBuilder {
            url: url.into(),
            templates,
            ca_file: None,
            danger_plaintext: false,
            deadline: Duration::from_secs(10),
            clock: Clock::system(),
        }
    }

    async fn hand_over(&self, message: &Outgoing) -> Result<(), Failure> {
        let mut connection = match self.idle().await {
            Some(connection) => connection,
            None => self.connect().await.map_err(Failure::Connection)?,
        };
        connection.send(&message.envelope, &message.bytes).await.map_err(Failure::Mail)?;
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push((Instant::now(), connection));
        }
        Ok(())
    }

    /// A connection that still answers. One that is in the middle of something never gets here: it is dropped with its attempt.
    async fn idle(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (since, mut connection) = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if since.elapsed() < IDLE && connection.test_connected().await {
                return Some(connection);
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        let Inner { server, hello, .. } = &*self.0;
        let tls = match &self.0.encryption {
            Encryption::Tls(tls) => Some(tls.clone()),
            _ => None,
        };
        let address = (server.host.as_str(), server.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, None, hello, tls, None).await?;
        if let Encryption::StartTls(tls) = &self.0.encryption {
            connection.starttls(tls.clone(), hello).await?;
        }
        if let Some((user, password)) = &server.login {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(connection)
    }
}

impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), Undelivered> {
        let templates = &self.0.templates;
        let rendered = templates.render(mail).map_err(Undelivered::for_good)?;
        let message = Outgoing::new(templates.from(), &rendered, self.0.clock.now())?;
        match timeout(self.0.deadline, self.hand_over(&message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(failure.undelivered(rendered.to().as_str())),
            Err(_) => Err(Undelivered::for_now(format!("the mail server did not answer within {:?}", self.0.deadline))),
        }
    }
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server { host, port, .. } = &self.0.server;
        f.debug_struct("SmtpMailer").field("host", host).field("port", port).finish_non_exhaustive()
    }
}

/// What went wrong, and when.
enum Failure {
    /// Before the mail was spoken of.
    Connection(smtp::Error),
    /// With this mail.
    Mail(smtp::Error),
}

impl Failure {
    /// The server's words are for the log, which holds no address of a person.
    fn undelivered(self, recipient: &str) -> Undelivered {
        let (error, is_permanent) = match self {
            // A wrong password, or a server that is being set up, is no reason to lose a mail.
            Self::Connection(error) => (error, false),
            Self::Mail(error) => {
                let code = error.status().map(|code| code.to_string());
                let is_permanent = error.is_permanent() && code.as_deref() != Some(AUTHENTICATION_REQUIRED);
                (error, is_permanent)
            }
        };
        let words = error.to_string().replace(recipient, "…");
        if is_permanent { Undelivered::for_good(words) } else { Undelivered::for_now(words) }
    }
}

/// Builds [`SmtpMailer`].
#[must_use]
pub struct SmtpMailerBuilder {
    url: String,
    templates: MailTemplates,
    ca_file: Option<PathBuf>,
    danger_plaintext: bool,
    deadline: Duration,
    clock: Clock,
}

impl SmtpMailerBuilder {
    /// The authority that signed the server's certificate, as a PEM file; no other is trusted then. Default: the public authorities.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Whether `smtp://` speaks no TLS, for a server on a network that is safe itself.
    ///
    /// # Security
    /// Whoever sees the network sees the login and every link, and can use both.
    pub fn danger_plaintext(mut self, plaintext: bool) -> Self {
        self.danger_plaintext = plaintext;
        self
    }

    /// How long one attempt may take, from the look-up of the name to the last answer. Default: 10 seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Where the date of a mail comes from. Default: the system.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Checks everything; connects to nothing.
    ///
    /// # Errors
    /// [`SmtpConfigError`] for a URL or an authority that cannot be used.
    pub fn build(self) -> Result<SmtpMailer, SmtpConfigError> {
        let server = Server::parse(&self.url)?;
        let plain = server.scheme == Scheme::Smtp
            && (self.danger_plaintext || (server.is_loopback() && self.ca_file.is_none()));
        if plain && self.ca_file.is_some() {
            return Err(SmtpConfigError::CaWithoutTls);
        }
        let encryption = if plain {
            Encryption::None
        } else {
            let mut tls = TlsParameters::builder(server.host.clone());
            if let Some(path) = &self.ca_file {
                let authority =
                    authority(path).map_err(|source| SmtpConfigError::CaFile { path: path.clone(), source })?;
                tls = tls.certificate_store(CertificateStore::None).add_root_certificate(authority);
            }
            let tls = tls.build_rustls().map_err(|_| SmtpConfigError::Url("TLS cannot be set up for this host"))?;
            if server.scheme == Scheme::Smtps { Encryption::Tls(tls) } else { Encryption::StartTls(tls) }
        };
        Ok(SmtpMailer(Arc::new(Inner {
            server,
            encryption,
            hello: ClientId::default(),
            deadline: self.deadline,
            templates: self.templates,
            clock: self.clock,
            idle: Mutex::default(),
        })))
    }
}

fn authority(path: &Path) -> Result<Certificate, Box<dyn std::error::Error + Send + Sync>> {
    let pem = fs::read(path)?;
    if !pem.windows(PEM.len()).any(|part| part == PEM) {
        return Err("there is no certificate in it".into());
    }
    Ok(Certificate::from_pem(&pem)?)
}

const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// A mail server that cannot be used as it is configured; no message holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmtpConfigError {
    /// The URL.
    #[error("the URL of the mail server cannot be used: {0}")]
    Url(&'static str),
    /// The authority cannot be read, or is none.
    #[error("{} cannot be used as an authority", path.display())]
    #[expect(missing_docs, reason = "the message says it")]
    CaFile { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    /// An authority for a connection without TLS.
    #[error("an authority is named, but the connection speaks no TLS")]
    CaWithoutTls,
}

/// How many idle connections are kept, and for how long.
const KEPT: usize = 4;
const IDLE: Duration = Duration::from_secs(30);

/// RFC 4954 section 6: it says nothing about the mail.
const AUTHENTICATION_REQUIRED: &str = "530";

#[cfg(test)]
mod tests;
