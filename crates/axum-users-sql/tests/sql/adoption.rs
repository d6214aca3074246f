//! Tables of FastAPI Users, as its recorded DDL and rows have them, are served as they are.

use axum_users_core::{
    Conflict, DatabaseError, Email, EmailKey, NewUser, Outcome, PasswordHash, UserChange, UserDatabase, UserProfile,
};
use axum_users_sql::{SchemaError, SqlId, SqlStore};
use sqlx::{Connection as _, MySqlConnection, PgConnection, SqliteConnection};
use uuid::Uuid;

use crate::databases::Engine;

/// No columns, ids that the database counts.
#[derive(Clone, Debug, axum_users_macros::UserProfile)]
#[profile(crate = axum_users_core, id = i64)]
struct Counted {}

const UUID: &str = "2e958307-43d7-4e9f-921a-3dc71d7c50e7";
const HASH: &str = "$argon2id$v=19$m=65536,t=3,p=4$Zuy+Mzc7MtWkbd/TIOSBeg$nt8tIM0EFWgeygWZYBUg1RPs9AWrgOc/79rEdivYuAI";

impl Engine {
    /// The tables as the other system makes them.
    pub(crate) fn ddl(self, counted: bool) -> &'static str {
        match (self, counted) {
            (Self::Sqlite, false) => include_str!("ddl/sqlite-uuid.sql"),
            (Self::Sqlite, true) => include_str!("ddl/sqlite-integer.sql"),
            (Self::Postgres, false) => include_str!("ddl/postgresql-uuid.sql"),
            (Self::Postgres, true) => include_str!("ddl/postgresql-integer.sql"),
            (Self::MySql, false) => include_str!("ddl/mysql-uuid.sql"),
            (Self::MySql, true) => include_str!("ddl/mysql-integer.sql"),
        }
    }

    /// Runs any statements.
    pub(crate) async fn run(self, url: &str, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite => {
                let url = format!("{url}?mode=rwc");
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Self::Postgres => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            Self::MySql => {
                let mut connection = MySqlConnection::connect(url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }

    pub(crate) fn user_table(self) -> &'static str {
        if self == Self::MySql { "`user`" } else { "\"user\"" }
    }

    /// A database that the other system has worked on.
    async fn foreign(self, counted: bool) -> String {
        let url = self.empty().await;
        self.run(&url, self.ddl(counted)).await;
        let id = if counted { "7" } else { &format!("'{UUID}'") };
        let user = self.user_table();
        let rows = format!(
            "INSERT INTO {user} (id, email, hashed_password, is_active, is_superuser, is_verified) \
             VALUES ({id}, 'King.Arthur@camelot.bt', '{HASH}', true, false, true); \
             INSERT INTO accesstoken (user_id, token, created_at) \
             VALUES ({id}, 'tb3RjSpU94_kkGpT32LCpLsAjW75-QJ6cHcyaZlQJpE', '2026-11-23 21:37:38')"
        );
        self.run(&url, &rows).await;
        url
    }
}

async fn adopt<P: UserProfile<Id: SqlId>>(url: &str) -> SqlStore<P> {
    SqlStore::builder(url).adopt(true).connect().await.unwrap()
}

async fn a_foreign_database_is_served<P: UserProfile<Id: SqlId>>(engine: Engine, counted: bool, profile: P, id: P::Id) {
    let url = engine.foreign(counted).await;
    let refused = SqlStore::<P>::connect(&url).await.err();
    assert!(matches!(&refused, Some(SchemaError::NotOurs { statements, .. }) if !statements.is_empty()), "{refused:?}");
    let store = adopt::<P>(&url).await;
    let found = store.get_by_email(&EmailKey::of_typed("KING.arthur@camelot.bt")).await.unwrap().unwrap();
    assert_eq!((&found.id, found.hashed_password.as_str(), found.is_verified), (&id, HASH, true));
    let token = axum_users_core::AccessTokenDatabase::get(
        &store,
        "tb3RjSpU94_kkGpT32LCpLsAjW75-QJ6cHcyaZlQJpE",
        &axum_users_core::SessionId::generate(),
    )
    .await
    .unwrap()
    .unwrap();
    assert_eq!((token.user.id, token.created_at.unix_timestamp()), (id.clone(), 1_795_469_858));
    // Ours and theirs go on side by side.
    let new = NewUser {
        id: axum_users_core::UserId::generate(),
        email: Email::parse("lancelot@camelot.bt").unwrap(),
        hashed_password: PasswordHash::from_stored(HASH.into()),
        is_active: true,
        is_superuser: false,
        is_verified: false,
        tokens_valid_after: None,
        profile,
        consumes: None,
    };
    let mut twin = new.clone();
    twin.id = axum_users_core::UserId::generate();
    twin.email = Email::parse("king.ARTHUR@camelot.bt").unwrap();
    let created = store.create(new).await.unwrap();
    assert!(matches!(store.create(twin).await, Err(DatabaseError::Conflict(Conflict::Email))));
    let change = UserChange { is_verified: Some(true), ..UserChange::default() };
    assert!(matches!(store.update(&created.id, change).await, Ok(Outcome::Done(user)) if user.is_verified));
    let user = engine.user_table();
    engine.run(&url, &format!("UPDATE {user} SET is_active = false WHERE email = 'lancelot@camelot.bt'")).await;
    assert!(!store.get(&created.id).await.unwrap().unwrap().is_active);
    assert!(matches!(store.delete(&id, Vec::new()).await, Ok(Outcome::Done(()))));
    // Once adopted, it is up to date; the next start needs no permission.
    drop(store);
    assert_eq!(SqlStore::<P>::builder(&url).plan().await.unwrap(), Vec::<String>::new());
    SqlStore::<P>::connect(&url).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_other_system_with_uuids_is_served_as_it_is() {
    for engine in Engine::ALL {
        a_foreign_database_is_served(engine, false, (), Uuid::parse_str(UUID).unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_other_system_with_integers_is_served_as_it_is() {
    for engine in Engine::ALL {
        a_foreign_database_is_served(engine, true, Counted {}, 7).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_collide_are_reported_and_nothing_is_changed() {
    let url = Engine::Sqlite.foreign(false).await;
    let twin = format!(
        "INSERT INTO user VALUES ('834c58fd-1c97-4f65-a5de-1e7bcba22d13', 'king.arthur@CAMELOT.bt', '{HASH}', 1, 0, 0)"
    );
    Engine::Sqlite.run(&url, &twin).await;
    let refused = SqlStore::<()>::builder(&url).adopt(true).connect().await.err();
    assert!(matches!(refused, Some(SchemaError::Collisions { rows: 1, .. })), "{refused:?}");
    let refused = SqlStore::<()>::connect(&url).await.err();
    assert!(matches!(refused, Some(SchemaError::NotOurs { .. })), "{refused:?}");
}

/// Two spellings of one mailbox that only our rule sees: the database folds ASCII.
#[tokio::test(flavor = "multi_thread")]
async fn rg_03_rows_that_collide_beyond_ascii_are_reported_too() {
    for engine in Engine::ALL {
        for (a, b) in
            [("ÉLODIE@camelot.bt", "e\u{301}lodie@camelot.bt"), ("a@bücher.example", "a@xn--bcher-kva.example")]
        {
            let url = engine.foreign(false).await;
            let user = engine.user_table();
            for (id, email) in
                [("834c58fd-1c97-4f65-a5de-1e7bcba22d13", a), ("0cb4a9ee-1f5c-4ae5-8d6e-33db1d1e5c60", b)]
            {
                let row = format!(
                    "INSERT INTO {user} (id, email, hashed_password, is_active, is_superuser, is_verified) \
                     VALUES ('{id}', '{email}', '{HASH}', true, false, false)"
                );
                engine.run(&url, &row).await;
            }
            let refused = SqlStore::<()>::builder(&url).adopt(true).connect().await.err();
            assert!(
                matches!(refused, Some(SchemaError::Collisions { rows: 1, .. })),
                "{engine:?} {a} {b}: {refused:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_columns_may_have_other_names() {
    for engine in Engine::ALL {
        let url = engine.empty().await;
        let open = async || {
            SqlStore::<()>::builder(&url)
                .user_table("people")
                .access_token_table("sessions")
                .column("email", "mail")
                .column("is_active", "enabled")
                .connect()
                .await
                .unwrap()
        };
        let store = open().await;
        let new = NewUser {
            id: axum_users_core::UserId::generate(),
            email: Email::parse("lancelot@camelot.bt").unwrap(),
            hashed_password: PasswordHash::from_stored(HASH.into()),
            is_active: true,
            is_superuser: false,
            is_verified: false,
            tokens_valid_after: None,
            profile: (),
            consumes: None,
        };
        let user = store.create(new.clone()).await.unwrap();
        assert!(matches!(store.create(new).await, Err(DatabaseError::Conflict(_) | DatabaseError::Driver(_))));
        let change = UserChange { is_active: Some(false), ..UserChange::default() };
        assert!(matches!(store.update(&user.id, change).await, Ok(Outcome::Done(user)) if !user.is_active));
        engine.run(&url, "UPDATE people SET mail = 'galahad@camelot.bt'").await;
        let found = open().await.get_by_email(&EmailKey::of_typed("Galahad@camelot.bt")).await.unwrap();
        assert_eq!(found.unwrap().id, user.id);
        assert!(
            axum_users_core::AccessTokenDatabase::delete_expired(&store, time::OffsetDateTime::UNIX_EPOCH, 10)
                .await
                .is_ok()
        );
    }
}
