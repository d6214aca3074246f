//! Text that wants to be more than text, in every place that a client fills, on every database.

use axum_users::{User, UserProfile, Users, memory::MemoryStore};
use serde_json::{Value, json};

use crate::people::{COOKIE, DB, JWT, OnDisk, PASSWORD, Person, application, on_servers, superuser, visitor};

#[derive(Clone, Debug, UserProfile)]
struct Knight {
    motto: Option<String>,
    #[profile(unique)]
    handle: Option<String>,
}

const VICTIM: &str = "victim@camelot.bt";

/// What opens a hole where text is glued into SQL.
const CORPUS: &[&str] = &[
    "'",
    "\"",
    "`",
    "\\",
    "\\'",
    "''",
    "' OR '1'='1",
    "' OR 1=1 -- ",
    "' OR 1=1 #",
    "\" OR \"\"=\"",
    "x' OR email LIKE '%",
    "victim@camelot.bt' -- ",
    "victim@camelot.bt'/*",
    "\\' OR 1=1 -- ",
    "\u{5c}\u{27}; DROP TABLE accesstoken; -- ",
    "'; DROP TABLE \"user\"; --",
    "'; UPDATE \"user\" SET is_superuser = true; --",
    "'); DELETE FROM accesstoken; --",
    "' UNION SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL -- ",
    "' || (SELECT hashed_password FROM \"user\" LIMIT 1) || '",
    "1; SELECT pg_sleep(9)",
    "' AND SLEEP(9) AND '1'='1",
    "$1",
    "?1",
    "?",
    ":id",
    "$$; DROP TABLE accesstoken; $$",
    "E'\\x27'",
    "0x27204f5220313d31",
    "%27%20OR%201=1",
    "ʼ OR 1=1 -- ",
    "\u{ff07} OR 1=1 -- ",
    "%",
    "_______camelot.bt",
    "victim@%",
    "{\"$ne\": null}",
    "{\"$gt\": \"\"}",
    "[$ne]=x",
    "*",
    "${7*7}{{7*7}}",
];

#[tokio::test]
async fn in_05_text_stays_text_on_every_database() {
    let disk = OnDisk::<Knight>::new().await;
    let mut all = vec![application(MemoryStore::new()).build().unwrap(), disk.users.clone()];
    all.extend(on_servers().await);
    for users in all {
        text_stays_text(&users).await;
    }
}

async fn text_stays_text(users: &Users<Knight>) {
    let nobody = visitor(users);
    nobody.register(VICTIM).await;
    let victim = nobody.logged_in(VICTIM, PASSWORD, DB).await;
    let before = stored(users, VICTIM).await;
    nobody.register("mallory@camelot.bt").await;
    let mallory = nobody.logged_in("mallory@camelot.bt", PASSWORD, JWT).await;
    let boss = superuser(users, "boss@camelot.bt").await;
    let mut people = 3;
    for (number, text) in CORPUS.iter().enumerate() {
        // Whom it asks for, and with which password.
        for (email, password) in [(*text, PASSWORD), (VICTIM, *text)] {
            let status = sign_in(&nobody, email, password).await;
            assert_eq!(status, 400, "{email} {password}");
        }
        // A token, wherever it travels.
        let encoded = percent(text);
        let mut stranger = nobody.clone();
        stranger.header = Some(("authorization", format!("Bearer {encoded}")));
        assert!(!stranger.is_known().await, "{text}");
        stranger.header = Some(("cookie", format!("fastapiusersauth={encoded}")));
        assert!(!stranger.is_known().await, "{text}");
        // An id.
        for method in ["GET", "PATCH", "DELETE"] {
            let (status, _) = boss.json(method, &format!("/users/{encoded}"), &json!({})).await;
            assert!([404, 405].contains(&status), "{method} {text}: {status}");
        }
        // An own column comes back as it was sent.
        let (status, read) = mallory.json("PATCH", "/users/me", &json!({ "motto": text, "handle": text })).await;
        assert_eq!((status, &read["motto"], &read["handle"]), (200, &json!(text), &json!(text)), "{text}");
        let (status, read) = mallory.json("GET", "/users/me", &json!(null)).await;
        assert_eq!((status, &read["motto"], &read["is_superuser"]), (200, &json!(text), &json!(false)), "{text}");
        // A new user, whose address, password and columns have it.
        let local: String = text.chars().filter(|c| "'=$?{}*%_`|/#".contains(*c)).collect();
        let email = format!("a{number}{local}@camelot.bt");
        // Not with the domain of the address in it.
        let password = format!("{} plum tomato", text.replace("camelot", ""));
        let new = json!({ "email": email, "password": password, "motto": text });
        let (status, read) = nobody.json("POST", "/auth/register", &new).await;
        assert_eq!((status, &read["email"], &read["motto"]), (201, &json!(email), &json!(text)), "{text}");
        assert_eq!(sign_in(&nobody, &email, &password).await, 200, "{email}");
        people += 1;
    }
    // Objects in place of strings.
    for odd in [json!({ "$ne": null }), json!({ "$gt": "" }), json!(["a"]), json!({ "$where": "1" })] {
        for body in [json!({ "email": odd, "password": PASSWORD }), json!({ "email": "x@camelot.bt", "password": odd })]
        {
            assert_eq!(nobody.json("POST", "/auth/register", &body).await.0, 422, "{body}");
            assert_eq!(mallory.json("PATCH", "/users/me", &body).await.0, 422, "{body}");
        }
        assert_eq!(mallory.json("PATCH", "/users/me", &json!({ "motto": odd })).await.0, 422, "{odd}");
    }
    let form = "username[$ne]=x&password[$ne]=x";
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    for backend in [JWT, COOKIE, DB] {
        assert_eq!(nobody.raw("POST", &format!("{backend}/login"), &kind, form).await.status(), 422);
    }
    assert_eq!(users.list(None, 1_000).await.unwrap().len(), people, "nobody came or went by the way");
    assert_eq!(stored(users, VICTIM).await, before);
    assert!(victim.is_known().await, "no token went");
    let superusers = users.list(None, 1_000).await.unwrap();
    assert_eq!(superusers.iter().filter(|user| user.is_superuser).count(), 1);
}

async fn sign_in(person: &Person, email: &str, password: &str) -> u16 {
    let form = format!("username={}&password={}", percent(email), percent(password));
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    person.raw("POST", "/auth/jwt/login", &kind, form).await.status().as_u16()
}

/// The row, as far as anybody could have changed it.
async fn stored(users: &Users<Knight>, email: &str) -> Value {
    let user: User<Knight> = users.get_by_email(email).await.unwrap().unwrap();
    json!([
        user.id.to_string(),
        user.email.as_str(),
        user.hashed_password.as_str(),
        [user.is_active, user.is_superuser, user.is_verified],
        user.tokens_valid_after,
        user.profile.motto,
        user.profile.handle,
    ])
}

/// RFC 3986 section 2.1, for every byte.
fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
