//! What holds for every shape of Redis.

use std::time::Duration;

use axum_users_core::DatabaseError;
use axum_users_redis::{RedisClient, RedisConfigError};

use crate::servers::{eventually, key, printed, variable};

#[tokio::test]
async fn redis() {
    keeps_expires_and_deletes(&RedisClient::new(&variable("AXUM_USERS_TEST_REDIS_URL")).unwrap()).await;
}

#[tokio::test]
async fn redis_over_tls() {
    let client = tls_client(&variable("AXUM_USERS_TEST_REDIS_TLS_URL"));
    assert!(client.is_encrypted());
    keeps_expires_and_deletes(&client).await;
}

#[tokio::test]
async fn redis_cluster() {
    keeps_expires_and_deletes(&RedisClient::new(&variable("AXUM_USERS_TEST_REDIS_CLUSTER_URL")).unwrap()).await;
}

#[tokio::test]
async fn redis_sentinel() {
    keeps_expires_and_deletes(&RedisClient::new(&variable("AXUM_USERS_TEST_REDIS_SENTINEL_URL")).unwrap()).await;
}

#[tokio::test]
async fn valkey() {
    keeps_expires_and_deletes(&RedisClient::new(&variable("AXUM_USERS_TEST_VALKEY_URL")).unwrap()).await;
}

/// Over many keys: on a cluster they lie on all nodes.
async fn keeps_expires_and_deletes(client: &RedisClient) {
    client.ping().await.unwrap();
    for number in 0..50 {
        let key = key();
        assert_eq!(client.get_with_ttl(&key).await.unwrap(), None);

        let value = format!("üser {number}\r\n$5");
        client.set(&key, &value, Some(Duration::from_millis(60_999))).await.unwrap();
        let (kept, left) = client.get_with_ttl(&key).await.unwrap().unwrap();
        assert_eq!(kept, value);
        let left = left.unwrap();
        assert!(left <= Duration::from_secs(60) && left > Duration::ZERO, "{left:?}");

        client.set(&key, "for ever", None).await.unwrap();
        assert_eq!(client.get_with_ttl(&key).await.unwrap(), Some(("for ever".into(), None)));

        client.delete(&key).await.unwrap();
        assert_eq!(client.get_with_ttl(&key).await.unwrap(), None);
        client.delete(&key).await.unwrap();
    }
    let key = key();
    client.set(&key, "short", Some(Duration::ZERO)).await.unwrap();
    eventually("the end of a key", async || client.get_with_ttl(&key).await.unwrap().is_none().then_some(())).await;
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    for name in ["AXUM_USERS_TEST_REDIS_URL", "AXUM_USERS_TEST_REDIS_CLUSTER_URL", "AXUM_USERS_TEST_REDIS_SENTINEL_URL"]
    {
        let client = RedisClient::new(&variable(name)).unwrap();
        let calls: Vec<_> = (0..200)
            .map(|number| {
                let (client, key) = (client.clone(), key());
                tokio::spawn(async move {
                    client.set(&key, &number.to_string(), Some(Duration::from_secs(60))).await.unwrap();
                    let (value, _) = client.get_with_ttl(&key).await.unwrap().unwrap();
                    assert_eq!(value, number.to_string());
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
    }
}

#[tokio::test]
async fn cr_05_a_wrong_password_is_refused_and_not_repeated() {
    let url = variable("AXUM_USERS_TEST_REDIS_TLS_URL");
    let (scheme, host) = (url.split("://").next().unwrap(), url.rsplit('@').next().unwrap());
    for login in [":canary", "someone:canary"] {
        let client = tls_client(&format!("{scheme}://{login}@{host}"));
        let error = client.ping().await.unwrap_err();
        assert!(matches!(error, DatabaseError::Driver(_)), "{error:?}");
        assert!(!printed(&error).contains("canary"), "{}", printed(&error));
        assert!(!format!("{client:?}").contains("canary"), "{client:?}");
    }
    let cluster = variable("AXUM_USERS_TEST_REDIS_CLUSTER_URL");
    let client = RedisClient::new(&format!("redis+cluster://:canary@{}", cluster.rsplit('@').next().unwrap())).unwrap();
    let error = client.ping().await.unwrap_err();
    assert!(!printed(&error).contains("canary"), "{}", printed(&error));

    let builder = RedisClient::builder("redis://:canary@localhost").sentinel_login(Some("me"), "canary");
    assert!(!format!("{builder:?}").contains("canary"), "{builder:?}");
}

#[tokio::test]
async fn cr_07_a_certificate_of_a_stranger_is_refused() {
    let url = variable("AXUM_USERS_TEST_REDIS_TLS_URL");
    let error = RedisClient::new(&url).unwrap().ping().await.unwrap_err();
    assert!(printed(&error).contains("UnknownIssuer"), "{}", printed(&error));
    tls_client(&url).ping().await.unwrap();
}

#[test]
fn a_file_of_authorities_has_to_be_one() {
    let not_pem = std::env::temp_dir().join(format!("axum-users-redis-{}.pem", std::process::id()));
    std::fs::write(&not_pem, "no certificate").unwrap();
    let built = |url: &str, file: &std::path::Path| RedisClient::builder(url).ca_file(file).build();
    assert!(matches!(built("rediss://localhost", &not_pem), Err(RedisConfigError::Ca { .. })));
    std::fs::remove_file(&not_pem).unwrap();
    assert!(matches!(built("rediss://localhost", &not_pem), Err(RedisConfigError::CaFile { .. })));
    assert!(matches!(built("redis://localhost", &not_pem), Err(RedisConfigError::CaWithoutTls)));
    let login = RedisClient::builder("redis://localhost").sentinel_login(None, "pw").build();
    assert!(matches!(login, Err(RedisConfigError::LoginWithoutSentinels)));
}

#[tokio::test]
async fn an_unknown_master_is_no_outage() {
    let url = variable("AXUM_USERS_TEST_REDIS_SENTINEL_URL");
    let (scheme, rest) = url.split_once("://").unwrap();
    let (sentinels, _) = rest.split_once('/').unwrap();
    let error = RedisClient::new(&format!("{scheme}://{sentinels}/nobody")).unwrap().ping().await.unwrap_err();
    assert!(matches!(error, DatabaseError::Driver(_)), "{error:?}");
}

fn tls_client(url: &str) -> RedisClient {
    RedisClient::builder(url).ca_file(variable("AXUM_USERS_TEST_REDIS_CA")).build().unwrap()
}
