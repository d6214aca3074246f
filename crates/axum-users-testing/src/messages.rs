//! What every store does that keeps messages.

use std::collections::BTreeSet;

use axum_users_core::{
    Condition, Outcome, RequestInfo, UserChange, UserDatabase,
    outbox::{LEASE, Message, Settled, Task},
};

use crate::{SampleProfile, users::stored};

/// Runs every check, each on an empty store.
///
/// # Panics
/// When the store does not do what is expected.
pub async fn messages<P: SampleProfile, D: UserDatabase<P> + Clone>(make: impl AsyncFn() -> D) {
    life(make().await).await;
    with_a_change(make().await).await;
    av_07_each_is_claimed_once(make().await).await;
}

fn message(email: &str) -> Message {
    let mut request = RequestInfo::default();
    request.user_agent = Some("Excalibur (ü 🗡) '); --".into());
    Message::new(Task::ForgotPassword { email: email.into() }, Some(&request))
}

async fn life<P: SampleProfile>(db: impl UserDatabase<P>) {
    assert!(db.keeps_messages());
    let (first, second) = (message("a@camelot.bt"), message("ü@camelot.bt"));
    db.enqueue(first.clone(), 100).await.expect("kept");
    db.enqueue(second.clone(), 101).await.expect("kept");
    assert!(db.claim(99, 10).await.expect("an answer").is_empty(), "not due yet");
    let claimed = db.claim(101, 1).await.expect("an answer");
    let [one] = claimed.as_slice() else { panic!("one was asked for: {claimed:?}") };
    assert_eq!(one.message.as_ref(), Some(&first), "oldest first, as it was written");
    assert_eq!((one.attempt, one.created_at, one.first_claimed_at, one.lease), (1, 100, 101, 101 + LEASE));
    let rest = db.claim(101, 10).await.expect("an answer");
    let [two] = rest.as_slice() else { panic!("the claimed one is nobody else's: {rest:?}") };
    assert_eq!(two.message.as_ref(), Some(&second));
    db.settle(one, Settled::Done).await.expect("settled");
    db.settle(two, Settled::Later(150)).await.expect("settled");
    assert!(db.claim(149, 10).await.expect("an answer").is_empty());
    let again = db.claim(150, 10).await.expect("an answer");
    let [again] = again.as_slice() else { panic!("it is due again: {again:?}") };
    assert_eq!((&again.key, again.attempt, again.first_claimed_at), (&second.key, 2, 101));
    // Whoever lost the lease settles nothing.
    db.settle(two, Settled::Done).await.expect("no error");
    let late = db.claim(150 + LEASE, 10).await.expect("an answer");
    let [late] = late.as_slice() else { panic!("its worker is gone, and it is not: {late:?}") };
    assert_eq!(late.attempt, 3);
    db.settle(late, Settled::Failed).await.expect("settled");
    assert!(db.claim(i64::MAX - 1, 10).await.expect("an answer").is_empty(), "it was given up");
}

async fn with_a_change<P: SampleProfile>(db: impl UserDatabase<P>) {
    let user = stored(&db, 1).await;
    let change = |only_if| UserChange {
        is_verified: Some(true),
        messages: vec![(message("a@camelot.bt"), 100), (message("b@camelot.bt"), 100)],
        only_if,
        ..UserChange::default()
    };
    let refused = db.update(&user.id, change(vec![Condition::TokensValidAfterIs(Some(7))])).await;
    assert!(matches!(refused, Ok(Outcome::Refused(_))), "{refused:?}");
    assert!(db.claim(1000, 10).await.expect("an answer").is_empty(), "no change, no message");
    let done = db.update(&user.id, change(Vec::new())).await;
    assert!(matches!(done, Ok(Outcome::Done(_))), "{done:?}");
    assert_eq!(db.claim(1000, 10).await.expect("an answer").len(), 2);
}

async fn av_07_each_is_claimed_once<P: SampleProfile, D: UserDatabase<P> + Clone>(db: D) {
    let mut expected = BTreeSet::new();
    for number in 0..40 {
        let message = message(&format!("{number}@camelot.bt"));
        expected.insert(message.key.clone());
        db.enqueue(message, 100).await.expect("kept");
    }
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                // Another worker may have been quicker with a whole batch: an empty one is not the end.
                for _ in 0..40 {
                    mine.extend(db.claim(100, 4).await.expect("an answer").into_iter().map(|it| it.key));
                }
                mine
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.expect("no panic"));
    }
    assert_eq!(all.len(), expected.len(), "none twice, none lost");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), expected);
}
