//! What every `AccessTokenDatabase` does.

use axum_users_core::{
    AccessTokenDatabase, EndTokens, KeptSession, NewSession, NewToken, Outcome, Secret, SessionId, StoredToken,
    TokenHash, UserChange, UserDatabase,
};
use time::{Duration, OffsetDateTime};

use crate::{SampleProfile, users::new_user};

/// Runs every check, each on an empty store that keeps users and tokens.
///
/// # Panics
/// When the store does not do what is expected.
pub async fn access_token_database<P: SampleProfile, D>(make: impl AsyncFn() -> D)
where
    D: UserDatabase<P> + AccessTokenDatabase<P>,
{
    round_trip(make().await).await;
    ending(make().await).await;
    expiry(make().await).await;
    deletion(make().await).await;
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn token(text: &str) -> String {
    TokenHash::of(text).as_str().to_owned()
}

async fn user<P: SampleProfile>(db: &impl UserDatabase<P>, number: usize) -> P::Id {
    db.create(new_user(number)).await.expect("a user").id
}

/// The session that the token of this text belongs to.
pub(crate) fn session(text: &str, at: OffsetDateTime) -> NewSession {
    let id = SessionId::of(&TokenHash::of(&format!("session of {text}")));
    NewSession::of(id, "backend", at.unix_timestamp(), at.unix_timestamp() + 3600, None)
}

fn row<P: SampleProfile>(id: &P::Id, text: &str, at: OffsetDateTime, continues: bool) -> NewToken<P> {
    NewToken { token: token(text), user_id: id.clone(), created_at: at, session: session(text, at), continues }
}

async fn store<P: SampleProfile>(db: &impl AccessTokenDatabase<P>, id: &P::Id, text: &str, at: OffsetDateTime) {
    assert!(db.create(row(id, text, at, false)).await.expect("an answer"), "a token is stored");
}

async fn find<P: SampleProfile>(db: &impl AccessTokenDatabase<P>, text: &str) -> Option<StoredToken<P>> {
    AccessTokenDatabase::get(db, &token(text), &SessionId::generate()).await.expect("an answer")
}

async fn round_trip<P: SampleProfile, D: UserDatabase<P> + AccessTokenDatabase<P>>(db: D) {
    let (a, b) = (user(&db, 1).await, user(&db, 2).await);
    store(&db, &a, "a", now()).await;
    let later = now() + Duration::seconds(90);
    store(&db, &b, "b", later).await;
    let found = find(&db, "b").await.expect("the token");
    assert_eq!((found.user.id, found.created_at), (b.clone(), later));
    assert_eq!(found.session, Some(session("b", later).id));
    let state = found.state.expect("the session is stored with its token");
    assert_eq!((state.created_at, state.seen_at), (later.unix_timestamp(), later.unix_timestamp()));
    assert!(!state.ended && state.renewed_at.is_none());
    assert!(find(&db, "c").await.is_none());
    let swapped: String = token("a")
        .chars()
        .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    let found = AccessTokenDatabase::get(&db, &swapped, &SessionId::generate()).await.expect("an answer");
    assert!(found.is_none(), "letters count as they are");
    AccessTokenDatabase::delete(&db, &token("a")).await.expect("deleted");
    AccessTokenDatabase::delete(&db, &token("a")).await.expect("once more is no error");
    assert!(find(&db, "a").await.is_none() && find(&db, "b").await.is_some());
    // Another token of a session that goes on, and of one that does not.
    let mut second = row(&b, "b", later, true);
    second.token = token("second");
    assert!(AccessTokenDatabase::create(&db, second.clone()).await.expect("an answer"));
    db.end_session(&b, session("b", later)).await.expect("ended");
    second.token = token("third");
    assert!(!AccessTokenDatabase::create(&db, second).await.expect("an answer"), "an ended session gets no token");
    assert!(
        !AccessTokenDatabase::create(&db, row(&b, "nowhere", later, true)).await.expect("an answer"),
        "nor one that never began"
    );
    for text in ["b", "second", "third", "nowhere"] {
        assert!(find(&db, text).await.is_none(), "{text}");
    }
}

async fn ending<P: SampleProfile, D: UserDatabase<P> + AccessTokenDatabase<P>>(db: D) {
    let (id, other) = (user(&db, 1).await, user(&db, 2).await);
    for text in ["a", "b"] {
        store(&db, &id, text, now()).await;
    }
    store(&db, &other, "other", now()).await;
    let keep = Some(KeptSession { session: session("a", now()), stored_token: Some(Secret::from(token("a"))) });
    let end_tokens = Some(EndTokens { now: now().unix_timestamp(), keep });
    let outcome = db.update(&id, UserChange { end_tokens, ..UserChange::default() }).await;
    let Ok(Outcome::Done(changed)) = outcome else { panic!("{outcome:?}") };
    let kept = find(&db, "a").await.expect("the session that acts");
    assert_eq!(kept.state.expect("its state").renewed_at, changed.tokens_valid_after);
    assert!(find(&db, "b").await.is_none() && find(&db, "other").await.is_some());
    let end_tokens = Some(EndTokens { now: now().unix_timestamp(), keep: None });
    let outcome = db.update(&id, UserChange { end_tokens, ..UserChange::default() }).await;
    assert!(matches!(outcome, Ok(Outcome::Done(_))), "{outcome:?}");
    assert!(find(&db, "a").await.is_none() && find(&db, "other").await.is_some());
}

async fn expiry<P: SampleProfile, D: UserDatabase<P> + AccessTokenDatabase<P>>(db: D) {
    let id = user(&db, 1).await;
    for seconds in 0..6 {
        store(&db, &id, &seconds.to_string(), now() + Duration::seconds(seconds)).await;
    }
    let before = now() + Duration::seconds(4);
    assert_eq!(db.delete_expired(before, 3).await.expect("cleaned"), 3, "a batch");
    assert_eq!(db.delete_expired(before, 3).await.expect("cleaned"), 1, "the rest");
    assert_eq!(db.delete_expired(before, 3).await.expect("cleaned"), 0);
    assert!(find(&db, "4").await.is_some());
}

async fn deletion<P: SampleProfile, D: UserDatabase<P> + AccessTokenDatabase<P>>(db: D) {
    let id = user(&db, 1).await;
    store(&db, &id, "a", now()).await;
    let outcome = UserDatabase::delete(&db, &id, Vec::new()).await;
    assert!(matches!(outcome, Ok(Outcome::Done(()))), "{outcome:?}");
    assert!(find(&db, "a").await.is_none(), "no token outlives its user");
    assert!(
        !AccessTokenDatabase::create(&db, row(&id, "late", now(), false)).await.expect("an answer"),
        "nor begins after it"
    );
    assert!(find(&db, "late").await.is_none());
}
