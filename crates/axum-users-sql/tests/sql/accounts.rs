//! Accounts with providers that FastAPI Users linked: rows as it writes them, in the tables that it makes.

use axum_users_core::{
    Conflict, DatabaseError, NewOAuthAccount, OAuthIdentity, Outcome, UserDatabase, oauth::ProviderToken,
};
use axum_users_sql::{SchemaError, SqlStore};
use uuid::Uuid;

use crate::databases::Engine;

const GAWAIN: &str = "b8171df2-4efe-4e73-9bb7-5e7c1b6bfb59";
const TRISTAN: &str = "38af5d6a-5a14-4ea4-b0fa-a6ff7442cb60";

impl Engine {
    /// One account, one that is linked twice to the same user, and one that two users have.
    async fn with_linked_accounts(self) -> String {
        let url = self.empty().await;
        self.run(&url, self.ddl(false)).await;
        let user = self.user_table();
        let mut rows = String::new();
        for (id, email) in [(GAWAIN, "Gawain@Camelot.BT"), (TRISTAN, "tristan@camelot.bt")] {
            rows += &format!(
                "INSERT INTO {user} (id, email, hashed_password, is_active, is_superuser, is_verified) \
                 VALUES ('{id}', '{email}', '$argon2id$x', true, false, false);"
            );
        }
        let gawain = (GAWAIN, "acct1", "gawain@camelot.bt", "NULL", "'REFRESH-acct1'");
        let tristan = (TRISTAN, "acct3", "tristan3@ext.example", "1795473222", "'REFRESH-acct3'");
        let no_refresh = (TRISTAN, "acct4", "tristan4@ext.example", "NULL", "NULL");
        let both =
            [(GAWAIN, "acct5", "x@ext.example", "NULL", "NULL"), (TRISTAN, "acct5", "x@ext.example", "NULL", "NULL")];
        for (user_id, account, email, expires_at, refresh) in
            [gawain, tristan, tristan, no_refresh].into_iter().chain(both)
        {
            let id = axum_users_core::random::uuid_v4();
            rows += &format!(
                "INSERT INTO oauth_account (id, user_id, oauth_name, access_token, expires_at, refresh_token, account_id, \
                 account_email) VALUES ('{id}', '{user_id}', 'google', '{account}|{email}|xr', {expires_at}, {refresh}, \
                 '{account}', '{email}');"
            );
        }
        self.run(&url, &rows).await;
        url
    }
}

fn identity(id: &str) -> OAuthIdentity {
    OAuthIdentity::new("google", id).unwrap()
}

fn user(id: &str) -> Uuid {
    Uuid::parse_str(id).unwrap()
}

fn new(id: &str, refresh_token: Option<&str>) -> NewOAuthAccount {
    NewOAuthAccount {
        identity: identity(id),
        account_email: "new@ext.example".into(),
        expires_at: Some(i32::MAX.into()),
        access_token: "key.sealed".into(),
        refresh_token: refresh_token.map(str::to_owned),
    }
}

fn shown(token: &ProviderToken) -> (bool, &str) {
    match token {
        ProviderToken::Sealed(token) => (true, token),
        ProviderToken::Plain(token) => (false, token.expose()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn linked_accounts_of_the_other_system_are_served_as_they_are() {
    for engine in Engine::ALL {
        let url = engine.with_linked_accounts().await;
        let store = SqlStore::<()>::builder(&url).adopt(true).connect().await.unwrap();
        let find = async |id: &str| store.get_by_oauth_account(&identity(id)).await;
        let (found, account) = find("acct1").await.unwrap().unwrap();
        assert_eq!((found.id, found.email.as_str()), (user(GAWAIN), "Gawain@Camelot.BT"));
        assert_eq!(shown(&account.access_token), (false, "acct1|gawain@camelot.bt|xr"));
        assert_eq!(account.refresh_token.as_ref().map(shown), Some((false, "REFRESH-acct1")));
        assert_eq!((account.account_email.as_str(), account.expires_at), ("gawain@camelot.bt", None));
        assert!(find("ACCT1").await.unwrap().is_none(), "{engine:?}: an id to the letter");

        // A login without a refresh token keeps the one that is there, in clear as it is.
        assert!(matches!(
            store.put_oauth_account(&user(GAWAIN), new("acct1", None), vec![], Vec::new()).await,
            Ok(Outcome::Done(_))
        ));
        let (_, account) = find("acct1").await.unwrap().unwrap();
        assert_eq!(shown(&account.access_token), (true, "key.sealed"));
        assert_eq!(account.refresh_token.as_ref().map(shown), Some((false, "REFRESH-acct1")));
        assert_eq!(account.expires_at, Some(i32::MAX.into()));
        let _ = store
            .put_oauth_account(&user(GAWAIN), new("acct1", Some("key.refresh")), vec![], Vec::new())
            .await
            .unwrap();
        let (_, account) = find("acct1").await.unwrap().unwrap();
        assert_eq!(account.refresh_token.as_ref().map(shown), Some((true, "key.refresh")));
        let taken = store.put_oauth_account(&user(TRISTAN), new("acct1", None), vec![], Vec::new()).await;
        assert!(matches!(taken, Err(DatabaseError::Conflict(Conflict::OAuthAccount))), "{taken:?}");

        // Rows that say the same thing twice are one account: all are brought up to date, and go together.
        let (found, _) = find("acct3").await.unwrap().unwrap();
        assert_eq!(found.id, user(TRISTAN));
        let _ = store.put_oauth_account(&user(TRISTAN), new("acct3", None), vec![], Vec::new()).await.unwrap();
        let _ = store.put_oauth_account(&user(TRISTAN), new("acct3", None), vec![], Vec::new()).await.unwrap();
        let accounts = store.oauth_accounts(&user(TRISTAN)).await.unwrap();
        let twice: Vec<_> = accounts.iter().filter(|account| account.account_id == "acct3").collect();
        assert_eq!(twice.len(), 2);
        assert!(twice.iter().all(|account| shown(&account.access_token) == (true, "key.sealed")));
        let last = twice.last().unwrap();
        assert!(matches!(
            store.remove_oauth_account(&user(TRISTAN), last.id, vec![], Vec::new()).await,
            Ok(Outcome::Done(true))
        ));
        assert!(find("acct3").await.unwrap().is_none());

        // Rows that contradict each other are nobody's, until one of the two is gone.
        assert!(matches!(find("acct5").await, Err(DatabaseError::Conflict(Conflict::OAuthAccount))));
        let either = store.put_oauth_account(&user(TRISTAN), new("acct5", None), vec![], Vec::new()).await;
        assert!(matches!(either, Err(DatabaseError::Conflict(Conflict::OAuthAccount))), "{either:?}");
        assert!(matches!(store.delete(&user(GAWAIN), vec![]).await, Ok(Outcome::Done(()))), "{engine:?}");
        assert_eq!(find("acct5").await.unwrap().unwrap().0.id, user(TRISTAN));
        drop(store);
        assert_eq!(SqlStore::<()>::builder(&url).plan().await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_that_name_that_is_another_one_is_left_alone() {
    for engine in Engine::ALL {
        let url = engine.empty().await;
        engine.run(&url, "CREATE TABLE oauth_account (id INTEGER, what INTEGER)").await;
        let refused = SqlStore::<()>::connect(&url).await.err();
        assert!(matches!(&refused, Some(SchemaError::Unexpected(text)) if text.contains("user_id")), "{refused:?}");
        let other = SqlStore::<()>::builder(&url).oauth_account_table("linked");
        let store = other.connect().await.unwrap();
        assert!(store.get_by_oauth_account(&identity("1")).await.unwrap().is_none());
    }
}
