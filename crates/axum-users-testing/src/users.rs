//! What every `UserDatabase` does.

use std::sync::Arc;

use axum_users_core::{
    Condition, Conflict, DatabaseError, Email, EmailKey, EndTokens, NewUser, Outcome, PasswordHash, SessionId, User,
    UserChange, UserDatabase, UserId,
};

use crate::SampleProfile;

/// Runs every check, each on an empty store.
///
/// # Panics
/// When the store does not do what is expected.
pub async fn user_database<P: SampleProfile, D: UserDatabase<P>>(make: impl AsyncFn() -> D) {
    all(make, false).await;
}

/// The same for a store that is shared with another system, whose own unique index joins more than our rule does: it may refuse a
/// look-alike, and finds none all the same.
///
/// # Panics
/// When the store does not do what is expected.
pub async fn user_database_that_refuses_look_alikes<P: SampleProfile, D: UserDatabase<P>>(make: impl AsyncFn() -> D) {
    all(make, true).await;
}

async fn all<P: SampleProfile, D: UserDatabase<P>>(make: impl AsyncFn() -> D, refuses_look_alikes: bool) {
    round_trip(make().await).await;
    look_ups(make().await).await;
    one_mailbox_one_account(make().await, refuses_look_alikes).await;
    unique_columns(make().await).await;
    partial_updates(make().await).await;
    conditions(make().await).await;
    last_superuser(make().await).await;
    ending_tokens(make().await).await;
    deletion(make().await).await;
    listing(make().await).await;
}

/// A user that is about to be stored: the number makes address and handle.
pub(crate) fn new_user<P: SampleProfile>(number: usize) -> NewUser<P> {
    NewUser {
        id: P::Id::generate(),
        email: email(&format!("User.{number}@camelot.bt")),
        hashed_password: hash(number),
        is_active: true,
        is_superuser: false,
        is_verified: number.is_multiple_of(2),
        tokens_valid_after: None,
        profile: P::sample(number),
        consumes: None,
    }
}

fn email(text: &str) -> Email {
    Email::parse(text).expect("a valid address")
}

fn hash(number: usize) -> PasswordHash {
    PasswordHash::from_stored(format!("$argon2id$v=19$m=8,t=1,p=1${number:022}$digest"))
}

fn same<P: SampleProfile>(a: &User<P>, b: &User<P>) {
    assert_eq!(a.id, b.id);
    assert_eq!(a.email, b.email);
    assert_eq!(a.hashed_password.as_str(), b.hashed_password.as_str());
    assert_eq!((a.is_active, a.is_superuser, a.is_verified), (b.is_active, b.is_superuser, b.is_verified));
    assert_eq!(a.tokens_valid_after, b.tokens_valid_after);
    assert_eq!(a.profile, b.profile);
}

pub(crate) async fn stored<P: SampleProfile>(db: &impl UserDatabase<P>, number: usize) -> User<P> {
    db.create(new_user(number)).await.expect("a user is created")
}

async fn fresh<P: SampleProfile>(db: &impl UserDatabase<P>, id: &P::Id) -> User<P> {
    db.get(id).await.expect("an answer").expect("the user is there")
}

pub(crate) fn done<T>(outcome: Result<Outcome<T>, DatabaseError>) -> T {
    match outcome.expect("an answer") {
        Outcome::Done(it) => it,
        Outcome::Refused(condition) => panic!("refused: {condition:?}"),
        Outcome::Missing => panic!("the user is missing"),
    }
}

/// Whether it is refused because it is about the last superuser.
fn is_last<T>(outcome: Result<Outcome<T>, DatabaseError>) -> bool {
    matches!(refused(outcome), Condition::AnotherSuperuserRemains)
}

fn refused<T>(outcome: Result<Outcome<T>, DatabaseError>) -> Condition {
    match outcome.expect("an answer") {
        Outcome::Refused(condition) => condition,
        _ => panic!("the condition should not hold"),
    }
}

async fn round_trip<P: SampleProfile>(db: impl UserDatabase<P>) {
    let created = stored(&db, 1).await;
    assert_eq!(created.profile, P::sample(1));
    assert_eq!(created.email.as_str(), "User.1@camelot.bt", "the case that was typed is kept");
    same(&fresh(&db, &created.id).await, &created);
    let mut user = new_user::<P>(2);
    (user.is_active, user.is_superuser, user.is_verified) = (false, true, true);
    user.tokens_valid_after = Some(4_102_444_800);
    let other = db.create(user).await.expect("created");
    assert_ne!(other.id, created.id);
    assert_eq!(other.tokens_valid_after, Some(4_102_444_800));
    same(&fresh(&db, &other.id).await, &other);
    db.ping().await.expect("the store is there");
}

async fn look_ups<P: SampleProfile>(db: impl UserDatabase<P>) {
    let user = stored(&db, 1).await;
    for spelling in ["User.1@camelot.bt", "user.1@CAMELOT.bt", "USER.1@Camelot.BT"] {
        let found = db.get_by_email(&EmailKey::of_typed(spelling)).await.expect("an answer");
        same(&found.expect("the address in any case"), &user);
    }
    for stranger in
        ["user.2@camelot.bt", "", "user.1", "%@camelot.bt", "user_1@camelot.bt", "' OR 1=1 --", "user.1@camelot.bt "]
    {
        let found = db.get_by_email(&EmailKey::of_typed(stranger)).await.expect("an answer, whatever is asked");
        let same_mailbox = EmailKey::of_typed(stranger).matches(user.email.as_str());
        assert_eq!(found.is_some(), same_mailbox, "{stranger:?}");
    }
    let nobody = P::Id::generate().or_else(|| P::Id::parse("9223372036854775807")).expect("an id");
    assert!(db.get(&nobody).await.expect("an absurd id is no error").is_none());
}

/// Pairs of spellings, and whether they are one mailbox; the same on every engine and locale.
const MAILBOXES: [(&str, &str, bool); 12] = [
    ("a@camelot.bt", "A@camelot.bt", true),
    ("a@camelot.bt", "a@CAMELOT.BT", true),
    ("élodie@camelot.bt", "ÉLODIE@camelot.bt", true),
    ("élodie@camelot.bt", "elodie@camelot.bt", false),
    ("stra\u{df}e@camelot.bt", "strasse@camelot.bt", false),
    ("i@camelot.bt", "ı@camelot.bt", false),
    ("e\u{301}@camelot.bt", "\u{e9}@camelot.bt", true),
    ("ﬁ@camelot.bt", "fi@camelot.bt", false),
    ("a@bücher.example", "a@xn--bcher-kva.example", true),
    ("a@camelot.bt", "\u{ff41}@camelot.bt", false),
    ("а@camelot.bt", "a@camelot.bt", false),
    ("ñ@camelot.bt", "n@camelot.bt", false),
];

async fn one_mailbox_one_account<P: SampleProfile>(db: impl UserDatabase<P>, refuses_look_alikes: bool) {
    for (index, (a, b, same_mailbox)) in MAILBOXES.into_iter().enumerate() {
        let mut first = new_user::<P>(100 + index);
        first.email = email(a);
        let first = db.create(first).await.expect("the first of each pair");
        let mut second = new_user::<P>(200 + index);
        second.email = email(b);
        match db.create(second).await {
            Ok(second) => {
                assert!(!same_mailbox, "{a} and {b} are one mailbox, and got two accounts");
                done(db.delete(&second.id, Vec::new()).await);
            }
            Err(DatabaseError::Conflict(Conflict::Email)) => {
                assert!(same_mailbox || refuses_look_alikes, "{a} and {b} are two mailboxes");
            }
            Err(other) => panic!("{a} and {b}: {other:?}"),
        }
        let found = db.get_by_email(&EmailKey::of_typed(b)).await.expect("an answer");
        assert_eq!(found.is_some(), same_mailbox, "{a} looked up as {b}");
        done(db.delete(&first.id, Vec::new()).await);
    }
    // Moving to an address that is taken.
    let (a, b) = (stored(&db, 1).await, stored(&db, 2).await);
    let change = UserChange { email: Some(email("USER.1@camelot.bt")), ..UserChange::default() };
    let moved = db.update(&b.id, change).await;
    assert!(matches!(moved, Err(DatabaseError::Conflict(Conflict::Email))), "{moved:?}");
    same(&fresh(&db, &b.id).await, &b);
    let change = UserChange { email: Some(email("USER.1@camelot.bt")), ..UserChange::default() };
    assert_eq!(done(db.update(&a.id, change).await).email.as_str(), "USER.1@camelot.bt");
}

async fn unique_columns<P: SampleProfile>(db: impl UserDatabase<P>) {
    let field = P::columns().iter().find(|column| column.unique).expect("a unique column").field;
    stored(&db, 1).await;
    let mut twin = new_user::<P>(2);
    twin.profile = P::sample(1);
    let refused = db.create(twin).await;
    assert!(matches!(refused, Err(DatabaseError::Conflict(Conflict::Column(it))) if it == field), "{refused:?}");
    let other = stored(&db, 2).await;
    let change = UserChange { profile: P::set_handle(Some("handle-1")), ..UserChange::default() };
    let refused = db.update(&other.id, change).await;
    assert!(matches!(refused, Err(DatabaseError::Conflict(Conflict::Column(it))) if it == field), "{refused:?}");
    // Nulls are not compared.
    for number in 3..5 {
        let user = stored(&db, number).await;
        let change = UserChange { profile: P::set_handle(None), ..UserChange::default() };
        assert_eq!(done(db.update(&user.id, change).await).profile.handle(), None);
    }
}

async fn partial_updates<P: SampleProfile>(db: impl UserDatabase<P>) {
    let user = stored(&db, 1).await;
    let bystander = stored(&db, 2).await;
    let change = UserChange { profile: P::set_points(42), ..UserChange::default() };
    let changed = done(db.update(&user.id, change).await);
    assert_eq!(changed.profile.points(), 42);
    assert_eq!((&changed.email, changed.profile.handle()), (&user.email, user.profile.handle()), "the rest is kept");
    let change = UserChange {
        email: Some(email("new@camelot.bt")),
        hashed_password: Some(hash(9)),
        is_active: Some(false),
        is_superuser: Some(true),
        is_verified: Some(true),
        ..UserChange::default()
    };
    let changed = done(db.update(&user.id, change).await);
    assert_eq!(changed.email.as_str(), "new@camelot.bt");
    assert_eq!(changed.hashed_password.as_str(), hash(9).as_str());
    assert_eq!((changed.is_active, changed.is_superuser, changed.is_verified), (false, true, true));
    assert_eq!(changed.profile.points(), 42);
    same(&fresh(&db, &user.id).await, &changed);
    same(&done(db.update(&user.id, UserChange::default()).await), &changed);
    same(&fresh(&db, &bystander.id).await, &bystander);
}

async fn conditions<P: SampleProfile>(db: impl UserDatabase<P>) {
    let user = stored(&db, 1).await;
    let swap = |only_if| UserChange { hashed_password: Some(hash(7)), only_if: vec![only_if], ..UserChange::default() };
    assert!(matches!(refused(db.update(&user.id, swap(Condition::HashIs(hash(2)))).await), Condition::HashIs(_)));
    let other = Condition::EmailIs(email("user.1@camelot.bt"));
    assert!(matches!(refused(db.update(&user.id, swap(other)).await), Condition::EmailIs(_)), "to the letter");
    same(&fresh(&db, &user.id).await, &user);
    for limit in [Some(1), Some(i64::MAX)] {
        let since = swap(Condition::TokensValidAfterIs(limit));
        assert!(matches!(refused(db.update(&user.id, since).await), Condition::TokensValidAfterIs(_)));
    }
    done(db.update(&user.id, swap(Condition::HashIs(hash(1)))).await);
    assert!(matches!(refused(db.update(&user.id, swap(Condition::HashIs(hash(1)))).await), Condition::HashIs(_)));
    done(db.update(&user.id, swap(Condition::EmailIs(user.email.clone()))).await);
    done(db.update(&user.id, swap(Condition::TokensValidAfterIs(user.tokens_valid_after))).await);
    done(db.delete(&user.id, Vec::new()).await);
    assert!(matches!(db.update(&user.id, UserChange::default()).await, Ok(Outcome::Missing)));
    assert!(matches!(db.delete(&user.id, Vec::new()).await, Ok(Outcome::Missing)));
}

async fn last_superuser<P: SampleProfile>(db: impl UserDatabase<P>) {
    let remains = || vec![Condition::AnotherSuperuserRemains];
    let mut chief = new_user::<P>(1);
    chief.is_superuser = true;
    let chief = db.create(chief).await.expect("created");
    let demote = || UserChange { is_superuser: Some(false), only_if: remains(), ..UserChange::default() };
    assert!(is_last(db.update(&chief.id, demote()).await));
    assert!(is_last(db.delete(&chief.id, remains()).await));
    let mut inactive = new_user::<P>(2);
    (inactive.is_superuser, inactive.is_active) = (true, false);
    let inactive = db.create(inactive).await.expect("created");
    assert!(is_last(db.update(&chief.id, demote()).await), "inactive ones do not count");
    let promote = UserChange { is_active: Some(true), ..UserChange::default() };
    done(db.update(&inactive.id, promote).await);
    done(db.update(&chief.id, demote()).await);
    done(db.delete(&chief.id, remains()).await);
}

async fn ending_tokens<P: SampleProfile>(db: impl UserDatabase<P>) {
    let user = stored(&db, 1).await;
    let change = |now| UserChange { end_tokens: Some(EndTokens { now, keep: None }), ..UserChange::default() };
    assert_eq!(done(db.update(&user.id, change(1000)).await).tokens_valid_after, Some(1001));
    assert_eq!(done(db.update(&user.id, change(1000)).await).tokens_valid_after, Some(1002), "within one second");
    assert_eq!(done(db.update(&user.id, change(500)).await).tokens_valid_after, Some(1003), "never back");
}

async fn deletion<P: SampleProfile>(db: impl UserDatabase<P>) {
    let (user, other) = (stored(&db, 1).await, stored(&db, 2).await);
    done(db.delete(&user.id, Vec::new()).await);
    assert!(db.get(&user.id).await.expect("an answer").is_none());
    assert!(db.get_for_token(&user.id, &SessionId::generate()).await.expect("an answer").is_none());
    same(&fresh(&db, &other.id).await, &other);
    stored(&db, 1).await; // the address is free again
}

async fn listing<P: SampleProfile>(db: impl UserDatabase<P>) {
    let mut expected = Vec::new();
    for number in 0..7 {
        expected.push(stored(&db, number).await.id);
    }
    let mut seen: Vec<P::Id> = Vec::new();
    loop {
        let page = db.list(seen.last(), 3).await.expect("a page");
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 3);
        seen.extend(page.into_iter().map(|user| user.id));
    }
    assert_eq!(seen.len(), expected.len());
    assert!(expected.iter().all(|id| seen.contains(id)), "everyone once");
}

/// What must hold when many do the same at once. `rounds` is how often each race is run.
///
/// # Panics
/// When the store does not do what is expected.
pub async fn races<P: SampleProfile, D: UserDatabase<P>>(make: impl AsyncFn() -> D, rounds: usize) {
    for round in 0..rounds {
        fifty_spellings_of_one_address(Arc::new(make().await)).await;
        two_superusers_demote_each_other(Arc::new(make().await), round).await;
    }
}

async fn fifty_spellings_of_one_address<P: SampleProfile>(db: Arc<impl UserDatabase<P>>) {
    let spell = |number: usize| {
        let letters = "king.arthur@camelot.bt".chars().enumerate();
        letters.map(|(i, c)| if number >> (i % 6) & 1 == 1 { c.to_ascii_uppercase() } else { c }).collect::<String>()
    };
    let tasks = (0..50).map(|number| {
        let db = Arc::clone(&db);
        tokio::spawn(async move {
            let mut user = new_user::<P>(number);
            user.email = email(&spell(number));
            match db.create(user).await {
                Ok(_) => 1,
                Err(DatabaseError::Conflict(Conflict::Email)) => 0,
                Err(other) => panic!("neither created nor taken: {other:?}"),
            }
        })
    });
    let mut created = 0;
    for task in tasks.collect::<Vec<_>>() {
        created += task.await.expect("a task");
    }
    assert_eq!(created, 1, "one of fifty");
    assert_eq!(db.list(None, 100).await.expect("a page").len(), 1);
}

async fn two_superusers_demote_each_other<P: SampleProfile>(db: Arc<impl UserDatabase<P>>, round: usize) {
    let mut ids = Vec::new();
    for number in 0..2 {
        let mut user = new_user::<P>(number);
        user.is_superuser = true;
        ids.push(db.create(user).await.expect("created").id);
    }
    let tasks = ids.clone().into_iter().enumerate().map(|(index, id)| {
        let db = Arc::clone(&db);
        tokio::spawn(async move {
            let only_if = vec![Condition::AnotherSuperuserRemains];
            if (round + index).is_multiple_of(2) {
                let change = UserChange { is_superuser: Some(false), only_if, ..UserChange::default() };
                db.update(&id, change).await.map(drop)
            } else {
                db.delete(&id, only_if).await.map(drop)
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a task").expect("an answer");
    }
    let left = db.list(None, 10).await.expect("a page");
    assert_eq!(left.iter().filter(|user| user.is_superuser && user.is_active).count(), 1, "one remains");
}
