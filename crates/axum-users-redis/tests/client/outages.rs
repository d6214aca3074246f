//! A server that goes away, comes back, hangs, or is no longer the master.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum_users_core::DatabaseError;
use axum_users_redis::RedisClient;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::servers::{OwnServer, assert_unavailable, eventually, free_port, printed, until_it_answers, variable};

#[tokio::test]
async fn a_client_does_not_need_the_server_to_be_made() {
    let port = free_port();
    for url in [
        format!("redis://127.0.0.1:{port}"),
        format!("rediss://127.0.0.1:{port}"),
        format!("redis+cluster://127.0.0.1:{port},localhost:{port}"),
        format!("redis+sentinel://127.0.0.1:{port},localhost:{port}/m"),
        "unix:///nowhere/redis.sock".to_owned(),
    ] {
        let client = RedisClient::new(&url).unwrap();
        assert_unavailable(&client).await;
        assert_unavailable(&client).await;
    }
    let client = RedisClient::new(&format!("redis://127.0.0.1:{port}")).unwrap();
    assert_unavailable(&client).await;
    let _server = OwnServer::start_on(port, &[]);
    until_it_answers(&client).await;
}

#[tokio::test]
async fn av_04_a_killed_server_is_unavailable_and_comes_back_empty() {
    let mut server = OwnServer::start(&[]);
    let client = RedisClient::new(&server.url()).unwrap();
    until_it_answers(&client).await;
    client.set("any", "there", None).await.unwrap();

    server.kill();
    for _ in 0..5 {
        assert_unavailable(&client).await;
    }

    server.restart();
    until_it_answers(&client).await;
    assert_eq!(client.get_with_ttl("any").await.unwrap(), None);
}

#[tokio::test]
async fn a_restart_between_two_calls_is_not_noticed() {
    let mut server = OwnServer::start(&[]);
    let client = RedisClient::new(&server.url()).unwrap();
    until_it_answers(&client).await;

    server.restart();
    let second = RedisClient::new(&server.url()).unwrap();
    until_it_answers(&second).await;
    client.ping().await.unwrap();
}

#[tokio::test]
async fn av_04_a_server_that_hangs_is_unavailable_and_goes_on() {
    let server = OwnServer::start(&[]);
    let client = RedisClient::new(&server.url()).unwrap();
    until_it_answers(&client).await;
    client.set("any", "there", None).await.unwrap();

    server.signal(Signal::STOP);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { assert_unavailable(&client).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_unavailable(&client).await; // connects, and gets no further than that

    server.signal(Signal::CONT);
    until_it_answers(&client).await;
    assert_eq!(client.get_with_ttl("any").await.unwrap(), Some(("there".into(), None)));
}

#[tokio::test]
async fn a_full_server_is_unavailable() {
    let server = OwnServer::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let client = RedisClient::new(&server.url()).unwrap();
    until_it_answers(&client).await;
    let error = client.set("any", "value", None).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Unavailable(_)), "{error:?}");
    assert!(printed(&error).contains("OOM"), "{}", printed(&error));
    assert_eq!(client.get_with_ttl("any").await.unwrap(), None);
}

#[tokio::test]
async fn a_replica_is_unavailable_until_it_is_a_master() {
    let master = OwnServer::start(&[]);
    let replica = OwnServer::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let client = RedisClient::new(&replica.url()).unwrap();
    until_it_answers(&client).await;
    for _ in 0..3 {
        let error = client.set("any", "value", None).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Unavailable(_)), "{error:?}");
    }
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    eventually("a write", async || client.set("any", "value", None).await.ok()).await;
}

#[tokio::test]
async fn a_server_that_fails_every_call_is_not_asked_by_every_call() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let client = RedisClient::new(&format!("redis://{}", listener.local_addr().unwrap())).unwrap();
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    for _ in 0..200 {
        assert_unavailable(&client).await;
    }
    let attempts = attempts.load(Ordering::Relaxed);
    assert!((1..100).contains(&attempts), "{attempts} attempts in 200 calls");
}

#[tokio::test]
async fn a_connection_that_says_nothing_any_more_is_replaced() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut patience = 1; // the first connection is set up, and that is all
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(agree(connection, patience));
            patience = usize::MAX;
        }
    });
    let client = RedisClient::builder(&url).timeout(Duration::from_millis(500)).build().unwrap();
    assert_unavailable(&client).await;
    until_it_answers(&client).await;
}

/// A server that says OK to every command of what it reads, so many times.
async fn agree(mut connection: tokio::net::TcpStream, times: usize) {
    let mut buffer = [0; 1024];
    let mut reads = 0;
    while let Ok(length @ 1..) = connection.read(&mut buffer).await {
        reads += 1;
        if reads <= times {
            let commands = buffer[..length].iter().filter(|&&byte| byte == b'*').count();
            connection.write_all("+OK\r\n".repeat(commands).as_bytes()).await.unwrap();
        }
    }
}

#[test]
fn a_client_outlives_the_runtime_it_connected_in() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for name in ["AXUM_USERS_TEST_REDIS_URL", "AXUM_USERS_TEST_REDIS_CLUSTER_URL", "AXUM_USERS_TEST_REDIS_SENTINEL_URL"]
    {
        let client = RedisClient::new(&variable(name)).unwrap();
        runtime().block_on(client.ping()).unwrap();
        runtime().block_on(until_it_answers(&client));
    }
}

#[tokio::test]
async fn a_value_of_another_kind_is_a_drivers_error() {
    let server = OwnServer::start(&[]);
    let client = RedisClient::new(&server.url()).unwrap();
    until_it_answers(&client).await;
    server.command(&["RPUSH", "list", "canary"]);
    server.command(&["SETBIT", "bytes", "0", "1"]); // 0x80 is not UTF-8
    for key in ["list", "bytes"] {
        let error = client.get_with_ttl(key).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Driver(_)), "{key}: {error:?}");
        assert!(!printed(&error).contains("canary"), "{}", printed(&error));
    }
    client.ping().await.unwrap();
}

#[tokio::test]
async fn a_socket_is_enough() {
    let server = OwnServer::start(&["--unixsocket", "redis.sock"]);
    let client = RedisClient::new(&format!("unix://{}?db=3", server.path("redis.sock").display())).unwrap();
    until_it_answers(&client).await;
    client.set("any", "there", None).await.unwrap();
    assert_eq!(server.command(&["-n", "3", "GET", "any"]), "there");
    assert_eq!(client.hosts().count(), 0);
}

#[tokio::test]
async fn av_04_a_cluster_that_goes_away_is_unavailable_and_comes_back() {
    let bus = free_port().to_string();
    let mut node = OwnServer::start(&["--cluster-enabled", "yes", "--cluster-port", &bus]);
    eventually("the only node", async || {
        (node.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]) == "OK").then_some(())
    })
    .await;
    let client = RedisClient::new(&format!("redis+cluster://127.0.0.1:{}", node.port)).unwrap();
    eventually("a write", async || client.set("any", "there", None).await.ok()).await;

    node.kill();
    for _ in 0..8 {
        assert_unavailable(&client).await;
    }
    node.restart();
    eventually("an answer", async || client.get_with_ttl("any").await.ok().filter(Option::is_none)).await;
    eventually("a write", async || client.set("any", "there again", None).await.ok()).await;
}

#[tokio::test]
async fn av_04_a_clusters_failover_is_followed() {
    let mut nodes: Vec<OwnServer> = (0..6)
        .map(|_| {
            let bus = free_port().to_string();
            OwnServer::start(&["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1000"])
        })
        .collect();
    let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let mut create: Vec<&str> = vec!["--cluster", "create"];
    create.extend(addresses.iter().map(String::as_str));
    create.extend(["--cluster-replicas", "1", "--cluster-yes"]);
    eventually("the cluster", async || nodes[0].command(&create).contains("All 16384 slots covered").then_some(()))
        .await;
    for node in &nodes {
        let has_joined = async || node.command(&["INFO", "replication"]).contains("state=online").then_some(());
        let follows = async || node.command(&["INFO", "replication"]).contains("link_status:up").then_some(());
        eventually("a pair", async || has_joined().await.or(follows().await)).await;
    }

    let client = RedisClient::new(&format!("redis+cluster://{}", addresses[..3].join(","))).unwrap();
    let keys: Vec<String> = (0..20).map(|number| format!("key {number}")).collect();
    for key in &keys {
        eventually("a write", async || client.set(key, "before", None).await.ok()).await;
    }
    let primary = nodes.iter_mut().find(|node| node.command(&["ROLE"]).starts_with("master")).unwrap();
    primary.kill();
    for key in &keys {
        eventually("a write after the failover", async || client.set(key, "after", None).await.ok()).await;
        assert_eq!(client.get_with_ttl(key).await.unwrap(), Some(("after".into(), None)));
    }
}

#[tokio::test]
async fn av_04_a_failover_is_followed() {
    let mut master = OwnServer::start(&[]);
    let replica = replica_of(&master).await;
    let sentinel = OwnServer::start_sentinel(&master, "");
    let client = RedisClient::new(&format!("redis+sentinel://127.0.0.1:{}/m", sentinel.port)).unwrap();
    eventually("a write", async || client.set("any", "on the master", None).await.ok()).await;
    eventually("the replica", async || (replica.command(&["GET", "any"]) == "on the master").then_some(())).await;
    it_knows_a_replica(&sentinel).await;

    master.kill();
    assert_unavailable(&client).await;
    eventually("the new master", async || client.set("other", "written", None).await.ok()).await;
    assert_eq!(client.get_with_ttl("any").await.unwrap().unwrap().0, "on the master");
    assert_eq!(replica.command(&["GET", "other"]), "written");
}

#[tokio::test]
async fn a_master_that_was_deposed_while_it_lived_is_left() {
    let master = OwnServer::start(&[]);
    let replica = replica_of(&master).await;
    let sentinel = OwnServer::start_sentinel(&master, "");
    let client = RedisClient::new(&format!("redis+sentinel://127.0.0.1:{}/m", sentinel.port)).unwrap();
    eventually("a write", async || client.set("any", "old", None).await.ok()).await;
    it_knows_a_replica(&sentinel).await;

    let new = replica.port.to_string();
    eventually("the failover", async || {
        sentinel.command(&["SENTINEL", "FAILOVER", "m"]);
        sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m"]).ends_with(&new).then_some(())
    })
    .await;
    master.command(&["REPLICAOF", "127.0.0.1", &new]); // a sentinel would do it in ten seconds
    eventually("the new master", async || client.set("any", "written", None).await.ok()).await;
    assert_eq!(replica.command(&["GET", "any"]), "written");
}

#[tokio::test]
async fn a_replica_that_sentinels_call_the_master_is_refused() {
    let master = OwnServer::start(&[]);
    let replica = replica_of(&master).await;
    let sentinel = OwnServer::start_sentinel(&replica, "");
    let client = RedisClient::new(&format!("redis+sentinel://127.0.0.1:{}/m", sentinel.port)).unwrap();
    let refusal = async || Some(printed(&client.ping().await.err()?)).filter(|text| text.contains("no master"));
    eventually("the refusal", refusal).await;
}

#[tokio::test]
async fn sentinels_may_ask_for_a_login_of_their_own() {
    let master = OwnServer::start(&[]);
    let sentinel = OwnServer::start_sentinel(&master, "requirepass canary\n");
    let url = format!("redis+sentinel://127.0.0.1:{}/m", sentinel.port);
    let client = RedisClient::builder(&url).sentinel_login(None, "canary").build().unwrap();
    until_it_answers(&client).await;
    let error = RedisClient::new(&url).unwrap().ping().await.unwrap_err();
    assert!(matches!(error, DatabaseError::Driver(_)), "{error:?}");
    assert!(printed(&error).contains("NOAUTH"), "{}", printed(&error));
}

async fn replica_of(master: &OwnServer) -> OwnServer {
    let replica = OwnServer::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let in_sync = async || replica.command(&["INFO", "replication"]).contains("link_status:up").then_some(());
    eventually("the replica", in_sync).await;
    replica
}

async fn it_knows_a_replica(sentinel: &OwnServer) {
    let knows = async || sentinel.command(&["INFO", "sentinel"]).contains("slaves=1").then_some(());
    eventually("the sentinel", knows).await;
}
