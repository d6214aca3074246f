//! The conformance suites.

use axum_users_sql::SqlStore;
use axum_users_testing::{CountedSample, Sample, SampleProfile, access_token_database, races, user_database};

use crate::databases::Engine;

async fn store<P: SampleProfile>(engine: Engine) -> SqlStore<P> {
    SqlStore::connect(&engine.empty().await).await.unwrap()
}

macro_rules! suites {
    ($($engine:ident: $users:ident $counted:ident $tokens:ident $races:ident;)*) => {$(
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
        async fn $races() {
            races::<Sample, _>(async || store(Engine::$engine).await, 4).await;
        }
    )*};
}
suites! {
    Sqlite: sqlite_users sqlite_counted_users sqlite_tokens rg_01_races_on_sqlite;
    Postgres: postgres_users postgres_counted_users postgres_tokens rg_01_races_on_postgres;
    MySql: mysql_users mysql_counted_users mysql_tokens rg_01_races_on_mysql;
}
