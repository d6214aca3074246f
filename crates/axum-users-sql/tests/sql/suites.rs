//! The conformance suites.

use std::time::Duration;

use axum_users_core::{DatabaseStrategy, JwtStrategy, UserManager};
use axum_users_sql::{SqlId, SqlStore};
use axum_users_testing::{
    CountedSample, Sample, SampleProfile, access_token_database, buckets, messages, oauth_accounts, races,
    session_database, strategy, user_database,
};

use crate::databases::Engine;

async fn store<P: SampleProfile<Id: SqlId>>(engine: Engine) -> SqlStore<P> {
    SqlStore::connect(&engine.empty().await).await.unwrap()
}

/// JWT and database, the latter also as FastAPI Users can read it.
async fn strategies<P: SampleProfile<Id: SqlId>>(engine: Engine) {
    let hour = Duration::from_secs(3600);
    let manager = |store: &SqlStore<P>| UserManager::builder(store.clone()).build().unwrap();
    strategy(async || {
        let store = store::<P>(engine).await;
        (manager(&store), store, JwtStrategy::new(b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u", hour).unwrap())
    })
    .await;
    for shared in [false, true] {
        strategy(async || {
            let store = store::<P>(engine).await;
            let database = DatabaseStrategy::new(store.clone(), hour).shared_with_fastapi_users(shared);
            (manager(&store), store, database)
        })
        .await;
    }
}

macro_rules! suites {
    ($($engine:ident: $users:ident $counted:ident $tokens:ident $sessions:ident $strategies:ident $messages:ident $buckets:ident $accounts:ident $races:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $users() {
            user_database::<Sample, _>(async || store(Engine::$engine).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $counted() {
            user_database::<CountedSample, _>(async || store(Engine::$engine).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $tokens() {
            access_token_database::<Sample, _>(async || store(Engine::$engine).await).await;
            access_token_database::<CountedSample, _>(async || store(Engine::$engine).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $sessions() {
            session_database::<Sample, _>(async || store(Engine::$engine).await).await;
            session_database::<CountedSample, _>(async || store(Engine::$engine).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $strategies() {
            strategies::<Sample>(Engine::$engine).await;
            strategies::<CountedSample>(Engine::$engine).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $messages() {
            messages::<Sample, _>(async || store(Engine::$engine).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $buckets() {
            buckets::<Sample, _>(async || store(Engine::$engine).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $accounts() {
            oauth_accounts::<Sample, _>(async || store(Engine::$engine).await).await;
            oauth_accounts::<CountedSample, _>(async || store(Engine::$engine).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $races() {
            races::<Sample, _>(async || store(Engine::$engine).await, 4).await;
        }
    )*};
}
suites! {
    Sqlite: sqlite_users sqlite_counted_users sqlite_tokens sqlite_sessions sqlite_strategies sqlite_messages au_03_buckets_on_sqlite oa_06_oauth_accounts_on_sqlite rg_01_races_on_sqlite;
    Postgres: postgres_users postgres_counted_users postgres_tokens postgres_sessions postgres_strategies postgres_messages au_03_buckets_on_postgres oa_06_oauth_accounts_on_postgres rg_01_races_on_postgres;
    MySql: mysql_users mysql_counted_users mysql_tokens mysql_sessions mysql_strategies mysql_messages au_03_buckets_on_mysql oa_06_oauth_accounts_on_mysql rg_01_races_on_mysql;
}
