//! Too many attempts: what is throttled, by what, and who still gets in.

use std::net::{IpAddr, SocketAddr};

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Request, Response},
};
use axum_users::{
    AuthBackend, BearerTransport, JwtStrategy, KnownDevices, Limit, RefreshTokens, Throttle, UserUpdate, UsersBuilder,
};
use serde_json::{Value, json};
use std::time::Duration;

use crate::{
    mailed::{Mailbox, mailed},
    people::{COOKIE, DB, JWT, OTHER, PASSWORD, Person, World, bytes},
};

const SECRET: &[u8] = b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u";
const KING: &str = "king@camelot.bt";

/// With the limits that are the default.
fn throttled() -> World {
    World::with(with_defaults)
}

fn with_defaults(builder: UsersBuilder<()>) -> UsersBuilder<()> {
    builder.throttle(Throttle::default()).known_devices(KnownDevices::new(SECRET).unwrap()).trusted_proxies(1)
}

/// What the answer says.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    retry_after: Option<u64>,
    body: Value,
}

async fn answer(response: Response<Body>) -> Answer {
    let retry_after = response.headers().get("retry-after").map(|it| it.to_str().unwrap().parse().unwrap());
    let status = response.status().as_u16();
    Answer { status, retry_after, body: serde_json::from_slice(&bytes(response).await).unwrap_or_default() }
}

fn too_many(retry_after: u64) -> Answer {
    Answer { status: 429, retry_after: Some(retry_after), body: json!({ "detail": "Too Many Requests" }) }
}

/// A login from behind the proxy, which tells this address.
async fn login(person: &Person, backend: &str, from: &str, email: &str, password: &str) -> Response<Body> {
    let form = format!("username={}&password={}", encoded(email), password.replace(' ', "+"));
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("x-forwarded-for", from)];
    person.raw("POST", &format!("{backend}/login"), &headers, form).await
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

async fn post(person: &Person, path: &str, from: &str, body: Value) -> Answer {
    let headers = [("content-type", "application/json"), ("x-forwarded-for", from)];
    answer(person.raw("POST", path, &headers, body.to_string()).await).await
}

/// What is due has left.
async fn sent(world: &World) {
    while world.users.work_off().await.unwrap() > 0 {}
    // The manager's own worker may have some of it.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Strangers, each from an address of its own, use up what an account has.
async fn attack(world: &World, email: &str) {
    for number in 0..11 {
        let from = format!("198.51.100.{number}");
        let expected = if number < 10 { 400 } else { 429 };
        assert_eq!(login(&world.nobody(), JWT, &from, email, "wrong").await.status(), expected, "{number}");
    }
}

#[tokio::test]
async fn au_01_the_eleventh_failure_waits_whoever_is_named_and_the_right_password_works_afterwards() {
    let world = throttled();
    for email in [KING, "inactive@camelot.bt"] {
        world.register(email).await;
    }
    world.change("inactive@camelot.bt", UserUpdate { is_active: Some(false), ..UserUpdate::default() }).await;
    let nobody = world.nobody();
    for (number, email) in [KING, "inactive@camelot.bt", "unknown@camelot.bt", "no address"].into_iter().enumerate() {
        let mut answers = Vec::new();
        for attempt in 0..13 {
            let from = format!("192.0.{number}.{attempt}");
            // The right password of somebody inactive tells nothing here either.
            let password = if email.starts_with("inactive") { PASSWORD } else { "wrong" };
            answers.push(answer(login(&nobody, JWT, &from, email, password).await).await);
        }
        let wrong = Answer { status: 400, retry_after: None, body: json!({ "detail": "LOGIN_BAD_CREDENTIALS" }) };
        assert!(answers[..10].iter().all(|it| *it == wrong), "{email}: {answers:?}");
        assert!(answers[10..].iter().all(|it| *it == too_many(90)), "{email}: {answers:?}");
    }
    assert_eq!(login(&nobody, DB, "203.0.113.1", KING, PASSWORD).await.status(), 429, "of every backend");
    world.clock.advance(time::Duration::seconds(89));
    assert_eq!(answer(login(&nobody, JWT, "203.0.113.1", KING, PASSWORD).await).await, too_many(1));
    world.clock.advance(time::Duration::seconds(1));
    assert_eq!(login(&nobody, JWT, "203.0.113.1", KING, PASSWORD).await.status(), 200);
    // Only failures in a row count.
    attack(&world, KING).await;
}

#[tokio::test]
async fn au_01_one_setting_switches_all_off() {
    let world = World::with(|builder| with_defaults(builder).throttle(None));
    world.register(KING).await;
    for number in 0..40 {
        assert_eq!(login(&world.nobody(), JWT, "192.0.2.1", KING, "wrong").await.status(), 400);
        let create = json!({ "email": format!("{number}@camelot.bt"), "password": PASSWORD });
        assert_eq!(post(&world.nobody(), "/auth/register", "192.0.2.1", create).await.status, 201);
    }
    let response = login(&world.nobody(), COOKIE, "192.0.2.1", KING, PASSWORD).await;
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 1, "no device is made known then");
}

#[tokio::test]
async fn au_01_wrong_current_passwords_count_for_the_account() {
    let world = throttled();
    let king = world.person(KING, JWT).await;
    let guess = async |password: &str| {
        let body = json!({ "password": OTHER, "current_password": password });
        king.json("PATCH", "/users/me", &body).await
    };
    for _ in 0..5 {
        assert_eq!(guess("wrong").await, (400, json!({ "detail": "UPDATE_USER_CURRENT_PASSWORD_WRONG" })));
        assert_eq!(login(&world.nobody(), JWT, "192.0.2.1", KING, "wrong").await.status(), 400);
    }
    assert_eq!(guess("wrong").await, (429, json!({ "detail": "Too Many Requests" })));
    assert_eq!(guess(PASSWORD).await.0, 429, "not looked at");
    assert_eq!(login(&world.nobody(), JWT, "192.0.2.2", KING, "wrong").await.status(), 429);
    world.clock.advance(time::Duration::seconds(90));
    assert_eq!(guess(PASSWORD).await.0, 200);
    assert_eq!(login(&world.nobody(), JWT, "192.0.2.1", KING, "wrong").await.status(), 400, "it is full again");
}

#[tokio::test]
async fn au_02_every_spelling_of_a_mailbox_and_of_an_address_hits_the_same_limit() {
    for registered in [true, false] {
        let world = throttled();
        if registered {
            world.register("Élodie@bücher.example").await;
        }
        let spellings = [
            "Élodie@bücher.example",
            "élodie@bücher.example",
            "ÉLODIE@BÜCHER.EXAMPLE",
            "e\u{301}lodie@bücher.example",
            "E\u{301}LODIE@xn--bcher-kva.example",
            "élodie@XN--BCHER-KVA.example",
            "élodie@ｂüｃｈｅｒ.example",
            "élodie@b\u{75}\u{308}cher.example",
            "ÉLODIE@bücher。example",
            "éLODIE@BÜCHER.example",
        ];
        for (number, spelling) in spellings.into_iter().enumerate() {
            let from = format!("192.0.2.{number}");
            assert_eq!(login(&world.nobody(), JWT, &from, spelling, "wrong").await.status(), 400, "{spelling}");
        }
        for spelling in spellings {
            let answer = answer(login(&world.nobody(), JWT, "192.0.2.99", spelling, "wrong").await).await;
            assert_eq!(answer, too_many(90), "{spelling} {registered}");
        }
        assert_eq!(login(&world.nobody(), JWT, "192.0.2.98", "elodie@bücher.example", "wrong").await.status(), 400);
    }
    for spellings in [
        vec!["2001:db8:1:2::1", "2001:0DB8:1:2:0:0:0:1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"],
        vec!["192.0.2.7", "::ffff:192.0.2.7", "::FFFF:c000:207", "0:0:0:0:0:ffff:192.0.2.7"],
    ] {
        let world = throttled();
        for number in 0..32 {
            let from = spellings[number % spellings.len()];
            let email = format!("{number}@camelot.bt");
            let expected = if number < 30 { 400 } else { 429 };
            assert_eq!(login(&world.nobody(), JWT, from, &email, "wrong").await.status(), expected, "{number} {from}");
        }
        assert_eq!(login(&world.nobody(), JWT, "2001:db8:1:3::1", "x@camelot.bt", "wrong").await.status(), 400);
    }
}

#[tokio::test]
async fn au_04_a_success_for_one_account_does_not_pay_for_guesses_at_another() {
    let world = throttled();
    world.register("mallory@camelot.bt").await;
    let nobody = world.nobody();
    let from = "192.0.2.66";
    for number in 0..30 {
        let victim = format!("{number}@camelot.bt");
        assert_eq!(login(&nobody, JWT, from, &victim, "wrong").await.status(), 400, "{number}");
        if number < 29 {
            assert_eq!(login(&nobody, JWT, from, "mallory@camelot.bt", PASSWORD).await.status(), 200, "{number}");
        }
    }
    assert_eq!(answer(login(&nobody, JWT, from, "31@camelot.bt", "wrong").await).await, too_many(2));
    assert_eq!(login(&nobody, JWT, from, "mallory@camelot.bt", PASSWORD).await.status(), 429);
    assert_eq!(login(&nobody, JWT, "192.0.2.67", "mallory@camelot.bt", PASSWORD).await.status(), 200);
    // The guess at each account counts there still.
    for number in 1..11 {
        let expected = if number < 10 { 400 } else { 429 };
        let from = format!("198.51.100.{number}");
        assert_eq!(login(&nobody, JWT, &from, "0@camelot.bt", "wrong").await.status(), expected, "{number}");
    }
}

/// The cookie that makes a device known, as the browser sends it back.
fn device(response: &Response<Body>) -> String {
    let cookies = response.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    let cookie = cookies.into_iter().find(|cookie| cookie.starts_with("axum_users_device=")).unwrap();
    let (value, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "HttpOnly; Max-Age=31536000; Path=/; SameSite=lax; Secure");
    value.to_owned()
}

fn browser(world: &World, cookie: &str) -> Person {
    Person { header: Some(("cookie", cookie.to_owned())), ..world.nobody() }
}

#[tokio::test]
async fn au_05_the_owner_gets_in_from_a_known_device_whatever_strangers_do() {
    let world = throttled();
    for email in [KING, "mallory@camelot.bt"] {
        world.register(email).await;
    }
    let first = login(&world.nobody(), COOKIE, "203.0.113.5", KING, PASSWORD).await;
    let king = browser(&world, &device(&first));
    attack(&world, KING).await;
    assert_eq!(login(&world.nobody(), COOKIE, "203.0.113.5", KING, PASSWORD).await.status(), 429, "without the cookie");
    let again = login(&king, COOKIE, "203.0.113.5", KING, PASSWORD).await;
    assert_eq!(again.status(), 204);
    assert_eq!(device(&again), king.header.clone().unwrap().1, "it is the same device for another year");
    // Also where the strangers sit in the same house.
    for number in 0..31 {
        let _ = login(&world.nobody(), JWT, "203.0.113.5", &format!("{number}@camelot.bt"), "wrong").await;
    }
    assert_eq!(login(&king, JWT, "203.0.113.5", KING, PASSWORD).await.status(), 200, "whatever the backend");
    let with_session = Person { header: login_header(&again, &king), ..world.nobody() };
    let body = json!({ "password": OTHER, "current_password": PASSWORD });
    assert_eq!(with_session.json("PATCH", "/users/me", &body).await.0, 200);

    // It has as many guesses for itself, and no more.
    for number in 0..11 {
        let expected = if number < 10 { 400 } else { 429 };
        assert_eq!(login(&king, COOKIE, "203.0.113.6", KING, "wrong").await.status(), expected, "{number}");
    }
    // The device of one user is not that of another, and one that nobody gave out is none.
    let mallory =
        browser(&world, &device(&login(&world.nobody(), COOKIE, "203.0.113.7", "mallory@camelot.bt", PASSWORD).await));
    assert_eq!(login(&mallory, COOKIE, "203.0.113.7", KING, OTHER).await.status(), 429);
    let forged = browser(&world, &format!("{}A", device(&again)));
    assert_eq!(login(&forged, COOKIE, "203.0.113.8", KING, OTHER).await.status(), 429);
}

/// Session and device, as the browser sends them back.
fn login_header(response: &Response<Body>, known: &Person) -> Option<(&'static str, String)> {
    let cookies = response.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    let session = cookies.into_iter().find(|cookie| cookie.starts_with("fastapiusersauth=")).unwrap();
    Some(("cookie", format!("{}; {}", session.split(';').next().unwrap(), known.header.clone().unwrap().1)))
}

#[tokio::test]
async fn au_05_who_resets_the_password_gets_in() {
    let mailbox = Mailbox::default();
    let world = World::with_store(|store, builder| mailed(with_defaults(builder), &mailbox, &store));
    world.register(KING).await;
    attack(&world, KING).await;
    assert_eq!(
        post(&world.nobody(), "/auth/forgot-password", "203.0.113.5", json!({ "email": KING })).await.status,
        202
    );
    sent(&world).await;
    let token = mailbox.last_token();
    let headers = [("content-type", "application/json"), ("x-forwarded-for", "203.0.113.5")];
    let body = json!({ "token": token, "password": OTHER }).to_string();
    let reset = world.nobody().raw("POST", "/auth/reset-password", &headers, body).await;
    assert_eq!(reset.status(), 200);
    let king = browser(&world, &device(&reset));
    // Strangers are back at once; the reset itself has filled the bucket for those without cookies.
    assert_eq!(login(&world.nobody(), JWT, "203.0.113.5", KING, OTHER).await.status(), 200);
    attack(&world, KING).await;
    assert_eq!(login(&king, COOKIE, "203.0.113.5", KING, OTHER).await.status(), 204);
}

#[tokio::test]
async fn au_06_another_spelling_of_a_route_is_no_other_limit() {
    for strict in [false, true] {
        let world = World::with(|builder| with_defaults(builder).strict(strict));
        world.register(KING).await;
        let mut looked_at = 0;
        for round in 0..4 {
            for (method, path) in [
                ("POST", "/auth/jwt/login"),
                ("POST", "/auth/jwt/login/"),
                ("POST", "/auth/db/login"),
                ("POST", "/auth/cookie/login"),
                ("POST", "//auth/jwt/login"),
                ("POST", "/auth//jwt/login"),
                ("POST", "/auth/jwt/%6cogin"),
                ("POST", "/AUTH/JWT/LOGIN"),
                ("POST", "/auth/jwt/Login"),
                ("POST", "/auth/jwt/./login"),
                ("POST", "/auth/x/../jwt/login"),
                ("POST", "/auth/jwt/login;a=b"),
                ("POST", "/auth/jwt/login?x=1"),
                ("POST", "/auth/jwt/login%2f"),
                ("POST", "/auth/jwt/login%20"),
                ("HEAD", "/auth/jwt/login"),
                ("PUT", "/auth/jwt/login"),
                ("post", "/auth/jwt/login"),
            ] {
                let form = format!("username={}&password=wrong", encoded(KING));
                let headers = [("content-type", "application/x-www-form-urlencoded"), ("x-forwarded-for", "192.0.2.1")];
                let status = world.nobody().raw(method, path, &headers, form).await.status().as_u16();
                match status {
                    400 => looked_at += 1,
                    404 | 405 => {}
                    429 => assert!(looked_at == 10, "{method} {path} in round {round}: after {looked_at}"),
                    other => panic!("{method} {path}: {other}"),
                }
            }
        }
        assert_eq!(looked_at, 10, "strict: {strict}");
    }
}

/// A request of this peer, whose `X-Forwarded-For` is what it likes.
async fn from_peer(world: &World, peer: &str, forwarded: &[String], email: &str) -> u16 {
    let mut request = Request::post("/auth/jwt/login").header("content-type", "application/x-www-form-urlencoded");
    for value in forwarded {
        request = request.header("x-forwarded-for", value.as_bytes());
    }
    let body = Body::from(format!("username={}&password=wrong", encoded(email)));
    let mut request = request.body(body).unwrap();
    let peer: IpAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer, 40_000)));
    world.nobody().send(request).await.status().as_u16()
}

#[tokio::test]
async fn au_07_an_odd_header_is_no_other_client() {
    let many = (0..300).map(|number| format!("10.0.0.{}", number % 256)).collect::<Vec<_>>().join(", ");
    let odd: Vec<Vec<String>> = vec![
        vec!["a".into()],
        vec!["".into()],
        vec!["1".into()],
        vec![",".into()],
        vec!["fe80::1%eth0".into()],
        vec!["192.0.2.300".into()],
        vec!["[2001:db8::1]".into()],
        vec!["192.0.2.1:80".into()],
        vec!["unknown".into(), "_hidden".into()],
        vec!["192.0.2.1".into(), "a".into()],
        vec![format!("{many}, a")],
        vec!["\u{e9}".into()],
    ];
    // Without a proxy of ours nothing of it counts; with one, nothing that is no address.
    for proxies in [0, 1, 2] {
        let world = World::with(|builder| with_defaults(builder).trusted_proxies(proxies));
        let mut number = 0;
        for _ in 0..3 {
            for header in &odd {
                let mut header = header.clone();
                if proxies == 2 {
                    // What the inner one of two proxies saw.
                    header.push("10.9.9.9".into());
                }
                let expected = if number < 30 { 400 } else { 429 };
                let email = format!("{proxies}-{number}@camelot.bt");
                assert_eq!(from_peer(&world, "192.0.2.50", &header, &email).await, expected, "{proxies} {header:?}");
                number += 1;
            }
        }
        assert_eq!(from_peer(&world, "192.0.2.51", &[], "x@camelot.bt").await, 400, "another peer");
        // What a client invents to the left of what our proxy saw is not looked at.
        for (number, invented) in ["203.0.113.1", "203.0.113.2", &many].into_iter().cycle().take(31).enumerate() {
            let header = match proxies {
                0 | 1 => format!("{invented}, 198.51.100.1"),
                _ => format!("{invented}, 198.51.100.1, 10.9.9.9"),
            };
            let expected = if number < 30 { 400 } else { 429 };
            let email = format!("invented-{number}@camelot.bt");
            assert_eq!(from_peer(&world, "192.0.2.52", &[header], &email).await, expected, "{proxies} {number}");
        }
    }
}

#[tokio::test]
async fn rg_09_registrations_are_capped_by_address_and_in_total() {
    let world = throttled();
    let register = async |world: &World, from: &str, name: &str| {
        let body = json!({ "email": format!("{name}@camelot.bt"), "password": PASSWORD });
        post(&world.nobody(), "/auth/register", from, body).await
    };
    for number in 0..20 {
        assert_eq!(register(&world, "2001:db8:1:2::1", &format!("a{number}")).await.status, 201);
    }
    assert_eq!(register(&world, "2001:db8:1:2::99", "a20").await, too_many(180));
    assert_eq!(register(&world, "2001:db8:1:2::99", "a0").await, too_many(180), "whoever has the mailbox");
    assert_eq!(register(&world, "2001:db8:1:3::1", "a20").await.status, 201);
    world.clock.advance(time::Duration::minutes(3));
    assert_eq!(register(&world, "2001:db8:1:2::1", "a21").await.status, 201);

    let total = Throttle::default().total_registrations(Limit::new(3, Duration::from_secs(3600)));
    let world = World::with(|builder| with_defaults(builder).throttle(total));
    for number in 0..3 {
        assert_eq!(register(&world, &format!("192.0.2.{number}"), &format!("b{number}")).await.status, 201);
    }
    assert_eq!(register(&world, "192.0.2.9", "b9").await, too_many(1200));
}

#[tokio::test]
async fn rg_09_a_mailbox_gets_no_more_than_five_mails_an_hour_for_any_mix_of_routes() {
    let mailbox = Mailbox::default();
    let world = World::with_store(|store, builder| mailed(with_defaults(builder), &mailbox, &store));
    for email in [KING, "arthur@camelot.bt"] {
        world.register(email).await;
    }
    let mut minutes = Vec::new();
    for minute in 0_u8..120 {
        let before = mailbox.count();
        // Each time from another address, and in another spelling.
        let from = format!("192.0.2.{minute}");
        for (path, email) in [("forgot-password", "KING@camelot.bt"), ("request-verify-token", "king@CAMELOT.bt")] {
            let answer = post(&world.nobody(), &format!("/auth/{path}"), &from, json!({ "email": email })).await;
            assert_eq!((answer.status, answer.body), (202, Value::Null), "the answer never tells");
        }
        sent(&world).await;
        minutes.extend(std::iter::repeat_n(minute, mailbox.count() - before));
        world.clock.advance(time::Duration::minutes(1));
    }
    assert_eq!(minutes[..5], [0, 0, 1, 20, 40], "three at once, two more in the hour");
    for first in &minutes {
        let within = minutes.iter().filter(|at| (*first..first + 60).contains(at)).count();
        assert!(within <= 5, "{within} within the hour from minute {first}: {minutes:?}");
    }
    // What the owner did is told all the same, and others get their mail.
    let before = mailbox.count();
    let king = world.logged_in(KING, PASSWORD, JWT).await;
    assert_eq!(king.json("PATCH", "/users/me", &json!({ "password": OTHER })).await.0, 200);
    assert_eq!(
        post(&world.nobody(), "/auth/forgot-password", "192.0.2.1", json!({ "email": "arthur@camelot.bt" }))
            .await
            .status,
        202
    );
    sent(&world).await;
    assert_eq!(mailbox.count() - before, 2);
}

#[tokio::test]
async fn rg_09_a_change_of_address_does_not_mail_strangers_without_end() {
    let mailbox = Mailbox::default();
    let world = World::with_store(|store, builder| mailed(with_defaults(builder), &mailbox, &store));
    let mallory = world.person("mallory@camelot.bt", JWT).await;
    for number in 0..10 {
        for email in ["victim@camelot.bt".to_owned(), format!("mallory{number}@camelot.bt")] {
            assert_eq!(mallory.json("PATCH", "/users/me", &json!({ "email": email })).await.0, 200);
        }
    }
    sent(&world).await;
    assert_eq!(mailbox.count_to("victim@camelot.bt"), 3 + 3, "as the new address and as the old one");
}

#[tokio::test]
async fn rg_09_requests_for_mails_are_capped_by_address() {
    let mailbox = Mailbox::default();
    let world = World::with_store(|store, builder| mailed(with_defaults(builder), &mailbox, &store));
    for number in 0..20 {
        let path = if number % 2 == 0 { "/auth/forgot-password" } else { "/auth/request-verify-token" };
        let email = json!({ "email": format!("{number}@camelot.bt") });
        assert_eq!(post(&world.nobody(), path, "192.0.2.1", email).await.status, 202);
    }
    for path in ["/auth/forgot-password", "/auth/request-verify-token"] {
        assert_eq!(post(&world.nobody(), path, "192.0.2.1", json!({ "email": KING })).await, too_many(180));
        assert_eq!(post(&world.nobody(), path, "192.0.2.2", json!({ "email": KING })).await.status, 202);
    }
}

#[tokio::test]
async fn rg_09_mails_beyond_the_total_wait_and_none_is_lost() {
    let mailbox = Mailbox::default();
    let total = Throttle::default().total_mails(Limit::new(4, Duration::from_secs(3600)));
    let world = World::with_store(|store, builder| mailed(with_defaults(builder).throttle(total), &mailbox, &store));
    for number in 0..6 {
        let email = format!("{number}@camelot.bt");
        world.register(&email).await;
        assert_eq!(
            post(&world.nobody(), "/auth/forgot-password", &format!("192.0.2.{number}"), json!({ "email": email }))
                .await
                .status,
            202
        );
    }
    sent(&world).await;
    assert_eq!(mailbox.count(), 4);
    for expected in [5, 6, 6] {
        world.clock.advance(time::Duration::minutes(16));
        sent(&world).await;
        assert_eq!(mailbox.count(), expected);
    }
}

#[tokio::test]
async fn au_01_wrong_tokens_count_by_address_and_right_ones_are_let_through() {
    let mailbox = Mailbox::default();
    let world = World::with_store(|store, builder| {
        let refresh = RefreshTokens::new(store.clone(), Duration::from_secs(7200));
        let strategy = JwtStrategy::new(SECRET, Duration::from_secs(3600)).unwrap();
        let bearer = BearerTransport::new("auth/app/login");
        mailed(with_defaults(builder), &mailbox, &store)
            .backend(AuthBackend::new("app", bearer, strategy).refresh(refresh))
    });
    world.register(KING).await;
    assert_eq!(
        post(&world.nobody(), "/auth/request-verify-token", "203.0.113.1", json!({ "email": KING })).await.status,
        202
    );
    sent(&world).await;
    let verify = mailbox.last_token();
    let tokens = answer(login(&world.nobody(), "/auth/app", "203.0.113.1", KING, PASSWORD).await).await.body;
    let refresh = async |token: &str, from: &str| {
        let form = format!("grant_type=refresh_token&refresh_token={token}");
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("x-forwarded-for", from)];
        answer(world.nobody().raw("POST", "/auth/app/refresh", &headers, form).await).await
    };
    let from = "192.0.2.1";
    for _ in 0..10 {
        assert_eq!(post(&world.nobody(), "/auth/verify", from, json!({ "token": "none" })).await.status, 400);
        let reset = json!({ "token": "none", "password": OTHER });
        assert_eq!(post(&world.nobody(), "/auth/reset-password", from, reset).await.status, 400);
        assert_eq!(refresh("none", from).await.status, 400);
    }
    assert_eq!(post(&world.nobody(), "/auth/verify", from, json!({ "token": "none" })).await, too_many(2));
    let reset = json!({ "token": "none", "password": OTHER });
    assert_eq!(post(&world.nobody(), "/auth/reset-password", from, reset).await, too_many(2));
    assert_eq!(refresh("none", from).await, too_many(2));
    assert_eq!(
        login(&world.nobody(), JWT, from, "x@camelot.bt", "wrong").await.status(),
        429,
        "passwords count with them"
    );
    assert_eq!(refresh("none", "192.0.2.2").await.status, 400);
    assert_eq!(refresh(tokens["refresh_token"].as_str().unwrap(), from).await.status, 200);
    assert_eq!(post(&world.nobody(), "/auth/verify", from, json!({ "token": verify })).await.status, 200);
    // The account is not touched by any of it.
    assert_eq!(login(&world.nobody(), JWT, "203.0.113.1", KING, PASSWORD).await.status(), 200);
}
