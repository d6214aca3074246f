//! The database goes away: black hole, refusal, reset in the middle of an answer. And comes back.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{Connection as _, MySqlConnection, PgConnection};

use crate::{
    faults_proxy::{LOST, Network, Proxy},
    harness::{Answer, Folder, PASSWORD, Server},
    visitor::{Visitor, says},
};

const KING: &str = "king@camelot.bt";
const QUEEN: &str = "queen@camelot.bt";
/// Far more than a call may take, and far less than a hanging one does.
const HANGING: Duration = Duration::from_secs(10);
/// Somebody who could be a user: a token of the database strategy that no login issued.
const STRANGER: &str = "c3RyYW5nZXItdG9rZW4tdGhhdC1uby1sb2dpbi1pc3M";

#[test]
fn av_03_av_06_postgres_goes_away_and_comes_back() {
    goes_away_and_comes_back(&empty_postgres());
}

#[test]
fn av_03_av_06_mariadb_goes_away_and_comes_back() {
    goes_away_and_comes_back(&empty_mariadb());
}

#[test]
fn lg_04_a_lost_database_is_told_to_the_log_and_to_nobody_else() {
    for url in [empty_postgres(), empty_mariadb()] {
        let folder = Folder::new();
        let (proxy, server) = behind_proxy(&folder, &url);
        let people = People::settle(&folder, &url, &server);
        for network in [Network::Swallows, Network::Refuses, Network::Resets] {
            proxy.set(network);
            let bearer = format!("Bearer {}", people.king);
            let id = format!("fault-{network:?}");
            let answer = server.send("GET", "/users/me", &[("authorization", &bearer), ("x-request-id", &id)], b"");
            assert_eq!(answer.body, r#"{"detail":"Service Unavailable"}"#, "{network:?}");
            assert_eq!(answer.header("x-request-id"), Some(&*id));
            assert_eq!(answer.header("content-type"), Some("application/json"));
            proxy.set(Network::Passes);
            comes_back(&server, &people.king);
        }
        let log = server.stop();
        let password = url.split(['@', ':']).nth(2).unwrap();
        assert!(!log.contains(password) && !log.contains(PASSWORD), "{log}");
        for network in [Network::Swallows, Network::Refuses, Network::Resets] {
            let id = format!("fault-{network:?}");
            let lines: Vec<&str> = log.lines().filter(|line| line.contains(&id)).collect();
            assert!(lines.iter().any(|line| line.contains("ERROR") || line.contains("WARN")), "{network:?}: {lines:?}");
        }
    }
}

#[test]
fn se_04_a_logout_counts_when_it_was_acknowledged_and_only_then() {
    for url in [empty_postgres(), empty_mariadb()] {
        let folder = Folder::new();
        let (proxy, server) = behind_proxy(&folder, &url);
        let people = People::settle(&folder, &url, &server);
        let (gone, staying) = (server.token(QUEEN, PASSWORD), &people.queen);
        assert_eq!(server.as_bearer("POST", "/auth/jwt/logout", &gone).status, 204);
        for network in [Network::Swallows, Network::Refuses] {
            proxy.set(network);
            is_unavailable("logout", &server.as_bearer("POST", "/auth/jwt/logout", staying));
            assert_ne!(server.as_bearer("GET", "/users/me", &gone).status, 200);
            proxy.set(Network::Passes);
            comes_back(&server, &people.king);
            assert_eq!(server.as_bearer("GET", "/users/me", &gone).status, 401, "it was acknowledged");
            assert_eq!(server.as_bearer("GET", "/users/me", staying).status, 200, "it was refused");
        }
        assert_eq!(server.as_bearer("POST", "/auth/jwt/logout", staying).status, 204);
        assert_eq!(server.as_bearer("GET", "/users/me", staying).status, 401);
    }
}

#[test]
fn av_03_a_write_whose_answer_is_lost_is_503_and_can_be_asked_for_again() {
    for url in [empty_postgres(), empty_mariadb()] {
        let folder = Folder::new();
        let (proxy, server) = behind_proxy(&folder, &url);
        proxy.set(Network::LosesAnswers);
        is_unavailable("register", &server.register(LOST));
        assert_eq!(server.register(KING).status, 201, "nothing else is lost");
        proxy.set(Network::Passes);
        let again = server.register(LOST);
        assert_eq!((again.status, &again.value()["detail"]), (400, &json!("REGISTER_USER_ALREADY_EXISTS")));
        server.token(LOST, PASSWORD);
    }
}

#[test]
fn av_03_nobody_waits_for_a_connection_that_was_cut_off() {
    for url in [empty_postgres(), empty_mariadb()] {
        let folder = Folder::new();
        let (proxy, server) = behind_proxy_with(&folder, &url, &[("AXUM_USERS__DATABASE__MAX_CONNECTIONS", "1")]);
        let people = People::settle(&folder, &url, &server);
        proxy.set(Network::KeepsAnswers);
        is_unavailable("register", &server.register(LOST));
        assert_eq!(server.as_bearer("GET", "/users/me", &people.king).status, 200);
    }
}

#[test]
fn av_06_connections_that_died_unnoticed_are_replaced_before_use() {
    for url in [empty_postgres(), empty_mariadb()] {
        let folder = Folder::new();
        let (proxy, server) = behind_proxy(&folder, &url);
        let people = People::settle(&folder, &url, &server);
        let me = || assert_eq!(server.as_bearer("GET", "/users/me", &people.king).status, 200);
        thread::scope(|scope| (0..20).for_each(|_| drop(scope.spawn(me))));
        proxy.set(Network::Swallows);
        proxy.set(Network::Passes);
        // One that was returned half a second ago is taken as it is.
        thread::sleep(Duration::from_millis(600));
        me();
    }
}

/// The state of a login needs no database; that it counts once does.
#[test]
fn av_03_who_comes_back_from_a_provider_while_the_database_is_away_gets_a_page() {
    let folder = Folder::new();
    let by_cookie = [
        ("AXUM_USERS__OAUTH__PROVIDER__GITHUB__CLIENT_ID", "id"),
        ("AXUM_USERS__OAUTH__PROVIDER__GITHUB__CLIENT_SECRET", "a secret"),
        ("AXUM_USERS__OAUTH__PROVIDER__GITHUB__BACKEND", "cookie"),
    ];
    let (proxy, server) = behind_proxy_with(&folder, &empty_postgres(), &by_cookie);
    let visitor = Visitor::of(&server);
    let goes = |path: &str| visitor.send("GET", path, &[("sec-fetch-mode", "navigate")], "");
    let answer = goes("/auth/github/authorize?redirect_to=%2Faccount");
    let url = answer.header("location").unwrap();
    let state = url.split('&').find_map(|pair| pair.strip_prefix("state=")).unwrap();
    let back = format!("/auth/github/callback?code=x&state={state}");
    proxy.set(Network::Refuses);
    for _ in 0..2 {
        let page = goes(&back);
        says(&page, 503, "There is too much to do just now.");
        assert!(page.header("retry-after").is_some(), "{}", page.head);
        is_unavailable("callback", &visitor.get(&back));
    }
}

fn goes_away_and_comes_back(url: &str) {
    let folder = Folder::new();
    let (proxy, server) = behind_proxy(&folder, url);
    let people = People::settle(&folder, url, &server);
    let before = server.id();
    let writers = Writers::default();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| writers.register_until_over(&server));
        }
        let end = End(&writers.over);
        for network in [Network::Swallows, Network::Refuses, Network::Resets] {
            writers.wait_for_more();
            proxy.set(network);
            everything_is_unavailable(&server, &people, network);
            proxy.set(Network::Passes);
            comes_back(&server, &people.king);
            assert_eq!(server.as_bearer("GET", "/users/me", &people.opaque).status, 200, "after {network:?}");
            assert_eq!(server.as_bearer("GET", "/users/me", STRANGER).status, 401, "after {network:?}");
            assert_eq!(server.get("/health/ready").status, 200, "after {network:?}");
        }
        writers.wait_for_more();
        drop(end);
    });
    assert_eq!(server.id(), before);
    let stored = stored(&folder, url);
    for email in writers.acknowledged.lock().unwrap().iter() {
        assert!(stored.contains(email), "{email} was acknowledged and is lost");
    }
}

type Request<'a> = Box<dyn Fn(&Server) -> Answer + Sync + Send + 'a>;

/// Every route that needs the database, at once.
fn everything_is_unavailable(server: &Server, people: &People, network: Network) {
    let id = &people.queen_id;
    let (user, sessions) = (format!("/users/{id}"), format!("/users/{id}/sessions"));
    let bearer = |method, path, token| move |server: &Server| server.as_bearer(method, path, token);
    let king = &*people.king;
    let change = json!({ "email": "arthur@camelot.bt" });
    let requests: Vec<(&str, Request<'_>)> = vec![
        ("me", Box::new(bearer("GET", "/users/me", king))),
        ("me, opaque token", Box::new(bearer("GET", "/users/me", &people.opaque))),
        ("me, unknown token", Box::new(bearer("GET", "/users/me", STRANGER))),
        ("me, cookie", Box::new(|server| server.send("GET", "/users/me", &[("cookie", &people.cookie)], b""))),
        ("change me", Box::new(|server| server.json("PATCH", "/users/me", Some(king), &change))),
        ("my sessions", Box::new(bearer("GET", "/users/me/sessions", king))),
        ("end my sessions", Box::new(bearer("DELETE", "/users/me/sessions", king))),
        ("a user", Box::new(bearer("GET", &user, king))),
        ("change a user", Box::new(|server| server.json("PATCH", &user, Some(king), &change))),
        ("delete a user", Box::new(bearer("DELETE", &user, king))),
        ("sessions of a user", Box::new(bearer("GET", &sessions, king))),
        ("end sessions of a user", Box::new(bearer("DELETE", &sessions, king))),
        ("logout", Box::new(bearer("POST", "/auth/jwt/logout", king))),
        ("logout, opaque", Box::new(bearer("POST", "/auth/opaque/logout", &people.opaque))),
        ("login", Box::new(|server| server.log_in("jwt", KING, PASSWORD))),
        ("login, unknown", Box::new(|server| server.log_in("jwt", "nobody@camelot.bt", PASSWORD))),
        ("login, opaque", Box::new(|server| server.log_in("opaque", KING, PASSWORD))),
        ("login, cookie", Box::new(|server| server.log_in("cookie", KING, PASSWORD))),
        ("register", Box::new(|server| server.register("lancelot@camelot.bt"))),
        ("register, taken", Box::new(|server| server.register(KING))),
    ];
    thread::scope(|scope| {
        for (what, request) in &requests {
            scope.spawn(move || {
                let start = Instant::now();
                is_unavailable(&format!("{what}, {network:?}"), &request(server));
                assert!(start.elapsed() < HANGING, "{what}, {network:?}: {:?}", start.elapsed());
            });
        }
        scope.spawn(|| {
            assert_eq!(server.get("/health/live").status, 200, "{network:?}");
            assert_eq!(server.get("/health/ready").status, 503, "{network:?}");
            // No question for the database.
            assert_eq!(server.get("/users/me").status, 401, "{network:?}");
        });
    });
}

pub(crate) fn is_unavailable(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 503, "{what}: {answer:?}");
    let after = answer.header("retry-after").unwrap_or_else(|| panic!("{what}: {answer:?}"));
    assert!(after.parse::<u32>().is_ok_and(|seconds| seconds > 0), "{what}: {after}");
}

/// Whoever asks again gets through, soon, and is never told that a good token is none.
pub(crate) fn comes_back(server: &Server, token: &str) {
    let start = Instant::now();
    loop {
        let answer = server.as_bearer("GET", "/users/me", token);
        if answer.status == 200 {
            return;
        }
        is_unavailable("on the way back", &answer);
        assert!(start.elapsed() < HANGING, "it does not come back");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A server that knows its database by the address of a proxy.
fn behind_proxy(folder: &Folder, url: &str) -> (Proxy, Server) {
    behind_proxy_with(folder, url, &[])
}

fn behind_proxy_with(folder: &Folder, url: &str, more: &[(&str, &str)]) -> (Proxy, Server) {
    let start = url.rfind('@').unwrap() + 1;
    let end = start + url[start..].find('/').unwrap();
    let proxy = Proxy::to(url[start..end].parse::<SocketAddr>().unwrap());
    let url = format!("{}{}{}", &url[..start], proxy.address, &url[end..]);
    let mut variables = vec![
        ("AXUM_USERS__DATABASE__URL", &*url),
        ("AXUM_USERS__AUTH__BACKENDS", "jwt,cookie,opaque"),
        ("AXUM_USERS__AUTH__BACKEND__OPAQUE__TRANSPORT", "bearer"),
        ("AXUM_USERS__AUTH__BACKEND__OPAQUE__STRATEGY", "database"),
    ];
    variables.extend(more);
    (proxy, folder.serve_with(&variables))
}

/// Who has logged in before anything failed.
struct People {
    king: String,
    opaque: String,
    cookie: String,
    queen: String,
    queen_id: String,
}

impl People {
    fn settle(folder: &Folder, url: &str, server: &Server) -> Self {
        folder.run_with_input(&["user", "create", KING, "--superuser", "--database", url], PASSWORD).succeeded();
        let queen = server.register(QUEEN);
        let cookie = server.log_in("cookie", KING, PASSWORD);
        let opaque = server.log_in("opaque", KING, PASSWORD);
        Self {
            king: server.token(KING, PASSWORD),
            opaque: opaque.value()["access_token"].as_str().unwrap().to_owned(),
            cookie: cookie.header("set-cookie").unwrap().split(';').next().unwrap().to_owned(),
            queen: server.token(QUEEN, PASSWORD),
            queen_id: queen.value()["id"].as_str().unwrap().to_owned(),
        }
    }
}

/// People who register as long as they are let, and remember what they were promised.
#[derive(Default)]
pub(crate) struct Writers {
    pub(crate) over: AtomicBool,
    next: AtomicUsize,
    pub(crate) acknowledged: Mutex<Vec<String>>,
}

impl Writers {
    pub(crate) fn register_until_over(&self, server: &Server) {
        while !self.over.load(Ordering::SeqCst) {
            let email = format!("knight{}@camelot.bt", self.next.fetch_add(1, Ordering::SeqCst));
            let start = Instant::now();
            let answer = server.register(&email);
            assert!(start.elapsed() < HANGING, "register: {:?}", start.elapsed());
            if answer.status == 201 {
                self.acknowledged.lock().unwrap().push(email);
            } else {
                is_unavailable("register", &answer);
            }
        }
    }

    /// Until somebody else has registered.
    pub(crate) fn wait_for_more(&self) {
        let count = || self.acknowledged.lock().unwrap().len();
        let (before, start) = (count(), Instant::now());
        while count() < before + 3 {
            assert!(start.elapsed() < HANGING, "nobody can register");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The end of a test ends its writers, however it ends.
pub(crate) struct End<'a>(pub(crate) &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(crate) fn stored(folder: &Folder, url: &str) -> HashSet<String> {
    let list = folder.run(&["user", "list", "--json", "--database", url]).succeeded().json();
    let email = |user: &Value| user["email"].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(email).collect()
}

fn empty_postgres() -> String {
    empty("AXUM_USERS_TEST_POSTGRES_URL", async |url, sql| {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    })
}

fn empty_mariadb() -> String {
    empty("AXUM_USERS_TEST_MYSQL_URL", async |url, sql| {
        let mut connection = MySqlConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    })
}

/// The URL of a new database on the server that a variable names.
fn empty(variable: &str, run: impl AsyncFn(String, String)) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let server = std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `cargo xtask test`, or `cargo xtask services` and export what it prints")
    });
    let name = format!("faults{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
    block_on(run(server.clone(), format!("CREATE DATABASE {name}")));
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
