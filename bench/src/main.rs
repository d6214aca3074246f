//! CPU time per request of `/users/me` by each strategy and of a login, ours beside hand-written handlers that do the same work, in turn and in
//! one run; and how long `/users/me` takes while four clients log in. Run by `cargo xtask bench`.
//!
//! Requests go through the routers without a network. CPU time is that of this process: all its threads, not the database's.

#![expect(clippy::print_stdout, reason = "it prints its table")]

mod by_hand;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use axum::{Router, body::Body, http::Request};
use axum_users::{
    AccessTokenDatabase, AuthBackend, BearerTransport, DatabaseStrategy, DefaultHasher, JwtStrategy, MongoStore,
    PasswordPool, RedisClient, RedisStrategy, Secret, SqlStore, Strategy, UserDatabase, Users, ValidatedPassword,
};
use http_body_util::BodyExt as _;
use rustix::time::{ClockId, clock_gettime};
use tower::ServiceExt as _;

const SECRET: &[u8] = b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u";
const ROUNDS: usize = 15;

#[tokio::main]
async fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("axum-users-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let sqlite = format!("sqlite://{}", folder.join("bench.db").display());
    println!(
        "| what | ours, CPU µs | by hand, CPU µs | ratio (min, median, max) | ours p50, p99 µs | by hand p50, p99 µs |"
    );
    println!("|---|---|---|---|---|---|");
    let server = |variable: &str| std::env::var(variable).with_context(|| format!("{variable} names no server"));
    let redis = server("AXUM_USERS_TEST_REDIS_URL")?;
    measure("SQLite", &sqlite, &redis, sql(&sqlite).await?).await?;
    let postgres = server("AXUM_USERS_TEST_POSTGRES_URL")?;
    measure("PostgreSQL", &postgres, &redis, sql(&postgres).await?).await?;
    let mongodb = server("AXUM_USERS_TEST_MONGODB_URL")?;
    let mongodb = format!("{}/bench{}", mongodb.trim_end_matches('/'), std::process::id());
    let store =
        MongoStore::<()>::builder(&mongodb).user_collection("bench_user").access_token_collection("bench_token");
    measure("MongoDB", &mongodb, &redis, store.connect().await?).await?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn sql(url: &str) -> Result<SqlStore<()>> {
    Ok(SqlStore::builder(url).user_table("bench_user").access_token_table("bench_token").connect().await?)
}

async fn measure<S>(engine: &str, url: &str, redis: &str, store: S) -> Result<()>
where
    S: UserDatabase<()> + AccessTokenDatabase<()> + Clone,
{
    let lifetime = Duration::from_secs(3600);
    let ours = Side::ours(&store, JwtStrategy::new(SECRET, lifetime)?)?;
    let hand = by_hand::router(url, redis).await?;
    let by_hand = |path| Side { router: hand.clone(), me: path };
    let register = r#"{"email":"king.arthur@camelot.bt","password":"plum tomato engine"}"#;
    ours.send("POST", "/auth/register", "application/json", None, register).await?;
    let hand = by_hand("/jwt/users/me");
    let (token, theirs) = (ours.login().await?, hand.login().await?);
    compare_me(&format!("`/users/me`, JWT, {engine}"), (&ours, &token), (&hand, &theirs)).await?;
    let stored = Side::ours(&store, DatabaseStrategy::new(store.clone(), lifetime))?;
    let row = stored.login().await?;
    let what = format!("`/users/me`, database strategy, {engine}");
    compare_me(&what, (&stored, &row), (&by_hand("/database/users/me"), &row)).await?;
    let in_redis = Side::ours(&store, RedisStrategy::new(RedisClient::new(redis)?, lifetime))?;
    let key = in_redis.login().await?;
    let what = format!("`/users/me`, Redis strategy, users in {engine}");
    compare_me(&what, (&in_redis, &key), (&by_hand("/redis/users/me"), &key)).await?;

    compare(&format!("login, {engine}"), 6, async || ours.login().await, async || hand.login().await).await?;
    let pool = PasswordPool::builder(DefaultHasher::default()).build()?;
    let password = ValidatedPassword::danger_unchecked(Secret::from("plum tomato engine"));
    let hash = pool.hash(password).await?;
    let verify = async || {
        let verified = pool.verify(Secret::from("plum tomato engine"), hash.clone()).await?;
        anyhow::ensure!(verified.is_valid(), "the hash does not verify");
        Ok(String::new())
    };
    let what = format!("login, {engine}; beside it one verification alone");
    compare(&what, 6, async || ours.login().await, verify).await?;

    let idle = latencies(2_000, async || ours.me(&token).await).await?;
    let storm = (0..4).map(|_| {
        let side = Side { router: ours.router.clone(), me: ours.me };
        tokio::spawn(async move {
            loop {
                if side.login().await.is_err() {
                    return;
                }
            }
        })
    });
    let storm: Vec<_> = storm.collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let busy = latencies(4_000, async || ours.me(&token).await).await?;
    storm.iter().for_each(tokio::task::JoinHandle::abort);
    let show = |samples: &[f64]| format!("p50 {:.0}, p99 {:.0}", percentile(samples, 50), percentile(samples, 99));
    println!("| `/users/me`, {engine}, idle | | | | {} | |", show(&idle));
    println!("| `/users/me`, {engine}, four clients log in | | | | {} | |", show(&busy));
    Ok(())
}

/// `/users/me` of the two, each with its token.
async fn compare_me(what: &str, ours: (&Side, &str), hand: (&Side, &str)) -> Result<()> {
    // What one reads, the other reads too.
    anyhow::ensure!(ours.0.me(ours.1).await? == hand.0.me(hand.1).await?, "the two do not do the same work");
    compare(what, 2_000, async || ours.0.me(ours.1).await, async || hand.0.me(hand.1).await).await
}

async fn compare<T>(
    what: &str,
    requests: usize,
    ours: impl AsyncFn() -> Result<T>,
    hand: impl AsyncFn() -> Result<T>,
) -> Result<()> {
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut waits_a, mut waits_b) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let start = cpu();
        let waits = latencies(requests, &ours).await?;
        let middle = cpu();
        let hand_waits = latencies(requests, &hand).await?;
        let end = cpu();
        if round == 0 {
            continue; // warm-up
        }
        let per = |time: Duration| time.as_secs_f64() * 1e6 / requests as f64;
        a.push(per(middle - start));
        b.push(per(end - middle));
        ratios.push((middle - start).as_secs_f64() / (end - middle).as_secs_f64());
        waits_a.extend(waits);
        waits_b.extend(hand_waits);
    }
    let spread = |samples: &[f64]| (percentile(samples, 0), percentile(samples, 50), percentile(samples, 100));
    let (min, median, max) = spread(&ratios);
    println!(
        "| {what} | {:.1} | {:.1} | {min:.2}, **{median:.2}**, {max:.2} | {:.0}, {:.0} | {:.0}, {:.0} |",
        percentile(&a, 50),
        percentile(&b, 50),
        percentile(&waits_a, 50),
        percentile(&waits_a, 99),
        percentile(&waits_b, 50),
        percentile(&waits_b, 99),
    );
    Ok(())
}

/// How long each request took, in microseconds.
async fn latencies<T>(requests: usize, send: impl AsyncFn() -> Result<T>) -> Result<Vec<f64>> {
    let mut waits = Vec::with_capacity(requests);
    for _ in 0..requests {
        let start = Instant::now();
        send().await?;
        waits.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(waits)
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len().saturating_sub(1)) * percent / 100).copied().unwrap_or(f64::NAN)
}

/// One of the two.
struct Side {
    router: Router,
    /// The path of the current user.
    me: &'static str,
}

impl Side {
    fn ours(store: &(impl UserDatabase<()> + Clone), strategy: impl Strategy<()>) -> Result<Self> {
        // One name for all, so that all log in at the same path.
        let backend = AuthBackend::new("jwt", BearerTransport::new("auth/jwt/login"), strategy);
        Ok(Self { router: Users::builder(store.clone()).backend(backend).build()?.router(), me: "/users/me" })
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        token: Option<&str>,
        body: &str,
    ) -> Result<String> {
        let mut request = Request::builder().method(method).uri(path).header("content-type", content_type);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body.to_owned()))?).await?;
        let status = response.status();
        let body = String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?;
        anyhow::ensure!(status.is_success() || path.ends_with("register"), "{status} {body}");
        Ok(body)
    }

    async fn me(&self, token: &str) -> Result<String> {
        self.send("GET", self.me, "text/plain", Some(token), "").await
    }

    async fn login(&self) -> Result<String> {
        let form = "username=king.arthur%40camelot.bt&password=plum+tomato+engine";
        let body = self.send("POST", "/auth/jwt/login", "application/x-www-form-urlencoded", None, form).await?;
        let body: serde_json::Value = serde_json::from_str(&body)?;
        Ok(body.get("access_token").and_then(serde_json::Value::as_str).context("no token")?.to_owned())
    }
}
