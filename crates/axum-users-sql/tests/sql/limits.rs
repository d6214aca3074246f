//! What a call may take, and what becomes of one that takes longer.

use std::time::Duration;

use axum_users_core::{DatabaseError, Email, NewUser, Outcome, PasswordHash, UserChange, UserDatabase as _, random};
use axum_users_sql::SqlStore;
use sqlx::{Connection as _, MySqlConnection, PgConnection};

use crate::databases::Engine;

#[tokio::test]
async fn av_03_postgres_gives_up_what_waits_for_a_lock() {
    let url = Engine::Postgres.empty().await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    waits_no_longer_than_it_may(&url, &mut other, "SELECT id FROM \"user\" FOR UPDATE", waiting).await;
}

#[tokio::test]
async fn av_03_mariadb_gives_up_what_waits_for_a_lock() {
    let url = Engine::MySql.empty().await;
    let mut other = MySqlConnection::connect(&url).await.unwrap();
    let waiting = "SELECT count(*) FROM information_schema.innodb_trx t \
                   JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
                   WHERE p.db = DATABASE() AND t.trx_state = 'LOCK WAIT'";
    waits_no_longer_than_it_may(&url, &mut other, "SELECT id FROM `user` FOR UPDATE", waiting).await;
}

/// Somebody else holds the row: the write ends, the store goes on, and the server has nothing left that waits.
async fn waits_no_longer_than_it_may<C>(url: &str, other: &mut C, lock: &'static str, waiting: &'static str)
where
    C: sqlx::Connection,
    for<'c> &'c mut C: sqlx::Executor<'c, Database = C::Database>,
    C::Database: sqlx::Database,
    for<'q> <C::Database as sqlx::Database>::Arguments: sqlx::IntoArguments<C::Database>,
    i64: for<'r> sqlx::Decode<'r, C::Database> + sqlx::Type<C::Database>,
    usize: sqlx::ColumnIndex<<C::Database as sqlx::Database>::Row>,
{
    let store =
        SqlStore::<()>::builder(url).max_connections(1).time_limit(Duration::from_secs(1)).connect().await.unwrap();
    let user = store.create(king()).await.unwrap();
    let mut holder = other.begin().await.unwrap();
    sqlx::Executor::execute(&mut *holder, lock).await.unwrap();
    let change = UserChange { is_verified: Some(true), ..UserChange::default() };
    let refused = store.update(&user.id, change.clone()).await;
    assert!(matches!(refused, Err(DatabaseError::Unavailable(_))), "{refused:?}");
    // The one connection there is.
    assert!(store.get(&user.id).await.unwrap().is_some());
    let patience = async {
        loop {
            let left: i64 = sqlx::query_scalar(waiting).fetch_one(&mut *holder).await.unwrap();
            if left == 0 {
                return;
            }
            // InnoDB shows the same picture of its transactions to whoever looks again within 100 ms.
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), patience).await.expect("the server still waits");
    holder.rollback().await.unwrap();
    assert!(matches!(store.update(&user.id, change).await.unwrap(), Outcome::Done(_)));
    assert!(store.get(&user.id).await.unwrap().unwrap().is_verified);
}

fn king() -> NewUser<()> {
    NewUser {
        id: Some(random::uuid_v4()),
        email: Email::from_stored("king@camelot.bt".into()),
        hashed_password: PasswordHash::from_stored("-".into()),
        is_active: true,
        is_superuser: false,
        is_verified: false,
        tokens_valid_after: None,
        profile: (),
        consumes: None,
    }
}
