//! What every `AccessTokenDatabase` does.

use axum_users_core::{AccessTokenDatabase, EndTokens, Mark, NewToken, Outcome, TokenHash, UserChange, UserDatabase};
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

async fn store<P: SampleProfile>(db: &impl AccessTokenDatabase<P>, id: &P::Id, text: &str, at: OffsetDateTime) {
    let row = NewToken { token: token(text), user_id: id.clone(), created_at: at };
    db.create(row).await.expect("a token is stored");
}

async fn round_trip<P: SampleProfile, D: UserDatabase<P> + AccessTokenDatabase<P>>(db: D) {
    let (a, b) = (user(&db, 1).await, user(&db, 2).await);
    store(&db, &a, "a", now()).await;
    store(&db, &b, "b", now() + Duration::seconds(90)).await;
    let found = AccessTokenDatabase::get(&db, &token("b")).await.expect("an answer").expect("the token");
    assert_eq!((found.user.id, found.created_at, found.mark), (b, now() + Duration::seconds(90), None));
    assert!(AccessTokenDatabase::get(&db, &token("c")).await.expect("an answer").is_none());
    let swapped: String = token("a")
        .chars()
        .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    assert!(AccessTokenDatabase::get(&db, &swapped).await.expect("an answer").is_none(), "letters count as they are");
    AccessTokenDatabase::delete(&db, &token("a")).await.expect("deleted");
    AccessTokenDatabase::delete(&db, &token("a")).await.expect("once more is no error");
    assert!(AccessTokenDatabase::get(&db, &token("a")).await.expect("an answer").is_none());
    assert!(AccessTokenDatabase::get(&db, &token("b")).await.expect("an answer").is_some());
}

async fn ending<P: SampleProfile, D: UserDatabase<P> + AccessTokenDatabase<P>>(db: D) {
    let (id, other) = (user(&db, 1).await, user(&db, 2).await);
    for text in ["a", "b"] {
        store(&db, &id, text, now()).await;
    }
    store(&db, &other, "other", now()).await;
    let keep = Some((TokenHash::of("a"), i64::MAX));
    let end_tokens = Some(EndTokens { now: now().unix_timestamp(), keep });
    let outcome = db.update(&id, UserChange { end_tokens, ..UserChange::default() }).await;
    assert!(matches!(outcome, Ok(Outcome::Done(_))), "{outcome:?}");
    let kept = AccessTokenDatabase::get(&db, &token("a")).await.expect("an answer").expect("the session that acts");
    assert_eq!(kept.mark, Some(Mark::Kept));
    assert!(AccessTokenDatabase::get(&db, &token("b")).await.expect("an answer").is_none());
    assert!(AccessTokenDatabase::get(&db, &token("other")).await.expect("an answer").is_some());
    let end_tokens = Some(EndTokens { now: now().unix_timestamp(), keep: None });
    let outcome = db.update(&id, UserChange { end_tokens, ..UserChange::default() }).await;
    assert!(matches!(outcome, Ok(Outcome::Done(_))), "{outcome:?}");
    assert!(AccessTokenDatabase::get(&db, &token("a")).await.expect("an answer").is_none());
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
    assert!(AccessTokenDatabase::get(&db, &token("4")).await.expect("an answer").is_some());
}

async fn deletion<P: SampleProfile, D: UserDatabase<P> + AccessTokenDatabase<P>>(db: D) {
    let id = user(&db, 1).await;
    store(&db, &id, "a", now()).await;
    let outcome = UserDatabase::delete(&db, &id, Vec::new()).await;
    assert!(matches!(outcome, Ok(Outcome::Done(()))), "{outcome:?}");
    assert!(
        AccessTokenDatabase::get(&db, &token("a")).await.expect("an answer").is_none(),
        "no token outlives its user"
    );
    store(&db, &id, "late", now()).await;
    assert!(AccessTokenDatabase::get(&db, &token("late")).await.expect("an answer").is_none());
}
