//! Nobody learns who has an address: users and new addresses are made when the mailbox is proved.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum_users::{
    Email, Fields, OAuthSettings, RequestInfo, Throttle, User, UserCreate, UserHooks, UserUpdate, mail::MailKind,
    memory::MemoryStore, outbox::UNDO,
};
use serde_json::{Value, json};
use time::Duration;

use crate::{
    mailed::{Mailbox, Post, THIRD, bad_verify, mailed},
    people::{COOKIE, DB, JWT, OTHER, PASSWORD, Person, application, bytes, change},
    provider::{Browser, Provider, with_provider},
};

const A: &str = "a@camelot.bt";
const B: &str = "b@camelot.bt";
const C: &str = "c@camelot.bt";

fn strict() -> Post {
    Post::with(|builder| builder.strict(true).prove_mailbox_first(true))
}

impl Post {
    /// A verified user, made by a program.
    async fn user(&self, email: &str) {
        let email = Email::parse(email).unwrap();
        let create = UserCreate { is_verified: Some(true), ..UserCreate::new(email, PASSWORD.into(), ()) };
        self.users.create(create, Fields::All, None).await.unwrap();
    }

    async fn register_as(&self, email: &str, password: &str) -> (u16, Value) {
        self.post("register", &json!({ "email": email, "password": password })).await
    }

    async fn logged_in(&self, email: &str) -> Person {
        self.nobody().logged_in(email, PASSWORD, JWT).await
    }

    /// What an address asks for, and the mails of it.
    async fn move_to(&self, person: &Person, email: &str) -> BTreeMap<String, MailOf> {
        let (status, answer) = person.json("PATCH", "/users/me", &json!({ "email": email })).await;
        assert_eq!(status, 200, "{answer}");
        self.mails().await
    }

    /// The mails since the last look, by kind.
    async fn mails(&self) -> BTreeMap<String, MailOf> {
        while self.users.work_off().await.unwrap() > 0 {}
        let mails = self.mailbox.take();
        let count = mails.len();
        let found: BTreeMap<_, _> = mails
            .into_iter()
            .map(|mail| {
                let kind = format!("{:?}", mail.kind);
                let kind = kind.split([' ', '{']).next().unwrap().to_owned();
                let token = mail.token.map(|token| token.expose().to_owned()).unwrap_or_default();
                (kind, MailOf { to: mail.to.as_str().to_owned(), token })
            })
            .collect();
        assert_eq!(found.len(), count, "one of a kind");
        found
    }

    async fn email_of(&self, person: &Person) -> String {
        person.json("GET", "/users/me", &Value::Null).await.1["email"].as_str().unwrap().to_owned()
    }

    /// A user who moved from one address to the other: their session and the token that undoes it.
    async fn moved(&self, person: &Person, to: &str) -> String {
        let mails = self.move_to(person, to).await;
        let (status, user) = self.verify(&mails["ConfirmEmailChange"].token).await;
        assert_eq!((status, &user["email"]), (200, &json!(to)), "{user}");
        self.mails().await.remove("UndoEmailChange").map(|mail| mail.token).unwrap_or_default()
    }
}

#[derive(Debug, PartialEq)]
struct MailOf {
    to: String,
    token: String,
}

fn kinds(mails: &BTreeMap<String, MailOf>) -> Vec<(&str, &str)> {
    mails.iter().map(|(kind, mail)| (kind.as_str(), mail.to.as_str())).collect()
}

#[tokio::test]
async fn en_05_a_registration_does_not_tell_who_has_the_address() {
    let post = strict();
    post.user("known0@camelot.bt").await;
    let mut answers = Vec::new();
    // Also one that only looks alike is the same mailbox.
    for email in ["known0@camelot.bt", "KNOWN0@camelot.bt", "fresh0@camelot.bt"] {
        let body = json!({ "email": email, "password": OTHER, "is_superuser": true, "is_verified": true }).to_string();
        let response = post.nobody().raw("POST", "/auth/register", &[("content-type", "application/json")], body).await;
        let status = response.status().as_u16();
        let headers = format!("{:?}", response.headers());
        let mut user: Value = serde_json::from_slice(&bytes(response).await).unwrap();
        let id = user["id"].take().as_str().unwrap().to_owned();
        assert_eq!(id.len(), 36);
        assert_eq!(user["email"].take(), json!(email), "as it was sent");
        answers.push((status, headers, user));
        assert_eq!(post.nobody().login(JWT, email, OTHER).await.status(), 400, "{email}");
        assert!(post.users.get(&id.parse().unwrap()).await.unwrap().is_none(), "no row before the proof");
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let (status, _, user) = &answers[0];
    assert_eq!(
        (*status, user),
        (201, &json!({ "id": null, "email": null, "is_active": true, "is_superuser": false, "is_verified": false }))
    );
    while post.users.work_off().await.unwrap() > 0 {}
    let told: Vec<_> = post.mailbox.take().into_iter().map(|mail| (mail.kind, mail.to.as_str().to_owned())).collect();
    let known = || "known0@camelot.bt".to_owned();
    assert_eq!(told.iter().filter(|it| **it == (MailKind::AlreadyRegistered, known())).count(), 2, "{told:?}");
    assert!(told.contains(&(MailKind::VerifyAddress, "fresh0@camelot.bt".into())) && told.len() == 3, "{told:?}");
    let (refused, _) = post.register_as("known0@camelot.bt", "short").await;
    assert_eq!((refused, post.register_as("other0@camelot.bt", "short").await.0), (400, 400));
}

#[tokio::test]
async fn en_05_the_user_is_made_verified_when_the_mailbox_is_proved() {
    let post = strict();
    let (_, asked) = post.register_as("New@camelot.bt", PASSWORD).await;
    let token = post.mailbox.token(&MailKind::VerifyAddress);
    for route in ["request-verify-token", "forgot-password"] {
        post.ask(route, "new@camelot.bt").await;
    }
    assert!(post.mailbox.take().is_empty(), "before the proof there is no such user");
    let (status, user) = post.verify(&token).await;
    assert_eq!(status, 200, "{user}");
    let mut expected = asked;
    expected["is_verified"] = json!(true);
    assert_eq!(user, expected, "the same id, the same address");
    post.logged_in("new@camelot.bt").await;
    assert_eq!(post.verify(&token).await, bad_verify(), "once");
    // What was asked for expires, and leaves nothing behind.
    post.register_as(B, PASSWORD).await;
    let late = post.mailbox.token(&MailKind::VerifyAddress);
    post.clock.advance(Duration::seconds(3599));
    post.mails().await;
    assert_eq!(post.users.messages(None, 10).await.unwrap().len(), 1, "it waits");
    post.clock.advance(Duration::seconds(1));
    assert_eq!(post.verify(&late).await, bad_verify());
    assert!(post.users.messages(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn en_05_of_several_registrations_the_first_that_is_proved_counts() {
    let post = strict();
    let mut tokens = Vec::new();
    for (email, password) in [(A, PASSWORD), ("A@camelot.bt", OTHER)] {
        post.register_as(email, password).await;
        tokens.push(post.mailbox.token(&MailKind::VerifyAddress));
    }
    assert_eq!(post.verify(&tokens[1]).await.0, 200);
    assert_eq!(post.verify(&tokens[0]).await, bad_verify());
    assert!(post.nobody().login(JWT, A, OTHER).await.status() == 200);
    assert!(post.nobody().login(JWT, A, PASSWORD).await.status() == 400);
    let user = post.users.get_by_email(A).await.unwrap().unwrap();
    post.users.delete(&user, None).await.unwrap();
    assert_eq!(post.verify(&tokens[0]).await, bad_verify(), "it never counts again");
}

#[tokio::test]
async fn en_05_what_it_needs_is_asked_for_at_the_start() {
    let store = MemoryStore::<()>::new();
    let without = application(store.clone()).prove_mailbox_first(true).build().err().unwrap();
    assert!(without.to_string().contains("verification"), "{without}");
    let built = mailed(application(store.clone()), &Mailbox::default(), &store).prove_mailbox_first(true).build();
    assert!(built.is_ok());
    let only_tokens = axum_users::TokenSettings::new(b"tQ3vY8mN5xR2kL7wZ9cB4hJ6dF1gS0pA").unwrap();
    let without = application(store).verification(only_tokens).prove_mailbox_first(true).build().err().unwrap();
    assert!(without.to_string().contains("mailer"), "{without}");
}

/// Keeps what it is told of.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl UserHooks<()> for Told {
    async fn before_register(&self, _: &UserCreate<()>, _: Option<&RequestInfo>) -> Result<(), axum_users::Veto> {
        self.note("before_register".into());
        Ok(())
    }
    async fn on_after_register(&self, user: &User<()>, _: Option<&RequestInfo>) {
        self.note(format!("registered {}", user.is_verified));
    }
    async fn on_after_update(&self, user: &User<()>, update: &UserUpdate<()>, _: Option<&RequestInfo>) {
        self.note(format!("updated {} {:?}", user.email, update.email.as_ref().map(Email::as_str)));
    }
    async fn on_after_verify(&self, user: &User<()>, _: Option<&RequestInfo>) {
        self.note(format!("verified {}", user.email));
    }
}

#[tokio::test]
async fn en_05_en_06_hooks_are_told_when_it_happens() {
    let told = Told::default();
    let post = Post::with(|builder| builder.prove_mailbox_first(true).hooks(told.clone()));
    post.register_as(A, PASSWORD).await;
    assert_eq!(told.take(), ["before_register"]);
    post.verify(&post.mailbox.token(&MailKind::VerifyAddress)).await;
    assert_eq!(told.take(), ["registered true", "verified a@camelot.bt"]);
    let person = post.logged_in(A).await;
    let mails = post.move_to(&person, B).await;
    assert_eq!(told.take(), ["updated a@camelot.bt None"]);
    post.verify(&mails["ConfirmEmailChange"].token).await;
    assert_eq!(told.take(), [r#"updated b@camelot.bt Some("b@camelot.bt")"#, "verified b@camelot.bt"]);
}

#[tokio::test]
async fn en_06_a_change_of_address_does_not_tell_who_has_it() {
    let post = strict();
    for email in [A, "taken@camelot.bt"] {
        post.user(email).await;
    }
    let person = post.logged_in(A).await;
    let mut answers = Vec::new();
    for email in ["taken@camelot.bt", "TAKEN@camelot.bt", "fresh@camelot.bt"] {
        let body = json!({ "email": email }).to_string();
        let response = person.raw("PATCH", "/users/me", &[("content-type", "application/json")], body).await;
        let answer = (response.status().as_u16(), format!("{:?}", response.headers()), bytes(response).await);
        let user: Value = serde_json::from_slice(&answer.2).unwrap();
        assert_eq!((answer.0, &user["email"], &user["is_verified"]), (200, &json!(A), &json!(true)), "as before");
        let mails = post.mails().await;
        let expected = if email.starts_with("fresh") {
            [("ConfirmEmailChange", email), ("EmailChangeRequested", A)]
        } else {
            [("AddressInUse", "taken@camelot.bt"), ("EmailChangeRequested", A)]
        };
        assert_eq!(kinds(&mails), expected, "the mailbox so far gets the same");
        answers.push(answer);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn rc_07_an_address_changes_when_its_mailbox_is_proved() {
    let post = strict();
    post.user(A).await;
    let person = post.logged_in(A).await;
    let reset = post.reset_token(A).await;
    let mails = post.move_to(&person, "B@camelot.bt").await;
    assert_eq!(kinds(&mails), [("ConfirmEmailChange", "B@camelot.bt"), ("EmailChangeRequested", A)]);
    assert_eq!(post.email_of(&person).await, A);
    post.logged_in(A).await;
    let token = &mails["ConfirmEmailChange"].token;
    let (status, user) = post.verify(token).await;
    assert_eq!((status, &user["email"], &user["is_verified"]), (200, &json!("B@camelot.bt"), &json!(true)));
    assert_eq!(kinds(&post.mails().await), [("UndoEmailChange", A)]);
    assert!(person.is_known().await, "the session lives on");
    assert_eq!(post.reset(&reset, OTHER).await.0, 400, "what was mailed to the old mailbox counts for nothing");
    assert_eq!(post.verify(token).await, bad_verify(), "once");
    assert_eq!(post.nobody().login(JWT, A, PASSWORD).await.status(), 400);
    post.logged_in(B).await;
    // Another spelling of one's own mailbox needs no proof.
    let (status, user) = person.json("PATCH", "/users/me", &json!({ "email": "b@CAMELOT.bt" })).await;
    assert_eq!((status, &user["email"], &user["is_verified"]), (200, &json!(B), &json!(true)));
    assert!(post.mails().await.is_empty());
    // Everything else in the body applies at once, and the change counts for the password that it came with.
    let both = json!({ "email": C, "password": OTHER });
    assert_eq!(person.json("PATCH", "/users/me", &both).await.0, 200);
    let mails = post.mails().await;
    assert_eq!(kinds(&mails), [("ConfirmEmailChange", C), ("EmailChangeRequested", B), ("PasswordChanged", B)]);
    assert_eq!(post.nobody().login(JWT, B, OTHER).await.status(), 200);
    assert_eq!(post.verify(&mails["ConfirmEmailChange"].token).await.0, 200);
}

#[tokio::test]
async fn rc_07_an_administrators_word_counts_at_once() {
    let post = strict();
    post.user(A).await;
    post.user("boss@camelot.bt").await;
    change(&post.users, "boss@camelot.bt", UserUpdate { is_superuser: Some(true), ..UserUpdate::default() }).await;
    let boss = post.logged_in("boss@camelot.bt").await;
    let id = post.logged_in(A).await.id().await;
    let (status, user) = boss.json("PATCH", &format!("/users/{id}"), &json!({ "email": B })).await;
    assert_eq!((status, &user["email"], &user["is_verified"]), (200, &json!(B), &json!(false)));
    while post.users.work_off().await.unwrap() > 0 {}
    let to: Vec<_> = post.mailbox.take().iter().map(|mail| mail.to.as_str().to_owned()).collect();
    assert_eq!(to.len(), 2, "both are told: {to:?}");
    assert_eq!(boss.json("PATCH", &format!("/users/{id}"), &json!({ "email": "boss@camelot.bt" })).await.0, 400);
}

#[tokio::test]
async fn rc_07_a_change_that_waits_ends_with_what_changes_the_user() {
    let update = UserUpdate::<()>::default;
    type Change<'a> = (&'a str, Option<Vec<UserUpdate<()>>>);
    let events: [Change<'_>; 6] = [
        ("nothing", Some(Vec::new())),
        ("password", Some(vec![UserUpdate { password: Some(OTHER.into()), ..update() }])),
        ("address", Some(vec![UserUpdate { email: Some(Email::parse(C).unwrap()), ..update() }])),
        (
            "deactivation",
            Some(vec![
                UserUpdate { is_active: Some(false), ..update() },
                UserUpdate { is_active: Some(true), ..update() },
            ]),
        ),
        ("ended sessions", Some(Vec::new())),
        ("deletion", None),
    ];
    for (what, updates) in events {
        // Also where a new password leaves sessions alone.
        for keeps in [false, true] {
            let post = Post::with(|it| it.prove_mailbox_first(true).danger_keep_sessions_on_password_change(keeps));
            post.user(A).await;
            let person = post.logged_in(A).await;
            let token = post.move_to(&person, B).await["ConfirmEmailChange"].token.clone();
            let user = post.users.get_by_email(A).await.unwrap().unwrap();
            match updates.as_deref() {
                None => post.users.delete(&user, None).await.unwrap(),
                Some(updates) => {
                    for update in updates {
                        let user = post.users.get(&user.id).await.unwrap().unwrap();
                        let update = UserUpdate {
                            password: update.password.clone(),
                            email: update.email.clone(),
                            is_active: update.is_active,
                            ..UserUpdate::default()
                        };
                        post.users.update(&user, update, Fields::All, None, None).await.unwrap();
                    }
                }
            }
            if what == "ended sessions" {
                post.users.end_sessions(&user, None, None).await.unwrap();
            }
            if what == "deletion" {
                assert!(post.users.messages(None, 10).await.unwrap().is_empty(), "no address stays behind");
            }
            let expected = if what == "nothing" { 200 } else { 400 };
            assert_eq!(post.verify(&token).await.0, expected, "{what}");
        }
    }
}

#[tokio::test]
async fn rc_07_the_newest_question_is_the_only_one() {
    let post = strict();
    post.user(A).await;
    let person = post.logged_in(A).await;
    let first = post.move_to(&person, B).await["ConfirmEmailChange"].token.clone();
    let second = post.move_to(&person, C).await["ConfirmEmailChange"].token.clone();
    let third = post.move_to(&person, C).await["ConfirmEmailChange"].token.clone();
    for dead in [&first, &second] {
        assert_eq!(post.verify(dead).await, bad_verify());
    }
    assert_eq!(post.users.messages(None, 10).await.unwrap().len(), 1);
    assert_eq!(post.verify(&third).await.1["email"], C);
    // One that was taken meanwhile.
    let token = post.move_to(&person, B).await["ConfirmEmailChange"].token.clone();
    post.user(B).await;
    assert_eq!(post.verify(&token).await, bad_verify());
    assert_eq!(post.email_of(&person).await, C);
}

#[tokio::test]
async fn rc_07_the_old_mailbox_can_undo_it_for_seven_days() {
    for (after, counts) in [(UNDO - 1, true), (UNDO, false)] {
        let post = Post::with(|builder| builder.prove_mailbox_first(true));
        post.user(A).await;
        let person = post.logged_in(A).await;
        let undo = post.moved(&person, B).await;
        post.clock.advance(Duration::seconds(after));
        let session = post.nobody().logged_in(B, PASSWORD, DB).await;
        let (status, user) = post.verify(&undo).await;
        assert_eq!(status == 200, counts, "{after}: {user}");
        assert_eq!(session.is_known().await, !counts, "it ends all sessions");
        if counts {
            assert_eq!((&user["email"], &user["is_verified"]), (&json!(A), &json!(true)));
            assert_eq!(kinds(&post.mails().await), [("EmailChanged", B)], "the other mailbox is told");
            post.logged_in(A).await;
            assert_eq!(post.verify(&undo).await, bad_verify(), "once");
        }
    }
}

/// Whoever took an account over cannot take the way back away.
#[tokio::test]
async fn rc_07_a_thief_does_not_get_rid_of_the_undo() {
    let post = Post::with(|builder| builder.prove_mailbox_first(true));
    post.user(A).await;
    let thief = post.logged_in(A).await;
    let undo = post.moved(&thief, B).await;
    let (_, _) = thief.json("PATCH", "/users/me", &json!({ "password": OTHER })).await;
    let (_, _) = thief.json("PATCH", "/users/me", &json!({ "email": "B@camelot.bt" })).await;
    post.mails().await;
    // Further on: the mailbox in between has a way back to itself, and no other.
    let mails = post.move_to(&thief, C).await;
    assert_eq!(post.verify(&mails["ConfirmEmailChange"].token).await.0, 200);
    let mails = post.mails().await;
    assert_eq!(kinds(&mails), [("UndoEmailChange", "B@camelot.bt")]);
    let (_, _) = thief.json("PATCH", "/users/me", &json!({ "email": "C@camelot.bt" })).await;
    let pending = post.move_to(&thief, B).await["ConfirmEmailChange"].token.clone();
    post.clock.advance(Duration::seconds(UNDO - 1));
    assert_eq!(post.verify(&undo).await.1["email"], A);
    for dead in [&pending, &mails["UndoEmailChange"].token] {
        assert_eq!(post.verify(dead).await, bad_verify());
    }
    assert!(!thief.is_known().await);
    // Another change has a way back of its own.
    assert_eq!(post.reset(&post.reset_token_after(A).await, THIRD).await.0, 200);
    let owner = post.nobody().logged_in(A, THIRD, JWT).await;
    let again = post.moved(&owner, B).await;
    assert_eq!(post.verify(&undo).await, bad_verify(), "the first one is used");
    assert_eq!(post.verify(&again).await.1["email"], A);
}

impl Post {
    async fn reset_token_after(&self, email: &str) -> String {
        self.mailbox.take();
        self.reset_token(email).await
    }
}

#[tokio::test]
async fn rc_07_an_undo_is_sent_however_many_mails_there_were() {
    let post = Post::with(|builder| builder.prove_mailbox_first(true).throttle(Throttle::default()));
    post.user(A).await;
    for _ in 0..10 {
        let update = UserUpdate { password: Some(PASSWORD.into()), ..UserUpdate::default() };
        change(&post.users, A, update).await;
    }
    while post.users.work_off().await.unwrap() > 0 {}
    assert!(post.mailbox.take().len() < 10, "the mailbox has had enough");
    post.clock.advance(Duration::seconds(20));
    let thief = post.logged_in(A).await;
    let mails = post.move_to(&thief, B).await;
    assert_eq!(kinds(&mails), [("ConfirmEmailChange", B)]);
    assert_eq!(post.verify(&mails["ConfirmEmailChange"].token).await.0, 200);
    assert!(post.mails().await.is_empty());
    post.clock.advance(Duration::hours(2));
    assert!(post.mails().await.contains_key("UndoEmailChange"), "later, but it is");
}

#[tokio::test]
async fn rc_11_nothing_that_was_planted_before_the_proof_counts() {
    let post = strict();
    // A squatter registers the address of somebody else, who registers later.
    post.register_as(A, OTHER).await;
    let planted = post.mailbox.token(&MailKind::VerifyAddress);
    for backend in [JWT, COOKIE, DB] {
        assert_eq!(post.nobody().login(backend, A, OTHER).await.status(), 400);
    }
    post.register_as(A, PASSWORD).await;
    let owner = post.mailbox.token(&MailKind::VerifyAddress);
    assert_eq!(post.verify(&owner).await.0, 200);
    assert_eq!(post.nobody().login(JWT, A, OTHER).await.status(), 400);
    assert_eq!(post.verify(&planted).await, bad_verify());
    post.logged_in(A).await;
}

#[tokio::test]
async fn rc_11_in_compat_a_reset_kills_what_a_squatter_planted() {
    let post = Post::new();
    post.nobody().register(A).await;
    let mut planted = Vec::new();
    for backend in [JWT, COOKIE, DB] {
        planted.push(post.nobody().logged_in(A, PASSWORD, backend).await);
    }
    let verify = post.verify_token(A).await;
    let reset = post.reset_token(A).await;
    assert_eq!(post.reset(&reset, OTHER).await.0, 200);
    for session in planted {
        assert!(!session.is_known().await);
    }
    assert_eq!(post.nobody().login(JWT, A, PASSWORD).await.status(), 400);
    assert_eq!(post.verify(&verify).await, bad_verify());
    assert_eq!(post.nobody().login(JWT, A, OTHER).await.status(), 200);
}

/// Somebody whose account at a provider has an address that is not theirs comes first.
#[tokio::test]
async fn rc_11_the_first_proof_of_a_mailbox_unlinks_what_was_linked_before() {
    const GOOGLE: &str = "/auth/google";
    let provider = Provider::new("google");
    let by_google = || OAuthSettings::new().backend("jwt");
    let post = Post::with(|builder| with_provider(builder, &provider, by_google()));
    let mut squatter = Browser::new(&post.users).logged_in(&provider, GOOGLE, &format!("1|{A}|")).await;
    let reset = post.reset_token(A).await;
    assert_eq!(post.reset(&reset, PASSWORD).await.0, 200);
    assert_eq!(squatter.get("/users/me").await.status, 401);
    let answer = Browser::new(&post.users).go(&provider, GOOGLE, &format!("1|{A}|")).await;
    assert_eq!(answer.detail(), (400, "OAUTH_USER_ALREADY_EXISTS"));
    post.logged_in(A).await;
    // What was linked after a proof stays.
    Browser::new(&post.users).logged_in(&provider, GOOGLE, &format!("2|{B}|v")).await;
    change(&post.users, B, UserUpdate { is_verified: Some(true), ..UserUpdate::default() }).await;
    let reset = post.reset_token_after(B).await;
    assert_eq!(post.reset(&reset, PASSWORD).await.0, 200);
    Browser::new(&post.users).logged_in(&provider, GOOGLE, &format!("2|{B}|v")).await;
}

#[tokio::test]
async fn en_05_rc_11_an_address_that_a_provider_did_not_prove_makes_no_user_and_tells_nothing() {
    const GOOGLE: &str = "/auth/google";
    let provider = Provider::new("google");
    let post = Post::with(|builder| {
        let builder = builder.strict(true).prove_mailbox_first(true);
        with_provider(builder, &provider, OAuthSettings::new().backend("jwt"))
    });
    post.user(A).await;
    for who in [A, B] {
        let answer = Browser::new(&post.users).go(&provider, GOOGLE, &format!("1|{who}|")).await;
        assert_eq!(answer.detail(), (400, "OAUTH_NOT_AVAILABLE_EMAIL"), "{who}");
    }
    assert!(post.users.get_by_email(B).await.unwrap().is_none());
    Browser::new(&post.users).logged_in(&provider, GOOGLE, &format!("1|{B}|v")).await;
    // Who is known needs no address.
    Browser::new(&post.users).logged_in(&provider, GOOGLE, &format!("1|{C}|")).await;
}

#[tokio::test]
async fn rc_08_a_verify_token_is_bound_to_the_exact_address() {
    for proves in [false, true] {
        let post = Post::with(|builder| builder.prove_mailbox_first(proves));
        post.user(A).await;
        let unverified = UserUpdate { is_verified: Some(false), ..UserUpdate::default() };
        change(&post.users, A, unverified).await;
        let token = post.verify_token(A).await;
        let to = Email::parse(B).unwrap();
        change(&post.users, A, UserUpdate { email: Some(to), ..UserUpdate::default() }).await;
        assert_eq!(post.verify(&token).await, bad_verify());
        assert!(!post.users.get_by_email(B).await.unwrap().unwrap().is_verified);
    }
}

/// A public request about an address: path, kind of body, body.
fn requests(email: &str) -> Vec<(&'static str, &'static str, String)> {
    let form = "application/x-www-form-urlencoded";
    let json_type = "application/json";
    let login = format!("username={}&password={}", email.replace('@', "%40"), OTHER.replace(' ', "+"));
    vec![
        ("/auth/register", json_type, json!({ "email": email, "password": OTHER }).to_string()),
        ("/auth/jwt/login", form, login.clone()),
        ("/auth/cookie/login", form, login),
        ("/auth/forgot-password", json_type, json!({ "email": email }).to_string()),
        ("/auth/request-verify-token", json_type, json!({ "email": email }).to_string()),
        ("/auth/verify", json_type, json!({ "token": "none" }).to_string()),
        ("/auth/reset-password", json_type, json!({ "token": "none", "password": OTHER }).to_string()),
    ]
}

/// What an answer shows, but for what is drawn by lot.
async fn shown(person: &Person, email: &str, (path, kind, body): &(&str, &str, String)) -> String {
    let response = person.raw("POST", path, &[("content-type", *kind)], body.clone()).await;
    let head = format!("{} {:?}", response.status(), response.headers());
    let mut body: Value = serde_json::from_slice(&bytes(response).await).unwrap_or_default();
    if let Some(user) = body.as_object_mut() {
        user.remove("id");
    }
    format!("{head} {body}").replace(email, "…")
}

#[tokio::test]
async fn en_07_no_two_requests_tell_who_has_the_address() {
    // Equally long.
    let addresses = ["known0@camelot.bt", "fresh0@camelot.bt"];
    let routes = requests("x").len();
    for first in 0..routes {
        for second in 0..routes {
            let mut transcripts = Vec::new();
            for email in addresses {
                let post = Post::with(|builder| {
                    builder
                        .strict(true)
                        .prove_mailbox_first(true)
                        .requires_verification(true)
                        .throttle(Throttle::default())
                });
                post.user("known0@camelot.bt").await;
                let (nobody, requests) = (post.nobody(), requests(email));
                let mut transcript = Vec::new();
                // Beyond every threshold.
                for request in std::iter::repeat_n(first, 25).chain(std::iter::repeat_n(second, 25)) {
                    transcript.push(shown(&nobody, email, &requests[request]).await);
                    while post.users.work_off().await.unwrap() > 0 {}
                }
                let limited = transcript.iter().filter(|it| it.starts_with("429")).count();
                assert!(limited > 0, "no threshold was reached: {transcript:?}");
                transcripts.push(transcript);
            }
            for (number, (known, fresh)) in transcripts[0].iter().zip(&transcripts[1]).enumerate() {
                assert_eq!(known, fresh, "{first} then {second}, request {number}");
            }
        }
    }
}

#[tokio::test]
async fn en_05_the_document_says_what_is_answered() {
    let of = |post: &Post| post.users.openapi().into_value()["paths"]["/auth/register"].to_string();
    assert!(of(&Post::new()).contains("REGISTER_USER_ALREADY_EXISTS"));
    assert!(!of(&strict()).contains("REGISTER_USER_ALREADY_EXISTS"));
}
