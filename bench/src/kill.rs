//! Kills the server with SIGKILL while clients register, 50 times on each engine, and looks for every acknowledged write.
//! Run by `cargo xtask kill`.

#![expect(clippy::print_stdout, reason = "it prints its figures")]

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use axum_users::{EmailKey, SqlStore, UserDatabase as _};

const ROUNDS: usize = 50;
const WRITERS: usize = 6;

#[tokio::main]
async fn main() -> Result<()> {
    let folder = env::temp_dir().join(format!("axum-users-kill-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let server = |variable: &str| env::var(variable).with_context(|| format!("{variable} names no server"));
    for (engine, url) in [
        ("SQLite", format!("sqlite://{}", folder.join("kill.db").display())),
        ("PostgreSQL", server("AXUM_USERS_TEST_POSTGRES_URL")?),
        ("MariaDB", server("AXUM_USERS_TEST_MYSQL_URL")?),
    ] {
        let acknowledged = storm(&folder, &url)?;
        let store =
            SqlStore::<()>::builder(&url).user_table("kill_user").access_token_table("kill_token").connect().await?;
        let mut missing = 0;
        for email in &acknowledged {
            if store.get_by_email(&EmailKey::of_typed(email)).await?.is_none() {
                missing += 1;
            }
        }
        println!(
            "{engine}: killed {ROUNDS} times, {} acknowledged registrations, {missing} missing",
            acknowledged.len()
        );
        ensure!(missing == 0 && !acknowledged.is_empty(), "{engine}: acknowledged writes are missing");
    }
    fs::remove_dir_all(&folder)?;
    Ok(())
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
    let binary = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../target/debug/axum-users");
    let mut server = Command::new(binary)
        .args(["--listen", "127.0.0.1:0", "--database", url])
        .env("AXUM_USERS__DATABASE__USER_TABLE", "kill_user")
        .env("AXUM_USERS__DATABASE__ACCESS_TOKEN_TABLE", "kill_token")
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
