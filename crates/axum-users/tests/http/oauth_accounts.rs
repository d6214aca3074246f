//! Accounts that are linked to a user: linked, shown, unlinked, gone.

use std::time::Duration;

use axum_users::{OAuthSettings, UserProfile, UserUpdate, Users, UsersBuilder, mail::MailKind};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    mailed::{Mailbox, mailed},
    oauth::{GOOGLE, world},
    people::{JWT, OnDisk, PASSWORD, World, change, on_servers_with, visitor},
    provider::{Answer, Browser, Provider, with_provider},
};

const LINK: &str = "/auth/associate/google";

async fn person<P: UserProfile>(users: &Users<P>, email: &str) -> Browser {
    visitor(users).register(email).await;
    let mut browser = Browser::new(users);
    let token = visitor(users).logged_in(email, PASSWORD, JWT).await.token().to_owned();
    browser.bears(&token);
    browser
}

async fn accounts(browser: &mut Browser) -> Vec<Value> {
    browser.get("/users/me/accounts").await.body.as_array().unwrap().clone()
}

async fn unlink(browser: &mut Browser, account: &Value) -> Answer {
    let id = account["id"].as_str().map_or_else(|| account["id"].to_string(), str::to_owned);
    browser.send("DELETE", &format!("/users/me/accounts/{id}"), "").await
}

#[tokio::test]
async fn a_user_links_an_account_and_logs_in_by_it() {
    let (world, provider) = world(OAuthSettings::new());
    let mut kay = person(&world.users, "kay@camelot.bt").await;
    let me = kay.get("/users/me").await.body;
    assert_eq!(Browser::new(&world.users).get(&format!("{LINK}/authorize")).await.detail(), (401, "Unauthorized"));
    // The address there need not be the one here, nor anybody's.
    let answer = kay.go(&provider, LINK, "k1|other@ext.example|r").await;
    assert_eq!((answer.status, &answer.body), (200, &me));
    // Once more, for another address or more scopes: brought up to date.
    assert_eq!(kay.go(&provider, LINK, "k1|new@ext.example|").await.status, 200);
    assert_eq!(kay.go(&provider, LINK, "k2|kay@camelot.bt|").await.status, 200);
    let listed = accounts(&mut kay).await;
    let shown: Vec<_> = listed.iter().map(|it| (it["account_id"].as_str(), it["account_email"].as_str())).collect();
    assert!(
        shown.contains(&(Some("k1"), Some("new@ext.example"))) && shown.contains(&(Some("k2"), Some("kay@camelot.bt")))
    );
    assert_eq!(listed.len(), 2);
    let names: Vec<_> = listed[0].as_object().unwrap().keys().collect();
    assert_eq!(names, ["account_email", "account_id", "id", "oauth_name"], "no tokens");
    let mut by_provider = Browser::new(&world.users).logged_in(&provider, GOOGLE, "k1|whatever@ext.example|").await;
    assert_eq!(by_provider.get("/users/me").await.body, me);
}

#[tokio::test]
async fn oa_06_an_account_of_somebody_else_is_not_linked() {
    let (world, provider) = world(OAuthSettings::new());
    let mut kay = person(&world.users, "kay@camelot.bt").await;
    let mut bors = person(&world.users, "bors@camelot.bt").await;
    assert_eq!(kay.go(&provider, LINK, "1|x@ext.example|").await.status, 200);
    assert_eq!(bors.go(&provider, LINK, "1|x@ext.example|").await.detail(), (400, "OAUTH_USER_ALREADY_EXISTS"));
    assert_eq!((accounts(&mut kay).await.len(), accounts(&mut bors).await.len()), (1, 0));
    let mut by_provider = Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|bors@camelot.bt|v").await;
    assert_eq!(by_provider.get("/users/me").await.body["email"], "kay@camelot.bt");
}

/// Two browsers at once, on every engine.
#[tokio::test(flavor = "multi_thread")]
async fn oa_06_of_two_users_who_link_one_identity_at_once_one_gets_it() {
    async fn check<P: UserProfile>(users: &Users<P>, provider: &Provider) {
        let mut both = [person(users, "kay@camelot.bt").await, person(users, "bors@camelot.bt").await];
        for round in 0..5 {
            let who = format!("{round}|x@ext.example|");
            let mut running = JoinSet::new();
            for browser in &both {
                let (mut browser, provider, who) = (browser.clone(), provider.clone(), who.clone());
                running.spawn(async move { browser.go(&provider, LINK, &who).await.status });
            }
            let mut statuses = running.join_all().await;
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 400]);
        }
        let [kay, bors] = &mut both;
        assert_eq!(accounts(kay).await.len() + accounts(bors).await.len(), 5);
    }
    let provider = Provider::new("google");
    let with = |builder| with_provider(builder, &provider, OAuthSettings::new().backend("jwt"));
    check(&World::with(with).users, &provider).await;
    check(
        &OnDisk::<()>::with(|it| with_provider(it, &provider, OAuthSettings::new().backend("jwt"))).await.users,
        &provider,
    )
    .await;
    for users in on_servers_with::<()>(with).await {
        check(&users, &provider).await;
    }
}

#[tokio::test]
async fn oa_14_the_last_way_in_stays_and_unlinking_needs_a_fresh_login() {
    let (world, provider) = world(OAuthSettings::new());
    // Registered by the provider: no password.
    let mut gawain = Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|gawain@camelot.bt|").await;
    let [only] = <[_; 1]>::try_from(accounts(&mut gawain).await).unwrap();
    assert_eq!(unlink(&mut gawain, &only).await.detail(), (400, "LAST_LOGIN_METHOD"));
    assert_eq!(gawain.go(&provider, LINK, "2|x@ext.example|").await.status, 200);
    let mut kay = person(&world.users, "kay@camelot.bt").await;
    assert_eq!(unlink(&mut kay, &only).await.status, 404, "somebody else's");
    assert_eq!(unlink(&mut kay, &json!({ "id": "me" })).await.status, 404);
    assert_eq!(unlink(&mut gawain, &only).await.status, 204);
    assert_eq!(unlink(&mut gawain, &only).await.status, 404);
    // Whose account is unlinked is not known by it any more.
    let stranger = Browser::new(&world.users).go(&provider, GOOGLE, "1|gawain@camelot.bt|v").await;
    assert_eq!(stranger.detail(), (400, "OAUTH_USER_ALREADY_EXISTS"));
    // With a password all may go; not with an old login.
    let body = json!({ "password": PASSWORD }).to_string();
    assert_eq!(gawain.send("PATCH", "/users/me", &body).await.status, 200);
    let [last] = <[_; 1]>::try_from(accounts(&mut gawain).await).unwrap();
    world.clock.advance(time::Duration::minutes(10));
    assert_eq!(unlink(&mut gawain, &last).await.detail(), (403, "FRESH_LOGIN_REQUIRED"));
    assert_eq!(accounts(&mut gawain).await.len(), 1);
    let mut gawain = Browser::new(&world.users).logged_in(&provider, GOOGLE, "2|x@ext.example|").await;
    assert_eq!(unlink(&mut gawain, &last).await.status, 204);
    assert_eq!(world.nobody().login(JWT, "gawain@camelot.bt", PASSWORD).await.status(), 200);
}

#[tokio::test]
async fn oa_14_in_strict_linking_needs_a_fresh_login_too() {
    for strict in [false, true] {
        let provider = Provider::new("google");
        let settings = OAuthSettings::new().backend("jwt");
        let world = World::with(|it| with_provider(it, &provider, settings).strict(strict));
        let mut kay = person(&world.users, "kay@camelot.bt").await;
        assert_eq!(kay.go(&provider, LINK, "1|x@ext.example|").await.status, 200);
        world.clock.advance(time::Duration::minutes(10));
        let answer = kay.get(&format!("{LINK}/authorize")).await;
        assert_eq!(answer.status, if strict { 403 } else { 200 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oa_14_two_that_are_unlinked_at_once_leave_one() {
    let provider = Provider::new("google");
    let with = |builder| with_provider(builder, &provider, OAuthSettings::new().backend("jwt"));
    let mut all = on_servers_with::<()>(with).await;
    all.push(World::with(with).users);
    for users in all {
        let mut gawain = Browser::new(&users).logged_in(&provider, GOOGLE, "1|gawain@camelot.bt|").await;
        assert_eq!(gawain.go(&provider, LINK, "2|x@ext.example|").await.status, 200);
        let mut running = JoinSet::new();
        for account in accounts(&mut gawain).await {
            let mut gawain = gawain.clone();
            running.spawn(async move { unlink(&mut gawain, &account).await.status });
        }
        let mut statuses = running.join_all().await;
        statuses.sort_unstable();
        assert_eq!((statuses, accounts(&mut gawain).await.len()), (vec![204, 400], 1));
    }
}

#[tokio::test]
async fn ck_04_another_site_neither_begins_a_link_nor_unlinks() {
    let (world, provider) = world(OAuthSettings::new());
    let mut browser = Browser::new(&world.users);
    browser.go(&provider, "/auth/google/cookie", "1|a@camelot.bt|").await;
    let [account] = <[_; 1]>::try_from(accounts(&mut browser).await).unwrap();
    browser.headers.push(("sec-fetch-site", "cross-site".into()));
    assert_eq!(browser.get(&format!("{LINK}/authorize")).await.detail(), (403, "Forbidden"));
    assert_eq!(unlink(&mut browser, &account).await.detail(), (403, "Forbidden"));
    browser.headers.clear();
    let url = browser.authorize(LINK).await;
    let code = provider.approve(&url, "2|x@ext.example|");
    // The way back from the provider is from another site.
    browser.headers.push(("sec-fetch-site", "cross-site".into()));
    assert_eq!(browser.come_back(LINK, &url, &code).await.status, 200);
}

#[tokio::test]
async fn ck_03_a_callback_that_another_site_made_logs_nobody_in() {
    let (world, provider) = world(OAuthSettings::new());
    let mut attacker = Browser::new(&world.users);
    let url = attacker.authorize("/auth/google/cookie").await;
    let code = provider.approve(&url, "evil|evil@camelot.bt|");
    let mut victim = Browser::new(&world.users);
    let answer = victim.come_back("/auth/google/cookie", &url, &code).await;
    assert_eq!(answer.detail(), (400, "OAUTH_INVALID_STATE"));
    assert!(victim.cookies.is_empty(), "{:?}", victim.cookies);
    assert_eq!(provider.exchanges(), 0);
}

#[tokio::test]
async fn oa_11_the_store_holds_no_token_that_can_be_read() {
    let provider = Provider::new("google");
    let with = |builder| with_provider(builder, &provider, OAuthSettings::new().backend("jwt"));
    let disk = OnDisk::<()>::with(with).await;
    Browser::new(&disk.users).logged_in(&provider, GOOGLE, "canary|a@camelot.bt|rx").await;
    Browser::new(&disk.users).logged_in(&provider, GOOGLE, "canary|a@camelot.bt|rx").await;
    let user = disk.users.get_by_email("a@camelot.bt").await.unwrap().unwrap();
    let account = disk.users.oauth_accounts(&user).await.unwrap().remove(0);
    let token = disk.users.stored_oauth_token(&account).unwrap().unwrap();
    assert_eq!(token.access_token.expose(), "access of canary|a@camelot.bt|rx");
    let mut seen = 0;
    for file in std::fs::read_dir(&disk.folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        seen += usize::from(text.contains("canary"));
        for token in ["access of", "refresh of"] {
            assert!(!text.contains(token), "{token}");
        }
    }
    assert!(seen > 0, "the id of the account stands there in clear");
}

#[tokio::test]
async fn oa_11_answers_show_tokens_only_where_the_application_exposes_them() {
    let provider = Provider::new("google");
    let shown = async |strict: bool, expose: bool| {
        let settings = OAuthSettings::new().backend("jwt");
        let world = World::with(|it| {
            let builder = with_provider(it, &provider, settings).show_oauth_accounts(true).strict(strict);
            builder.danger_expose_oauth_tokens(expose)
        });
        let registered = world.register("b@camelot.bt").await;
        assert_eq!(registered["oauth_accounts"], json!([]));
        let mut browser = Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|rx").await;
        let me = browser.get("/users/me").await.body;
        let patched = browser.send("PATCH", "/users/me", "{}").await.body;
        assert_eq!(patched, me);
        let linked = browser.go(&provider, LINK, "1|a@camelot.bt|rx").await.body;
        assert_eq!(linked, me);
        me["oauth_accounts"][0].clone()
    };
    let account = shown(false, false).await;
    let fields = ["oauth_name", "access_token", "expires_at", "refresh_token", "account_id", "account_email"];
    let of = |account: &Value| fields.map(|name| account[name].clone());
    let expected = [json!("google"), json!(""), json!(1_800_003_600), json!(""), json!("1"), json!("a@camelot.bt")];
    assert_eq!(of(&account), expected);
    assert!(account["id"].is_string());
    let account = shown(true, false).await;
    assert!(account.get("access_token").is_none() && account.get("refresh_token").is_none(), "{account}");
    assert_eq!(account["account_id"], "1");
    let account = shown(false, true).await;
    assert_eq!(account["access_token"], "access of 1|a@camelot.bt|rx");
    assert_eq!(account["refresh_token"], "refresh of 1|a@camelot.bt|rx");
}

#[tokio::test]
async fn a_user_with_accounts_can_be_deleted() {
    let (world, provider) = world(OAuthSettings::new());
    let boss = world.superuser("boss@camelot.bt").await;
    let mut gawain = Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|gawain@camelot.bt|").await;
    let id = gawain.get("/users/me").await.body["id"].as_str().unwrap().to_owned();
    assert_eq!(boss.status("DELETE", &format!("/users/{id}")).await, 204);
    assert_eq!(gawain.get("/users/me").await.status, 401);
    let mut again = Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|gawain@camelot.bt|").await;
    assert_ne!(again.get("/users/me").await.body["id"], id.as_str());
}

#[tokio::test]
async fn a_session_that_was_ended_links_nothing() {
    let (world, provider) = world(OAuthSettings::new());
    let mut kay = person(&world.users, "kay@camelot.bt").await;
    let url = kay.authorize(LINK).await;
    let code = provider.approve(&url, "1|x@ext.example|");
    world.change("kay@camelot.bt", UserUpdate { is_active: Some(false), ..UserUpdate::default() }).await;
    assert_eq!(kay.come_back(LINK, &url, &code).await.detail(), (401, "Unauthorized"));
    assert_eq!(provider.exchanges(), 0);
}

#[tokio::test]
async fn where_verification_is_asked_for_linking_asks_too_and_a_login_by_a_provider_does_not() {
    let provider = Provider::new("google");
    let settings = OAuthSettings::new().backend("jwt");
    let world = World::with(|it| with_provider(it, &provider, settings).requires_verification(true));
    let mut gawain = Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|gawain@camelot.bt|").await;
    assert_eq!(gawain.get("/users/me").await.status, 403);
    assert_eq!(gawain.get(&format!("{LINK}/authorize")).await.detail(), (403, "Forbidden"));
}

/// What was sent since the last look, once nothing waits any more: to whom, and what about.
async fn told(users: &Users<()>, mailbox: &Mailbox) -> Vec<(String, MailKind)> {
    for _ in 0..600 {
        if users.messages(None, 10).await.unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(users.messages(None, 10).await.unwrap().is_empty(), "a message does not leave");
    let mut told: Vec<_> = mailbox.take().into_iter().map(|mail| (mail.to.as_str().to_owned(), mail.kind)).collect();
    told.sort_by_key(|(to, kind)| format!("{to} {kind:?}"));
    told
}

/// Those of a provider that is called so.
fn linked(to: &str) -> (String, MailKind) {
    (to.to_owned(), MailKind::AccountLinked { provider: "The google".into() })
}

fn unlinked(to: &str) -> (String, MailKind) {
    (to.to_owned(), MailKind::AccountUnlinked { provider: "The google".into() })
}

/// In memory and on every engine; the worker runs by itself.
#[tokio::test(flavor = "multi_thread")]
async fn au_11_a_user_is_told_of_an_account_that_is_linked_or_unlinked() {
    async fn check(users: &Users<()>, provider: &Provider, mailbox: &Mailbox) {
        let mut kay = person(users, "kay@camelot.bt").await;
        assert_eq!(kay.go(provider, LINK, "k1|other@ext.example|").await.status, 200);
        assert_eq!(told(users, mailbox).await, [linked("kay@camelot.bt")]);
        // Brought up to date, by them and by a login; linked with a new user; refused.
        assert_eq!(kay.go(provider, LINK, "k1|new@ext.example|").await.status, 200);
        Browser::new(users).logged_in(provider, GOOGLE, "k1|new@ext.example|").await;
        let mut gawain = Browser::new(users).logged_in(provider, GOOGLE, "g1|gawain@camelot.bt|").await;
        assert_eq!(kay.go(provider, LINK, "g1|x@ext.example|").await.status, 400);
        let [only] = <[_; 1]>::try_from(accounts(&mut gawain).await).unwrap();
        assert_eq!(unlink(&mut gawain, &only).await.status, 400);
        assert_eq!(unlink(&mut kay, &only).await.status, 404);
        assert!(told(users, mailbox).await.is_empty());

        let [mine] = <[_; 1]>::try_from(accounts(&mut kay).await).unwrap();
        assert_eq!(unlink(&mut kay, &mine).await.status, 204);
        assert_eq!(unlink(&mut kay, &mine).await.status, 404);
        assert_eq!(told(users, mailbox).await, [unlinked("kay@camelot.bt")]);
        // Two windows at once link it once.
        let mut running = JoinSet::new();
        for _ in 0..2 {
            let (mut kay, provider) = (kay.clone(), provider.clone());
            running.spawn(async move { kay.go(&provider, LINK, "k1|x@ext.example|").await.status });
        }
        assert_eq!(running.join_all().await, [200, 200]);
        assert_eq!(told(users, mailbox).await, [linked("kay@camelot.bt")]);

        // By an address that both sides proved.
        visitor(users).register("bors@camelot.bt").await;
        change(users, "bors@camelot.bt", UserUpdate { is_verified: Some(true), ..UserUpdate::default() }).await;
        for _ in 0..2 {
            Browser::new(users).logged_in(provider, GOOGLE, "b1|bors@camelot.bt|v").await;
        }
        assert_eq!(told(users, mailbox).await, [linked("bors@camelot.bt")]);
    }
    let (provider, mailbox) = (Provider::new("google"), Mailbox::default());
    let settings = || OAuthSettings::new().backend("jwt").associate_by_email(true);
    let with = |builder: UsersBuilder<()>| mailed(with_provider(builder, &provider, settings()), &mailbox, &());
    check(&World::with(with).users, &provider, &mailbox).await;
    check(&OnDisk::<()>::with(with).await.users, &provider, &mailbox).await;
    for users in on_servers_with::<()>(with).await {
        check(&users, &provider, &mailbox).await;
    }
}

#[tokio::test]
async fn who_wants_no_notices_gets_none_of_accounts() {
    let (provider, mailbox) = (Provider::new("google"), Mailbox::default());
    let settings = OAuthSettings::new().backend("jwt");
    let world = World::with(|it| mailed(with_provider(it, &provider, settings), &mailbox, &()).notices(false));
    let mut kay = person(&world.users, "kay@camelot.bt").await;
    assert_eq!(kay.go(&provider, LINK, "k1|x@ext.example|").await.status, 200);
    let [mine] = <[_; 1]>::try_from(accounts(&mut kay).await).unwrap();
    assert_eq!(unlink(&mut kay, &mine).await.status, 204);
    assert_eq!(world.users.work_off().await.unwrap(), 0);
    assert!(told(&world.users, &mailbox).await.is_empty());
}
