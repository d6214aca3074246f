//! The conformance suites.

use std::time::Duration;

use axum_users_core::{DatabaseStrategy, JwtStrategy, UserManager};
use axum_users_mongodb::{MongoId, MongoStore};
use axum_users_testing::{
    ObjectSample, Sample, SampleProfile, access_token_database, buckets, messages, oauth_accounts, races,
    session_database, strategy, user_database, user_database_that_refuses_look_alikes,
};

use crate::servers::Server;

async fn store<P: SampleProfile<Id: MongoId>>(server: Server) -> MongoStore<P> {
    MongoStore::connect(&server.empty()).await.unwrap()
}

/// JWT and database, the latter also as FastAPI Users can read it.
async fn strategies<P: SampleProfile<Id: MongoId>>(server: Server) {
    let hour = Duration::from_secs(3600);
    let manager = |store: &MongoStore<P>| UserManager::builder(store.clone()).build().unwrap();
    strategy(async || {
        let store = store::<P>(server).await;
        (manager(&store), store, JwtStrategy::new(b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u", hour).unwrap())
    })
    .await;
    for shared in [false, true] {
        strategy(async || {
            let store = store::<P>(server).await;
            let database = DatabaseStrategy::new(store.clone(), hour).shared_with_fastapi_users(shared);
            (manager(&store), store, database)
        })
        .await;
    }
}

macro_rules! suites {
    ($($server:ident $user_database:ident: $users:ident $tokens:ident $sessions:ident $strategies:ident $messages:ident $buckets:ident $accounts:ident $races:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $users() {
            $user_database::<Sample, _>(async || store(Server::$server).await).await;
            $user_database::<ObjectSample, _>(async || store(Server::$server).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $tokens() {
            access_token_database::<Sample, _>(async || store(Server::$server).await).await;
            access_token_database::<ObjectSample, _>(async || store(Server::$server).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $sessions() {
            session_database::<Sample, _>(async || store(Server::$server).await).await;
            session_database::<ObjectSample, _>(async || store(Server::$server).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $strategies() {
            strategies::<Sample>(Server::$server).await;
            strategies::<ObjectSample>(Server::$server).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $messages() {
            messages::<Sample, _>(async || store(Server::$server).await).await;
            messages::<ObjectSample, _>(async || store(Server::$server).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $buckets() {
            buckets::<Sample, _>(async || store(Server::$server).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $accounts() {
            oauth_accounts::<Sample, _>(async || store(Server::$server).await).await;
            oauth_accounts::<ObjectSample, _>(async || store(Server::$server).await).await;
        }
        #[tokio::test(flavor = "multi_thread")]
        async fn $races() {
            races::<Sample, _>(async || store(Server::$server).await, 4).await;
        }
    )*};
}
suites! {
    Mongo user_database_that_refuses_look_alikes: mongo_users mongo_tokens mongo_sessions mongo_strategies mongo_messages au_03_buckets_on_mongo oa_06_oauth_accounts_on_mongo rg_01_races_on_mongo;
    Ferret user_database: ferret_users ferret_tokens ferret_sessions ferret_strategies ferret_messages au_03_buckets_on_ferret oa_06_oauth_accounts_on_ferret rg_01_races_on_ferret;
}
