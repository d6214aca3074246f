//! The application's turn: when, with what, and what it may refuse.

use std::sync::{Arc, Mutex};

use axum_users::{
    InvalidPassword, PasswordContext, RequestInfo, User, UserCreate, UserHooks, UserUpdate, Veto, memory::MemoryStore,
};
use http::{HeaderValue, StatusCode, response::Parts};
use serde_json::{Value, json};

use crate::people::{JWT, OTHER, PASSWORD, application, superuser, visitor};

/// Writes down what it is asked, and refuses what is on its list.
#[derive(Clone, Default)]
struct Watch {
    seen: Arc<Mutex<Vec<String>>>,
    refused: Arc<Mutex<Option<&'static str>>>,
}

impl Watch {
    fn note(&self, what: &str, email: &str, request: Option<&RequestInfo>) {
        let agent = request.map_or("-", |request| request.user_agent.as_deref().unwrap_or("none"));
        self.seen.lock().unwrap().push(format!("{what} {email} {agent}"));
    }

    fn ask(&self, what: &'static str, email: &str, request: Option<&RequestInfo>) -> Result<(), Veto> {
        self.note(what, email, request);
        if *self.refused.lock().unwrap() == Some(what) {
            return Err(Veto::new(StatusCode::CONFLICT, json!({ "why": what })));
        }
        Ok(())
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl UserHooks<()> for Watch {
    async fn validate_password(&self, password: &str, context: PasswordContext<'_, ()>) -> Result<(), InvalidPassword> {
        let who = if context.user.is_some() { "known" } else { "new" };
        self.note(&format!("password:{who}"), context.email, None);
        context.check_policy(password)
    }
    async fn before_register(&self, create: &UserCreate<()>, request: Option<&RequestInfo>) -> Result<(), Veto> {
        self.ask("before_register", create.email.as_str(), request)
    }
    async fn on_after_register(&self, user: &User<()>, request: Option<&RequestInfo>) {
        self.note("after_register", user.email.as_str(), request);
    }
    async fn on_after_update(&self, user: &User<()>, update: &UserUpdate<()>, request: Option<&RequestInfo>) {
        let password = update.password.as_ref().map_or("-", |password| password.expose());
        let flags = [update.is_active, update.is_superuser, update.is_verified];
        self.note(&format!("after_update:{password}:{flags:?}"), user.email.as_str(), request);
    }
    async fn before_login(&self, user: &User<()>, request: Option<&RequestInfo>) -> Result<(), Veto> {
        self.ask("before_login", user.email.as_str(), request)
    }
    async fn on_after_login(&self, user: &User<()>, request: Option<&RequestInfo>, head: &mut Parts) {
        self.note("after_login", user.email.as_str(), request);
        head.headers.insert("x-welcome", HeaderValue::from_static("back"));
        head.headers.append("set-cookie", HeaderValue::from_static("seen=1"));
    }
    async fn on_before_delete(&self, user: &User<()>, request: Option<&RequestInfo>) -> Result<(), Veto> {
        self.ask("before_delete", user.email.as_str(), request)
    }
    async fn on_after_delete(&self, user: &User<()>, request: Option<&RequestInfo>) {
        self.note("after_delete", user.email.as_str(), request);
    }
}

#[tokio::test]
async fn each_hook_has_its_turn_in_order() {
    let watch = Watch::default();
    let users = application(MemoryStore::new()).hooks(watch.clone()).build().unwrap();
    let nobody = visitor(&users);
    let boss = superuser(&users, "boss@camelot.bt").await;
    watch.taken();

    nobody.register("a@camelot.bt").await;
    let turns =
        ["password:new a@camelot.bt -", "before_register a@camelot.bt none", "after_register a@camelot.bt none"];
    assert_eq!(watch.taken(), turns);

    let form = [("content-type", "application/x-www-form-urlencoded"), ("user-agent", "Excalibur")];
    let body = format!("username=A%40camelot.bt&password={}", PASSWORD.replace(' ', "+"));
    let response = nobody.raw("POST", "/auth/cookie/login", &form, body).await;
    assert_eq!(response.headers()["x-welcome"], "back");
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().map(|it| it.to_str().unwrap()).collect();
    assert!(cookies.len() == 2 && cookies[0].starts_with("fastapiusersauth=") && cookies[1] == "seen=1", "{cookies:?}");
    assert_eq!(watch.taken(), ["before_login a@camelot.bt Excalibur", "after_login a@camelot.bt Excalibur"]);

    nobody.login(JWT, "a@camelot.bt", "wrong").await;
    assert_eq!(watch.taken(), [""; 0], "a failed login is nobody's");

    let person = nobody.logged_in("a@camelot.bt", PASSWORD, JWT).await;
    watch.taken();
    let change = json!({ "email": "b@camelot.bt", "password": OTHER, "is_superuser": true, "is_active": false });
    assert_eq!(person.json("PATCH", "/users/me", &change).await.0, 200);
    let update = format!("after_update:{OTHER}:[None, None, None] b@camelot.bt none");
    assert_eq!(watch.taken(), ["password:known a@camelot.bt -", update.as_str()], "the old address, the new one");
    assert_eq!(person.json("PATCH", "/users/me", &json!({})).await.0, 200);
    assert_eq!(watch.taken(), ["after_update:-:[None, None, None] b@camelot.bt none"], "empty updates count");

    let by_id = format!("/users/{}", person.id().await);
    assert_eq!(boss.json("PATCH", &by_id, &json!({ "is_verified": true })).await.0, 200);
    assert_eq!(watch.taken(), ["after_update:-:[None, None, Some(true)] b@camelot.bt none"]);
    assert_eq!(boss.status("DELETE", &by_id).await, 204);
    assert_eq!(watch.taken(), ["before_delete b@camelot.bt none", "after_delete b@camelot.bt none"]);
}

#[tokio::test]
async fn a_veto_is_the_answer_and_nothing_happens() {
    let watch = Watch::default();
    let users = application(MemoryStore::new()).hooks(watch.clone()).build().unwrap();
    let nobody = visitor(&users);
    let boss = superuser(&users, "boss@camelot.bt").await;
    nobody.register("a@camelot.bt").await;
    let person = nobody.logged_in("a@camelot.bt", PASSWORD, JWT).await;
    let by_id = format!("/users/{}", person.id().await);
    let vetoed = |what: &str| (409, json!({ "detail": { "why": what } }));
    let refuse = |what| {
        *watch.refused.lock().unwrap() = what;
        watch.taken();
    };

    refuse(Some("before_register"));
    let new = json!({ "email": "b@camelot.bt", "password": PASSWORD });
    assert_eq!(nobody.json("POST", "/auth/register", &new).await, vetoed("before_register"));
    assert!(users.get_by_email("b@camelot.bt").await.unwrap().is_none());
    let short = json!({ "email": "b@camelot.bt", "password": "short" });
    assert_eq!(nobody.json("POST", "/auth/register", &short).await.0, 400, "the password is judged first");

    refuse(Some("before_login"));
    let response = nobody.login(JWT, "a@camelot.bt", PASSWORD).await;
    assert_eq!(response.status(), 409);
    assert_eq!(
        serde_json::from_slice::<Value>(&crate::people::bytes(response).await).unwrap(),
        vetoed("before_login").1
    );
    assert_eq!(nobody.login(JWT, "a@camelot.bt", "wrong").await.status(), 400, "only who proved the password is asked");

    refuse(Some("before_delete"));
    assert_eq!(boss.json("DELETE", &by_id, &json!({})).await, vetoed("before_delete"));
    assert_eq!(watch.taken(), ["before_delete a@camelot.bt none"]);
    assert!(person.is_known().await);
}
