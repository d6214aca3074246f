//! The documents are those of FastAPI Users, whoever wrote them last.

use axum_users_core::{
    AccountId, Condition, Conflict, DatabaseError, Email, EmailKey, NewOAuthAccount, NewSession, NewToken, NewUser,
    OAuthIdentity, ObjectId, Outcome, PasswordHash, SessionId, TokenHash, UserChange, UserDatabase, UserId as _,
    oauth::ProviderToken,
};
use axum_users_mongodb::MongoStore;
use axum_users_testing::{ObjectSample, SampleProfile as _};
use mongodb::{
    Client, Collection, Database,
    bson::{Bson, Document, doc, oid},
};
use time::OffsetDateTime;

use crate::servers::Server;

/// Users without columns of their own.
#[derive(Clone, Debug, axum_users_macros::UserProfile)]
#[profile(crate = axum_users_core, id = ObjectId)]
pub(crate) struct Plain {}

const ARTHUR: &str = "King.Arthur@camelot.bt";

pub(crate) struct World {
    pub(crate) store: MongoStore<Plain>,
    pub(crate) database: Database,
    pub(crate) users: Collection<Document>,
}

impl World {
    pub(crate) async fn new(server: Server) -> Self {
        let url = server.empty();
        let database = Client::with_uri_str(&url).await.unwrap().default_database().unwrap();
        let store = MongoStore::connect(&url).await.unwrap();
        Self { store, users: database.collection("User"), database }
    }

    /// A user as FastAPI Users writes it.
    async fn theirs(&self, email: &str, accounts: Vec<Document>) -> ObjectId {
        let id = oid::ObjectId::new();
        let user = doc! {
            "_id": id, "email": email, "hashed_password": "$argon2id$theirs", "is_active": true,
            "is_superuser": false, "is_verified": false, "oauth_accounts": accounts,
        };
        self.users.insert_one(user).await.unwrap();
        ObjectId::from_bytes(id.bytes())
    }

    /// What FastAPI Users does with every change: it sets each field of its model to what it has read.
    async fn save(&self, id: ObjectId, change: Document) {
        let filter = doc! { "_id": oid::ObjectId::from_bytes(id.bytes()) };
        let user = self.users.find_one(filter.clone()).await.unwrap().unwrap();
        let mut set = Document::new();
        for field in ["_id", "email", "hashed_password", "is_active", "is_superuser", "is_verified", "oauth_accounts"] {
            set.insert(field, user.get(field).cloned());
        }
        let known = ["id", "oauth_name", "access_token", "account_id", "account_email", "expires_at", "refresh_token"];
        let accounts = user.get_array("oauth_accounts").unwrap().iter().map(|account| {
            let account = account.as_document().unwrap();
            Bson::Document(known.iter().map(|name| ((*name).to_owned(), account.get(name).cloned().unwrap())).collect())
        });
        set.insert("oauth_accounts", accounts.collect::<Vec<_>>());
        set.extend(change);
        self.users.update_one(filter, doc! { "$set": set }).await.unwrap();
    }

    async fn document(&self, id: ObjectId) -> Document {
        self.users.find_one(doc! { "_id": oid::ObjectId::from_bytes(id.bytes()) }).await.unwrap().unwrap()
    }

    async fn by_email(&self, email: &str) -> Option<ObjectId> {
        self.store.get_by_email(&EmailKey::of_typed(email)).await.unwrap().map(|user| user.id)
    }
}

pub(crate) fn new(email: &str) -> NewUser<Plain> {
    NewUser {
        id: ObjectId::generate(),
        email: Email::parse(email).unwrap(),
        hashed_password: PasswordHash::from_stored("$argon2id$ours".to_owned()),
        is_active: true,
        is_superuser: false,
        is_verified: false,
        tokens_valid_after: None,
        profile: Plain {},
        consumes: None,
    }
}

pub(crate) fn account(name: &str, id: &str) -> NewOAuthAccount {
    NewOAuthAccount {
        identity: OAuthIdentity::new(name, id).unwrap(),
        account_email: "a@ext.example".into(),
        expires_at: Some(1_800_000_000),
        access_token: format!("sealed access {id}"),
        refresh_token: Some(format!("sealed refresh {id}")),
    }
}

fn their_account(name: &str, id: &str) -> Document {
    doc! {
        "id": oid::ObjectId::new(), "oauth_name": name, "access_token": "theirs", "account_id": id,
        "account_email": "a@ext.example", "expires_at": Bson::Null, "refresh_token": "their refresh",
    }
}

fn done<T: std::fmt::Debug>(outcome: Result<Outcome<T>, DatabaseError>) -> T {
    match outcome.unwrap() {
        Outcome::Done(done) => Some(done),
        Outcome::Refused(_) | Outcome::Missing => None,
    }
    .unwrap()
}

fn email(email: &str) -> UserChange<Plain> {
    UserChange { email: Some(Email::parse(email).unwrap()), ..UserChange::default() }
}

/// The names of the fields in their order, and what each holds.
fn shape(document: &Document) -> Vec<(&str, mongodb::bson::spec::ElementType)> {
    document.iter().map(|(name, value)| (name.as_str(), value.element_type())).collect()
}

async fn documents_are_theirs(server: Server) {
    use mongodb::bson::spec::ElementType as Is;
    let world = World::new(server).await;
    let user = world.store.create_with_oauth_account(new(ARTHUR), account("google", "1")).await.unwrap();
    let document = world.document(user.id).await;
    let fields = [
        ("_id", Is::ObjectId),
        ("email", Is::String),
        ("hashed_password", Is::String),
        ("is_active", Is::Boolean),
        ("is_superuser", Is::Boolean),
        ("is_verified", Is::Boolean),
        ("oauth_accounts", Is::Array),
    ];
    assert_eq!(shape(&document)[..7], fields);
    let element = document.get_array("oauth_accounts").unwrap()[0].as_document().unwrap();
    let account = [
        ("id", Is::ObjectId),
        ("oauth_name", Is::String),
        ("access_token", Is::String),
        ("account_id", Is::String),
        ("account_email", Is::String),
        ("expires_at", Is::Int32),
        ("refresh_token", Is::Null),
    ];
    assert_eq!(shape(element), account);
    let session = NewSession::of(SessionId::generate(), "db", 1_800_000_000, 1_800_003_600, None);
    let token = NewToken {
        token: "tb3RjSpU94_kkGpT32LCpLsAjW75-QJ6cHcyaZlQJpE".into(),
        user_id: user.id,
        created_at: OffsetDateTime::from_unix_timestamp_nanos(1_800_000_000_123_456_789).unwrap(),
        session,
        continues: false,
    };
    assert!(axum_users_core::AccessTokenDatabase::create(&world.store, token).await.unwrap());
    let tokens = world.database.collection::<Document>("AccessToken");
    let token = tokens.find_one(doc! {}).await.unwrap().unwrap();
    let fields =
        [("_id", Is::ObjectId), ("token", Is::String), ("user_id", Is::ObjectId), ("created_at", Is::DateTime)];
    assert_eq!(shape(&token)[..4], fields);
    assert_eq!(token.get_datetime("created_at").unwrap().timestamp_millis(), 1_800_000_000_123);
}

/// What the other system stored is found, changed beside its unknown fields, and its tokens count.
async fn their_users_are_ours(server: Server) {
    let world = World::new(server).await;
    let id = world.theirs(ARTHUR, vec![their_account("google", "1"), their_account("github", "1")]).await;
    world.save(id, doc! { "nickname": "Wart" }).await;
    if server == Server::Mongo {
        for spelling in [ARTHUR, "king.arthur@camelot.bt", "KING.ARTHUR@CAMELOT.BT"] {
            assert_eq!(world.by_email(spelling).await, Some(id), "{spelling}");
        }
        let twin = world.store.create(new("king.ARTHUR@camelot.bt")).await;
        assert!(matches!(twin, Err(DatabaseError::Conflict(Conflict::Email))), "{twin:?}");
    }
    let google = OAuthIdentity::new("google", "1").unwrap();
    let (user, found) = world.store.get_by_oauth_account(&google).await.unwrap().unwrap();
    assert_eq!((user.id, found.oauth_name.as_str()), (id, "google"));
    assert!(matches!(&found.access_token, ProviderToken::Plain(token) if token.expose() == "theirs"));
    done(
        world
            .store
            .put_oauth_account(&id, account("google", "1"), vec![Condition::TokensValidAfterIs(None)], Vec::new())
            .await,
    );
    done(world.store.update(&id, email("arthur@camelot.bt")).await);
    let document = world.document(id).await;
    assert_eq!(document.get_str("nickname").unwrap(), "Wart");
    assert_eq!(document.get_array("oauth_accounts").unwrap().len(), 2);
    assert_eq!(world.by_email("ARTHUR@camelot.bt").await, Some(id));

    let tokens = world.database.collection::<Document>("AccessToken");
    let (token, now) = ("tb3RjSpU94_kkGpT32LCpLsAjW75-QJ6cHcyaZlQJpE", mongodb::bson::DateTime::now());
    let theirs = doc! { "token": token, "user_id": oid::ObjectId::from_bytes(id.bytes()), "created_at": now };
    tokens.insert_one(theirs).await.unwrap();
    let session = SessionId::of(&TokenHash::of(token));
    let stored = axum_users_core::AccessTokenDatabase::get(&world.store, token, &session).await.unwrap().unwrap();
    assert_eq!((stored.user.id, stored.session, stored.state), (id, None, None));
    let ended = NewSession::of(session.clone(), "db", 0, i64::MAX, None);
    world.store.end_session(&id, ended).await.unwrap();
    assert!(axum_users_core::AccessTokenDatabase::get(&world.store, token, &session).await.unwrap().is_none());
    assert_eq!(tokens.count_documents(doc! {}).await.unwrap(), 0, "ending a session removes their token");
}

/// A write of the other system leaves what is ours, and what it changes counts.
async fn their_writes_leave_ours(server: Server) {
    let world = World::new(server).await;
    let user = world.store.create_with_oauth_account(new(ARTHUR), account("google", "1")).await.unwrap();
    world.save(user.id, doc! { "hashed_password": "$argon2id$changed" }).await;
    let [found] = <[_; 1]>::try_from(world.store.oauth_accounts(&user.id).await.unwrap()).unwrap();
    assert!(matches!(&found.access_token, ProviderToken::Sealed(token) if token == "sealed access 1"));
    assert!(matches!(&found.refresh_token, Some(ProviderToken::Sealed(token)) if token == "sealed refresh 1"));
    assert!(matches!(found.id, AccountId::ObjectId(_)));
    let change = UserChange {
        is_verified: Some(true),
        only_if: vec![Condition::HashIs(PasswordHash::from_stored("$argon2id$ours".into()))],
        ..UserChange::default()
    };
    let refused = world.store.update(&user.id, change).await;
    assert!(matches!(refused, Ok(Outcome::Refused(Condition::HashIs(_)))), "{refused:?}");

    // It logs in by the same account, and writes the tokens in clear.
    let mut element =
        world.document(user.id).await.get_array("oauth_accounts").unwrap()[0].as_document().unwrap().clone();
    element.insert("access_token", "newer");
    world.save(user.id, doc! { "oauth_accounts": [element] }).await;
    let [found] = <[_; 1]>::try_from(world.store.oauth_accounts(&user.id).await.unwrap()).unwrap();
    assert!(matches!(&found.access_token, ProviderToken::Plain(token) if token.expose() == "newer"));

    // It changes the address, and does not know our key.
    world.save(user.id, doc! { "email": "wart@camelot.bt" }).await;
    assert_eq!(world.by_email(ARTHUR).await, None);
    assert_eq!(world.by_email("wart@camelot.bt").await, Some(user.id));
    let other = world.store.create(new(ARTHUR)).await.unwrap();
    assert_eq!(world.by_email(ARTHUR).await, Some(other.id));
    assert_eq!(world.by_email("wart@camelot.bt").await, Some(user.id));
    let taken = world.store.update(&other.id, email("WART@camelot.bt")).await;
    assert!(matches!(taken, Err(DatabaseError::Conflict(Conflict::Email))), "{taken:?}");

    // It takes the account away, and our key with it when somebody else comes.
    world.save(user.id, doc! { "oauth_accounts": [] }).await;
    let google = OAuthIdentity::new("google", "1").unwrap();
    assert!(world.store.get_by_oauth_account(&google).await.unwrap().is_none());
    done(world.store.put_oauth_account(&other.id, account("google", "1"), Vec::new(), Vec::new()).await);
    assert_eq!(world.store.get_by_oauth_account(&google).await.unwrap().unwrap().0.id, other.id);
}

/// Where two users of the other system have one account, nobody is taken for anybody.
async fn oa_06_what_they_linked_twice_is_nobodys(server: Server) {
    let world = World::new(server).await;
    for number in 0..2 {
        world.theirs(&format!("a{number}@camelot.bt"), vec![their_account("google", "1")]).await;
    }
    let google = OAuthIdentity::new("google", "1").unwrap();
    let found = world.store.get_by_oauth_account(&google).await;
    assert!(matches!(found, Err(DatabaseError::Conflict(Conflict::OAuthAccount))), "{found:?}");
    let made = world.store.create_with_oauth_account(new(ARTHUR), account("google", "1")).await;
    assert!(matches!(made, Err(DatabaseError::Conflict(Conflict::OAuthAccount))), "{made:?}");
    assert_eq!(world.by_email(ARTHUR).await, None);
}

/// Name and id are matched within one element: nobody enters by the name of one and the id of another.
async fn oa_08_elements_are_not_mixed(server: Server) {
    let world = World::new(server).await;
    let count = 50;
    for number in 0..count {
        let (mine, next) = (number.to_string(), (number + 1).to_string());
        let accounts = vec![their_account("google", &mine), their_account("github", &next)];
        if number % 2 == 0 {
            world.theirs(&format!("a{number}@camelot.bt"), accounts).await;
        } else {
            let new = new(&format!("a{number}@camelot.bt"));
            let user = world.store.create_with_oauth_account(new, account("google", &mine)).await.unwrap();
            done(world.store.put_oauth_account(&user.id, account("github", &next), Vec::new(), Vec::new()).await);
        }
    }
    for number in 0..count {
        for (name, id) in [("google", number), ("github", number + 1)] {
            let identity = OAuthIdentity::new(name, &id.to_string()).unwrap();
            let (user, found) = world.store.get_by_oauth_account(&identity).await.unwrap().unwrap();
            assert_eq!(user.email.as_str(), format!("a{number}@camelot.bt"), "{name} {id}");
            assert_eq!((found.oauth_name.as_str(), found.account_id), (name, id.to_string()));
        }
    }
    for (name, id) in [("google", count), ("github", 0), ("gitlab", 1)] {
        let identity = OAuthIdentity::new(name, &id.to_string()).unwrap();
        assert!(world.store.get_by_oauth_account(&identity).await.unwrap().is_none(), "{name} {id}");
    }
}

async fn rg_01_fifty_spellings_are_one_user(server: Server) {
    let world = World::new(server).await;
    let spelling = |number: u32| -> String {
        let flip = |(at, c): (usize, char)| if number >> (at % 6) & 1 == 1 { c.to_ascii_uppercase() } else { c };
        "king.arthur@camelot.bt".chars().enumerate().map(flip).collect()
    };
    let tries: Vec<_> = (0..50)
        .map(|number| {
            let (store, new) = (world.store.clone(), new(&spelling(number)));
            tokio::spawn(async move { store.create(new).await })
        })
        .collect();
    let mut made = 0;
    for one in tries {
        match one.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => assert!(matches!(error, DatabaseError::Conflict(Conflict::Email)), "{error:?}"),
        }
    }
    assert_eq!((made, world.users.count_documents(doc! {}).await.unwrap()), (1, 1));
}

/// A document that lacks a column has its default; one that lacks what is required is an error, and no panic.
async fn missing_columns(server: Server) {
    let url = server.empty();
    let store = MongoStore::<ObjectSample>::connect(&url).await.unwrap();
    let database = Client::with_uri_str(&url).await.unwrap().default_database().unwrap();
    let id = oid::ObjectId::new();
    let mut user = doc! { "_id": id, "email": ARTHUR, "hashed_password": "h", "is_active": true, "first_name": "A" };
    database.collection::<Document>("User").insert_one(&user).await.unwrap();
    let found = store.get(&ObjectId::from_bytes(id.bytes())).await.unwrap().unwrap();
    assert_eq!((found.profile.points(), found.profile.handle()), (0, None));
    assert!(found.is_active && !found.is_superuser && !found.is_verified);
    user.insert("_id", oid::ObjectId::new());
    user.insert("email", "b@camelot.bt");
    user.remove("first_name");
    database.collection::<Document>("User").insert_one(&user).await.unwrap();
    let broken = store.get(&ObjectId::from_bytes(user.get_object_id("_id").unwrap().bytes())).await;
    assert!(matches!(broken, Err(DatabaseError::Driver(_))), "{broken:?}");
}

macro_rules! on_both {
    ($($test:ident: $mongo:ident $ferret:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $mongo() {
            $test(Server::Mongo).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $ferret() {
            $test(Server::Ferret).await;
        }
    )*};
}
on_both! {
    documents_are_theirs: mongo_documents_are_theirs ferret_documents_are_theirs;
    their_users_are_ours: mongo_users_of_theirs ferret_users_of_theirs;
    their_writes_leave_ours: mongo_writes_of_theirs ferret_writes_of_theirs;
    oa_06_what_they_linked_twice_is_nobodys: oa_06_linked_twice_on_mongo oa_06_linked_twice_on_ferret;
    oa_08_elements_are_not_mixed: oa_08_elements_on_mongo oa_08_elements_on_ferret;
    rg_01_fifty_spellings_are_one_user: rg_01_spellings_on_mongo rg_01_spellings_on_ferret;
    missing_columns: mongo_missing_columns ferret_missing_columns;
}
