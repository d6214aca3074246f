//! FastAPI Users and we on one database, in turn: whatever one does, the other sees.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use axum_users_core::{
    AccessTokenDatabase, Argon2Params, DefaultHasher, Email, EmailKey, Fields, NewSession, NewToken, OAuthIdentity,
    Outcome, PasswordPool, Secret, SessionId, TokenHash, UserCreate, UserDatabase as _, UserManager, UserUpdate,
};
use axum_users_mongodb::MongoStore;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    documents::{Plain, account},
    servers::Server,
};

/// The other system, in its own process.
struct Theirs {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Theirs {
    fn start(url: &str) -> Self {
        let variable = "AXUM_USERS_TEST_FASTAPI_USERS_PYTHON";
        let python = std::env::var(variable).map_err(|_| {
            format!(
                "{variable} is not set: run `cargo xtask test`, or `cargo xtask services` and export what it prints"
            )
        });
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mongodb/beside.py");
        let mut command = Command::new(python.unwrap());
        command.args([program, url]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut theirs = Self { child, input, output };
        assert_eq!(theirs.read(), json!("ready"));
        theirs
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.input, "{question}").unwrap();
        self.read()
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ours, answering the same questions.
struct Ours {
    store: MongoStore<Plain>,
    users: UserManager<Plain>,
}

impl Ours {
    async fn open(url: &str) -> Self {
        let store = MongoStore::connect(url).await.unwrap();
        let cheap = DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap());
        let pool = PasswordPool::builder(cheap).build().unwrap();
        let users = UserManager::builder(store.clone()).passwords(pool).keep_last_superuser(false).build().unwrap();
        Self { store, users }
    }

    async fn user(&self, email: &str) -> axum_users_core::User<Plain> {
        self.store.get_by_email(&EmailKey::of_typed(email)).await.unwrap().unwrap()
    }

    async fn shown(&self, user: &axum_users_core::User<Plain>) -> Value {
        let accounts = self.store.oauth_accounts(&user.id).await.unwrap();
        let mut accounts: Vec<_> =
            accounts.into_iter().map(|it| json!([it.oauth_name, it.account_id, it.account_email])).collect();
        accounts.sort_by_key(Value::to_string);
        json!([user.email.as_str(), user.is_active, user.is_verified, user.is_superuser, accounts])
    }

    async fn ask(&self, question: &Value) -> Value {
        let text = |name: &str| question[name].as_str().unwrap_or_default().to_owned();
        let (email, password) = (text("email"), Secret::from(text("password")));
        match question["op"].as_str().unwrap() {
            "register" => {
                let create = UserCreate::new(Email::parse(&email).unwrap(), password, Plain {});
                match self.users.create(create, Fields::Safe, None).await {
                    Ok(user) => self.shown(&user).await,
                    Err(axum_users_core::Error::UserAlreadyExists) => json!({ "refused": "UserAlreadyExists" }),
                    Err(other) => json!(other.to_string()),
                }
            }
            "login" => {
                let proof = self.users.authenticate(&email, password).await.unwrap();
                proof.map_or(Value::Null, |proof| json!(proof.user().email.as_str()))
            }
            "token" => {
                let user = self.user(&email).await;
                let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
                let session = NewSession::of(SessionId::generate(), "db", 1_800_000_000, i64::MAX, None);
                let token = text("token");
                let new =
                    NewToken { token: token.clone(), user_id: user.id, created_at: now, session, continues: false };
                assert!(AccessTokenDatabase::create(&self.store, new).await.unwrap());
                json!(token)
            }
            "owner" => {
                let token = text("token");
                let session = SessionId::of(&TokenHash::of(&token));
                let stored = AccessTokenDatabase::get(&self.store, &token, &session).await.unwrap();
                stored.map_or(Value::Null, |stored| json!(stored.user.email.as_str()))
            }
            "change" => {
                let set = &question["set"];
                let update = UserUpdate {
                    email: set["email"].as_str().map(|it| Email::parse(it).unwrap()),
                    password: set["password"].as_str().map(|it| Secret::from(it.to_owned())),
                    is_verified: set["is_verified"].as_bool(),
                    is_active: set["is_active"].as_bool(),
                    ..UserUpdate::default()
                };
                let user = self.user(&email).await;
                match self.users.update(&user, update, Fields::All, None, None).await {
                    Ok(user) => self.shown(&user).await,
                    Err(axum_users_core::Error::UserAlreadyExists) => json!({ "refused": "UserAlreadyExists" }),
                    Err(other) => json!(other.to_string()),
                }
            }
            "link" | "provider" => {
                let mut new = account(&text("name"), &text("id"));
                new.account_email = text(if question["op"] == "link" { "email" } else { "account_email" });
                let owner = self.store.get_by_oauth_account(&new.identity).await.unwrap();
                let user = match owner {
                    Some((owner, _)) => owner,
                    None => self.user(&email).await,
                };
                let outcome = self.store.put_oauth_account(&user.id, new, Vec::new(), Vec::new()).await.unwrap();
                assert!(matches!(outcome, Outcome::Done(_)));
                self.shown(&user).await
            }
            "delete" => {
                let user = self.user(&email).await;
                self.users.delete(&user, None).await.unwrap();
                Value::Null
            }
            _ => {
                let mut all = Vec::new();
                for user in self.store.list(None, 1000).await.unwrap() {
                    all.push(self.shown(&user).await);
                }
                all.sort_by_key(|user| user[0].to_string());
                json!(all)
            }
        }
    }
}

/// A small generator of numbers; the same sequence each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// What is known of a user by whoever asks the questions.
struct Known {
    email: String,
    password: String,
    is_active: bool,
    accounts: Vec<(String, String)>,
    tokens: Vec<String>,
}

/// An address in another case.
fn other_case(email: &str, number: usize) -> String {
    let flip = |(at, c): (usize, char)| if (number >> (at % 8)) & 1 == 1 { c.to_ascii_uppercase() } else { c };
    email.chars().enumerate().map(flip).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_sequences_of_both_systems_agree() {
    const SEQUENCES: usize = 200;
    const STEPS: usize = 6;
    let mut numbers = Numbers(20_261_124);
    // Who comes first makes the indexes.
    for they_are_first in [true, false] {
        let url = Server::Mongo.empty();
        let (mut theirs, ours) = if they_are_first {
            let theirs = Theirs::start(&url);
            (theirs, Ours::open(&url).await)
        } else {
            let ours = Ours::open(&url).await;
            (Theirs::start(&url), ours)
        };
        let mut serial = 0;
        for sequence in 0..SEQUENCES / 2 {
            let mut known: Vec<Known> = Vec::new();
            for step in 0..STEPS {
                serial += 1;
                let question = next(&mut numbers, &mut known, serial);
                let by_them = numbers.below(2) == 0;
                let what = format!("{sequence}, {step}: {} {question}", if by_them { "they" } else { "we" });
                let before = theirs.ask(&json!({ "op": "all" }));
                let answer = if by_them { theirs.ask(&question) } else { ours.ask(&question).await };
                expect(&mut known, &question, &answer, &what);
                let (mine, others) = (ours.ask(&json!({ "op": "all" })).await, theirs.ask(&json!({ "op": "all" })));
                assert_eq!(by_address(&mine), by_address(&others), "after {what} on {before}");
                for user in &known {
                    check(&mut theirs, &ours, user, &mut numbers, &what).await;
                }
            }
            for user in known {
                let question = json!({ "op": "delete", "email": user.email });
                let answer = if numbers.below(2) == 0 { theirs.ask(&question) } else { ours.ask(&question).await };
                assert_eq!(answer, Value::Null);
            }
            assert_eq!(theirs.ask(&json!({ "op": "all" })), json!([]));
        }
    }
}

fn by_address(users: &Value) -> Vec<Value> {
    let mut users = users.as_array().unwrap().clone();
    users.sort_by_key(|user| user[0].to_string());
    users
}

/// A question about somebody who is there, or about nobody yet.
fn next(numbers: &mut Numbers, known: &mut [Known], serial: usize) -> Value {
    let register = |email: String| json!({ "op": "register", "email": email, "password": "plum tomato engine" });
    if known.is_empty() || numbers.below(4) == 0 {
        return register(format!("User.{serial}@camelot.bt"));
    }
    let index = numbers.below(known.len());
    let flips = numbers.below(256);
    let user = &mut known[index];
    let email = other_case(&user.email, flips);
    match numbers.below(8) {
        0 => register(email),
        1 => json!({ "op": "change", "email": email, "set": { "email": format!("Moved.{serial}@camelot.bt") } }),
        2 => json!({ "op": "change", "email": email, "set": { "password": format!("green river {serial}") } }),
        3 => {
            json!({ "op": "change", "email": email, "set": { "is_verified": true, "is_active": !flips.is_multiple_of(4) } })
        }
        4 => json!({ "op": "link", "email": email, "name": "google", "id": format!("id{serial}") }),
        5 if !user.accounts.is_empty() => {
            let (name, id) = user.accounts[flips % user.accounts.len()].clone();
            json!({ "op": "provider", "email": email, "name": name, "id": id, "account_email": "again@ext.example" })
        }
        6 => json!({ "op": "token", "email": email, "token": format!("{serial:0>43}") }),
        _ => json!({ "op": "delete", "email": email }),
    }
}

/// What that must have done.
fn expect(known: &mut Vec<Known>, question: &Value, answer: &Value, what: &str) {
    let email = question["email"].as_str().unwrap();
    let found = known.iter().position(|user| user.email.eq_ignore_ascii_case(email));
    match (question["op"].as_str().unwrap(), found) {
        ("register", Some(_)) => assert_eq!(answer, &json!({ "refused": "UserAlreadyExists" }), "{what}"),
        ("register", None) => {
            assert_eq!(answer, &json!([email, true, false, false, []]), "{what}");
            known.push(Known {
                email: email.into(),
                password: question["password"].as_str().unwrap().into(),
                is_active: true,
                accounts: Vec::new(),
                tokens: Vec::new(),
            });
        }
        ("delete", Some(index)) => drop(known.remove(index)),
        ("change", Some(index)) => {
            let (user, set) = (&mut known[index], &question["set"]);
            user.email = set["email"].as_str().unwrap_or(&user.email).into();
            user.is_active = set["is_active"].as_bool().unwrap_or(user.is_active);
            user.password = set["password"].as_str().unwrap_or(&user.password).into();
            // Ours end with the password, theirs go on; which, depends on who changed it.
            if set["password"].is_string() || set["is_active"] == false {
                user.tokens.clear();
            }
            assert_eq!((&answer[0], &answer[1]), (&json!(user.email), &json!(user.is_active)), "{what}: {answer}");
        }
        ("link", Some(index)) => {
            let part = |name: &str| question[name].as_str().unwrap().to_owned();
            known[index].accounts.push((part("name"), part("id")));
        }
        ("token", Some(index)) => known[index].tokens.push(question["token"].as_str().unwrap().into()),
        ("provider", Some(index)) => assert_eq!(answer[0], known[index].email, "{what}: {answer}"),
        other => assert_eq!(other.1, Some(usize::MAX), "{what}"),
    }
}

/// Both know this user by password, by tokens, and by accounts.
async fn check(theirs: &mut Theirs, ours: &Ours, user: &Known, numbers: &mut Numbers, what: &str) {
    let email = other_case(&user.email, numbers.below(256));
    for password in [user.password.as_str(), "wrong tomato engine"] {
        let question = json!({ "op": "login", "email": email, "password": password });
        let (mine, other) = (ours.ask(&question).await, theirs.ask(&question));
        let right = if password == user.password { json!(user.email) } else { Value::Null };
        assert_eq!((&mine, &other), (&right, &right), "{what}: {email} logs in here and there");
    }
    for token in &user.tokens {
        let question = json!({ "op": "owner", "token": token });
        assert_eq!(ours.ask(&question).await, json!(user.email), "{what}: our owner of {token}");
        assert_eq!(theirs.ask(&question), json!(user.email), "{what}: their owner of {token}");
    }
    for (name, id) in &user.accounts {
        let identity = OAuthIdentity::new(name, id).unwrap();
        let (owner, _) = ours.store.get_by_oauth_account(&identity).await.unwrap().unwrap();
        assert_eq!(owner.email.as_str(), user.email, "{what}: {name} {id}");
    }
}
