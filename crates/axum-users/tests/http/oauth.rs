//! Logging in by a provider.

use axum_users::{
    CookieTransport, Fields, OAuthKeys, OAuthSettings, SameSite, Secret, UserCreate, UserHooks, UserProfile,
    UserUpdate, Users, Veto, memory::MemoryStore,
};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    people::{OTHER, OnDisk, PASSWORD, World, application, on_servers_with},
    provider::{Browser, PUBLIC, Provider, SECRET, callback, query, with_provider},
};

pub(crate) const GOOGLE: &str = "/auth/google";

/// A world where people log in by `google`, answered by `jwt`, and by `cookie` below `/auth/google/cookie`.
pub(crate) fn world(settings: OAuthSettings) -> (World, Provider) {
    let provider = Provider::new("google");
    let settings = settings.backend("jwt").backend("cookie");
    (World::with(|builder| with_provider(builder, &provider, settings)), provider)
}

/// A body with each code of these routes.
pub(crate) async fn codes() -> Vec<Value> {
    let provider = Provider::new("google");
    let settings = OAuthSettings::new().backend("jwt");
    let world = World::with(|it| with_provider(it, &provider, settings).allowed_redirects([""; 0]));
    let mut browser = Browser::new(&world.users);
    world.register("a@camelot.bt").await;
    let mut found = vec![
        browser.get("/auth/google/callback?code=x&state=zz").await,
        browser.go(&provider, GOOGLE, "1|a@camelot.bt|").await,
        browser.go(&provider, GOOGLE, "1|NONE|").await,
        browser.get("/auth/google/callback?error=access_denied").await,
        browser.get("/auth/google/authorize?redirect_to=//evil.example").await,
    ];
    let url = browser.authorize(GOOGLE).await;
    let code = provider.approve(&url, "2|b@camelot.bt|");
    found.push(Browser::new(&world.users).come_back(GOOGLE, &url, &code).await);
    world.clock.advance(time::Duration::minutes(10));
    found.push(browser.come_back(GOOGLE, &url, &code).await);
    let mut only = browser.clone().logged_in(&provider, GOOGLE, "2|b@camelot.bt|").await;
    let id = only.get("/users/me/accounts").await.body[0]["id"].as_str().unwrap().to_owned();
    found.push(only.send("DELETE", &format!("/users/me/accounts/{id}"), "").await);
    found.into_iter().map(|answer| answer.body).collect()
}

#[tokio::test]
async fn the_first_login_makes_a_user_and_the_next_finds_it() {
    let (world, provider) = world(OAuthSettings::new());
    let mut browser = Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|Gawain@Camelot.BT|x").await;
    let me = browser.get("/users/me").await.body;
    assert_eq!(
        (&me["email"], &me["is_verified"], &me["is_superuser"]),
        (&json!("Gawain@camelot.bt"), &json!(false), &json!(false))
    );
    assert!(me.get("oauth_accounts").is_none());
    // The provider's address may change; the user's does not.
    let mut again = Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|other@camelot.bt|v").await;
    assert_eq!(again.get("/users/me").await.body, me);
    // By the other backend of the same provider.
    let mut by_cookie = Browser::new(&world.users);
    let answer = by_cookie.go(&provider, "/auth/google/cookie", "1|gawain@camelot.bt|").await;
    assert_eq!((answer.status, &answer.body), (204, &Value::Null));
    assert_eq!(by_cookie.get("/users/me").await.body, me);
    assert_eq!(world.users.list(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_cookie_and_the_address_are_those_of_the_contract() {
    let (world, provider) = world(OAuthSettings::new());
    let answer = Browser::new(&world.users).get("/auth/google/authorize").await;
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    let (name, rest) = cookie.split_once('=').unwrap();
    assert_eq!(
        (name, rest.len()),
        ("fastapiusersoauthcsrf", 43 + "; HttpOnly; Max-Age=3600; Path=/; SameSite=lax; Secure".len())
    );
    assert!(rest.ends_with("; HttpOnly; Max-Age=3600; Path=/; SameSite=lax; Secure"), "{cookie}");
    let url = answer.body["authorization_url"].as_str().unwrap();
    assert!(url.starts_with("https://provider.example/authorize?response_type=code&client_id=CLIENT_ID&redirect_uri="));
    let query = query(url);
    assert_eq!(query["redirect_uri"], format!("{PUBLIC}/auth/google/callback"));
    assert_eq!(query["scope"], "profile email");
    assert_eq!(answer.headers["cache-control"], "no-store");
    drop(provider);
}

#[tokio::test]
async fn oa_02_the_provider_gets_a_challenge_and_its_verifier_whatever_a_client_sends() {
    let (world, provider) = world(OAuthSettings::new());
    let mut browser = Browser::new(&world.users);
    let url = browser.authorize(GOOGLE).await;
    let asked = query(&url);
    assert_eq!((asked["code_challenge_method"].as_str(), asked["code_challenge"].len()), ("S256", 43));
    let code = provider.approve(&url, "1|a@camelot.bt|");
    let path = callback(GOOGLE, &url, &code) + "&code_verifier=mine";
    assert_eq!(browser.get(&path).await.status, 200);
    // A code that was issued to another browser fits no state of this one.
    let (mut victim, mut attacker) = (Browser::new(&world.users), Browser::new(&world.users));
    let stolen = provider.approve(&victim.authorize(GOOGLE).await, "victim|victim@camelot.bt|");
    let url = attacker.authorize(GOOGLE).await;
    assert_eq!(attacker.come_back(GOOGLE, &url, &stolen).await.detail(), (400, "OAUTH_PROVIDER_ERROR"));
}

#[tokio::test]
async fn oa_10_the_way_back_is_a_constant_and_scopes_are_those_allowed() {
    let settings = OAuthSettings::new().optional_scopes(["calendar"]);
    let (world, _) = world(settings);
    let mut browser = Browser::new(&world.users);
    browser.headers.extend([("host", "evil.example".into()), ("x-forwarded-host", "evil.example".into())]);
    let scope = async |browser: &mut Browser, asked: &str| {
        let answer = browser.get(&format!("/auth/google/authorize{asked}")).await;
        let query = query(answer.body["authorization_url"].as_str().unwrap());
        assert_eq!(query["redirect_uri"], format!("{PUBLIC}/auth/google/callback"));
        query["scope"].clone()
    };
    for (asked, expected) in [
        ("", "profile email"),
        ("?scopes=", ""),
        ("?scopes=admin", ""),
        ("?scopes=email&scopes=admin&scopes=calendar", "email calendar"),
        ("?scopes=email%20admin%20calendar", "email calendar"),
        ("?redirect_uri=https%3A%2F%2Fevil.example", "profile email"),
    ] {
        assert_eq!(scope(&mut browser, asked).await, expected, "{asked}");
    }
    let elsewhere = OAuthSettings::new().redirect_url("https://front.example/cb").scopes(["openid"]);
    let (world, _) = self::world(elsewhere);
    let query = query(&Browser::new(&world.users).authorize(GOOGLE).await);
    assert_eq!((query["redirect_uri"].as_str(), query["scope"].as_str()), ("https://front.example/cb", "openid"));
}

#[tokio::test]
async fn oa_05_whatever_the_provider_does_is_a_400_without_its_words() {
    let (world, provider) = world(OAuthSettings::new());
    let mut browser = Browser::new(&world.users);
    for query in ["error=access_denied", "error=canary&code=x&state=y", "error=%00", "error="] {
        let answer = browser.get(&format!("/auth/google/callback?{query}")).await;
        assert_eq!(answer.detail(), (400, "OAUTH_PROVIDER_ERROR"), "{query}");
    }
    for query in ["", "state=x", "code=", "%ff=%ff&&=&code"] {
        assert_eq!(
            browser.get(&format!("/auth/google/callback?{query}")).await.detail(),
            (400, "Bad Request"),
            "{query}"
        );
    }
    for code in ["unknown", "away", "x\u{0}y", &"c".repeat(20_000)] {
        let url = browser.authorize(GOOGLE).await;
        let answer = browser.come_back(GOOGLE, &url, code).await;
        assert_eq!(answer.detail(), (400, "OAUTH_PROVIDER_ERROR"), "{code:.20}");
        assert!(!answer.body.to_string().contains("canary"));
    }
    for odd in [
        "1|NONE|v",
        "1||v",
        "1|not-an-address|v",
        "1|a\u{0}@camelot.bt|v",
        &format!("1|{}@camelot.bt|v", "a".repeat(400)),
    ] {
        let answer = browser.go(&provider, GOOGLE, odd).await;
        assert_eq!(answer.detail(), (400, "OAUTH_NOT_AVAILABLE_EMAIL"), "{odd:.30}");
    }
    assert_eq!(world.users.list(None, 10).await.unwrap().len(), 0);
}

#[tokio::test]
async fn oa_07_an_identity_without_a_subject_is_none() {
    let (world, provider) = world(OAuthSettings::new());
    for odd in ["", " ", "\u{0}", " 1", "1\n", &"x".repeat(321)] {
        let answer = Browser::new(&world.users).go(&provider, GOOGLE, &format!("{odd}|a@camelot.bt|v")).await;
        assert_eq!(answer.detail(), (400, "OAUTH_PROVIDER_ERROR"), "{odd:?}");
    }
    assert_eq!(world.users.list(None, 10).await.unwrap().len(), 0);
}

/// Whoever is allowed in: by the application, by the provider, by the user.
#[tokio::test]
async fn oa_09_an_address_links_only_where_the_application_allows_it_and_both_sides_proved_it() {
    for allowed in [false, true] {
        for (proved_there, proved_here) in [(false, false), (false, true), (true, false), (true, true)] {
            let (world, provider) = world(OAuthSettings::new().associate_by_email(allowed));
            world.register("kay@camelot.bt").await;
            world
                .change("kay@camelot.bt", UserUpdate { is_verified: Some(proved_here), ..UserUpdate::default() })
                .await;
            let who = if proved_there { "k1|KAY@camelot.bt|v" } else { "k1|KAY@camelot.bt|" };
            let answer = Browser::new(&world.users).go(&provider, GOOGLE, who).await;
            let user = world.users.get_by_email("kay@camelot.bt").await.unwrap().unwrap();
            let linked = world.users.oauth_accounts(&user).await.unwrap().len();
            if allowed && proved_there && proved_here {
                assert_eq!((answer.status, linked), (200, 1));
            } else {
                assert_eq!(
                    (answer.detail(), linked),
                    ((400, "OAUTH_USER_ALREADY_EXISTS"), 0),
                    "{allowed} {who} {proved_here}"
                );
            }
            // The password is untouched.
            assert_eq!(world.nobody().login("/auth/jwt", "kay@camelot.bt", PASSWORD).await.status(), 200);
        }
    }
}

#[tokio::test]
async fn rg_04_an_address_that_looks_alike_never_reaches_the_other_account() {
    let (world, provider) = world(OAuthSettings::new().associate_by_email(true).is_verified_by_default(true));
    let victim = "élodie@camelot.bt";
    world.register(victim).await;
    world.change(victim, UserUpdate { is_verified: Some(true), ..UserUpdate::default() }).await;
    let victim_id = world.users.get_by_email(victim).await.unwrap().unwrap().id.to_string();
    let look_alikes = [
        "elodie@camelot.bt",
        "é1odie@camelot.bt",
        "élodіe@camelot.bt",
        "élodie@camelot.bt.",
        "élodie@cаmelot.bt",
        "élodie@camelot.bt\u{200b}",
        "\"élodie\"@camelot.bt",
        "élodie@camelot.bt@evil.example",
        "<élodie@camelot.bt>",
        "x <élodie@camelot.bt> y",
        "élodie@ｃamelot.bt.evil.example",
        "élodie @camelot.bt",
        "élodie%00@camelot.bt",
        "élodie+x@camelot.bt",
        "élo\u{131}die@camelot.bt",
    ];
    for (number, email) in look_alikes.iter().enumerate() {
        let mut browser = Browser::new(&world.users);
        let answer = browser.go(&provider, GOOGLE, &format!("evil{number}|{email}|v")).await;
        match answer.status {
            200 => {
                browser.bears(answer.body["access_token"].as_str().unwrap());
                let me = browser.get("/users/me").await.body;
                // One spelling is the mailbox itself, which the provider proved; the others are others.
                assert!(me["id"] != victim_id.as_str() || *email == "<élodie@camelot.bt>", "{email}: {me}");
            }
            400 => {}
            other => panic!("{email}: {other}"),
        }
    }
    let user = world.users.get_by_email(victim).await.unwrap().unwrap();
    assert!(world.users.oauth_accounts(&user).await.unwrap().len() <= 1);
}

#[tokio::test]
async fn an_inactive_user_stays_out_and_nothing_is_written() {
    let (world, provider) = world(OAuthSettings::new().associate_by_email(true));
    Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|v").await;
    let off = UserUpdate { is_active: Some(false), is_verified: Some(true), ..UserUpdate::default() };
    world.change("a@camelot.bt", off).await;
    for who in ["1|new@camelot.bt|v", "2|a@camelot.bt|v"] {
        let answer = Browser::new(&world.users).go(&provider, GOOGLE, who).await;
        assert_eq!(answer.detail(), (400, "LOGIN_BAD_CREDENTIALS"), "{who}");
    }
    let user = world.users.get_by_email("a@camelot.bt").await.unwrap().unwrap();
    let accounts = world.users.oauth_accounts(&user).await.unwrap();
    assert_eq!((accounts.len(), accounts[0].account_email.as_str()), (1, "a@camelot.bt"));
}

#[tokio::test]
async fn a_new_user_is_verified_only_where_the_application_and_the_provider_say_so() {
    for (default, flags, expected) in [(false, "v", false), (true, "", false), (true, "v", true)] {
        let (world, provider) = world(OAuthSettings::new().is_verified_by_default(default));
        let who = format!("1|a@camelot.bt|{flags}");
        let mut browser = Browser::new(&world.users).logged_in(&provider, GOOGLE, &who).await;
        assert_eq!(browser.get("/users/me").await.body["is_verified"], expected, "{default} {flags}");
    }
}

/// Ten browsers at once, on every engine: one account, and everybody is in.
#[tokio::test(flavor = "multi_thread")]
async fn oa_13_ten_first_logins_at_once_make_one_account() {
    async fn check<P: UserProfile>(users: &Users<P>, provider: &Provider) {
        let mut running = JoinSet::new();
        for _ in 0..10 {
            let (mut browser, provider) = (Browser::new(users), provider.clone());
            running.spawn(async move {
                let answer = browser.go(&provider, GOOGLE, "1|first@camelot.bt|v").await;
                assert_eq!(answer.status, 200, "{answer:?}");
            });
        }
        running.join_all().await;
        let [user] = <[_; 1]>::try_from(users.list(None, 10).await.unwrap()).unwrap();
        assert_eq!(users.oauth_accounts(&user).await.unwrap().len(), 1);
    }
    let provider = Provider::new("google");
    let settings = || OAuthSettings::new().backend("jwt");
    check(&World::with(|it| with_provider(it, &provider, settings())).users, &provider).await;
    check(&OnDisk::<()>::with(|it| with_provider(it, &provider, settings())).await.users, &provider).await;
    for users in on_servers_with::<()>(|it| with_provider(it, &provider, settings())).await {
        check(&users, &provider).await;
    }
}

/// What the application does around it.
struct Court;

#[derive(Clone, Debug, UserProfile)]
struct Knight {
    first_name: String,
}

impl UserHooks<Knight> for Court {
    async fn oauth_profile(&self, _provider: &str, identity: &axum_users::ExternalIdentity) -> Option<Knight> {
        Some(Knight { first_name: identity.claims["name"].as_str()?.to_owned() })
    }
    async fn before_register(
        &self,
        create: &UserCreate<Knight>,
        _request: Option<&axum_users::RequestInfo>,
    ) -> Result<(), Veto> {
        if create.email.domain() == "camelot.bt" { Ok(()) } else { Err(Veto::new(StatusCode::FORBIDDEN, "not here")) }
    }
}

#[tokio::test]
async fn own_columns_come_from_a_hook_and_others_may_refuse() {
    let provider = Provider::new("google");
    let with = |builder| with_provider(builder, &provider, OAuthSettings::new().backend("jwt"));
    let users = with(application(MemoryStore::<Knight>::new()).hooks(Court)).build().unwrap();
    let mut browser = Browser::new(&users).logged_in(&provider, GOOGLE, "gawain|gawain@camelot.bt|").await;
    assert_eq!(browser.get("/users/me").await.body["first_name"], "Sir gawain");
    let refused = Browser::new(&users).go(&provider, GOOGLE, "mordred|mordred@orkney.example|").await;
    assert_eq!(refused.detail(), (403, "not here"));
    // Without the hook nobody registers so: a column has to be sent.
    let users = with(application(MemoryStore::<Knight>::new())).build().unwrap();
    let refused = Browser::new(&users).go(&provider, GOOGLE, "gawain|gawain@camelot.bt|").await;
    assert_eq!(refused.status, 500);
    assert_eq!(users.list(None, 10).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_browser_comes_back_to_the_page_it_left() {
    let provider = Provider::new("google");
    let settings = OAuthSettings::new().backend("cookie").backend("jwt");
    let world =
        World::with(|it| with_provider(it, &provider, settings).allowed_redirects(["https://app.example/done"]));
    let mut browser = Browser::new(&world.users);
    // A script reads the address, a browser that follows a link is sent on.
    let asked = "/auth/google/authorize?redirect_to=%2Faccount%3Ftab%3D1%23top";
    assert_eq!(browser.get(asked).await.status, 200);
    browser.headers.push(("sec-fetch-mode", "navigate".into()));
    let answer = browser.get(asked).await;
    let url = answer.location().to_owned();
    assert!(url.starts_with("https://provider.example/authorize?"));
    let code = provider.approve(&url, "1|a@camelot.bt|");
    let answer = browser.come_back(GOOGLE, &url, &code).await;
    assert_eq!(answer.location(), "/account?tab=1#top");
    assert_eq!(browser.get("/users/me").await.body["email"], "a@camelot.bt");
    // What goes wrong after the state was right is told to the page.
    let url = browser.get(asked).await.location().to_owned();
    let answer = browser.come_back(GOOGLE, &url, "unknown").await;
    assert_eq!(answer.location(), "/account?tab=1&error=OAUTH_PROVIDER_ERROR#top");
    let url =
        browser.get("/auth/google/authorize?redirect_to=https%3A%2F%2Fapp.example%2Fdone").await.location().to_owned();
    let answer = browser.get(&(callback(GOOGLE, &url, "x") + "&error=access_denied")).await;
    assert_eq!(answer.location(), "https://app.example/done?error=OAUTH_PROVIDER_ERROR");
    // What goes wrong before is not.
    let answer = Browser::new(&world.users).come_back(GOOGLE, &url, "x").await;
    assert_eq!(answer.detail(), (400, "OAUTH_INVALID_STATE"));
    // A token of a bearer does not travel in an address.
    let answer = browser.get("/auth/google/jwt/authorize?redirect_to=%2F").await;
    assert_eq!(answer.detail(), (400, "OAUTH_REDIRECT_NOT_ALLOWED"));
}

#[tokio::test]
async fn ck_09_a_browser_is_sent_nowhere_else() {
    let provider = Provider::new("google");
    let settings = || OAuthSettings::new().backend("cookie");
    let world =
        World::with(|it| with_provider(it, &provider, settings()).allowed_redirects(["https://app.example/done"]));
    let mut browser = Browser::new(&world.users);
    for target in
        ["//evil.example", "https://evil.example", "/\\evil.example", "https://app.example/done/", "", "javascript:x"]
    {
        let target: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
        let answer = browser.get(&format!("/auth/google/authorize?redirect_to={target}")).await;
        assert_eq!(answer.detail(), (400, "OAUTH_REDIRECT_NOT_ALLOWED"), "{target}");
    }
    // Where it was not asked for, it is not looked at.
    let world = World::with(|it| with_provider(it, &provider, settings()));
    let mut browser = Browser::new(&world.users);
    browser.headers.push(("sec-fetch-mode", "navigate".into()));
    let answer = browser.get("/auth/google/authorize?redirect_to=%2Faccount").await;
    assert_eq!(answer.status, 200);
    let url = answer.body["authorization_url"].as_str().unwrap();
    let code = provider.approve(url, "1|a@camelot.bt|");
    assert_eq!(browser.come_back(GOOGLE, url, &code).await.status, 204);
}

#[tokio::test]
async fn a_provider_may_post_its_answer() {
    let provider = Provider::with("apple", None, true);
    let settings = OAuthSettings::new().backend("jwt");
    let world = World::with(|it| with_provider(it, &provider, settings));
    let mut browser = Browser::new(&world.users);
    let url = browser.authorize("/auth/apple").await;
    let code = provider.approve(&url, "1|a@camelot.bt|");
    // From its own page: none of our cookies goes along.
    let form = format!("state={}&code={code}&user=%7B%7D", query(&url)["state"]);
    let mut from_there = Browser::new(&world.users);
    from_there.headers.extend([("origin", "https://appleid.example".into()), ("sec-fetch-site", "cross-site".into())]);
    let answer = from_there.send("POST", "/auth/apple/callback", &form).await;
    let next = answer.location().to_owned();
    assert!(next.starts_with("/auth/apple/callback?code="), "{next}");
    assert_eq!(browser.get(&next).await.status, 200);
    // Others do not.
    let (world, _) = self::world(OAuthSettings::new());
    let answer = Browser::new(&world.users).send("POST", "/auth/google/callback", "code=x").await;
    assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (405, "GET"));
}

#[tokio::test]
async fn the_token_that_came_along_ends_with_the_login() {
    let (world, provider) = world(OAuthSettings::new());
    let mut browser = Browser::new(&world.users);
    browser.go(&provider, "/auth/google/cookie", "1|a@camelot.bt|").await;
    let mut old = browser.clone();
    assert_eq!(old.get("/users/me").await.status, 200);
    assert_eq!(browser.go(&provider, "/auth/google/cookie", "1|a@camelot.bt|").await.status, 204);
    assert_eq!((old.get("/users/me").await.status, browser.get("/users/me").await.status), (401, 200));
}

#[tokio::test]
async fn who_registered_by_a_provider_has_no_password_until_they_set_one() {
    let (world, provider) = world(OAuthSettings::new());
    let mut browser = Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|").await;
    assert_eq!(world.nobody().login("/auth/jwt", "a@camelot.bt", PASSWORD).await.status(), 400);
    let body = json!({ "password": OTHER }).to_string();
    assert_eq!(browser.send("PATCH", "/users/me", &body).await.status, 200);
    assert_eq!(world.nobody().login("/auth/jwt", "a@camelot.bt", OTHER).await.status(), 200);
}

#[tokio::test]
async fn registrations_by_a_provider_count_as_registrations() {
    let provider = Provider::new("google");
    let settings = OAuthSettings::new().backend("jwt");
    let world = World::with(|it| with_provider(it, &provider, settings).throttle(axum_users::Throttle::default()));
    let mut statuses = Vec::new();
    for number in 0..21 {
        let who = format!("{number}|u{number}@camelot.bt|");
        statuses.push(Browser::new(&world.users).go(&provider, GOOGLE, &who).await.status);
    }
    assert_eq!((&statuses[..20], statuses[20]), (&[200; 20][..], 429));
    // Whoever is known gets in.
    assert_eq!(Browser::new(&world.users).go(&provider, GOOGLE, "1|u1@camelot.bt|").await.status, 200);
}

#[tokio::test]
async fn settings_that_do_not_fit_are_told() {
    let with = |name: &'static str, settings| {
        let builder = application(MemoryStore::<()>::new()).oauth_keys(OAuthKeys::new(SECRET).unwrap());
        builder.public_url(PUBLIC).oauth(Provider::new(name), settings)
    };
    let told = |builder: axum_users::UsersBuilder<()>| {
        builder.build().err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(told(with("google", OAuthSettings::new())), "");
    for name in ["", "a b", "a/b", "ü", "jwt"] {
        assert!(told(with(name, OAuthSettings::new())).contains(&format!("{name:?}")), "{name}");
    }
    assert!(told(with("a", OAuthSettings::new()).oauth(Provider::new("a"), OAuthSettings::new())).contains("\"a\""));
    assert!(told(with("a", OAuthSettings::new().backend("other"))).contains("no backend"));
    assert!(told(with("a", OAuthSettings::new()).allowed_redirects(["/relative"])).contains("/relative"));
    let strict = CookieTransport::new().name("x").same_site(SameSite::Strict);
    assert!(told(with("a", OAuthSettings::new()).oauth_cookie(strict)).contains("Lax"));
    let builder = || application(MemoryStore::<()>::new());
    let bare = builder().oauth(Provider::new("a"), OAuthSettings::new());
    assert!(told(bare).contains("public_url"));
    let keyless = builder().public_url(PUBLIC).oauth(Provider::new("a"), OAuthSettings::new());
    assert!(told(keyless).contains("oauth_keys"));
    assert!(builder().build().unwrap().oauth_router::<()>("a", "jwt").is_err());
}

#[tokio::test]
async fn programs_use_the_tokens_of_an_account() {
    let (world, provider) = world(OAuthSettings::new());
    Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|rx").await;
    let user = world.users.get_by_email("a@camelot.bt").await.unwrap().unwrap();
    let client = axum_users::AnyOAuthClient::new(provider.clone());
    let account = async || world.users.oauth_accounts(&user).await.unwrap().remove(0);
    let exposed = |token: Option<Secret>| token.unwrap().expose().to_owned();
    let token = world.users.oauth_access_token(&account().await, &client).await.unwrap();
    assert_eq!(exposed(token), "access of 1|a@camelot.bt|rx");
    // A login without a refresh token keeps the one of the first.
    Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|x").await;
    world.clock.advance(time::Duration::minutes(59));
    let token = world.users.oauth_access_token(&account().await, &client).await.unwrap();
    assert_eq!(exposed(token), "renewed by refresh of 1|a@camelot.bt|rx");
    let stored = world.users.stored_oauth_token(&account().await).unwrap().unwrap();
    assert_eq!(stored.access_token.expose(), "renewed by refresh of 1|a@camelot.bt|rx");
    assert_eq!(
        (stored.expires_at, stored.refresh_token.unwrap().expose()),
        (Some(1_800_010_000), "refresh of 1|a@camelot.bt|rx")
    );
    world.users.revoke_oauth_tokens(&account().await, &client).await.unwrap();
    let created = world.users.create(
        UserCreate::new(axum_users::Email::parse("b@camelot.bt").unwrap(), Secret::from(PASSWORD), ()),
        Fields::All,
        None,
    );
    let created = created.await.unwrap();
    assert!(world.users.oauth_accounts(&created).await.unwrap().is_empty());
}
