//! What every store does that keeps messages.

use std::collections::BTreeSet;

use axum_users_core::{
    Condition, Conflict, DatabaseError, Email, NewUser, Outcome, PasswordHash, RequestInfo, UserChange, UserDatabase,
    outbox::{LEASE, Message, NEVER, Registration, Settled, Task},
};

use crate::{
    SampleProfile,
    users::{new_user, stored},
};

/// Runs every check, each on an empty store.
///
/// # Panics
/// When the store does not do what is expected.
pub async fn messages<P: SampleProfile, D: UserDatabase<P> + Clone>(make: impl AsyncFn() -> D) {
    life(make().await).await;
    with_a_change(make().await).await;
    av_07_each_is_claimed_once(make().await).await;
    parked(make().await).await;
    rc_07_what_was_replaced_is_not_settled(make().await).await;
    looked_after(make().await).await;
    a_user_of_a_message(make().await).await;
    a_change_of_a_message(make().await).await;
    rg_01_a_message_makes_one_change(make().await).await;
}

pub(crate) fn message(email: &str) -> Message {
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

fn registration<P: SampleProfile>(number: usize) -> Message {
    let columns = P::columns().iter().map(|column| column.field.to_owned());
    let profile = columns.zip(P::sample(number).encode()).collect();
    let hash = PasswordHash::from_stored("$argon2id$ü".into());
    let email = format!("user{number}@camelot.bt");
    Message::new(Task::Register(Registration::new(Some("7".into()), email, hash, profile)), None)
}

pub(crate) async fn keys<P: SampleProfile>(db: &impl UserDatabase<P>) -> Vec<String> {
    db.list_messages(None, 100).await.expect("an answer").into_iter().map(|it| it.key).collect()
}

async fn parked<P: SampleProfile>(db: impl UserDatabase<P>) {
    let message = registration::<P>(1);
    db.enqueue(message.clone(), 100).await.expect("kept");
    assert_eq!(db.message(&message.key).await.expect("an answer"), Some(message.clone()), "as it was written");
    assert_eq!(db.message("another").await.expect("an answer"), None);
    let [claimed] = db.claim(100, 10).await.expect("an answer").try_into().expect("one");
    db.settle(&claimed, Settled::Parked(3700)).await.expect("settled");
    assert!(db.claim(3699, 10).await.expect("an answer").is_empty(), "it waits");
    let waits = db.message(&message.key).await.expect("an answer").expect("there");
    assert!(waits.parked && waits.task == message.task && waits.request == message.request);
    let [over] = db.claim(3700, 10).await.expect("an answer").try_into().expect("one");
    assert!(over.message.as_ref().expect("known").parked, "{over:?}");
    db.settle(&over, Settled::Done).await.expect("settled");
    assert_eq!(db.message(&message.key).await.expect("an answer"), None);
}

/// All of it within one second: two workers have the same key and the same lease.
async fn rc_07_what_was_replaced_is_not_settled<P: SampleProfile>(db: impl UserDatabase<P>) {
    for settled in [Settled::Parked(3700), Settled::Done, Settled::Later(3700), Settled::Failed] {
        let first = message("first@camelot.bt");
        let second = Message::from_text(&first.key, &message("second@camelot.bt").to_text()).expect("a message");
        db.enqueue(first, 100).await.expect("kept");
        let [slow] = db.claim(100, 10).await.expect("an answer").try_into().expect("one");
        assert!(db.delete_message(&second.key).await.expect("an answer"));
        db.enqueue(second.clone(), 100).await.expect("kept");
        let [quick] = db.claim(100, 10).await.expect("an answer").try_into().expect("the other one");
        assert_eq!((&slow.key, slow.lease), (&quick.key, quick.lease));
        db.settle(&slow, settled).await.expect("no error");
        assert_eq!(db.message(&second.key).await.expect("an answer").as_ref(), Some(&second), "{settled:?}");
        let [again] =
            db.claim(quick.lease, 10).await.expect("an answer").try_into().expect("due when its lease is over");
        assert_eq!((again.message.as_ref(), again.attempt), (Some(&second), 2), "{settled:?}");
        db.settle(&again, Settled::Done).await.expect("settled");
        assert!(keys(&db).await.is_empty(), "{settled:?}");
    }
}

async fn looked_after<P: SampleProfile>(db: impl UserDatabase<P>) {
    let mut written = BTreeSet::new();
    for number in 0..5 {
        let message = message(&format!("{number}@camelot.bt"));
        written.insert(message.key.clone());
        db.enqueue(message, 100 + number).await.expect("kept");
    }
    let mut listed = db.list_messages(None, 2).await.expect("an answer");
    loop {
        let last = listed.last().expect("some").key.clone();
        let page = db.list_messages(Some(&last), 2).await.expect("an answer");
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed.len(), 5, "each once");
    assert_eq!(listed.iter().map(|it| it.key.clone()).collect::<BTreeSet<_>>(), written);
    assert!(
        listed.iter().all(|it| it.attempts == 0 && it.due_at == it.created_at && it.message.is_some()),
        "{listed:?}"
    );
    let [first] = db.claim(100, 1).await.expect("an answer").try_into().expect("one");
    db.settle(&first, Settled::Failed).await.expect("settled");
    let failed = db.list_messages(None, 10).await.expect("an answer").into_iter().find(|it| it.due_at == NEVER);
    assert_eq!(failed.map(|it| (it.key, it.attempts)), Some((first.key.clone(), 1)));
    let other = listed.iter().find(|it| it.key != first.key).expect("another").key.clone();
    assert!(!db.retry_message(&other, 50).await.expect("an answer"), "only what was given up");
    assert!(!db.retry_message("none", 50).await.expect("an answer"));
    assert!(db.retry_message(&first.key, 60).await.expect("an answer"));
    let [again] = db.claim(60, 10).await.expect("an answer").try_into().expect("the one that is due");
    assert_eq!((&again.key, again.attempt, again.first_claimed_at), (&first.key, 1, 60), "as if for the first time");
    assert!(db.delete_message(&other).await.expect("an answer"));
    assert!(!db.delete_message(&other).await.expect("an answer"));
    assert_eq!(keys(&db).await.len(), 4);
}

async fn a_user_of_a_message<P: SampleProfile>(db: impl UserDatabase<P>) {
    let user = |number, message: &Message| NewUser { consumes: Some(message.clone()), ..new_user::<P>(number) };
    let (first, second) = (registration::<P>(1), registration::<P>(2));
    let gone = |done: Result<_, DatabaseError>| matches!(done, Err(DatabaseError::Conflict(Conflict::Message)));
    assert!(gone(db.create(user(1, &first)).await.map(drop)), "it is not there");
    db.enqueue(first.clone(), 100).await.expect("kept");
    db.enqueue(second.clone(), 100).await.expect("kept");
    let mut other = first.clone();
    other.task = second.task.clone();
    assert!(gone(db.create(user(1, &other)).await.map(drop)), "it asks for something else");
    assert!(db.list(None, 10).await.expect("an answer").is_empty() && keys(&db).await.len() == 2, "nothing was done");
    let mut parked = first.clone();
    parked.parked = true;
    db.create(user(1, &parked)).await.expect("whether it is parked by now does not matter");
    assert_eq!(keys(&db).await, std::slice::from_ref(&second.key));
    assert!(gone(db.create(user(3, &first)).await.map(drop)), "once");
    let taken = db.create(user(1, &second)).await.map(drop);
    assert!(matches!(taken, Err(DatabaseError::Conflict(Conflict::Email | Conflict::Column(_)))), "{taken:?}");
    assert_eq!(keys(&db).await, [second.key], "no user, and the message stays");
}

async fn a_change_of_a_message<P: SampleProfile>(db: impl UserDatabase<P>) {
    let user = stored(&db, 1).await;
    let (asked, old, new) = (message("a@camelot.bt"), message("b@camelot.bt"), message("c@camelot.bt"));
    let replaced = Message::from_text(&old.key, &message("d@camelot.bt").to_text()).expect("a message");
    for message in [&asked, &old] {
        db.enqueue(message.clone(), 100).await.expect("kept");
    }
    let change = |only_if| UserChange {
        email: Some(Email::parse("other@camelot.bt").expect("an address")),
        consumes: Some(asked.clone()),
        drops: vec![old.key.clone(), "none".into()],
        messages: vec![(new.clone(), 100), (replaced.clone(), 100)],
        only_if,
        ..UserChange::default()
    };
    let refused = db.update(&user.id, change(vec![Condition::TokensValidAfterIs(Some(7))])).await;
    assert!(matches!(refused, Ok(Outcome::Refused(_))), "{refused:?}");
    assert_eq!(keys(&db).await.len(), 2, "nothing was done");
    let done = db.update(&user.id, change(Vec::new())).await;
    assert!(matches!(done, Ok(Outcome::Done(_))), "{done:?}");
    assert_eq!(db.message(&asked.key).await.expect("an answer"), None);
    assert_eq!(db.message(&old.key).await.expect("an answer"), Some(replaced.clone()), "first dropped, then stored");
    assert_eq!(keys(&db).await.len(), 2);
    let again = db.update(&user.id, change(Vec::new())).await;
    assert!(matches!(again, Err(DatabaseError::Conflict(Conflict::Message))), "{again:?}");
    assert_eq!(db.message(&old.key).await.expect("an answer"), Some(replaced), "nothing was done");
}

async fn rg_01_a_message_makes_one_change<P: SampleProfile, D: UserDatabase<P> + Clone>(db: D) {
    let user = stored(&db, 1).await;
    let (made, changed) = (registration::<P>(2), message("a@camelot.bt"));
    for message in [&made, &changed] {
        db.enqueue(message.clone(), 100).await.expect("kept");
    }
    let tries: Vec<_> = (0..6)
        .map(|number| {
            let (db, id) = (db.clone(), user.id.clone());
            let new = NewUser { consumes: Some(made.clone()), ..new_user::<P>(number + 10) };
            let email = Email::parse(&format!("other{number}@camelot.bt")).expect("an address");
            let change = UserChange { email: Some(email), consumes: Some(changed.clone()), ..UserChange::default() };
            tokio::spawn(async move { (db.create(new).await.map(drop), db.update(&id, change).await.map(drop)) })
        })
        .collect();
    let mut done = (0, 0);
    for one in tries {
        let (created, updated) = one.await.expect("no panic");
        for (result, count) in [(created, &mut done.0), (updated, &mut done.1)] {
            match result {
                Ok(()) => *count += 1,
                Err(error) => assert!(matches!(error, DatabaseError::Conflict(Conflict::Message)), "{error:?}"),
            }
        }
    }
    assert_eq!(done, (1, 1));
    assert_eq!(db.list(None, 100).await.expect("an answer").len(), 2);
}
