//! Nodes that are processes: the server as it is shipped.

use std::{
    env,
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum_users::password::Argon2Params;
use reqwest::{Certificate, Client, Method};

use crate::{
    Answer, Node, Provider, Request, Tables,
    provider::{CLIENT_ID, CLIENT_SECRET},
};

/// The least that the server does not refuse.
const MEMORY_KIB: u32 = 19_456;
const ITERATIONS: u32 = 2;

/// A server on a free port; it ends with this value.
pub struct Server {
    child: Child,
    client: Client,
    base: String,
}

impl Server {
    /// Starts it over these tables; people log in by this provider too. Its log goes to a file in this folder.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn start(folder: &Path, number: usize, tables: &Tables, provider: &Provider) -> Result<Self> {
        let binary = env::current_exe()?.with_file_name("axum-users");
        let mut command = Command::new(binary);
        command
            .args(["--listen", "127.0.0.1:0"])
            .env_clear()
            .envs(SETTINGS.iter().copied())
            .env("AXUM_USERS__DATABASE__URL", &tables.url)
            .env("AXUM_USERS__DATABASE__USER_ID", "uuid")
            .env("AXUM_USERS__DATABASE__USER_TABLE", &tables.users)
            .env("AXUM_USERS__DATABASE__ACCESS_TOKEN_TABLE", &tables.tokens)
            .env("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__CLIENT_ID", CLIENT_ID)
            .env("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__CLIENT_SECRET", CLIENT_SECRET)
            .env("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__AUTHORIZE_URL", provider.url("authorize"))
            .env("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__TOKEN_URL", provider.url("token"))
            .env("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__PROFILE_URL", provider.url("me"))
            .env("AXUM_USERS__PASSWORD__ARGON2__MEMORY_KIB", MEMORY_KIB.to_string())
            .env("AXUM_USERS__PASSWORD__ARGON2__ITERATIONS", ITERATIONS.to_string())
            .env("AXUM_USERS__PASSWORD__ARGON2__PARALLELISM", "1")
            .env("AXUM_USERS__THROTTLE__ENABLED", "false")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join(format!("node-{number}.log")))?);
        let child = command.spawn().context("the server does not start: is it built beside this program?")?;
        let mut server = Self { child, client: client()?, base: String::new() };
        let stdout = server.child.stdout.take().context("no output")?;
        for line in BufReader::new(stdout).lines() {
            if let Some(address) = line?.strip_prefix("Listening on ") {
                server.base = address.to_owned();
                return Ok(server);
            }
        }
        anyhow::bail!("a server ended before it listened: see its log in {}", folder.display())
    }

    /// What it hashes with.
    ///
    /// # Errors
    /// Never, as long as the server accepts them.
    pub fn params() -> Result<Argon2Params> {
        Ok(Argon2Params::new(MEMORY_KIB, ITERATIONS, 1)?)
    }
}

/// The same secrets, so that each node accepts what another one signed.
const SETTINGS: &[(&str, &str)] = &[
    ("AXUM_USERS__SECRETS__JWT", "w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u"),
    ("AXUM_USERS__SECRETS__OAUTH_STATE", "Yd2Kq7Lw9Xz4Rt6Vb8Nm3Hj5Gf1Cs0Pe"),
    ("AXUM_USERS__PUBLIC_URL", "http://localhost"),
    ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__KIND", "oauth2"),
    ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__EMAIL_VERIFIED_FIELD", "email_verified"),
    ("AXUM_USERS__AUTH__BACKENDS", "jwt,db,cookie"),
    ("AXUM_USERS__AUTH__BACKEND__JWT__REFRESH", "true"),
    ("AXUM_USERS__AUTH__BACKEND__DB__REFRESH", "true"),
    ("AXUM_USERS__AUTH__BACKEND__DB__TRANSPORT", "bearer"),
    ("AXUM_USERS__AUTH__BACKEND__DB__STRATEGY", "database"),
];

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node for Server {
    async fn send(&self, request: Request) -> Result<Answer> {
        let method = Method::from_bytes(request.method.as_bytes())?;
        let mut builder = self.client.request(method, format!("{}{}", self.base, request.path)).body(request.body);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let response = builder.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?;
        Ok(Answer::new(status, |name| headers.get(name)?.to_str().ok(), &body))
    }
}

fn client() -> Result<Client> {
    // It needs some roots to be built, though it never leaves this machine.
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().take(1);
    let roots = roots.map(|root| Certificate::from_der(root)).collect::<Result<Vec<_>, _>>()?;
    Ok(Client::builder()
        .tls_certs_only(roots)
        .no_proxy()
        .pool_idle_timeout(Duration::from_secs(2))
        .timeout(Duration::from_secs(60))
        .build()?)
}
