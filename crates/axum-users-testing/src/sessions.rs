//! What every store of sessions and refresh tokens does.

use axum_users_core::{
    AccessTokenDatabase, Condition, EndTokens, KeptSession, NewRefreshToken, NewSession, Outcome, RefreshTokenDatabase,
    Rotation, SessionId, SessionState, Successor, TokenHash, UserChange, UserDatabase,
};
use time::{Duration, OffsetDateTime};

use crate::{
    SampleProfile,
    users::{done, stored},
};

/// Runs every check, each on an empty store that keeps users, access tokens and refresh tokens.
///
/// # Panics
/// When the store does not do what is expected.
pub async fn session_database<P: SampleProfile, D>(make: impl AsyncFn() -> D)
where
    D: UserDatabase<P> + AccessTokenDatabase<P> + RefreshTokenDatabase<P> + Clone,
{
    life(make().await).await;
    keeping(make().await).await;
    clocks_that_differ(make().await).await;
    expiry(make().await).await;
    rotation(make().await).await;
    idle(make().await).await;
    reuse(make().await).await;
    refresh_ends_with_its_session(make().await).await;
    mf_01_parallel_rotations(make().await).await;
}

const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(NOW + seconds)
}

fn session() -> NewSession {
    NewSession {
        id: SessionId::generate(),
        backend: "jwt".into(),
        created_at: NOW,
        valid_until: NOW + 3600,
        address: "2001:db8::1".parse().ok(),
        user_agent: Some("Excalibur/1.0 (Camelot; ü 🗡)".into()),
        only_if: Vec::new(),
    }
}

async fn state<P: SampleProfile>(db: &impl UserDatabase<P>, id: &P::Id, session: &SessionId) -> Option<SessionState> {
    db.get_for_token(id, session).await.expect("an answer").expect("the user").1
}

async fn life<P: SampleProfile>(db: impl UserDatabase<P>) {
    let (user, other) = (stored(&db, 1).await, stored(&db, 2).await);
    let (mine, theirs) = (session(), session());
    let late = NewSession { only_if: vec![Condition::TokensValidAfterIs(Some(NOW - 1))], ..session() };
    assert!(!db.begin_session(&user.id, late.clone()).await.expect("an answer"), "tokens were ended since");
    assert_eq!(state(&db, &user.id, &late.id).await, None);
    let mine = NewSession { only_if: vec![Condition::TokensValidAfterIs(user.tokens_valid_after)], ..mine };
    assert!(db.begin_session(&user.id, mine.clone()).await.expect("an answer"));
    assert!(db.begin_session(&other.id, theirs.clone()).await.expect("an answer"));
    let fresh = SessionState { ended: false, renewed_at: None, created_at: NOW, seen_at: NOW };
    assert_eq!(state(&db, &user.id, &mine.id).await, Some(fresh));
    assert_eq!(state(&db, &user.id, &SessionId::generate()).await, None);

    db.touch_session(&user.id, mine.clone(), NOW + 60).await.expect("noted");
    db.touch_session(&user.id, mine.clone(), NOW + 30).await.expect("noted");
    assert_eq!(state(&db, &user.id, &mine.id).await.map(|it| it.seen_at), Some(NOW + 60), "never back");
    // One that is heard of for the first time: the other system's token.
    let unknown = session();
    db.touch_session(&user.id, unknown.clone(), NOW + 70).await.expect("noted");
    assert_eq!(state(&db, &user.id, &unknown.id).await.map(|it| (it.created_at, it.seen_at)), Some((NOW, NOW + 70)));

    let mut listed = db.sessions(&user.id).await.expect("a list");
    listed.retain(|it| it.id == mine.id);
    let [shown] = listed.as_slice() else { panic!("the session is listed once: {listed:?}") };
    assert_eq!((shown.backend.as_str(), shown.valid_until), ("jwt", NOW + 3600));
    assert_eq!(
        (shown.address.as_deref(), shown.user_agent.as_deref()),
        (Some("2001:db8::1"), mine.user_agent.as_deref())
    );
    assert_eq!(db.sessions(&other.id).await.expect("a list").len(), 1, "each sees their own");

    db.end_session(&user.id, mine.clone()).await.expect("ended");
    db.end_session(&user.id, mine.clone()).await.expect("twice is no error");
    db.touch_session(&user.id, mine.clone(), NOW + 80).await.expect("too late");
    let change = |session: &SessionId| UserChange {
        is_verified: Some(true),
        only_if: vec![Condition::SessionNotEnded(session.clone())],
        ..UserChange::default()
    };
    let refused = db.update(&user.id, change(&mine.id)).await.expect("an answer");
    assert!(matches!(refused, Outcome::Refused(Condition::SessionNotEnded(_))), "{refused:?}");
    for session in [&unknown.id, &SessionId::generate()] {
        assert!(matches!(db.update(&user.id, change(session)).await, Ok(Outcome::Done(_))));
    }
    assert!(state(&db, &user.id, &mine.id).await.expect("it stays known").ended);
    // Ended before it was ever stored: a logged-out token of the other system.
    let never_stored = session();
    db.end_session(&user.id, never_stored.clone()).await.expect("ended");
    assert!(state(&db, &user.id, &never_stored.id).await.expect("known from now on").ended);
    let left: Vec<_> = db.sessions(&user.id).await.expect("a list").into_iter().filter(|it| !it.state.ended).collect();
    assert!(left.len() == 1 && left.iter().all(|it| it.id == unknown.id), "{left:?}");
    assert!(!state(&db, &other.id, &theirs.id).await.expect("the other's").ended);

    done(db.delete(&user.id, Vec::new()).await);
    assert!(!db.begin_session(&user.id, session()).await.expect("an answer"), "nobody is left to begin it");
    db.touch_session(&user.id, session(), NOW).await.expect("no error");
    db.end_session(&user.id, session()).await.expect("no error");
    assert!(db.sessions(&user.id).await.expect("a list").is_empty(), "no session outlives its user");
}

/// A node whose clock is ahead issued what a node ends whose clock is behind.
async fn clocks_that_differ<P: SampleProfile>(db: impl UserDatabase<P> + RefreshTokenDatabase<P>) {
    let end = || UserChange { end_tokens: Some(EndTokens { now: NOW, keep: None }), ..UserChange::default() };
    let (user, other) = (stored(&db, 1).await, stored(&db, 2).await);
    let ahead = NewSession { created_at: NOW + 20, ..session() };
    assert!(db.begin_session(&user.id, ahead).await.expect("an answer"));
    assert_eq!(done(db.update(&user.id, end()).await).tokens_valid_after, Some(NOW + 21));
    let token = NewRefreshToken {
        token: TokenHash::of("refresh"),
        user_id: user.id.clone(),
        session: SessionId::generate(),
        issued_at: NOW + 40,
        valid_until: NOW + 3600,
    };
    assert!(RefreshTokenDatabase::create(&db, token).await.expect("an answer"));
    assert_eq!(done(db.update(&user.id, end()).await).tokens_valid_after, Some(NOW + 41));
    let limit = done(db.update(&other.id, end()).await).tokens_valid_after;
    assert!(limit < Some(NOW + 20), "each by their own: {limit:?}");
}

async fn keeping<P: SampleProfile>(db: impl UserDatabase<P>) {
    let (user, other) = (stored(&db, 1).await, stored(&db, 2).await);
    let (kept, ended, theirs) = (session(), session(), session());
    for (id, session) in [(&user.id, &kept), (&user.id, &ended), (&other.id, &theirs)] {
        assert!(db.begin_session(id, session.clone()).await.expect("an answer"));
    }
    let keep = |session: &NewSession| Some(KeptSession { session: session.clone(), stored_token: None });
    let change = |now, keep| UserChange { end_tokens: Some(EndTokens { now, keep }), ..UserChange::default() };
    let changed = done(db.update(&user.id, change(NOW + 5, keep(&kept))).await);
    assert_eq!(changed.tokens_valid_after, Some(NOW + 6));
    assert_eq!(state(&db, &user.id, &kept.id).await.and_then(|it| it.renewed_at), Some(NOW + 6));
    assert_eq!(state(&db, &user.id, &ended.id).await, None);
    assert_eq!(state(&db, &other.id, &theirs.id).await.map(|it| it.renewed_at), Some(None));
    // One that was not stored is from now on.
    let unknown = session();
    done(db.update(&user.id, change(NOW + 7, keep(&unknown))).await);
    assert_eq!(state(&db, &user.id, &unknown.id).await.and_then(|it| it.renewed_at), Some(NOW + 8));
    assert_eq!(state(&db, &user.id, &kept.id).await, None, "the one that was kept before ends too");
    // Ended stays ended, whatever is kept later.
    db.end_session(&user.id, unknown.clone()).await.expect("ended");
    done(db.update(&user.id, change(NOW + 9, keep(&unknown))).await);
    assert!(state(&db, &user.id, &unknown.id).await.expect("known").ended);
    done(db.update(&user.id, change(NOW + 11, None)).await);
    assert!(db.sessions(&user.id).await.expect("a list").iter().all(|it| it.state.ended));
}

async fn expiry<P: SampleProfile, D: UserDatabase<P> + RefreshTokenDatabase<P>>(db: D) {
    let user = stored(&db, 1).await;
    for number in 0..6 {
        let valid_until = NOW + number;
        let session = NewSession { valid_until, ..session() };
        assert!(db.begin_session(&user.id, session.clone()).await.expect("an answer"));
        let mut token = refresh(&user.id, &session.id, &number.to_string());
        token.valid_until = valid_until;
        assert!(RefreshTokenDatabase::create(&db, token).await.expect("an answer"));
    }
    let mut removed = Vec::new();
    for _ in 0..3 {
        removed.push(db.delete_expired_sessions(NOW + 4, 3).await.expect("cleaned"));
    }
    assert_eq!(removed, [6, 2, 0], "sessions and refresh tokens, three of each at a time");
    assert_eq!(db.sessions(&user.id).await.expect("a list").len(), 2);
}

fn refresh<P: SampleProfile>(id: &P::Id, session: &SessionId, text: &str) -> NewRefreshToken<P> {
    NewRefreshToken {
        token: TokenHash::of(text),
        user_id: id.clone(),
        session: session.clone(),
        issued_at: NOW,
        valid_until: NOW + 3600,
    }
}

async fn with_refresh<P: SampleProfile, D: UserDatabase<P> + RefreshTokenDatabase<P>>(db: &D) -> (P::Id, NewSession) {
    let user = stored(db, 1).await;
    let session = session();
    assert!(db.begin_session(&user.id, session.clone()).await.expect("an answer"));
    assert!(RefreshTokenDatabase::create(db, refresh(&user.id, &session.id, "first")).await.expect("an answer"));
    (user.id, session)
}

async fn rotate<P: SampleProfile>(db: &impl RefreshTokenDatabase<P>, token: &str, to: &str, after: i64) -> Rotation<P> {
    db.rotate(&TokenHash::of(token), successor(to), at(after)).await.expect("an answer")
}

fn successor(text: &str) -> Successor {
    Successor {
        hash: TokenHash::of(text),
        nonce: format!("{text:-<43}"),
        requires_verification: false,
        idle_lifetime: None,
    }
}

async fn rotation<P: SampleProfile, D: UserDatabase<P> + RefreshTokenDatabase<P>>(db: D) {
    let (id, session) = with_refresh(&db).await;
    let Rotation::Rotated { user, session: of, valid_until, nonce, rotated_at } =
        rotate(&db, "first", "second", 1).await
    else {
        panic!("a fresh token is rotated")
    };
    assert_eq!((user.id, of, valid_until), (id.clone(), session.id.clone(), NOW + 3600));
    assert_eq!(nonce, format!("{:-<43}", "second"));
    assert_eq!(rotated_at, at(1));
    // The answer was lost: the same successor again, and no other, as of then.
    let Rotation::Rotated { nonce: again, rotated_at, .. } = rotate(&db, "first", "never", 11).await else {
        panic!("repeated")
    };
    assert_eq!((again, rotated_at), (nonce, at(1)));
    assert!(matches!(rotate(&db, "never", "x", 2).await, Rotation::Unknown));
    assert!(matches!(rotate(&db, "second", "third", 3).await, Rotation::Rotated { .. }));
    assert!(matches!(rotate(&db, "unknown", "x", 3).await, Rotation::Unknown));
    assert!(matches!(rotate(&db, "third", "x", 3600).await, Rotation::Unknown), "expired, however often rotated");
    // What the user must be.
    let successor = |requires_verification| Successor { requires_verification, ..successor("4") };
    let third = TokenHash::of("third");
    let change = |is_active, is_verified| UserChange { is_active, is_verified, ..UserChange::default() };
    done(db.update(&id, change(None, Some(false))).await);
    let rotation = RefreshTokenDatabase::<P>::rotate(&db, &third, successor(true), at(4)).await.expect("an answer");
    assert!(matches!(rotation, Rotation::NotVerified { .. }));
    done(db.update(&id, change(Some(false), None)).await);
    let rotation = RefreshTokenDatabase::<P>::rotate(&db, &third, successor(false), at(4)).await.expect("an answer");
    assert!(matches!(rotation, Rotation::Unknown));
    done(db.update(&id, change(Some(true), None)).await);
    let rotation = RefreshTokenDatabase::<P>::rotate(&db, &third, successor(false), at(4)).await.expect("an answer");
    assert!(matches!(rotation, Rotation::Rotated { .. }), "nothing was used up");
}

async fn idle<P: SampleProfile, D: UserDatabase<P> + RefreshTokenDatabase<P>>(db: D) {
    let (id, session) = with_refresh(&db).await;
    let rotate = async |token: &str, to: &str, after: i64| {
        let successor = Successor { idle_lifetime: Some(std::time::Duration::from_secs(600)), ..successor(to) };
        RefreshTokenDatabase::<P>::rotate(&db, &TokenHash::of(token), successor, at(after)).await.expect("an answer")
    };
    assert!(matches!(rotate("first", "second", 599).await, Rotation::Rotated { .. }));
    assert_eq!(state(&db, &id, &session.id).await.expect("known").seen_at, NOW + 599, "a refresh is a use");
    assert!(matches!(rotate("second", "third", 599 + 600).await, Rotation::Unknown));
    assert!(matches!(rotate("second", "third", 599 + 599).await, Rotation::Rotated { .. }), "nothing was used up");
}

async fn reuse<P: SampleProfile, D: UserDatabase<P> + RefreshTokenDatabase<P>>(db: D) {
    let (id, session) = with_refresh(&db).await;
    assert!(matches!(rotate(&db, "first", "second", 0).await, Rotation::Rotated { .. }));
    let Rotation::Reused { user_id, session: ended } = rotate(&db, "first", "x", 11).await else {
        panic!("a copy was used")
    };
    assert_eq!((user_id, ended), (id.clone(), session.id.clone()));
    assert!(state(&db, &id, &session.id).await.expect("known").ended);
    for token in ["first", "second", "x"] {
        assert!(matches!(rotate(&db, token, "y", 12).await, Rotation::Unknown), "{token}");
    }
}

async fn refresh_ends_with_its_session<P: SampleProfile, D: UserDatabase<P> + RefreshTokenDatabase<P>>(db: D) {
    let (id, first) = with_refresh(&db).await;
    let second = session();
    assert!(db.begin_session(&id, second.clone()).await.expect("an answer"));
    assert!(RefreshTokenDatabase::create(&db, refresh(&id, &second.id, "other")).await.expect("an answer"));
    db.end_session(&id, first).await.expect("ended");
    assert!(matches!(rotate(&db, "first", "x", 1).await, Rotation::Unknown));
    assert!(matches!(rotate(&db, "other", "another", 1).await, Rotation::Rotated { .. }));
    // The session that changes the password lives on with its refresh token; all others end.
    let keep = Some(KeptSession { session: second, stored_token: None });
    let change = |now, keep| UserChange { end_tokens: Some(EndTokens { now, keep }), ..UserChange::default() };
    done(db.update(&id, change(NOW + 2, keep)).await);
    assert!(matches!(rotate(&db, "another", "last", 3).await, Rotation::Rotated { .. }));
    done(db.update(&id, change(NOW + 4, None)).await);
    assert!(matches!(rotate(&db, "last", "x", 5).await, Rotation::Unknown));
    // A login that was proved before the change may store its token after it.
    let late = session();
    assert!(db.begin_session(&id, late.clone()).await.expect("an answer"));
    assert!(RefreshTokenDatabase::create(&db, refresh(&id, &late.id, "late")).await.expect("an answer"));
    assert!(matches!(rotate(&db, "late", "x", 6).await, Rotation::Unknown));
    done(db.delete(&id, Vec::new()).await);
    assert!(!RefreshTokenDatabase::create(&db, refresh(&id, &late.id, "gone")).await.expect("an answer"));
    assert!(matches!(rotate(&db, "late", "x", 6).await, Rotation::Unknown));
}

async fn mf_01_parallel_rotations<P: SampleProfile, D>(db: D)
where
    D: UserDatabase<P> + RefreshTokenDatabase<P> + Clone,
{
    with_refresh(&db).await;
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let db = db.clone();
            tokio::spawn(async move { rotate::<P>(&db, "first", &format!("successor {number}"), 1).await })
        })
        .collect();
    let mut nonces = Vec::new();
    for task in tasks {
        let Rotation::Rotated { nonce, .. } = task.await.expect("no panic") else {
            panic!("all are told the successor")
        };
        nonces.push(nonce);
    }
    nonces.dedup();
    let [nonce] = nonces.as_slice() else { panic!("one successor, not {nonces:?}") };
    let successor = nonce.trim_end_matches('-').to_owned();
    assert!(matches!(rotate(&db, &successor, "next", 2).await, Rotation::Rotated { .. }));
}
