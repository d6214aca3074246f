//! New passwords that are known from breaches.

use axum_users::{
    Email, Fields, InvalidPassword, PasswordContext, UserCreate, UserHooks, UserUpdate,
    password::{BreachedError, BreachedPasswords, OnFailure, PasswordSha1},
};
use serde_json::{Value, json};

use crate::people::{JWT, OTHER, PASSWORD, World};

const BREACHED: &str = "the holy hand grenade";
const REASON: &str = "Password should not be one known from a data breach";

/// Holds one password.
struct One;

impl BreachedPasswords for One {
    async fn contains(&self, password: &PasswordSha1) -> Result<bool, BreachedError> {
        Ok(password.as_str() == PasswordSha1::of(BREACHED).as_str())
    }
}

/// Accepts whatever is short.
struct Lenient;

impl UserHooks<()> for Lenient {
    async fn validate_password(&self, _: &str, _: PasswordContext<'_, ()>) -> Result<(), InvalidPassword> {
        Ok(())
    }
}

async fn refused_on_every_way(world: &World) {
    let boss = world.superuser("boss@camelot.bt").await;
    let person = world.person("a@camelot.bt", JWT).await;
    let id = person.id().await;
    let refused = |code: &str| (400, json!({ "detail": { "code": code, "reason": REASON } }));
    let new = json!({ "email": "b@camelot.bt", "password": BREACHED });
    assert_eq!(world.nobody().json("POST", "/auth/register", &new).await, refused("REGISTER_INVALID_PASSWORD"));
    let change = json!({ "password": BREACHED });
    for (who, path) in [(&person, "/users/me".to_owned()), (&boss, format!("/users/{id}"))] {
        assert_eq!(who.json("PATCH", &path, &change).await, refused("UPDATE_USER_INVALID_PASSWORD"), "{path}");
    }
    let create = UserCreate::new(Email::parse("b@camelot.bt").unwrap(), BREACHED.into(), ());
    let error = world.users.create(create, Fields::All, None).await.unwrap_err();
    assert!(matches!(error, axum_users::Error::InvalidPassword(_)), "{error:?}");
    let user = world.users.get_by_email("a@camelot.bt").await.unwrap().unwrap();
    let update = UserUpdate { password: Some(BREACHED.into()), ..UserUpdate::default() };
    let error = world.users.update(&user, update, Fields::All, None, None).await.unwrap_err();
    assert!(matches!(error, axum_users::Error::InvalidPassword(_)), "{error:?}");

    assert_eq!(person.json("PATCH", "/users/me", &json!({ "password": OTHER })).await.0, 200);
    world.logged_in("a@camelot.bt", OTHER, JWT).await;
}

#[tokio::test]
async fn pw_04_a_breached_password_is_refused_on_every_way() {
    refused_on_every_way(&World::with(|builder| builder.breached_passwords(One, OnFailure::Allow))).await;
}

#[tokio::test]
async fn pw_04_a_hook_that_accepts_everything_does_not_switch_the_list_off() {
    let world = World::with(|builder| builder.hooks(Lenient).breached_passwords(One, OnFailure::Allow));
    refused_on_every_way(&world).await;
}

#[tokio::test]
async fn pw_04_who_has_a_breached_password_can_still_log_in() {
    let world = World::with(|builder| builder.breached_passwords(Everything, OnFailure::Refuse));
    let create = |router: &World| router.store.clone();
    let before = axum_users::UserManager::builder(create(&world)).passwords(crate::people::cheap()).build().unwrap();
    let new = UserCreate::new(Email::parse("a@camelot.bt").unwrap(), PASSWORD.into(), ());
    before.create(new, Fields::All, None).await.unwrap();
    assert!(world.logged_in("a@camelot.bt", PASSWORD, JWT).await.is_known().await);
}

/// Holds every password.
struct Everything;

impl BreachedPasswords for Everything {
    async fn contains(&self, _: &PasswordSha1) -> Result<bool, BreachedError> {
        Ok(true)
    }
}

/// Fails, or never answers.
struct Away {
    hangs: bool,
}

impl BreachedPasswords for Away {
    async fn contains(&self, _: &PasswordSha1) -> Result<bool, BreachedError> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Err(BreachedError::new("canary"))
    }
}

/// What a registration is answered, and whether there is a user then.
async fn register(world: &World) -> (u16, Value, bool) {
    let new = json!({ "email": "a@camelot.bt", "password": PASSWORD });
    let (status, answer) = world.nobody().json("POST", "/auth/register", &new).await;
    let exists = world.users.get_by_email("a@camelot.bt").await.unwrap().is_some();
    (status, answer, exists)
}

/// With the clock of the runtime paused, a wait of two seconds takes none.
#[tokio::test(start_paused = true)]
async fn pw_04_a_list_that_fails_or_hangs_does_what_is_configured() {
    for hangs in [false, true] {
        let world = World::with(|builder| builder.breached_passwords(Away { hangs }, OnFailure::Allow));
        let (status, _, exists) = register(&world).await;
        assert_eq!((status, exists), (201, true), "hangs: {hangs}");

        let world = World::with(|builder| builder.breached_passwords(Away { hangs }, OnFailure::Refuse));
        let asked = tokio::time::Instant::now();
        let answer = register(&world).await;
        assert_eq!(answer, (503, json!({ "detail": "Service Unavailable" }), false), "hangs: {hangs}");
        assert_eq!(asked.elapsed().as_secs(), if hangs { 2 } else { 0 });
    }
}

#[cfg(feature = "breached-range")]
mod range {
    use std::sync::{Arc, Mutex};

    use axum_users::BreachedPasswordsRange;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A range service that answers each request alike, and keeps what it was sent.
    struct Service {
        base: String,
        requests: Arc<Mutex<Vec<String>>>,
    }

    impl Service {
        async fn new(answer: impl Into<String>) -> Self {
            let answer = answer.into();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}/range", listener.local_addr().unwrap());
            let requests = Arc::new(Mutex::new(Vec::new()));
            let kept = Arc::clone(&requests);
            tokio::spawn(async move {
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
                    while !request.ends_with(b"\r\n\r\n") {
                        let read = stream.read(&mut buffer).await.unwrap();
                        request.extend_from_slice(&buffer[..read]);
                    }
                    kept.lock().unwrap().push(String::from_utf8(request).unwrap());
                    // A client that has seen enough goes away.
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            });
            Self { base, requests }
        }

        fn world(&self, on_failure: OnFailure) -> World {
            let range = BreachedPasswordsRange::new(&self.base).unwrap();
            World::with(|builder| builder.breached_passwords(range, on_failure))
        }
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    /// The line of a password.
    fn line(password: &str, count: u64) -> String {
        format!("{}:{count}", PasswordSha1::of(password).split().1)
    }

    fn padded(lines: &[String]) -> String {
        let padding = (0..300).map(|number| format!("{number:035X}:0\r\n")).collect::<String>();
        ok(&format!("{padding}{}", lines.join("\r\n")))
    }

    #[tokio::test]
    async fn pw_04_a_range_service_is_asked_on_every_way() {
        let service = Service::new(padded(&[line(BREACHED, 12), line(OTHER, 0)])).await;
        refused_on_every_way(&service.world(OnFailure::Refuse)).await;
    }

    #[tokio::test]
    async fn pw_04_five_digits_of_the_hash_leave_and_nothing_else() {
        let service = Service::new(padded(&[])).await;
        let (status, ..) = register(&service.world(OnFailure::Refuse)).await;
        assert_eq!(status, 201);
        let requests = service.requests.lock().unwrap();
        let [request] = &requests[..] else { panic!("one request: {requests:?}") };
        let hash = PasswordSha1::of(PASSWORD);
        let mut lines: Vec<String> = request.trim_end().lines().map(str::to_lowercase).collect();
        lines.sort();
        let host = service.base.strip_prefix("http://").and_then(|it| it.strip_suffix("/range")).unwrap();
        let mut expected = vec![
            format!("get /range/{} http/1.1", hash.split().0.to_lowercase()),
            "accept: */*".to_owned(),
            "add-padding: true".to_owned(),
            format!("host: {host}"),
            concat!("user-agent: axum-users/", env!("CARGO_PKG_VERSION")).to_owned(),
        ];
        expected.sort();
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn pw_04_what_is_no_answer_of_a_range_service_is_a_failure() {
        let other = Service::new(ok("")).await;
        let endless = padded(&vec![line(OTHER, 1); 30_000]);
        for (what, answer) in [
            (
                "an error",
                "HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(),
            ),
            ("not found", ok("").replace("200 OK", "404 Not Found")),
            ("a page", ok("<html>sign in to this network</html>")),
            ("a longer hash", ok(&format!("0{}", line(BREACHED, 1)))),
            ("no count", ok(PasswordSha1::of(BREACHED).split().1)),
            ("too long", endless),
            ("cut short", ok(&line(BREACHED, 1)).replace("content-length: ", "content-length: 9")),
            ("not HTTP", "220 mail.camelot.bt ESMTP\r\n".to_owned()),
            ("nothing", String::new()),
            (
                "elsewhere",
                format!(
                    "HTTP/1.1 302 Found\r\nlocation: {}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                    other.base
                ),
            ),
        ] {
            let service = Service::new(answer).await;
            assert_eq!(register(&service.world(OnFailure::Refuse)).await.0, 503, "{what}");
            assert_eq!(register(&service.world(OnFailure::Allow)).await.0, 201, "{what}");
        }
        assert!(other.requests.lock().unwrap().is_empty(), "redirects are not followed");
    }

    #[test]
    fn pw_04_a_range_service_is_asked_in_the_clear_on_this_machine_only() {
        for base in
            ["https://api.pwnedpasswords.com/range", "http://127.0.0.1:8000/", "http://[::1]/range", "http://localhost"]
        {
            assert!(BreachedPasswordsRange::new(base).is_ok(), "{base}");
        }
        for base in [
            "",
            "range",
            "http://api.pwnedpasswords.com/range",
            "ftp://localhost",
            "https://x/range?a=b",
            "https://x/#a",
            "http://127.0.0.1.nip.io/",
        ] {
            assert!(BreachedPasswordsRange::new(base).is_err(), "{base}");
        }
    }
}
