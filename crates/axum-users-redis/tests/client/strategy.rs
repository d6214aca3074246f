//! The strategy over every shape of Redis, and beside FastAPI Users.

use std::{collections::HashSet, time::Duration};

use axum_users_core::{
    Authenticated, SessionId, Strategy as _, TokenHash, TokenOwner, UserDatabase as _, UserManager, memory::MemoryStore,
};
use axum_users_redis::{RedisClient, RedisStrategy};
use axum_users_testing::{CountedSample, Sample, SampleProfile, strategy};

use crate::servers::{key, variable};

const HOUR: Duration = Duration::from_secs(3600);

fn client(name: &str) -> RedisClient {
    RedisClient::new(&variable(name)).unwrap()
}

async fn suite(client: RedisClient) {
    of::<Sample>(&client).await;
    of::<CountedSample>(&client).await;
}

async fn of<P: SampleProfile>(client: &RedisClient) {
    for shared in [false, true] {
        strategy(async || {
            let store = MemoryStore::<P>::new();
            let redis = RedisStrategy::new(client.clone(), HOUR).key_prefix(key());
            let manager = UserManager::builder(store.clone()).build().unwrap();
            (manager, store, redis.shared_with_fastapi_users(shared))
        })
        .await;
    }
}

#[tokio::test]
async fn the_strategy_on_redis() {
    suite(client("AXUM_USERS_TEST_REDIS_URL")).await;
}

#[tokio::test]
async fn the_strategy_on_redis_over_tls() {
    let ca = variable("AXUM_USERS_TEST_REDIS_CA");
    suite(RedisClient::builder(&variable("AXUM_USERS_TEST_REDIS_TLS_URL")).ca_file(ca).build().unwrap()).await;
}

#[tokio::test]
async fn the_strategy_on_a_cluster() {
    suite(client("AXUM_USERS_TEST_REDIS_CLUSTER_URL")).await;
}

#[tokio::test]
async fn the_strategy_with_sentinels() {
    suite(client("AXUM_USERS_TEST_REDIS_SENTINEL_URL")).await;
}

#[tokio::test]
async fn the_strategy_on_valkey() {
    suite(client("AXUM_USERS_TEST_VALKEY_URL")).await;
}

/// A user, and a manager over the store that holds them.
async fn one_user() -> (UserManager<Sample>, <Sample as axum_users_core::UserProfile>::Id) {
    let store = MemoryStore::<Sample>::new();
    let users = UserManager::builder(store.clone()).build().unwrap();
    let new = axum_users_core::NewUser {
        id: axum_users_core::UserId::generate(),
        email: axum_users_core::Email::parse("king.arthur@camelot.bt").unwrap(),
        hashed_password: axum_users_core::PasswordHash::from_stored("!".into()),
        is_active: true,
        is_superuser: false,
        is_verified: false,
        tokens_valid_after: None,
        profile: Sample::sample(1),
        consumes: None,
    };
    let id = store.create(new).await.unwrap().id;
    (users, id)
}

async fn proof(users: &UserManager<Sample>, id: &uuid::Uuid) -> Authenticated<Sample> {
    let read_at = users.clock().now();
    Authenticated::danger_without_password(users.get(id).await.unwrap().unwrap(), read_at)
}

#[tokio::test]
async fn se_02_what_redis_holds_is_no_token() {
    let client = client("AXUM_USERS_TEST_REDIS_URL");
    let (users, id) = one_user().await;
    let prefix = key();
    let redis = RedisStrategy::new(client.clone(), HOUR).key_prefix(&prefix);
    let issued = redis.write_token(&proof(&users, &id).await, &users).await.unwrap();
    let token = issued.token.expose();
    assert!(client.get_with_ttl(&format!("{prefix}{token}")).await.unwrap().is_none());
    let hash = TokenHash::of(token);
    let (value, left) = client.get_with_ttl(&format!("{prefix}{}", hash.as_str())).await.unwrap().unwrap();
    assert!(left.is_some_and(|left| left <= HOUR && left > HOUR - Duration::from_secs(60)), "{left:?}");
    let words: HashSet<&str> = value.split(' ').collect();
    assert!(words.contains(id.to_string().as_str()) && words.len() == 3, "{value}");
    for stored in words.into_iter().chain([hash.as_str(), &value]) {
        let read: Option<TokenOwner<Sample>> = redis.read_token(stored, &users).await.unwrap();
        assert!(read.is_none(), "{stored}");
    }
}

/// Keys and values of FastAPI Users, as it wrote them; and ours, as it reads them.
#[tokio::test]
async fn tokens_are_shared_with_fastapi_users_when_that_is_said() {
    let client = client("AXUM_USERS_TEST_REDIS_URL");
    let (users, id) = one_user().await;
    let prefix = key();
    let alone = RedisStrategy::new(client.clone(), HOUR).key_prefix(&prefix);
    let shared = alone.clone().shared_with_fastapi_users(true);
    let theirs = "PaW71hTdSxzroIoluu_AdW7f4S8lERA7dBr7TFtmPwQ";
    client.set(&format!("{prefix}{theirs}"), &id.to_string(), Some(HOUR - Duration::from_secs(100))).await.unwrap();
    let read: Option<TokenOwner<Sample>> = alone.read_token(theirs, &users).await.unwrap();
    assert!(read.is_none(), "not unless it is said");
    let owner: TokenOwner<Sample> = shared.read_token(theirs, &users).await.unwrap().unwrap();
    assert_eq!((&owner.user.id, &owner.session), (&id, &SessionId::of(&TokenHash::of(theirs))));
    let age = users.clock().unix() - owner.authenticated_at.unwrap();
    assert!((100..160).contains(&age), "its end tells when it began: {age} seconds ago");
    // Ours is a key with an id, as there; and one from before the sharing goes on.
    let before = alone.write_token(&proof(&users, &id).await, &users).await.unwrap();
    let issued = shared.write_token(&proof(&users, &id).await, &users).await.unwrap();
    let (value, left) = client.get_with_ttl(&format!("{prefix}{}", issued.token.expose())).await.unwrap().unwrap();
    assert_eq!(value, id.to_string());
    assert!(left.is_some());
    for token in [&before, &issued] {
        let read: Option<TokenOwner<Sample>> = shared.read_token(token.token.expose(), &users).await.unwrap();
        assert!(read.is_some());
    }
    assert!(!axum_users_core::Strategy::<Sample>::names_sessions(&shared));
    // A token without an end.
    let endless = "hTQ3wkboYOh3Wj3au8lmB5L-FPN3cgIC6xey9hMdp7g";
    client.set(&format!("{prefix}{endless}"), &id.to_string(), None).await.unwrap();
    let owner: TokenOwner<Sample> = shared.read_token(endless, &users).await.unwrap().unwrap();
    assert_eq!((owner.expires_at, owner.authenticated_at), (None, None));
    // Logout in either system ends it in both.
    users.end_session(&owner.user, owner.session("redis", None)).await.unwrap();
    shared.destroy_token(endless, &owner, &users).await.unwrap();
    assert!(client.get_with_ttl(&format!("{prefix}{endless}")).await.unwrap().is_none());
}

#[tokio::test]
async fn values_that_nobody_wrote_are_nobodys() {
    let client = client("AXUM_USERS_TEST_REDIS_URL");
    let (users, id) = one_user().await;
    let prefix = key();
    let redis = RedisStrategy::new(client.clone(), HOUR).key_prefix(&prefix);
    let token = "3PQX7jXRbXvVACKuPEWqvdSuhE6GAvDry-nmUT8UNu4";
    let key = format!("{prefix}{}", TokenHash::of(token).as_str());
    for value in [
        "",
        " ",
        "null",
        "1",
        &format!(" {id}"),
        &format!("{id} "),
        &format!("{id} x y"),
        &format!("{id} 1"),
        &format!("{id} 1 2 3"),
    ] {
        client.set(&key, value, Some(HOUR)).await.unwrap();
        let read: Option<TokenOwner<Sample>> = redis.read_token(token, &users).await.unwrap();
        assert!(read.is_none(), "{value:?}");
    }
}
