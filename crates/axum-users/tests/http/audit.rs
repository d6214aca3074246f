//! The audit trail: the exact records of every route.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    net::SocketAddr,
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use axum::extract::ConnectInfo;
use axum_users::{
    AuthBackend, BearerTransport, DatabaseStrategy, Email, Fields, OAuthSettings, RefreshTokens, RequestInfo, User,
    UserDatabase as _, UserHooks, UserUpdate, Veto, memory::MemoryStore,
};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::{DefaultGuard, Interest, set_default, set_global_default},
};

use crate::{
    mailed::Post,
    oauth::GOOGLE,
    people::{COOKIE, DB, JWT, OTHER, PASSWORD, Person, application, change, credential, superuser, visitor},
    provider::{Browser, Provider, with_provider},
};

/// What was written to the audit target by this thread.
#[derive(Clone, Default)]
struct Trail(Arc<Mutex<Vec<BTreeMap<&'static str, String>>>>);

impl Trail {
    fn start() -> (Self, DefaultGuard) {
        // Of the whole process, so that no test without a subscriber settles that nobody wants these events.
        static ALWAYS: Once = Once::new();
        ALWAYS.call_once(|| {
            let _ = set_global_default(Self::default());
        });
        let trail = Self::default();
        (trail.clone(), set_default(trail))
    }

    /// The records since the last call, a line each; ids by the names of their users.
    fn take(&self, names: &[(&str, &str)]) -> Vec<String> {
        let records = std::mem::take(&mut *self.0.lock().unwrap());
        let named = |value: String| match names.iter().find(|(id, _)| *id == value) {
            Some((_, name)) => (*name).to_owned(),
            None => value,
        };
        let line = |record: BTreeMap<&'static str, String>| {
            let fields = record.into_iter().map(|(field, value)| format!("{field}={}", named(value)));
            fields.collect::<Vec<_>>().join(" ")
        };
        records.into_iter().map(line).collect()
    }
}

impl Subscriber for Trail {
    /// Other tests of this process have subscribers of their own: what one of them does not want must not be cached.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "axum_users::audit"
    }
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fieldset::default();
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fieldset(BTreeMap<&'static str, String>);

impl Visit for Fieldset {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "message" {
            self.0.insert(field.name(), format!("{value:?}"));
        }
    }
}

/// Refuses what has to do with this address.
struct Picky;

impl UserHooks<()> for Picky {
    async fn before_register(&self, create: &axum_users::UserCreate<()>, _: Option<&RequestInfo>) -> Result<(), Veto> {
        refuse(create.email.as_str())
    }
    async fn before_login(&self, user: &User<()>, _: Option<&RequestInfo>) -> Result<(), Veto> {
        refuse(user.email.as_str())
    }
    async fn on_before_delete(&self, user: &User<()>, _: Option<&RequestInfo>) -> Result<(), Veto> {
        refuse(user.email.as_str())
    }
}

fn refuse(email: &str) -> Result<(), Veto> {
    if email.starts_with("veto") { Err(Veto::new(StatusCode::FORBIDDEN, "no")) } else { Ok(()) }
}

/// From an address, with an id; the status.
async fn ask(person: &Person, method: &str, path: &str, content_type: &str, body: &str) -> u16 {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .header("x-request-id", "r1")
        .body(body.to_owned().into())
        .unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 5000))));
    person.send(request).await.status().as_u16()
}

async fn ask_json(person: &Person, method: &str, path: &str, body: Value) -> u16 {
    ask(person, method, path, "application/json", &body.to_string()).await
}

async fn log_in(person: &Person, backend: &str, email: &str, password: &str) -> u16 {
    let form = format!("username={}&password={}", email.replace('@', "%40"), password.replace(' ', "+"));
    ask(person, "POST", &format!("{backend}/login"), "application/x-www-form-urlencoded", &form).await
}

#[tokio::test]
async fn lg_02_registration_and_login_are_one_record_each() {
    let store = MemoryStore::new();
    let users = application(store.clone()).hooks(Picky).requires_verification(true).build().unwrap();
    let nobody = visitor(&users);
    let id = nobody.register("a@camelot.bt").await["id"].as_str().unwrap().to_owned();
    let (trail, _guard) = Trail::start();
    let names = [(id.as_str(), "a")];

    for (email, password, status, record) in [
        ("a@camelot.bt", PASSWORD, 400, "outcome=refused reason=user_already_exists"),
        ("b@camelot.bt", "short", 400, "outcome=refused reason=invalid_password"),
        ("veto@camelot.bt", PASSWORD, 403, "outcome=refused reason=hook"),
    ] {
        let body = json!({ "email": email, "password": password });
        assert_eq!(ask_json(&nobody, "POST", "/auth/register", body).await, status);
        assert_eq!(trail.take(&names), [format!("client=192.0.2.7 event=register {record} request_id=r1")]);
    }
    let new = json!({ "email": "new@camelot.bt", "password": PASSWORD });
    assert_eq!(ask_json(&nobody, "POST", "/auth/register", new).await, 201);
    let newcomer = users.get_by_email("new@camelot.bt").await.unwrap().unwrap().id.to_string();
    let expected = "client=192.0.2.7 event=register outcome=success request_id=r1 user=new";
    assert_eq!(trail.take(&[(&newcomer, "new")]), [expected]);

    let line = |end: &str| format!("backend=jwt client=192.0.2.7 event=login method=password {end}");
    assert_eq!(log_in(&nobody, JWT, "nobody@camelot.bt", PASSWORD).await, 400);
    assert_eq!(trail.take(&names), [line("outcome=refused reason=unknown_user request_id=r1")]);
    assert_eq!(log_in(&nobody, JWT, "a@camelot.bt", OTHER).await, 400);
    assert_eq!(trail.take(&names), [line("outcome=refused reason=wrong_password request_id=r1 user=a")]);
    assert_eq!(log_in(&nobody, JWT, "a@camelot.bt", PASSWORD).await, 400);
    assert_eq!(trail.take(&names), [line("outcome=refused reason=not_verified request_id=r1 user=a")]);
    change(&users, "a@camelot.bt", UserUpdate { is_verified: Some(true), ..UserUpdate::default() }).await;
    assert_eq!(trail.take(&names), ["event=update is_verified=true outcome=success user=a"], "by a program");
    let issued = "backend=jwt client=192.0.2.7 event=token_issued outcome=success request_id=r1 user=a".to_owned();
    assert_eq!(log_in(&nobody, JWT, "a@camelot.bt", PASSWORD).await, 200);
    assert_eq!(trail.take(&names), [line("outcome=success request_id=r1 user=a"), issued]);
    change(&users, "a@camelot.bt", UserUpdate { is_active: Some(false), ..UserUpdate::default() }).await;
    assert_eq!(trail.take(&names), ["event=update is_active=false outcome=success tokens_ended=true user=a"]);
    assert_eq!(log_in(&nobody, JWT, "a@camelot.bt", PASSWORD).await, 400);
    assert_eq!(trail.take(&names), [line("outcome=refused reason=inactive request_id=r1 user=a")]);
    let id = users.get_by_email("a@camelot.bt").await.unwrap().unwrap().id;
    let damaged = Some(axum_users::PasswordHash::from_stored("x".into()));
    let damage = axum_users::UserChange { hashed_password: damaged, ..axum_users::UserChange::default() };
    let _ = store.update(&id, damage).await.unwrap();
    assert_eq!(log_in(&nobody, JWT, "a@camelot.bt", PASSWORD).await, 400);
    assert_eq!(trail.take(&names), [line("outcome=refused reason=unusable_hash request_id=r1 user=a")]);
}

#[tokio::test]
async fn lg_02_what_sessions_do_is_one_record_each() {
    let store = MemoryStore::new();
    let users = application(store.clone()).hooks(Picky).build().unwrap();
    let nobody = visitor(&users);
    let boss = superuser(&users, "boss@camelot.bt").await;
    nobody.register("a@camelot.bt").await;
    let person = nobody.logged_in("a@camelot.bt", PASSWORD, COOKIE).await;
    let (id, boss_id) = (person.id().await, boss.id().await);
    let veto = nobody.register("v@camelot.bt").await["id"].as_str().unwrap().to_owned();
    let email = Some(Email::parse("veto@camelot.bt").unwrap());
    change(&users, "v@camelot.bt", UserUpdate { email, ..UserUpdate::default() }).await;
    let names = [(id.as_str(), "a"), (boss_id.as_str(), "boss"), (veto.as_str(), "veto")];
    let (trail, _guard) = Trail::start();
    let me = "/users/me";
    let (path, boss_path, veto_path) = (format!("/users/{id}"), format!("/users/{boss_id}"), format!("/users/{veto}"));
    let nothing = json!({});

    // By oneself.
    for (body, status, changes, end) in [
        (json!({ "email": "a2@camelot.bt" }), 200, "email=true event=update is_verified=false", "outcome=success"),
        (json!({ "email": "boss@camelot.bt" }), 400, "email=true event=update is_verified=false", "outcome=refused"),
        (json!({ "password": "short" }), 400, "event=update", "outcome=refused"),
        (json!({ "password": OTHER }), 200, "event=update", "outcome=success"),
    ] {
        let is_password = body.get("password").is_some();
        assert_eq!(ask_json(&person, "PATCH", me, body).await, status);
        let rest = match (is_password, status) {
            (false, 200) => "request_id=r1 user=a",
            (false, _) => "reason=user_already_exists request_id=r1 user=a",
            (true, 200) => "password=true request_id=r1 tokens_ended=true user=a",
            (true, _) => "password=true reason=invalid_password request_id=r1 user=a",
        };
        assert_eq!(trail.take(&names), [format!("backend=cookie client=192.0.2.7 {changes} {end} {rest}")]);
    }
    // By somebody who may not.
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(ask_json(&person, method, &veto_path, nothing.clone()).await, 403);
        let expected = "backend=cookie client=192.0.2.7 event=access outcome=refused reason=not_superuser \
                        request_id=r1 user=a";
        assert_eq!(trail.take(&names), [expected], "{method}");
    }
    assert_eq!(ask_json(&nobody, "GET", me, nothing.clone()).await, 401);
    assert_eq!(ask_json(&person, "GET", me, nothing.clone()).await, 200);
    assert_eq!(ask_json(&boss, "GET", &path, nothing.clone()).await, 200);
    assert_eq!(trail.take(&names), Vec::<String>::new(), "reading is in the access log");

    // A login beside an old token, and the end.
    let mut again = person.clone();
    assert_eq!(log_in(&person, COOKIE, "a2@camelot.bt", OTHER).await, 204);
    let line = |rest: &str| format!("backend=cookie client=192.0.2.7 event={rest}");
    assert_eq!(
        trail.take(&names),
        [
            line("login method=password outcome=success request_id=r1 user=a"),
            line("token_ended outcome=success reason=login request_id=r1 user=a"),
            line("token_issued outcome=success request_id=r1 user=a"),
        ]
    );
    again.header = Some(credential(nobody.login(DB, "a2@camelot.bt", OTHER).await).await);
    trail.take(&names);
    assert_eq!(ask(&again, "POST", "/auth/jwt/logout", "", "").await, 204);
    let ended = "backend=db client=192.0.2.7 event=token_ended outcome=success reason=logout request_id=r1 user=a";
    assert_eq!(trail.take(&names), [ended]);
    again.header = Some(credential(nobody.login(JWT, "a2@camelot.bt", OTHER).await).await);
    trail.take(&names);

    // By an administrator.
    let acts = |rest: &str| format!("actor=boss backend=jwt client=192.0.2.7 event={rest}");
    for (body, changes, end) in [
        (json!({ "is_superuser": true }), "is_superuser=true", ""),
        (json!({ "is_superuser": false, "is_verified": true }), "is_superuser=false is_verified=true", ""),
        (json!({ "is_active": false }), "is_active=false", "tokens_ended=true "),
    ] {
        assert_eq!(ask_json(&boss, "PATCH", &path, body).await, 200);
        let expected = format!("update {changes} outcome=success request_id=r1 {end}user=a");
        assert_eq!(trail.take(&names), [acts(&expected)]);
    }
    let last = "update is_superuser=false outcome=refused reason=last_superuser request_id=r1 user=boss";
    assert_eq!(ask_json(&boss, "PATCH", &boss_path, json!({ "is_superuser": false })).await, 400);
    assert_eq!(trail.take(&names), [line(last).replace("=cookie", "=jwt")]);
    assert_eq!(ask_json(&boss, "DELETE", &boss_path, nothing.clone()).await, 400);
    let last = "delete outcome=refused reason=last_superuser request_id=r1 user=boss";
    assert_eq!(trail.take(&names), [line(last).replace("=cookie", "=jwt")]);
    assert_eq!(ask_json(&boss, "DELETE", &veto_path, nothing.clone()).await, 403);
    assert_eq!(trail.take(&names), [acts("delete outcome=refused reason=hook request_id=r1 user=veto")]);
    assert_eq!(ask_json(&boss, "DELETE", &path, nothing).await, 204);
    assert_eq!(trail.take(&names), [acts("delete outcome=success request_id=r1 user=a")]);
}

#[tokio::test]
async fn lg_02_refresh_and_the_end_of_sessions_are_one_record_each() {
    let store = MemoryStore::<()>::new();
    let refresh = RefreshTokens::new(store.clone(), Duration::from_secs(86_400));
    let db = DatabaseStrategy::new(store.clone(), Duration::from_secs(900));
    let mobile = AuthBackend::new("mobile", BearerTransport::new("auth/mobile/login"), db).refresh(refresh);
    let users = application(store).backend(mobile).build().unwrap();
    let nobody = visitor(&users);
    let boss = superuser(&users, "boss@camelot.bt").await;
    nobody.register("a@camelot.bt").await;
    let response = nobody.login("/auth/mobile", "a@camelot.bt", PASSWORD).await;
    let body: Value = serde_json::from_slice(&crate::people::bytes(response).await).unwrap();
    let token = body["refresh_token"].as_str().unwrap().to_owned();
    let person = nobody.logged_in("a@camelot.bt", PASSWORD, DB).await;
    let (id, boss_id) = (person.id().await, boss.id().await);
    let names = [(id.as_str(), "a"), (boss_id.as_str(), "boss")];
    let (trail, _guard) = Trail::start();

    let form = |token: &str| format!("grant_type=refresh_token&refresh_token={token}");
    let line = |rest: &str| format!("backend=mobile client=192.0.2.7 event=refresh method=refresh_token {rest}");
    let urlencoded = "application/x-www-form-urlencoded";
    for (token, status, record) in [
        (token.as_str(), 200, "outcome=success request_id=r1 user=a"),
        ("canary", 400, "outcome=refused reason=unknown request_id=r1"),
    ] {
        assert_eq!(ask(&nobody, "POST", "/auth/mobile/refresh", urlencoded, &form(token)).await, status);
        assert_eq!(trail.take(&names), [line(record)]);
    }
    let (_, sessions) = boss.json("GET", &format!("/users/{id}/sessions"), &json!(null)).await;
    let of_mobile = sessions.as_array().unwrap().iter().find(|it| it["backend"] == "mobile").unwrap();
    let path = format!("/users/{id}/sessions/{}", of_mobile["id"].as_str().unwrap());
    trail.take(&names);
    for (who, method_path, status, record) in [
        (
            &boss,
            path.as_str(),
            204,
            "actor=boss backend=jwt client=192.0.2.7 event=session_ended outcome=success request_id=r1 user=a",
        ),
        (
            &person,
            "/users/me/sessions?keep_current=1",
            204,
            "backend=db client=192.0.2.7 event=sessions_ended outcome=success request_id=r1 user=a",
        ),
        (
            &boss,
            &format!("/users/{id}/sessions"),
            204,
            "actor=boss backend=jwt client=192.0.2.7 event=sessions_ended outcome=success request_id=r1 user=a",
        ),
    ] {
        assert_eq!(ask(who, "DELETE", method_path, "", "").await, status);
        assert_eq!(trail.take(&names), [record]);
    }
}

#[tokio::test]
async fn lg_02_what_has_to_do_with_a_provider_names_it() {
    const LINK: &str = "/auth/associate/google";
    let provider = Provider::new("google");
    let rules = OAuthSettings::new().backend("jwt").associate_by_email(true);
    let post = Post::with(|it| with_provider(it, &provider, rules).hooks(Picky));
    let (trail, _guard) = Trail::start();
    let mut browser = Browser::new(&post.users);
    let answer = browser.go(&provider, GOOGLE, "1|a@camelot.bt|").await;
    let id = post.users.get_by_email("a@camelot.bt").await.unwrap().unwrap().id.to_string();
    let names = [(id.as_str(), "a")];
    assert_eq!(
        trail.take(&names),
        [
            "backend=jwt event=register method=oauth outcome=success provider=google user=a",
            "backend=jwt event=login method=oauth outcome=success provider=google user=a",
            "backend=jwt event=token_issued outcome=success user=a",
        ]
    );
    browser.bears(answer.body["access_token"].as_str().unwrap());
    assert_eq!(browser.go(&provider, LINK, "2|b@camelot.bt|").await.status, 200);
    assert_eq!(trail.take(&names), ["backend=jwt event=oauth_link outcome=success provider=google user=a"]);
    assert_eq!(browser.get("/auth/google/callback?error=x").await.status, 400);
    let refused = "event=login method=oauth outcome=refused provider=google reason=provider";
    assert_eq!(trail.take(&names), [refused]);
    let url = browser.authorize(LINK).await;
    assert_eq!(browser.come_back(LINK, &url, "unknown").await.status, 400);
    let failed = "backend=jwt event=oauth_link outcome=failed provider=google reason=provider user=a";
    assert_eq!(trail.take(&names), [failed]);
    let accounts = browser.get("/users/me/accounts").await.body;
    for status in [204, 400] {
        let account = accounts[usize::from(status == 400)]["id"].as_str().unwrap();
        assert_eq!(browser.send("DELETE", &format!("/users/me/accounts/{account}"), "").await.status, status);
        let end = if status == 204 {
            "success provider=google user=a"
        } else {
            "refused provider=google reason=last_login_method user=a"
        };
        assert_eq!(trail.take(&names), [format!("backend=jwt event=oauth_unlink outcome={end}")]);
    }
    // The first proof of the mailbox, by somebody else.
    let token = post.verify_token("a@camelot.bt").await;
    trail.take(&names);
    assert_eq!(post.verify(&token).await.0, 200);
    assert_eq!(trail.take(&names), ["accounts_unlinked=true event=verify outcome=success tokens_ended=true user=a"]);
    assert_eq!(Browser::new(&post.users).go(&provider, GOOGLE, "3|a@camelot.bt|v").await.status, 200);
    let same = "backend=jwt event=oauth_link outcome=success provider=google reason=same_address user=a";
    assert_eq!(trail.take(&names)[0], same);
    // Nothing is linked to somebody who may not come in.
    change(&post.users, "a@camelot.bt", UserUpdate { is_active: Some(false), ..UserUpdate::default() }).await;
    trail.take(&names);
    assert_eq!(Browser::new(&post.users).go(&provider, GOOGLE, "4|a@camelot.bt|v").await.status, 400);
    let refused = "backend=jwt event=login method=oauth outcome=refused provider=google reason=inactive user=a";
    assert_eq!(trail.take(&names), [refused]);
}

#[tokio::test]
async fn lg_02_no_record_holds_an_address_and_a_program_leaves_records_too() {
    let users = application(MemoryStore::new()).build().unwrap();
    let nobody = visitor(&users);
    let (trail, _guard) = Trail::start();
    nobody.register("canary@camelot.bt").await;
    log_in(&nobody, JWT, "canary@camelot.bt", PASSWORD).await;
    log_in(&nobody, JWT, "canary-unknown@camelot.bt", "canary-password").await;
    let user = users.get_by_email("canary@camelot.bt").await.unwrap().unwrap();
    let update = UserUpdate { is_superuser: Some(true), ..UserUpdate::default() };
    let user: User<()> = users.update(&user, update, Fields::All, None, None).await.unwrap();
    users
        .update(&user, UserUpdate { is_superuser: Some(false), ..UserUpdate::default() }, Fields::All, None, None)
        .await
        .unwrap_err();
    let id = user.id.to_string();
    let records = trail.take(&[(&id, "a")]);
    assert_eq!(records.last().unwrap(), "event=update is_superuser=false outcome=refused reason=last_superuser user=a");
    assert!(records.len() == 6, "{records:?}");
    assert!(records.iter().all(|record| !record.contains("canary")), "{records:?}");
}
