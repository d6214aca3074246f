//! The server that is measured: the routes of the library in the strict profile, on a core of its own, with people of every kind.

use std::{
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
};
use axum_users::{
    AuthBackend, BearerTransport, DefaultHasher, Email, JwtStrategy, NewUser, PasswordHash, PasswordPool, Secret,
    SqlStore, TokenSettings, UserDatabase as _, Users, ValidatedPassword,
    mail::{Mail, Mailer, Undelivered},
};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::pin;

const SECRETS: [&[u8]; 3] =
    [b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u", b"Hq3Zt8LbNx5VcWm2RjYp9SgKd7FaUe4T", b"b4TnXz7QkVd2WmLr9HsPjY6GcEa3UfRq"];
pub(crate) const PASSWORD: &str = "plum tomato engine";
/// Somebody who is logged in.
pub(crate) const ACTOR: &str = "z00000000@camelot.bt";
/// How many people of a kind there are.
const PEOPLE: u64 = 20;
/// Of a password that nobody tries: `bcrypt` at cost 12, as FastAPI Users wrote it before it had Argon2.
const BCRYPT: &str = "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW";

/// What a person may be to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unknown,
    UnknownToo,
    Active,
    Unverified,
    Inactive,
    Superuser,
    OldHash,
}

impl Kind {
    /// All that must not be told apart.
    pub(crate) const ALL: [Self; 6] =
        [Self::Unknown, Self::Active, Self::Unverified, Self::Inactive, Self::Superuser, Self::OldHash];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "no account",
            Self::UnknownToo => "no account either",
            Self::Active => "active and verified",
            Self::Unverified => "not verified",
            Self::Inactive => "inactive",
            Self::Superuser => "superuser",
            Self::OldHash => "bcrypt hash",
        }
    }

    /// An address of this kind; all are equally long.
    pub(crate) fn email(self, number: u64) -> String {
        let letter = match self {
            Self::Unknown => 'n',
            Self::UnknownToo => 'm',
            Self::Active => 'a',
            Self::Unverified => 'u',
            Self::Inactive => 'i',
            Self::Superuser => 's',
            Self::OldHash => 'b',
        };
        let number = if matches!(self, Self::Unknown | Self::UnknownToo) { number } else { number % PEOPLE };
        format!("{letter}{number:08}@camelot.bt")
    }
}

pub(crate) struct Server {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Server {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let url = format!("sqlite://{}", folder.join("timing.db").display());
        let started = thread::spawn(move || {
            // This thread, and all that it starts.
            pin(0)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            let address = runtime.block_on(serve(&url))?;
            Ok(Self { address, _runtime: runtime })
        });
        started.join().ok().context("the server panicked")?
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(url: &str) -> Result<SocketAddr> {
    let store = SqlStore::<()>::connect(url).await?;
    let passwords = PasswordPool::builder(DefaultHasher::default().level_with_bcrypt(12)).build()?;
    let hash = passwords.hash(ValidatedPassword::danger_unchecked(Secret::from(PASSWORD))).await?;
    let everybody = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Unknown);
    let everybody = everybody.flat_map(|kind| (0..PEOPLE).map(move |number| (kind, kind.email(number))));
    for (kind, email) in everybody.chain([(Kind::Active, ACTOR.to_owned())]) {
        let hash = if kind == Kind::OldHash { PasswordHash::from_stored(BCRYPT.to_owned()) } else { hash.clone() };
        store
            .create(NewUser {
                id: axum_users::UserId::generate(),
                email: Email::parse(&email)?,
                hashed_password: hash,
                is_active: kind != Kind::Inactive,
                is_superuser: kind == Kind::Superuser,
                is_verified: kind != Kind::Unverified,
                tokens_valid_after: None,
                profile: (),
                consumes: None,
            })
            .await?;
    }
    let [jwt, verification, reset] = SECRETS;
    let strategy = JwtStrategy::new(jwt, Duration::from_secs(3600))?;
    let users = Users::builder(store)
        .passwords(passwords)
        .backend(AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), strategy))
        .verification(TokenSettings::new(verification)?)
        .reset_password(TokenSettings::new(reset)?)
        .mailer(Nowhere)
        .throttle(None)
        .strict(true)
        .prove_mailbox_first(true)
        .build()?;
    let router: Router = users.router().layer(from_fn(planted));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// The differences that controls plant: so many microseconds of work, or an answer before there was any.
async fn planted(request: Request, next: Next) -> Response {
    match request.headers().get("x-planted").and_then(|value| value.to_str().ok()) {
        Some("skip") => {
            let answer = r#"{"detail":"LOGIN_BAD_CREDENTIALS"}"#;
            return (axum::http::StatusCode::BAD_REQUEST, [("content-type", "application/json")], answer)
                .into_response();
        }
        Some(microseconds) => {
            let work = Duration::from_micros(microseconds.parse().unwrap_or(0));
            let start = Instant::now();
            while start.elapsed() < work {
                std::hint::spin_loop();
            }
        }
        None => {}
    }
    next.run(request).await
}

/// Mail that leaves at once.
struct Nowhere;

impl Mailer for Nowhere {
    async fn send(&self, _mail: &Mail) -> Result<(), Undelivered> {
        Ok(())
    }
}
