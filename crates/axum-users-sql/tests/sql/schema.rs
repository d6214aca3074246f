//! Making, checking and using the schema.

use axum_users_core::{
    Email, EndTokens, NewUser, Outcome, PasswordHash, SessionId, SessionState, TokenHash, UserChange, UserDatabase,
    UserProfile, session::admits,
};
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

/// What is asked by key, with the quotes of the engine; `key` is what an address is looked up by.
fn look_ups(quote: char, key: &str) -> Vec<String> {
    let user = format!("{quote}user{quote}");
    let id = "'2e958307-43d7-4e9f-921a-3dc71d7c50e7'";
    let (session, refresh) = ("axum_users_user_session", "axum_users_user_refresh");
    vec![
        format!("SELECT * FROM {user} u WHERE {key} IN ('no.body@camelot.bt', 'no.one@camelot.bt')"),
        format!("SELECT * FROM {user} u LEFT JOIN {session} s ON s.id = 'x' WHERE u.id = {id}"),
        format!(
            "SELECT * FROM accesstoken t JOIN {user} u ON u.id = t.user_id LEFT JOIN {session} s \
             ON s.id = coalesce(t.session_id, 'y') WHERE t.token = 'x'"
        ),
        format!("SELECT * FROM {session} s WHERE s.user_id = {id} AND NOT s.ended ORDER BY s.seen_at DESC LIMIT 1000"),
        format!("SELECT * FROM {session} WHERE user_id = {id} AND id <> 'x'"),
        format!("SELECT * FROM {session} WHERE valid_until < 5 LIMIT 10"),
        format!("SELECT * FROM {refresh} r JOIN {user} u ON u.id = r.user_id WHERE r.token = 'x'"),
        format!("SELECT * FROM {refresh} r LEFT JOIN {session} s ON s.id = r.session_id WHERE r.token = 'x'"),
        format!("SELECT * FROM {refresh} WHERE session_id = 'x'"),
        format!("SELECT * FROM {refresh} WHERE user_id = {id} AND session_id <> 'x'"),
        format!("SELECT * FROM accesstoken WHERE user_id = {id} AND session_id = 'x'"),
        format!(
            "SELECT * FROM oauth_account a JOIN {user} u ON u.id = a.user_id \
             WHERE a.account_id = 'x' AND a.oauth_name = 'google' LIMIT 1000"
        ),
        format!("SELECT * FROM oauth_account a WHERE a.user_id = {id} ORDER BY a.id LIMIT 1000"),
        format!(
            "SELECT 1 FROM {user} u WHERE u.is_superuser{} AND u.is_active AND u.id <> {id} LIMIT 1",
            match quote {
                '`' => " = TRUE",
                _ => "",
            }
        ),
    ]
}

/// The plans of all look-ups, on tables with rows enough that a scan would be chosen if it were all there is.
#[tokio::test(flavor = "multi_thread")]
async fn no_look_up_scans_on_any_engine() {
    // SQLite
    let url = Engine::Sqlite.empty().await;
    SqlStore::<()>::connect(&url).await.unwrap();
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    for sql in look_ups('"', "lower(u.\"email\")") {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        for row in sqlx::query(explain).fetch_all(&mut connection).await.unwrap() {
            let step: String = row.get(3);
            // The index of superusers holds superusers only.
            let few = step.ends_with("axum_users_user_superuser");
            assert!(!step.starts_with("SCAN") || few, "{sql}: {step}");
        }
    }
    // PostgreSQL
    let url = Engine::Postgres.empty().await;
    SqlStore::<()>::connect(&url).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let fill = "INSERT INTO \"user\" SELECT gen_random_uuid(), 'u' || n || '@camelot.bt', 'x', true, false, false \
                FROM generate_series(1, 5000) n; \
                INSERT INTO axum_users_user_session (id, user_id, backend, created_at, seen_at, valid_until, ended) \
                SELECT left(md5(id::text), 22), id, 'jwt', 1, 1, 1000000, false FROM \"user\"; \
                INSERT INTO axum_users_user_refresh (token, user_id, session_id, issued_at, valid_until) \
                SELECT md5(id::text), id, left(md5(id::text), 22), 1, 1000000 FROM \"user\"; \
                INSERT INTO accesstoken (user_id, token, created_at, session_id) \
                SELECT id, md5(id::text), now(), left(md5(id::text), 22) FROM \"user\"; \
                INSERT INTO oauth_account (id, user_id, oauth_name, access_token, account_id, account_email) \
                SELECT id, id, 'google', '', md5(id::text), '' FROM \"user\"; ANALYZE";
    sqlx::raw_sql(fill).execute(&mut connection).await.unwrap();
    for sql in look_ups('"', "lower(u.\"email\" COLLATE \"C\")") {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN {sql}"));
        for row in sqlx::query(explain).fetch_all(&mut connection).await.unwrap() {
            let step: String = row.get(0);
            assert!(!step.contains("Seq Scan"), "{sql}: {step}");
        }
    }
    // MariaDB
    let url = Engine::MySql.empty().await;
    SqlStore::<()>::connect(&url).await.unwrap();
    let mut connection = MySqlConnection::connect(&url).await.unwrap();
    let rows = (0..2000).map(|n| format!("(UUID(), 'u{n}@camelot.bt', 'x', 1, 0, 0)")).collect::<Vec<_>>().join(",");
    let fill = format!(
        "INSERT INTO `user` (id, email, hashed_password, is_active, is_superuser, is_verified) VALUES {rows}; \
         INSERT INTO axum_users_user_session (id, user_id, backend, created_at, seen_at, valid_until, ended) \
         SELECT left(md5(id), 22), id, 'jwt', 1, 1, 1000000, false FROM `user`; \
         INSERT INTO axum_users_user_refresh (token, user_id, session_id, issued_at, valid_until) \
         SELECT md5(id), id, left(md5(id), 22), 1, 1000000 FROM `user`; \
         INSERT INTO accesstoken (user_id, token, created_at, session_id) \
         SELECT id, md5(id), now(), left(md5(id), 22) FROM `user`; \
         INSERT INTO oauth_account (id, user_id, oauth_name, access_token, account_id, account_email) \
         SELECT id, id, 'google', '', md5(id), '' FROM `user`; \
         ANALYZE TABLE `user`, accesstoken, oauth_account, axum_users_user_session, axum_users_user_refresh"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(&mut connection).await.unwrap();
    for sql in look_ups('`', "u.`email_key`") {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN {sql}"));
        for row in sqlx::query(explain).fetch_all(&mut connection).await.unwrap() {
            let access: Option<String> = row.get(3);
            assert_ne!(access.as_deref(), Some("ALL"), "{sql}");
        }
    }
}

/// Version 1 had marks of single tokens where there are sessions now, and no column for them beside the tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_version_1_is_brought_up_to_date_and_keeps_its_word() {
    for engine in Engine::ALL {
        let url = engine.empty().await;
        let store = SqlStore::<()>::connect(&url).await.unwrap();
        let user = UserDatabase::create(&store, new_user(Some(500))).await.unwrap();
        store.close().await;
        let (kept, ended) = (TokenHash::of("kept"), TokenHash::of("ended"));
        let id_type = if engine == Engine::Postgres { "UUID" } else { "CHAR(36)" };
        let back = format!(
            "DROP TABLE axum_users_user_refresh; DROP TABLE axum_users_user_session; \
             ALTER TABLE accesstoken DROP COLUMN session_id; ALTER TABLE axum_users_user_schema DROP COLUMN last_valid_after; \
             UPDATE axum_users_user_schema SET version = 1; \
             CREATE TABLE axum_users_user_mark (token VARCHAR(43) NOT NULL PRIMARY KEY, user_id {id_type} NOT NULL, \
             kept BOOLEAN NOT NULL, valid_until BIGINT NOT NULL); \
             INSERT INTO axum_users_user_mark VALUES ('{}', '{id}', true, 900), ('{}', '{id}', false, 900)",
            kept.as_str(),
            ended.as_str(),
            id = user.id,
        );
        engine.run(&url, &back).await;
        let checked = SqlStore::<()>::builder(&url).migrate(false).connect().await.err();
        assert!(matches!(checked, Some(SchemaError::Outdated(_))), "{checked:?}");
        let store = SqlStore::<()>::connect(&url).await.unwrap();
        let state =
            async |token: &TokenHash| store.get_for_token(&user.id, &SessionId::of(token)).await.unwrap().unwrap().1;
        let admitted = |state| admits(Some(400), Some(500), Option::<SessionState>::as_ref(&state));
        assert!(admitted(state(&kept).await) && state(&ended).await.unwrap().ended);
        assert!(!admitted(state(&TokenHash::of("other")).await));
        assert_eq!(SqlStore::<()>::builder(&url).plan().await.unwrap(), Vec::<String>::new());
    }
}

fn new_user<P: UserProfile + Default>(tokens_valid_after: Option<i64>) -> NewUser<P> {
    NewUser {
        id: axum_users_core::UserId::generate(),
        email: Email::parse("lancelot@camelot.bt").unwrap(),
        hashed_password: PasswordHash::from_stored("!".into()),
        is_active: true,
        is_superuser: false,
        is_verified: false,
        tokens_valid_after,
        profile: P::default(),
    }
}

#[derive(Clone, Debug, Default, axum_users_macros::UserProfile)]
#[profile(crate = axum_users_core, id = i64)]
struct Counted {}

/// FastAPI Users' own table in SQLite gives the number of the last user out again.
#[tokio::test(flavor = "multi_thread")]
async fn se_06_a_number_that_is_given_out_again_inherits_no_token() {
    for engine in Engine::ALL {
        let url = engine.empty().await;
        if engine == Engine::Sqlite {
            engine.run(&url, include_str!("ddl/sqlite-integer.sql")).await;
        }
        let store = SqlStore::<Counted>::builder(&url).adopt(true).connect().await.unwrap();
        let first = UserDatabase::create(&store, new_user(Some(501))).await.unwrap();
        // Its tokens were ended several times within one second, so the last one was issued ahead of the clock.
        let end_tokens = || Some(EndTokens { now: 500, keep: None });
        for _ in 0..3 {
            let change = UserChange { end_tokens: end_tokens(), ..UserChange::default() };
            assert!(matches!(store.update(&first.id, change).await, Ok(Outcome::Done(_))));
        }
        let last_token = 504;
        assert!(matches!(UserDatabase::delete(&store, &first.id, Vec::new()).await, Ok(Outcome::Done(()))));
        let second = UserDatabase::create(&store, new_user(Some(501))).await.unwrap();
        assert_eq!(second.id == first.id, engine == Engine::Sqlite, "{engine:?}");
        if second.id == first.id {
            assert!(!admits(Some(last_token), second.tokens_valid_after, None), "{second:?}");
            let read = UserDatabase::get(&store, &second.id).await.unwrap().unwrap();
            assert_eq!(read.tokens_valid_after, second.tokens_valid_after);
        }
    }
}
