//! Kills the server with SIGKILL while clients register, 50 times on each engine, and looks for every acknowledged write.
//! Run by `cargo xtask kill`.

#![expect(clippy::print_stdout, reason = "it prints its figures")]

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use axum_users::{EmailKey, MongoStore, SqlStore, UserDatabase};

const ROUNDS: usize = 50;
const WRITERS: usize = 6;
/// Where the users are.
const USERS: &str = "kill_user";
const TOKENS: &str = "kill_token";

#[tokio::main]
async fn main() -> Result<()> {
    let folder = env::temp_dir().join(format!("axum-users-kill-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let server = |variable: &str| env::var(variable).with_context(|| format!("{variable} names no server"));
    let database = |variable: &str| {
        let url = server(variable)?;
        let (base, options) = url.split_once('?').unwrap_or((&url, ""));
        anyhow::Ok(format!("{}/kill{}?{options}", base.trim_end_matches('/'), std::process::id()))
    };
    let mut engines = vec![
        ("SQLite", format!("sqlite://{}", folder.join("kill.db").display())),
        ("PostgreSQL", server("AXUM_USERS_TEST_POSTGRES_URL")?),
        ("MariaDB", server("AXUM_USERS_TEST_MYSQL_URL")?),
        ("MongoDB", database("AXUM_USERS_TEST_MONGODB_URL")?),
    ];
    match database("AXUM_USERS_TEST_FERRETDB_URL") {
        Ok(url) => engines.push(("FerretDB", url)),
        Err(error) => println!("FerretDB is left out: {error:#}"),
    }
    for (engine, url) in engines {
        let acknowledged = storm(&folder, &url)?;
        let missing = if url.starts_with("mongodb") {
            let store = MongoStore::<()>::builder(&url).user_collection(USERS).access_token_collection(TOKENS);
            missing(&store.connect().await?, &acknowledged).await?
        } else {
            let store = SqlStore::<()>::builder(&url).user_table(USERS).access_token_table(TOKENS);
            missing(&store.connect().await?, &acknowledged).await?
        };
        println!(
            "{engine}: killed {ROUNDS} times, {} acknowledged registrations, {missing} missing",
            acknowledged.len()
        );
        ensure!(missing == 0 && !acknowledged.is_empty(), "{engine}: acknowledged writes are missing");
    }
    fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn missing(store: &impl UserDatabase<()>, acknowledged: &[String]) -> Result<usize> {
    let mut missing = 0;
    for email in acknowledged {
        missing += usize::from(store.get_by_email(&EmailKey::of_typed(email)).await?.is_none());
    }
    Ok(missing)
}

/// Every address whose registration was answered with 201.
fn storm(folder: &Path, url: &str) -> Result<Vec<String>> {
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let number = Arc::new(AtomicUsize::new(0));
    for round in 0..ROUNDS {
        let (mut server, address) = start(folder, url)?;
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..WRITERS).map(|_| {
            let (stop, number, acknowledged) = (Arc::clone(&stop), Arc::clone(&number), Arc::clone(&acknowledged));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let email = format!("user{}@camelot.bt", number.fetch_add(1, Ordering::Relaxed));
                    if register(address, &email).unwrap_or(false) {
                        acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(email);
                    }
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        thread::sleep(Duration::from_millis(150 + (round as u64 * 37) % 250));
        server.kill()?; // SIGKILL
        server.wait()?;
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            let _ = writer.join();
        }
    }
    let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(acknowledged.clone())
}

fn start(folder: &Path, url: &str) -> Result<(Child, SocketAddr)> {
    let mut server = Command::new(env::current_exe()?.with_file_name("axum-users"))
        .args(["--listen", "127.0.0.1:0", "--database", url])
        .env("AXUM_USERS__DATABASE__USER_ID", "uuid")
        .env("AXUM_USERS__DATABASE__USER_TABLE", USERS)
        .env("AXUM_USERS__DATABASE__ACCESS_TOKEN_TABLE", TOKENS)
        .env("AXUM_USERS__PASSWORD__ARGON2__MEMORY_KIB", "19456")
        .env("AXUM_USERS__PASSWORD__ARGON2__ITERATIONS", "2")
        .env("AXUM_USERS__PASSWORD__ARGON2__PARALLELISM", "1")
        .env("AXUM_USERS__THROTTLE__ENABLED", "false")
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("the server does not start: is it built?")?;
    let stdout = server.stdout.take().context("no output")?;
    for line in BufReader::new(stdout).lines() {
        if let Some(address) = line?.strip_prefix("Listening on http://") {
            return Ok((server, address.parse()?));
        }
    }
    anyhow::bail!("the server ended before it listened")
}

/// Whether the server answered 201.
fn register(address: SocketAddr, email: &str) -> Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let body = format!(r#"{{"email":"{email}","password":"plum tomato engine"}}"#);
    write!(
        stream,
        "POST /auth/register HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    // The whole answer came, so the write was acknowledged.
    Ok(answer.starts_with("HTTP/1.1 201") && answer.contains(email))
}
