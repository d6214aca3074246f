//! What is certain though nothing spans two documents: what a process that died has left is done by another, once.

use std::time::Duration;

use axum_users_core::{
    Condition, Conflict, DatabaseError, Message, Outcome, Task, UserChange, UserDatabase,
    outbox::{LEASE, Settled},
};
use mongodb::bson::{Document, doc, oid};

use crate::{
    documents::{Plain, World, new},
    servers::Server,
};

const NOW: i64 = 4_000_000_000;

fn message(email: &str) -> Message {
    Message::new(Task::ForgotPassword { email: email.into() }, None)
}

fn telling(message: &Message) -> UserChange<Plain> {
    UserChange { is_verified: Some(true), messages: vec![(message.clone(), NOW)], ..UserChange::default() }
}

async fn keys(world: &World) -> Vec<String> {
    let mut keys: Vec<_> =
        world.store.list_messages(None, 100).await.unwrap().into_iter().map(|message| message.key).collect();
    keys.sort();
    keys
}

/// The changes that stand in a user, to be put back as if they had never been moved.
async fn pending_of(world: &World, change: UserChange<Plain>, id: &axum_users_core::ObjectId) -> Document {
    // Another process writes the same change and dies before it moves anything: what it leaves is what was in the document.
    let user = doc! { "_id": oid::ObjectId::from_bytes(id.bytes()) };
    let message = &change.messages[0].0;
    let number = world.users.find_one(user.clone()).await.unwrap().unwrap();
    let number = number.get_document("axum_users").unwrap().get_i64("changes").unwrap_or(0) + 1;
    let put = doc! { "key": &message.key, "body": message.to_text(), "due_at": NOW };
    let entry = doc! { "number": number, "at": 0_i64, "drops": &change.drops, "puts": [put] };
    let update = doc! {
        "$push": { "axum_users.pending": entry.clone() },
        "$set": { "axum_users.changes": number, "axum_users.revision": "a process that died" },
    };
    world.users.update_one(user, update).await.unwrap();
    entry
}

/// A change was written, and its process died before its message was moved: the worker moves it, and late moves do nothing.
async fn av_07_what_was_left_is_moved_once(server: Server) {
    let world = World::new(server).await;
    let user = world.store.create(new("a@camelot.bt")).await.unwrap();
    let (old, told) = (message("old@camelot.bt"), message("a@camelot.bt"));
    world.store.enqueue(old.clone(), NOW).await.unwrap();
    let change = UserChange { drops: vec![old.key.clone()], ..telling(&told) };
    let entry = pending_of(&world, change, &user.id).await;
    // Not yet moved, and yet dead.
    let consuming = UserChange { consumes: Some(old.clone()), ..UserChange::default() };
    let refused = world.store.update(&user.id, consuming).await;
    assert!(matches!(refused, Err(DatabaseError::Conflict(Conflict::Message))), "{refused:?}");
    let claimed = world.store.claim(NOW, 10).await.unwrap();
    assert_eq!(claimed.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), [told.key.as_str()]);
    assert_eq!(keys(&world).await, [told.key.as_str()]);
    world.store.settle(&claimed[0], Settled::Done).await.unwrap();
    assert_eq!(keys(&world).await, [""; 0]);
    // Whoever was held up moves it again.
    let user = doc! { "_id": oid::ObjectId::from_bytes(user.id.bytes()) };
    let again = doc! { "$push": { "axum_users.pending": entry } };
    world.users.update_one(user.clone(), again).await.unwrap();
    assert!(world.store.claim(NOW + 2 * LEASE, 10).await.unwrap().is_empty(), "it was handed over");
    let left = world.users.find_one(user).await.unwrap().unwrap();
    assert!(left.get_document("axum_users").unwrap().get_array("pending").unwrap().is_empty());
}

/// A newer change replaced the message: the older one, moved late, does not bring its own back.
async fn an_older_change_does_not_win(server: Server) {
    let world = World::new(server).await;
    let user = world.store.create(new("a@camelot.bt")).await.unwrap();
    let old = message("old@camelot.bt");
    let newer = Message::from_text(&old.key, &message("new@camelot.bt").to_text()).unwrap();
    let entry = pending_of(&world, telling(&old), &user.id).await;
    let change = UserChange { drops: vec![old.key.clone()], ..telling(&newer) };
    assert!(matches!(world.store.update(&user.id, change).await, Ok(Outcome::Done(_))));
    let again = doc! { "$push": { "axum_users.pending": entry } };
    world.users.update_one(doc! {}, again).await.unwrap();
    world.store.claim(NOW - 1, 10).await.unwrap();
    assert_eq!(world.store.message(&old.key).await.unwrap(), Some(newer));
    let drop = UserChange { drops: vec![old.key.clone()], ..UserChange::default() };
    assert!(matches!(world.store.update(&user.id, drop).await, Ok(Outcome::Done(_))));
    assert_eq!(keys(&world).await, [""; 0]);
}

/// A note of a process that died does not keep the others for ever, and its late write misses.
async fn az_04_a_note_that_was_left_goes(server: Server) {
    let world = World::new(server).await;
    let superuser = |email: &str| axum_users_core::NewUser { is_superuser: true, ..new(email) };
    let a = world.store.create(superuser("a@camelot.bt")).await.unwrap();
    let b = world.store.create(superuser("b@camelot.bt")).await.unwrap();
    let revision = async || {
        let filter = doc! { "_id": oid::ObjectId::from_bytes(a.id.bytes()) };
        let user = world.users.find_one(filter).await.unwrap().unwrap();
        user.get_document("axum_users").unwrap().get_str("revision").unwrap().to_owned()
    };
    let before = revision().await;
    let notes = world.database.collection::<Document>("axum_users_User_meta");
    let note = |at: i64| doc! { "key": "k", "user": oid::ObjectId::from_bytes(a.id.bytes()), "at": at };
    let now = axum_users_core::Clock::default().unix();
    let left = doc! { "_id": "superusers", "revision": "r", "leaving": [note(now)] };
    notes.insert_one(left).await.unwrap();
    let only_if = || vec![Condition::AnotherSuperuserRemains];
    let refused = world.store.delete(&b.id, only_if()).await;
    assert!(matches!(refused, Ok(Outcome::Refused(_))), "a is about to leave: {refused:?}");
    let old = doc! { "$set": { "leaving": [note(now - 3600)] } };
    notes.update_one(doc! {}, old).await.unwrap();
    assert!(matches!(world.store.delete(&b.id, only_if()).await, Ok(Outcome::Done(()))));
    assert_ne!(revision().await, before, "the write of the process that died misses");
    assert!(matches!(world.store.delete(&a.id, only_if()).await, Ok(Outcome::Refused(_))));
}

/// Twenty superusers leave at once, in pairs that count on each other: one stays.
async fn az_04_one_of_twenty_superusers_stays(server: Server) {
    let world = World::new(server).await;
    let mut ids = Vec::new();
    for number in 0..20 {
        let new = axum_users_core::NewUser { is_superuser: true, ..new(&format!("a{number}@camelot.bt")) };
        ids.push(world.store.create(new).await.unwrap().id);
    }
    let tries: Vec<_> = ids
        .into_iter()
        .enumerate()
        .map(|(number, id)| {
            let store = world.store.clone();
            let only_if = vec![Condition::AnotherSuperuserRemains];
            tokio::spawn(async move {
                if number % 2 == 0 {
                    return store.delete(&id, only_if).await.map(drop);
                }
                let change = UserChange { is_superuser: Some(false), only_if, ..UserChange::default() };
                store.update(&id, change).await.map(drop)
            })
        })
        .collect();
    for one in tries {
        one.await.unwrap().unwrap();
    }
    assert_eq!(world.users.count_documents(doc! { "is_superuser": true, "is_active": true }).await.unwrap(), 1);
}

/// Every look-up is served by an index.
async fn look_ups_have_an_index(server: Server) {
    let world = World::new(server).await;
    for number in 0..40 {
        world.store.create(new(&format!("a{number}@camelot.bt"))).await.unwrap();
    }
    let lookups = [
        ("User", doc! { "axum_users.email_key": "a1@camelot.bt" }, "axum_users_email_key"),
        ("User", doc! { "axum_users.accounts.key": "k" }, "axum_users_account_key"),
        ("User", doc! { "oauth_accounts.account_id": "1" }, "axum_users_account_id"),
        ("User", doc! { "axum_users_sessions.valid_until": { "$lt": 7 } }, "axum_users_session_valid_until"),
        ("User", doc! { "axum_users.pending.at": { "$lt": 7 } }, "axum_users_pending"),
        ("User", doc! { "is_superuser": true, "is_active": true }, "axum_users_superuser"),
        ("AccessToken", doc! { "token": "t" }, "token_1"),
        ("AccessToken", doc! { "user_id": oid::ObjectId::new() }, "axum_users_user_id"),
        ("AccessToken", doc! { "created_at": { "$lt": mongodb::bson::DateTime::now() } }, "axum_users_created_at"),
        ("axum_users_User_refresh", doc! { "user_id": oid::ObjectId::new() }, "axum_users_user_id"),
        ("axum_users_User_refresh", doc! { "valid_until": { "$lt": 7 } }, "axum_users_valid_until"),
        ("axum_users_User_outbox", doc! { "due_at": { "$lte": 7 } }, "axum_users_due_at"),
        ("axum_users_User_bucket", doc! { "full_at": { "$lt": 7 } }, "axum_users_full_at"),
    ];
    let explained = async |collection: &str, find: Document| {
        let mut command = doc! { "find": collection };
        command.extend(find);
        let explain = doc! { "explain": command, "verbosity": "queryPlanner" };
        world.database.run_command(explain).await.unwrap().to_string()
    };
    for (collection, filter, index) in lookups {
        let plan = explained(collection, doc! { "filter": filter.clone() }).await;
        assert!(plan.contains(index) && !plan.contains("COLLSCAN"), "{collection} {filter}: {plan}");
    }
    let mut by_address = doc! { "filter": { "email": { "$in": ["a@camelot.bt", "b@camelot.bt"] } } };
    let mut index = "axum_users_email";
    if server == Server::Mongo {
        by_address.insert("collation", doc! { "locale": "en", "strength": 2 });
        index = "case_insensitive_email_index";
    }
    let plan = explained("User", by_address).await;
    assert!(plan.contains(index) && !plan.contains("COLLSCAN"), "{plan}");
}

/// Indexes are made by several nodes at once, found again, and said where they are missing and may not be made.
async fn indexes_are_made_once(server: Server) {
    use axum_users_mongodb::{MongoStore, SetupError};
    let url = server.empty();
    let nodes: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { MongoStore::<Plain>::connect(&url).await.map(drop) })
        })
        .collect();
    for node in nodes {
        node.await.unwrap().unwrap();
    }
    assert_eq!(MongoStore::<Plain>::builder(&url).plan().await.unwrap(), [""; 0]);
    MongoStore::<Plain>::builder(&url).migrate(false).connect().await.unwrap();
    let empty = server.empty();
    let missing = MongoStore::<Plain>::builder(&empty).plan().await.unwrap();
    assert!(missing.contains(&"User.axum_users_email_key".to_owned()), "{missing:?}");
    let refused = MongoStore::<Plain>::builder(&empty).migrate(false).connect().await;
    assert!(matches!(refused, Err(SetupError::Outdated(names)) if names == missing));
}

/// What another release wrote in its own way is done with all the same, and what took its place in between is not.
async fn av_07_a_message_in_other_words_is_settled(server: Server) {
    let world = World::new(server).await;
    let outbox = world.database.collection::<Document>("axum_users_User_outbox");
    let (old, newer) = (message("old@camelot.bt"), message("newer@camelot.bt"));
    world.store.enqueue(old.clone(), NOW).await.unwrap();
    let words = async |message: &Message| {
        let body = doc! { "$set": { "body": format!(" {}", message.to_text()) } };
        outbox.update_one(doc! { "_id": &old.key }, body).await.unwrap();
    };
    words(&old).await;
    let [claimed] = <[_; 1]>::try_from(world.store.claim(NOW, 10).await.unwrap()).unwrap();
    words(&newer).await;
    world.store.settle(&claimed, Settled::Done).await.unwrap();
    assert_eq!(keys(&world).await, [old.key.as_str()], "it is another one by now");
    words(&old).await;
    world.store.settle(&claimed, Settled::Done).await.unwrap();
    assert_eq!(keys(&world).await, [""; 0]);
}

/// Whoever names the wrong kind of ids is told at the start, not by every request.
async fn other_ids_are_told(server: Server) {
    use axum_users_core::Kind;
    use axum_users_mongodb::{MongoStore, SetupError};
    let url = server.empty();
    MongoStore::<()>::connect(&url).await.unwrap();
    let users = MongoStore::<Plain>::connect(&url).await.unwrap();
    users.create(new("a@camelot.bt")).await.unwrap();
    MongoStore::<Plain>::builder(&url).plan().await.unwrap();
    let refused = MongoStore::<()>::connect(&url).await.map(drop);
    assert!(matches!(refused, Err(SetupError::Ids(Kind::Uuid))), "{refused:?}");
}

#[tokio::test]
async fn rg_06_a_server_that_is_away_is_said_in_time() {
    use axum_users_mongodb::MongoStore;
    let refused = MongoStore::<Plain>::builder("mongodb://127.0.0.1:1/app").time_limit(Duration::from_millis(300));
    assert!(refused.connect().await.is_err());
    for url in ["mongodb://127.0.0.1:1", "mongo://x", "mongodb://me:canary@"] {
        let error = MongoStore::<Plain>::connect(url).await.map(drop).unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
    }
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
    av_07_what_was_left_is_moved_once: av_07_left_over_on_mongo av_07_left_over_on_ferret;
    av_07_a_message_in_other_words_is_settled: av_07_other_words_on_mongo av_07_other_words_on_ferret;
    an_older_change_does_not_win: mongo_older_changes ferret_older_changes;
    az_04_a_note_that_was_left_goes: az_04_notes_on_mongo az_04_notes_on_ferret;
    az_04_one_of_twenty_superusers_stays: az_04_superusers_on_mongo az_04_superusers_on_ferret;
    look_ups_have_an_index: mongo_look_ups ferret_look_ups;
    indexes_are_made_once: mongo_indexes ferret_indexes;
    other_ids_are_told: mongo_other_ids ferret_other_ids;
}
