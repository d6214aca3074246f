//! What squatters and thieves leave behind, and what ends it.

use axum_users::{
    Acting, AnyOAuthClient, Error, NewSession, OAuthSettings, Throttle, UserProfile, Users,
    mail::{Mail, MailKind},
    outbox::UNDO,
    password::{Argon2Params, DefaultHasher, PasswordPool},
};
use serde_json::{Value, json};
use time::Duration;
use tokio::task::JoinSet;

use crate::{
    mailed::{Post, THIRD, bad_verify, mailed},
    oauth::{GOOGLE, world},
    people::{DB, JWT, OTHER, OnDisk, PASSWORD, Person, World, application, on_servers_with, visitor},
    provider::{Browser, Provider, with_provider},
};

const LINK: &str = "/auth/associate/google";
const A: &str = "a@camelot.bt";
const B: &str = "b@camelot.bt";
const C: &str = "c@camelot.bt";

/// With a provider, and these profiles: strict; the mailbox first.
fn post(provider: &Provider, strict: bool, first: bool) -> Post {
    let settings = OAuthSettings::new().backend("jwt");
    Post::with(|it| with_provider(it, provider, settings).strict(strict).prove_mailbox_first(first))
}

impl Post {
    /// A user who registered by password, and a browser that is logged in.
    async fn registered(&self, email: &str) -> Browser {
        self.nobody().register(email).await;
        self.browser(email).await
    }

    async fn browser(&self, email: &str) -> Browser {
        let mut browser = Browser::new(&self.users);
        browser.bears(self.nobody().logged_in(email, PASSWORD, JWT).await.token());
        browser
    }

    /// A user whose mailbox was proved first.
    async fn proved(&self, email: &str) -> Person {
        self.post("register", &json!({ "email": email, "password": PASSWORD })).await;
        let token = self.mailbox.token(&MailKind::VerifyAddress);
        assert_eq!(self.verify(&token).await.0, 200);
        self.nobody().logged_in(email, PASSWORD, JWT).await
    }

    /// Asks for another address: the token that confirms it.
    async fn asks_for(&self, person: &Person, email: &str) -> String {
        let (status, answer) = person.json("PATCH", "/users/me", &json!({ "email": email })).await;
        assert_eq!(status, 200, "{answer}");
        token_of(&self.sent().await, "ConfirmEmailChange").1
    }

    /// Moves to another address: receiver and token of the mail that undoes it, if there is one.
    async fn moves(&self, person: &Person, email: &str) -> Option<(String, String)> {
        let token = self.asks_for(person, email).await;
        let (status, user) = self.verify(&token).await;
        assert_eq!((status, &user["email"]), (200, &json!(email)), "{user}");
        let mails = self.sent().await;
        mails.iter().any(|mail| is_kind(mail, "UndoEmailChange")).then(|| token_of(&mails, "UndoEmailChange"))
    }

    async fn sent(&self) -> Vec<Mail> {
        while self.users.work_off().await.unwrap() > 0 {}
        self.mailbox.take()
    }
}

fn is_kind(mail: &Mail, kind: &str) -> bool {
    format!("{:?}", mail.kind).starts_with(kind)
}

fn token_of(mails: &[Mail], kind: &str) -> (String, String) {
    let mail = mails.iter().find(|mail| is_kind(mail, kind)).unwrap();
    (mail.to.as_str().to_owned(), mail.token.as_ref().unwrap().expose().to_owned())
}

async fn linked(browser: &mut Browser) -> usize {
    browser.get("/users/me/accounts").await.body.as_array().unwrap().len()
}

async fn verify_with(browser: &mut Browser, token: &str) -> u16 {
    browser.send("POST", "/auth/verify", &json!({ "token": token }).to_string()).await.status
}

/// Somebody else's address, by a provider that proves nothing; the owner opens the link.
#[tokio::test]
async fn rc_11_a_proof_ends_the_login_by_a_provider_that_a_squatter_planted() {
    let provider = Provider::new("google");
    for strict in [false, true] {
        let post = post(&provider, strict, false);
        let mut squatter = Browser::new(&post.users).logged_in(&provider, GOOGLE, "evil|a@camelot.bt|").await;
        assert_eq!(squatter.get("/users/me").await.body["email"], A);
        let token = post.verify_token(A).await;
        assert_eq!(post.verify(&token).await.0, 200);
        assert_eq!(squatter.get("/users/me").await.status, 401, "strict: {strict}");
        let again = Browser::new(&post.users).go(&provider, GOOGLE, "evil|a@camelot.bt|").await;
        assert_eq!(again.detail(), (400, "OAUTH_USER_ALREADY_EXISTS"), "strict: {strict}");
        // The owner comes in by the mailbox.
        let reset = post.reset_token(A).await;
        assert_eq!(post.reset(&reset, OTHER).await.0, 200);
        assert_eq!(post.nobody().login(JWT, A, OTHER).await.status(), 200);
    }
}

/// The same by a password and a link, and by a change of address.
#[tokio::test]
async fn rc_11_a_proof_unlinks_what_was_linked_before_it() {
    let provider = Provider::new("google");
    for strict in [false, true] {
        for moves in [false, true] {
            let post = post(&provider, strict, false);
            let mut squatter = post.registered(if moves { B } else { A }).await;
            // Proved, but it is another mailbox.
            assert_eq!(squatter.go(&provider, LINK, "evil|b@camelot.bt|v").await.status, 200);
            if moves {
                let body = json!({ "email": A }).to_string();
                assert_eq!(squatter.send("PATCH", "/users/me", &body).await.status, 200);
                post.sent().await;
            }
            let token = post.verify_token(A).await;
            assert_eq!(post.verify(&token).await.0, 200);
            assert_eq!(squatter.get("/users/me").await.status, 401);
            let user = post.users.get_by_email(A).await.unwrap().unwrap();
            assert!(post.users.oauth_accounts(&user).await.unwrap().is_empty(), "strict: {strict}, moves: {moves}");
        }
    }
}

#[tokio::test]
async fn rc_11_a_reset_purges_what_a_squatter_linked() {
    let provider = Provider::new("google");
    let post = post(&provider, false, false);
    let mut squatter = post.registered(A).await;
    assert_eq!(squatter.go(&provider, LINK, "evil|evil@ext.example|").await.status, 200);
    let reset = post.reset_token(A).await;
    assert_eq!(post.reset(&reset, OTHER).await.0, 200);
    assert_eq!(squatter.get("/users/me").await.status, 401);
    let mut again = Browser::new(&post.users);
    let answer = again.go(&provider, GOOGLE, "evil|evil@ext.example|").await;
    again.bears(answer.body["access_token"].as_str().unwrap());
    assert_ne!(again.get("/users/me").await.body["email"], A, "somebody new");
}

/// Nobody is logged out by proving their own address.
#[tokio::test]
async fn rc_11_who_proves_the_mailbox_where_they_are_logged_in_keeps_everything() {
    let provider = Provider::new("google");
    for strict in [false, true] {
        let post = post(&provider, strict, false);
        let mut owner = Browser::new(&post.users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|").await;
        let mut other = Browser::new(&post.users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|").await;
        let mut stranger = post.registered(B).await;
        let token = post.verify_token(A).await;
        assert_eq!(verify_with(&mut owner, &token).await, 200);
        assert_eq!((owner.get("/users/me").await.status, linked(&mut owner).await), (200, 1), "strict: {strict}");
        let expected = if strict { 401 } else { 200 };
        assert_eq!(other.get("/users/me").await.status, expected, "strict ends the others: {strict}");
        Browser::new(&post.users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|").await;
        assert_eq!(stranger.get("/users/me").await.status, 200);
    }
    // The session of somebody else is none.
    let post = post(&provider, false, false);
    let mut squatter = Browser::new(&post.users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|").await;
    let mut other = post.registered(B).await;
    let token = post.verify_token(A).await;
    assert_eq!(verify_with(&mut other, &token).await, 200);
    assert_eq!((squatter.get("/users/me").await.status, other.get("/users/me").await.status), (401, 200));
}

/// A session that is ended while the proof is on its way vouches for nobody.
#[tokio::test]
async fn rc_11_an_ended_session_does_not_spare_what_was_planted() {
    let provider = Provider::new("google");
    let post = post(&provider, false, false);
    Browser::new(&post.users).logged_in(&provider, GOOGLE, "evil|a@camelot.bt|").await;
    let user = post.users.get_by_email(A).await.unwrap().unwrap();
    let session = post.users.sessions(&user).await.unwrap().remove(0);
    let acting = Acting {
        user_id: user.id,
        session: NewSession::of(session.id.clone(), "jwt", session.state.created_at, session.valid_until, None),
        stored_token: None,
        tokens_valid_after: user.tokens_valid_after,
        authenticated_at: None,
    };
    let token = post.users.verify_token(&user).unwrap();
    assert!(post.users.end_session_by_id(&user, &session.id, None).await.unwrap());
    assert!(matches!(post.users.verify(&token, Some(&acting), None).await, Err(Error::InvalidVerifyToken)));
    assert!(post.users.verify(&token, None, None).await.unwrap().is_verified);
    assert!(post.users.oauth_accounts(&user).await.unwrap().is_empty());
}

/// Whose provider knows the mailbox is the owner, wherever the link is opened.
#[tokio::test]
async fn rc_11_an_account_whose_provider_proved_the_address_stays() {
    let provider = Provider::new("google");
    for strict in [false, true] {
        let post = post(&provider, strict, false);
        let mut owner = Browser::new(&post.users).logged_in(&provider, GOOGLE, "1|A@camelot.bt|vrx").await;
        assert_eq!(owner.go(&provider, LINK, "2|x@ext.example|").await.status, 200);
        // Also when its access token was renewed since.
        let user = post.users.get_by_email(A).await.unwrap().unwrap();
        let accounts = post.users.oauth_accounts(&user).await.unwrap();
        let account = accounts.into_iter().find(|it| it.account_id == "1").unwrap();
        post.clock.advance(Duration::minutes(59));
        let client = AnyOAuthClient::new(provider.clone());
        assert!(post.users.oauth_access_token(&account, &client).await.unwrap().is_some());
        let token = post.verify_token(A).await;
        assert_eq!(post.verify(&token).await.0, 200);
        assert_eq!(owner.get("/users/me").await.status, if strict { 401 } else { 200 });
        let mut again = Browser::new(&post.users).logged_in(&provider, GOOGLE, "1|a@camelot.bt|v").await;
        assert_eq!(linked(&mut again).await, 2);
    }
}

#[tokio::test]
async fn rc_11_in_strict_a_proof_ends_the_sessions_of_before_and_in_compat_none() {
    for strict in [false, true] {
        let post = Post::with(|it| it.strict(strict));
        post.nobody().register(A).await;
        let mut before = Vec::new();
        for backend in [JWT, DB] {
            before.push(post.nobody().logged_in(A, PASSWORD, backend).await);
        }
        let token = post.verify_token(A).await;
        assert_eq!(post.verify(&token).await.0, 200);
        for session in before {
            assert_eq!(session.is_known().await, !strict);
        }
        assert_eq!(post.nobody().login(JWT, A, PASSWORD).await.status(), 200, "the password stays");
    }
}

/// What a squatter asked for before the proof does not count after it.
#[tokio::test]
async fn rc_11_a_proof_drops_a_change_of_address_that_was_asked_for_before() {
    let post = Post::with(|it| it.prove_mailbox_first(true));
    let person = post.proved(B).await;
    // As an administrator may leave it.
    let update = axum_users::UserUpdate {
        email: Some(axum_users::Email::parse(A).unwrap()),
        is_verified: Some(false),
        ..axum_users::UserUpdate::default()
    };
    crate::people::change(&post.users, B, update).await;
    post.sent().await;
    let planted = post.asks_for(&person, "evil@ext.example").await;
    let token = post.verify_token(A).await;
    assert_eq!(post.verify(&token).await.0, 200);
    assert_eq!(post.verify(&planted).await, bad_verify());
    assert!(!person.is_known().await);
}

#[tokio::test]
async fn oa_14_a_renewed_token_does_not_link_again_what_was_unlinked() {
    let (world, provider) = world(OAuthSettings::new());
    visitor(&world.users).register("kay@camelot.bt").await;
    let mut kay = Browser::new(&world.users);
    kay.bears(visitor(&world.users).logged_in("kay@camelot.bt", PASSWORD, JWT).await.token());
    assert_eq!(kay.go(&provider, LINK, "1|x@ext.example|rx").await.status, 200);
    let user = world.users.get_by_email("kay@camelot.bt").await.unwrap().unwrap();
    // Read by a job, which asks the provider for a new access token while the user unlinks the account.
    let account = world.users.oauth_accounts(&user).await.unwrap().remove(0);
    world.clock.advance(Duration::minutes(9));
    assert!(world.users.remove_oauth_account(&user, account.id, None, None).await.unwrap());
    world.clock.advance(Duration::hours(2));
    let token = world.users.oauth_access_token(&account, &AnyOAuthClient::new(provider.clone())).await.unwrap();
    assert!(token.is_none());
    assert!(world.users.oauth_accounts(&user).await.unwrap().is_empty(), "linked again");
    let mut stranger = Browser::new(&world.users).logged_in(&provider, GOOGLE, "1|x@ext.example|").await;
    assert_eq!(stranger.get("/users/me").await.body["email"], "x@ext.example", "somebody new");
}

/// Logins by an account, while it is unlinked.
#[tokio::test(flavor = "multi_thread")]
async fn oa_14_a_login_does_not_link_again_what_is_unlinked() {
    async fn check<P: UserProfile>(users: &Users<P>, provider: &Provider) {
        visitor(users).register("kay@camelot.bt").await;
        let mut kay = Browser::new(users);
        kay.bears(visitor(users).logged_in("kay@camelot.bt", PASSWORD, JWT).await.token());
        for round in 0..30 {
            let who = format!("{round}|kay@camelot.bt|");
            assert_eq!(kay.go(provider, LINK, &who).await.status, 200);
            let accounts = kay.get("/users/me/accounts").await.body;
            let id = accounts[0]["id"].as_str().map_or_else(|| accounts[0]["id"].to_string(), str::to_owned);
            let mut logins = JoinSet::new();
            for _ in 0..4 {
                let (mut browser, provider, who) = (Browser::new(users), provider.clone(), who.clone());
                logins.spawn(async move { browser.go(&provider, GOOGLE, &who).await.status });
            }
            // Another moment of them each time.
            for _ in 0..20 * (round % 10) {
                tokio::task::yield_now().await;
            }
            assert_eq!(kay.send("DELETE", &format!("/users/me/accounts/{id}"), "").await.status, 204);
            logins.join_all().await;
            assert_eq!(linked(&mut kay).await, 0, "round {round}");
        }
    }
    let provider = Provider::new("google");
    let with = |builder| with_provider(builder, &provider, OAuthSettings::new().backend("jwt"));
    check(&World::with(with).users, &provider).await;
    let disk = OnDisk::<()>::with(|it| with_provider(it, &provider, OAuthSettings::new().backend("jwt"))).await;
    check(&disk.users, &provider).await;
    for users in on_servers_with::<()>(with).await {
        check(&users, &provider).await;
    }
}

/// Whoever ends the session that asked for another address ends what it asked for.
#[tokio::test]
async fn rc_07_a_change_of_address_ends_with_a_session_that_is_ended() {
    let post = Post::with(|it| it.strict(true).prove_mailbox_first(true));
    let thief = post.proved(A).await;
    let token = post.asks_for(&thief, "thief@evil.example").await;
    // The owner, warned by mail, ends that session; a session that is none changes nothing.
    let owner = post.nobody().logged_in(A, PASSWORD, JWT).await;
    let (_, sessions) = owner.json("GET", "/users/me/sessions", &Value::Null).await;
    let theirs = sessions.as_array().unwrap().iter().find(|it| it["current"] == false).unwrap();
    let path = format!("/users/me/sessions/{}", theirs["id"].as_str().unwrap());
    assert_eq!(owner.status("DELETE", "/users/me/sessions/AAAAAAAAAAAAAAAAAAAAAA").await, 404);
    assert_eq!(post.users.messages(None, 10).await.unwrap().len(), 1);
    assert_eq!(owner.status("DELETE", &path).await, 204);
    assert!(!thief.is_known().await && owner.is_known().await);
    assert_eq!(post.verify(&token).await, bad_verify(), "the account belongs to the thief's mailbox");
    // Who logs out does not lose what they asked for.
    let token = post.asks_for(&owner, B).await;
    assert_eq!(owner.status("POST", "/auth/jwt/logout").await, 204);
    assert_eq!(post.verify(&token).await.1["email"], B);
}

/// Whoever undoes a change of address has the account back, and a thief has not.
#[tokio::test]
async fn rc_07_an_undo_ends_every_way_in_that_a_thief_opened() {
    let provider = Provider::new("google");
    let post = post(&provider, true, true);
    let thief = post.proved(A).await;
    let mut browser = Browser::new(&post.users);
    browser.bears(thief.token());
    assert_eq!(browser.go(&provider, LINK, "before|evil@ext.example|").await.status, 200);
    let (_, undo) = post.moves(&thief, "t@evil.example").await.unwrap();
    assert_eq!(browser.go(&provider, LINK, "since|t@evil.example|v").await.status, 200);
    assert_eq!(post.verify(&undo).await.0, 200);
    let user = post.users.get_by_email(A).await.unwrap().unwrap();
    assert!(post.users.oauth_accounts(&user).await.unwrap().is_empty());
    for who in ["before|evil@ext.example|", "since|a@camelot.bt|v"] {
        assert_ne!(Browser::new(&post.users).go(&provider, GOOGLE, who).await.status, 200, "{who}");
    }
}

/// Each mailbox that the account left can have it back, and not only the first.
#[tokio::test]
async fn rc_07_the_owner_of_today_can_undo_for_seven_days() {
    let post = Post::with(|it| it.prove_mailbox_first(true));
    let owner = post.proved(A).await;
    let (to, first) = post.moves(&owner, B).await.unwrap();
    assert_eq!(to, A);
    post.clock.advance(Duration::seconds(UNDO - 60));
    let owner = post.nobody().logged_in(B, PASSWORD, JWT).await;
    let (to, second) = post.moves(&owner, "thief@evil.example").await.unwrap();
    assert_eq!(to, B, "who has the account today, and not only the owner of last week");
    post.clock.advance(Duration::seconds(30));
    assert_eq!(post.verify(&second).await.1["email"], B);
    assert_eq!(post.verify(&second).await, bad_verify(), "once");
    assert_eq!(post.verify(&first).await.1["email"], A, "what came before can still be undone");
    // Undone from the beginning, what came later counts for nothing.
    post.sent().await;
    let owner = post.nobody().logged_in(A, PASSWORD, JWT).await;
    let undos = [post.moves(&owner, B).await.unwrap().1, post.moves(&owner, C).await.unwrap().1];
    assert_eq!(post.verify(&undos[0]).await.1["email"], A);
    assert_eq!(post.verify(&undos[1]).await, bad_verify());
    // And seven days are seven days.
    let owner = post.nobody().logged_in(A, PASSWORD, JWT).await;
    let (_, undo) = post.moves(&owner, B).await.unwrap();
    post.clock.advance(Duration::seconds(UNDO));
    assert_eq!(post.verify(&undo).await, bad_verify());
}

/// Back at a mailbox that could have undone it, it is undone: a thief's mailbox in between has no way back to itself.
#[tokio::test]
async fn rc_07_who_is_back_where_they_were_leaves_no_way_to_a_mailbox_in_between() {
    let post = Post::with(|it| it.prove_mailbox_first(true));
    let person = post.proved(A).await;
    let (_, first) = post.moves(&person, B).await.unwrap();
    let (_, second) = post.moves(&person, "thief@evil.example").await.unwrap();
    assert_eq!(post.moves(&person, "B@camelot.bt").await, None, "told, and no more");
    assert_eq!(post.verify(&second).await, bad_verify());
    assert_eq!(post.verify(&first).await.1["email"], A);
}

/// However often a thief moves on, those who had the account before keep their ways back.
#[tokio::test]
async fn rc_07_many_changes_do_not_push_out_the_first_ways_back() {
    let post = Post::with(|it| it.prove_mailbox_first(true));
    let person = post.proved(A).await;
    let (_, first) = post.moves(&person, B).await.unwrap();
    let (_, second) = post.moves(&person, C).await.unwrap();
    let mut more = Vec::new();
    for number in 0..6 {
        more.extend(post.moves(&person, &format!("thief{number}@evil.example")).await);
    }
    assert_eq!(more.len(), 2, "four in all");
    assert_eq!(post.verify(&second).await.1["email"], B);
    assert_eq!(post.verify(&first).await.1["email"], A);
    let user = post.users.get_by_email(A).await.unwrap().unwrap();
    let person = post.nobody().logged_in(A, PASSWORD, JWT).await;
    for email in [B, C] {
        post.moves(&person, email).await.unwrap();
    }
    post.users.delete(&user, None).await.unwrap();
    assert!(post.users.messages(None, 10).await.unwrap().is_empty(), "no address stays behind");
}

/// A login stores the password with today's parameters; it is the same password.
#[tokio::test]
async fn rc_07_a_new_hash_of_the_same_password_leaves_a_change_of_address_alone() {
    let post = Post::with(|it| it.prove_mailbox_first(true));
    let person = post.proved(A).await;
    let token = post.asks_for(&person, B).await;
    let hash = async || post.users.get_by_email(A).await.unwrap().unwrap().hashed_password;
    let before = hash().await;
    let stronger = Argon2Params::danger_below_floor(16, 1, 1).unwrap();
    let builder = application(post.store.clone()).clock(post.clock.clone());
    let tomorrow = mailed(builder, &post.mailbox, &post.store).prove_mailbox_first(true);
    let tomorrow = tomorrow.passwords(PasswordPool::builder(DefaultHasher::new(stronger)).build().unwrap());
    assert_eq!(visitor(&tomorrow.build().unwrap()).login(JWT, A, PASSWORD).await.status(), 200);
    assert_ne!(hash().await.as_str(), before.as_str(), "stored anew");
    assert_eq!(post.verify(&token).await.1["email"], B);
    // A reset sets another one.
    let token = post.asks_for(&person, C).await;
    let reset = post.reset_token(B).await;
    assert_eq!(post.reset(&reset, THIRD).await.0, 200);
    assert_eq!(post.verify(&token).await, bad_verify());
}

/// Behind a proxy that takes a prefix off, the way on is below it too.
#[tokio::test]
async fn an_answer_that_was_posted_goes_on_below_the_public_url() {
    for prefix in ["/auth/google", LINK] {
        for (public, expected) in [
            ("https://users.example/base", format!("/base{prefix}/callback")),
            ("https://users.example/", format!("{prefix}/callback")),
        ] {
            let provider = Provider::with("google", None, true);
            let settings = OAuthSettings::new().backend("jwt");
            let world = World::with(|it| with_provider(it, &provider, settings).public_url(public));
            let path = format!("{prefix}/callback");
            let answer = Browser::new(&world.users).send("POST", &path, "code=x&state=y").await;
            assert_eq!(answer.location(), format!("{expected}?code=x&state=y"));
        }
    }
    // Where another page gets the answers, ours is asked by its own path.
    let provider = Provider::with("google", None, true);
    let settings = OAuthSettings::new().backend("jwt").redirect_url("https://front.example/cb");
    let world = World::with(|it| with_provider(it, &provider, settings));
    let answer = Browser::new(&world.users).send("POST", "/auth/google/callback", "code=x").await;
    assert_eq!(answer.location(), "/auth/google/callback?code=x");
}

/// Whoever comes back with nothing counts by address, as whoever tries passwords, and makes us ask no provider without end.
#[tokio::test]
async fn au_01_logins_by_providers_that_come_to_nothing_count_by_address() {
    let provider = Provider::new("google");
    let settings = || OAuthSettings::new().backend("jwt");
    let world =
        || World::with(|it| with_provider(it, &provider, settings()).throttle(Throttle::default()).trusted_proxies(1));
    let from = |world: &World, address: &str| {
        let mut browser = Browser::new(&world.users);
        browser.headers.push(("x-forwarded-for", address.to_owned()));
        browser
    };
    for kind in ["code", "state", "error", "address"] {
        let world = world();
        world.register(A).await;
        let before = provider.exchanges();
        let mut browser = from(&world, "192.0.2.1");
        let attempt = async |browser: &mut Browser| match kind {
            "code" => {
                let url = browser.authorize(GOOGLE).await;
                browser.come_back(GOOGLE, &url, "unknown").await
            }
            "state" => browser.get("/auth/google/callback?code=x&state=y").await,
            "error" => browser.get("/auth/google/callback?error=x&state=y").await,
            _ => browser.go(&provider, GOOGLE, "1|a@camelot.bt|").await,
        };
        let mut statuses = Vec::new();
        for _ in 0..32 {
            statuses.push(attempt(&mut browser).await.status);
        }
        assert_eq!((&statuses[..30], &statuses[30..]), (&[400; 30][..], &[429, 429][..]), "{kind}");
        let asked = provider.exchanges() - before;
        assert_eq!(asked, if matches!(kind, "code" | "address") { 30 } else { 0 }, "{kind}");
        // A good one has to wait too: nobody can tell before the provider is asked. It is not used up by that.
        let url = browser.authorize(GOOGLE).await;
        let code = provider.approve(&url, "2|two@camelot.bt|");
        let answer = browser.come_back(GOOGLE, &url, &code).await;
        assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (429, "2"), "{kind}");
        world.clock.advance(Duration::seconds(2));
        assert_eq!(browser.come_back(GOOGLE, &url, &code).await.status, 200, "{kind}");
        assert_eq!(from(&world, "192.0.2.2").go(&provider, GOOGLE, "3|three@camelot.bt|").await.status, 200);
    }
    // What succeeds counts for nothing, and neither does what is linked.
    let world = world();
    let mut browser = from(&world, "192.0.2.1").logged_in(&provider, GOOGLE, "1|a@camelot.bt|").await;
    for _ in 0..40 {
        assert_eq!(from(&world, "192.0.2.1").go(&provider, GOOGLE, "1|a@camelot.bt|").await.status, 200);
        assert_eq!(browser.go(&provider, LINK, "1|a@camelot.bt|").await.status, 200);
    }
}
