//! Making, checking and using the schema.

use axum_users_sql::{SchemaError, SqlStore};
use axum_users_testing::Sample;
use sqlx::{Connection as _, MySqlConnection, PgConnection, Row as _, SqliteConnection};

use crate::databases::Engine;

/// What the profile was before a column was added.
#[derive(Clone, Debug, axum_users_macros::UserProfile)]
#[profile(crate = axum_users_core)]
struct Before {
    first_name: String,
}

#[derive(Clone, Debug, axum_users_macros::UserProfile)]
#[profile(crate = axum_users_core)]
struct After {
    first_name: String,
    nick: Option<String>,
    #[profile(default = 7)]
    points: i64,
}

#[derive(Clone, Debug, axum_users_macros::UserProfile)]
#[profile(crate = axum_users_core)]
struct Needy {
    first_name: String,
    motto: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_make_one_schema() {
    for engine in Engine::ALL {
        let url = engine.empty().await;
        let nodes = (0..4).map(|_| {
            let url = url.clone();
            tokio::spawn(async move { SqlStore::<Sample>::connect(&url).await.map(drop) })
        });
        for node in nodes.collect::<Vec<_>>() {
            node.await.unwrap().unwrap();
        }
        assert_eq!(SqlStore::<Sample>::builder(&url).plan().await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_added_and_rows_that_need_a_value_refuse() {
    for engine in Engine::ALL {
        let url = engine.empty().await;
        SqlStore::<Before>::connect(&url).await.unwrap();
        let checked = SqlStore::<After>::builder(&url).migrate(false).connect().await.err();
        assert!(matches!(&checked, Some(SchemaError::Outdated(missing)) if missing.len() == 2), "{checked:?}");
        let refused = SqlStore::<Needy>::connect(&url).await.err().unwrap().to_string();
        assert!(refused.contains("motto") && refused.contains("ALTER TABLE"), "{refused}");
        SqlStore::<After>::connect(&url).await.unwrap();
        SqlStore::<After>::builder(&url).migrate(false).connect().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_newer_release_is_refused() {
    for engine in Engine::ALL {
        let url = engine.empty().await;
        SqlStore::<()>::connect(&url).await.unwrap();
        engine.run(&url, "UPDATE axum_users_user_schema SET version = 99").await;
        let refused = SqlStore::<()>::connect(&url).await.err();
        assert!(matches!(refused, Some(SchemaError::Newer { found: 99, .. })), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_url_is_told_without_its_password() {
    for url in ["oracle://x:canary@h/d", "postgres://u:canary@127.0.0.1:notaport/d", "canary"] {
        let error = SqlStore::<()>::connect(url).await.err().unwrap();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}

/// The plans of the three look-ups, on a table with rows enough that a scan would be chosen if it were all there is.
#[tokio::test(flavor = "multi_thread")]
async fn no_look_up_scans_on_any_engine() {
    let key = "'no.body@camelot.bt', 'no.body@camelot.bt'";
    // SQLite
    let url = Engine::Sqlite.empty().await;
    SqlStore::<()>::connect(&url).await.unwrap();
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let plan = |sql: &str| sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    for sql in [
        format!("SELECT * FROM \"user\" u WHERE lower(u.\"email\") IN ({key})"),
        "SELECT * FROM \"user\" u LEFT JOIN axum_users_user_mark m ON m.token = 'x' WHERE u.id = 'x'".into(),
        "SELECT * FROM accesstoken t JOIN \"user\" u ON u.id = t.user_id WHERE t.token = 'x'".into(),
    ] {
        for row in sqlx::query(plan(&sql)).fetch_all(&mut connection).await.unwrap() {
            let step: String = row.get(3);
            assert!(!step.starts_with("SCAN"), "{sql}: {step}");
        }
    }
    // PostgreSQL
    let url = Engine::Postgres.empty().await;
    SqlStore::<()>::connect(&url).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let fill = "INSERT INTO \"user\" SELECT gen_random_uuid(), 'u' || n || '@camelot.bt', 'x', true, false, false FROM generate_series(1, 5000) n; ANALYZE";
    sqlx::raw_sql(fill).execute(&mut connection).await.unwrap();
    for sql in [
        format!("SELECT * FROM \"user\" u WHERE lower(u.\"email\" COLLATE \"C\") IN ({key})"),
        "SELECT * FROM \"user\" u WHERE u.id = '2e958307-43d7-4e9f-921a-3dc71d7c50e7'".into(),
        "SELECT * FROM accesstoken t JOIN \"user\" u ON u.id = t.user_id WHERE t.token = 'x'".into(),
    ] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN {sql}"));
        for row in sqlx::query(explain).fetch_all(&mut connection).await.unwrap() {
            let step: String = row.get(0);
            assert!(!step.contains("Seq Scan on \"user\""), "{sql}: {step}");
        }
    }
    // MariaDB
    let url = Engine::MySql.empty().await;
    SqlStore::<()>::connect(&url).await.unwrap();
    let mut connection = MySqlConnection::connect(&url).await.unwrap();
    let rows = (0..2000).map(|n| format!("(UUID(), 'u{n}@camelot.bt', 'x', 1, 0, 0)")).collect::<Vec<_>>().join(",");
    let fill =
        format!("INSERT INTO `user` (id, email, hashed_password, is_active, is_superuser, is_verified) VALUES {rows}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(&mut connection).await.unwrap();
    for sql in [
        format!("SELECT * FROM `user` u WHERE u.`email_key` IN ({key})"),
        "SELECT * FROM `user` u WHERE u.id = '2e958307-43d7-4e9f-921a-3dc71d7c50e7'".into(),
        "SELECT * FROM accesstoken t JOIN `user` u ON u.id = t.user_id WHERE t.token = 'x'".into(),
    ] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN {sql}"));
        for row in sqlx::query(explain).fetch_all(&mut connection).await.unwrap() {
            let access: Option<String> = row.get(3);
            assert_ne!(access.as_deref(), Some("ALL"), "{sql}");
        }
    }
}
