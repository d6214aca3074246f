//! What every store does that keeps accounts with providers.

use axum_users_core::{
    Condition, Conflict, DatabaseError, Email, NewOAuthAccount, NewUser, OAuthAccount, OAuthIdentity, Outcome,
    UserChange, UserDatabase, UserId, oauth::ProviderToken, outbox::Claimed,
};
use tokio::task::JoinSet;

use crate::{
    SampleProfile,
    messages::{keys, message},
    users::{done, new_user, stored},
};

/// Runs every check, each on an empty store.
///
/// # Panics
/// When the store does not do what is expected.
pub async fn oauth_accounts<P: SampleProfile, D: UserDatabase<P> + Clone>(make: impl AsyncFn() -> D) {
    life(make().await).await;
    exactness(make().await).await;
    oa_06_an_identity_belongs_to_one_user(make().await).await;
    oa_08_provider_and_subject_are_of_one_account(make().await).await;
    both_or_neither(make().await).await;
    conditions(make().await).await;
    deletion(make().await).await;
    rc_11_a_change_that_unlinks(make().await).await;
    oa_14_parallel_removals_leave_one(make().await).await;
    oa_14_what_was_unlinked_is_not_brought_up_to_date(make().await).await;
    oa_14_logins_do_not_link_again_what_is_unlinked(make().await).await;
    oa_06_two_users_at_once(make().await).await;
    what_is_told(make().await).await;
    of_links_at_once_one_is_told(make().await).await;
    oa_13_first_logins_at_once(make().await).await;
}

fn identity(name: &str, id: &str) -> OAuthIdentity {
    OAuthIdentity::new(name, id).expect("an identity")
}

fn account(name: &str, id: &str) -> NewOAuthAccount {
    NewOAuthAccount {
        identity: identity(name, id),
        account_email: format!("{}@ext.example", id.chars().take(9).collect::<String>()),
        expires_at: Some(1_800_003_600),
        access_token: format!("key.access-{id}"),
        refresh_token: Some(format!("key.refresh-{id}")),
    }
}

fn sealed(token: &ProviderToken) -> &str {
    match token {
        ProviderToken::Sealed(sealed) => sealed,
        ProviderToken::Plain(_) => panic!("a token of ours is stored as it was given"),
    }
}

fn texts<P: SampleProfile>(account: &OAuthAccount<P>) -> [&str; 4] {
    let refresh = account.refresh_token.as_ref().map_or("", sealed);
    [&account.oauth_name, &account.account_id, sealed(&account.access_token), refresh]
}

fn is_conflict<T>(result: Result<T, DatabaseError>) -> bool {
    matches!(result, Err(DatabaseError::Conflict(Conflict::OAuthAccount)))
}

async fn owner<P: SampleProfile>(db: &impl UserDatabase<P>, name: &str, id: &str) -> Option<P::Id> {
    let found = db.get_by_oauth_account(&identity(name, id)).await.expect("an answer");
    found.map(|(user, account)| {
        assert_eq!(user.id, account.user_id);
        assert_eq!((account.oauth_name.as_str(), account.account_id.as_str()), (name, id));
        user.id
    })
}

async fn ids<P: SampleProfile>(db: &impl UserDatabase<P>, user: &P::Id) -> Vec<String> {
    let accounts = db.oauth_accounts(user).await.expect("a list");
    let mut ids: Vec<_> = accounts.into_iter().map(|it| format!("{} {}", it.oauth_name, it.account_id)).collect();
    ids.sort();
    ids
}

async fn rc_11_a_change_that_unlinks<P: SampleProfile>(db: impl UserDatabase<P>) {
    let one = db.create_with_oauth_account(new_user(1), account("google", "1")).await.expect("created");
    let other = db.create_with_oauth_account(new_user(2), account("google", "2")).await.expect("created");
    done(db.put_oauth_account(&one.id, account("github", "1"), Vec::new(), Vec::new()).await);
    let change = |is_verified, only_if| UserChange {
        is_verified: Some(is_verified),
        unlinks_accounts: true,
        only_if,
        ..UserChange::default()
    };
    let broken = vec![Condition::TokensValidAfterIs(Some(7))];
    assert!(matches!(db.update(&one.id, change(true, broken)).await, Ok(Outcome::Refused(_))));
    assert_eq!(ids(&db, &one.id).await.len(), 2, "all or nothing");
    done(db.update(&one.id, change(true, Vec::new())).await);
    assert_eq!(ids(&db, &one.id).await, Vec::<String>::new());
    assert_eq!(owner(&db, "google", "1").await, None);
    assert_eq!(owner(&db, "google", "2").await, Some(other.id), "of nobody else");
}

async fn life<P: SampleProfile>(db: impl UserDatabase<P>) {
    assert!(db.keeps_oauth_accounts());
    assert_eq!(owner(&db, "google", "1").await, None);
    let created = db.create_with_oauth_account(new_user(1), account("google", "1")).await.expect("created");
    assert_eq!(created.profile, P::sample(1));
    let (user, found) =
        db.get_by_oauth_account(&identity("google", "1")).await.expect("an answer").expect("the account");
    assert_eq!((user.id.clone(), user.profile), (created.id.clone(), P::sample(1)));
    assert_eq!(texts(&found), ["google", "1", "key.access-1", "key.refresh-1"]);
    assert_eq!((found.account_email.as_str(), found.expires_at), ("1@ext.example", Some(1_800_003_600)));

    // A login brings it up to date; a refresh token that the provider did not send again is kept.
    let long = "k.".to_owned() + &"x".repeat(50_000);
    let again = NewOAuthAccount {
        account_email: "Other ü@ext.example".into(),
        expires_at: None,
        access_token: long.clone(),
        refresh_token: None,
        ..account("google", "1")
    };
    let user = done(db.put_oauth_account(&created.id, again, Vec::new(), Vec::new()).await);
    assert_eq!(user.id, created.id);
    let [found] = <[_; 1]>::try_from(db.oauth_accounts(&created.id).await.expect("a list")).expect("one account");
    assert_eq!(texts(&found), ["google", "1", &long, "key.refresh-1"]);
    assert_eq!((found.account_email.as_str(), found.expires_at), ("Other ü@ext.example", None));
    let renewed = NewOAuthAccount { refresh_token: Some(long.clone()), ..account("google", "1") };
    done(db.put_oauth_account(&created.id, renewed, Vec::new(), Vec::new()).await);
    let (_, found) = db.get_by_oauth_account(&identity("google", "1")).await.expect("an answer").expect("the account");
    assert_eq!(texts(&found), ["google", "1", "key.access-1", &long]);

    let bare = NewOAuthAccount { expires_at: None, refresh_token: None, ..account("github", "1") };
    done(db.put_oauth_account(&created.id, bare, Vec::new(), Vec::new()).await);
    assert_eq!(ids(&db, &created.id).await, ["github 1", "google 1"]);
    let other = stored(&db, 2).await;
    assert_eq!(ids(&db, &other.id).await, [""; 0]);
    // Of somebody else, of nobody, and then really.
    assert!(!done(db.remove_oauth_account(&other.id, found.id, Vec::new(), Vec::new()).await));
    assert!(done(db.remove_oauth_account(&created.id, found.id, Vec::new(), Vec::new()).await));
    assert!(!done(db.remove_oauth_account(&created.id, found.id, Vec::new(), Vec::new()).await));
    assert_eq!(ids(&db, &created.id).await, ["github 1"]);
    assert_eq!(owner(&db, "google", "1").await, None);
    done(db.put_oauth_account(&other.id, account("google", "1"), Vec::new(), Vec::new()).await);
    assert_eq!(owner(&db, "google", "1").await, Some(other.id));
}

/// An id is an id to the letter, whatever its alphabet.
async fn exactness<P: SampleProfile>(db: impl UserDatabase<P>) {
    let known = ["abc", "ABC", "é", "e\u{301}", "%", "_", "'; DROP TABLE oauth_account; --", "a b", "字", "🗡"];
    let longest = "ü".repeat(320);
    for (number, id) in known.into_iter().chain([longest.as_str()]).enumerate() {
        let user = db.create_with_oauth_account(new_user(number), account("google", id)).await;
        let user = user.unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(owner(&db, "google", id).await, Some(user.id), "{id}");
    }
    for stranger in ["Abc", "ab", "É", "a", "x", "__", &"ü".repeat(319)] {
        assert_eq!(owner(&db, "google", stranger).await, None, "{stranger}");
    }
    assert_eq!(owner(&db, "Google", "abc").await, None);
}

async fn oa_06_an_identity_belongs_to_one_user<P: SampleProfile>(db: impl UserDatabase<P>) {
    let (first, second) = (stored(&db, 1).await, stored(&db, 2).await);
    done(db.put_oauth_account(&first.id, account("google", "1"), Vec::new(), Vec::new()).await);
    assert!(is_conflict(db.put_oauth_account(&second.id, account("google", "1"), Vec::new(), Vec::new()).await));
    assert!(is_conflict(db.create_with_oauth_account(new_user(3), account("google", "1")).await));
    assert_eq!(owner(&db, "google", "1").await, Some(first.id.clone()));
    assert_eq!(ids(&db, &second.id).await, [""; 0]);
    let address = new_user::<P>(3).email.key();
    assert!(db.get_by_email(&address).await.expect("an answer").is_none(), "no user without the account");
    done(db.put_oauth_account(&first.id, account("google", "2"), Vec::new(), Vec::new()).await);
    assert_eq!(ids(&db, &first.id).await, ["google 1", "google 2"], "two accounts with one provider");
}

async fn oa_08_provider_and_subject_are_of_one_account<P: SampleProfile>(db: impl UserDatabase<P>) {
    let user = stored(&db, 1).await;
    for (name, id) in [("a", "1"), ("b", "2")] {
        done(db.put_oauth_account(&user.id, account(name, id), Vec::new(), Vec::new()).await);
    }
    assert_eq!(owner(&db, "a", "2").await, None);
    assert_eq!(owner(&db, "b", "1").await, None);
    assert_eq!(owner(&db, "b", "2").await, Some(user.id));
}

async fn both_or_neither<P: SampleProfile>(db: impl UserDatabase<P>) {
    let taken = stored(&db, 1).await;
    let twin = NewUser { profile: P::sample(2), id: P::Id::generate(), ..new_user(1) };
    let refused = db.create_with_oauth_account(twin, account("google", "1")).await;
    assert!(matches!(refused, Err(DatabaseError::Conflict(Conflict::Email))), "{refused:?}");
    let twin = NewUser {
        email: Email::parse("somebody.else@camelot.bt").expect("an address"),
        id: P::Id::generate(),
        ..new_user(1)
    };
    let refused = db.create_with_oauth_account(twin, account("google", "1")).await;
    assert!(matches!(refused, Err(DatabaseError::Conflict(Conflict::Column(_)))), "{refused:?}");
    assert_eq!(owner(&db, "google", "1").await, None);
    assert_eq!(ids(&db, &taken.id).await, [""; 0]);
}

async fn conditions<P: SampleProfile>(db: impl UserDatabase<P>) {
    let user = stored(&db, 1).await;
    let late = || vec![Condition::TokensValidAfterIs(Some(7))];
    let refused = db.put_oauth_account(&user.id, account("google", "1"), late(), Vec::new()).await.expect("an answer");
    assert!(matches!(refused, Outcome::Refused(Condition::TokensValidAfterIs(_))));
    assert_eq!(ids(&db, &user.id).await, [""; 0]);
    let holds = || vec![Condition::TokensValidAfterIs(user.tokens_valid_after), Condition::EmailIs(user.email.clone())];
    done(db.put_oauth_account(&user.id, account("google", "1"), holds(), Vec::new()).await);
    let another = || vec![Condition::AnotherOAuthAccountRemains];
    let [only] = <[_; 1]>::try_from(db.oauth_accounts(&user.id).await.expect("a list")).expect("one account");
    let refused = db.remove_oauth_account(&user.id, only.id, late(), Vec::new()).await.expect("an answer");
    assert!(matches!(refused, Outcome::Refused(Condition::TokensValidAfterIs(_))));
    let refused = db.remove_oauth_account(&user.id, only.id, another(), Vec::new()).await.expect("an answer");
    assert!(matches!(refused, Outcome::Refused(Condition::AnotherOAuthAccountRemains)));
    done(db.put_oauth_account(&user.id, account("google", "2"), Vec::new(), Vec::new()).await);
    assert!(done(db.remove_oauth_account(&user.id, only.id, [holds(), another()].concat(), Vec::new()).await));
    assert_eq!(ids(&db, &user.id).await, ["google 2"]);
}

async fn deletion<P: SampleProfile>(db: impl UserDatabase<P>) {
    let user = db.create_with_oauth_account(new_user(1), account("google", "1")).await.expect("created");
    done(db.put_oauth_account(&user.id, account("github", "1"), Vec::new(), Vec::new()).await);
    done(db.delete(&user.id, Vec::new()).await);
    assert_eq!(owner(&db, "google", "1").await, None);
    assert_eq!(ids(&db, &user.id).await, [""; 0]);
    let gone = db.put_oauth_account(&user.id, account("google", "1"), Vec::new(), Vec::new()).await.expect("an answer");
    assert!(matches!(gone, Outcome::Missing));
    let next = db.create_with_oauth_account(new_user(2), account("google", "1")).await.expect("created");
    assert_eq!(owner(&db, "google", "1").await, Some(next.id));
}

async fn oa_14_parallel_removals_leave_one<P: SampleProfile>(db: impl UserDatabase<P> + Clone) {
    let user = stored(&db, 1).await;
    for number in 0..4 {
        done(db.put_oauth_account(&user.id, account("google", &number.to_string()), Vec::new(), Vec::new()).await);
    }
    let mut running = JoinSet::new();
    for account in db.oauth_accounts(&user.id).await.expect("a list") {
        let (db, id) = (db.clone(), user.id.clone());
        running.spawn(async move {
            let removed =
                db.remove_oauth_account(&id, account.id, vec![Condition::AnotherOAuthAccountRemains], Vec::new()).await;
            matches!(removed.expect("an answer"), Outcome::Done(true))
        });
    }
    let removed = running.join_all().await.into_iter().filter(|removed| *removed).count();
    assert_eq!((removed, ids(&db, &user.id).await.len()), (3, 1));
}

async fn oa_14_what_was_unlinked_is_not_brought_up_to_date<P: SampleProfile>(db: impl UserDatabase<P>) {
    let (user, other) = (stored(&db, 1).await, stored(&db, 2).await);
    let linked = |id: &str| vec![Condition::OAuthAccountLinked(identity("google", id))];
    let refused =
        db.put_oauth_account(&user.id, account("google", "1"), linked("1"), Vec::new()).await.expect("an answer");
    assert!(matches!(refused, Outcome::Refused(Condition::OAuthAccountLinked(_))), "never linked");
    done(db.put_oauth_account(&user.id, account("google", "1"), Vec::new(), Vec::new()).await);
    let again = NewOAuthAccount { access_token: "key.again".into(), ..account("google", "1") };
    done(db.put_oauth_account(&user.id, again, linked("1"), Vec::new()).await);
    let [only] = <[_; 1]>::try_from(db.oauth_accounts(&user.id).await.expect("a list")).expect("one account");
    assert_eq!(texts(&only), ["google", "1", "key.again", "key.refresh-1"]);
    // Of somebody else, another one, one that only looks alike.
    for (id, condition) in [(&other.id, linked("1")), (&user.id, linked("2"))] {
        let refused = db.put_oauth_account(id, account("google", "1"), condition, Vec::new()).await.expect("an answer");
        assert!(matches!(refused, Outcome::Refused(Condition::OAuthAccountLinked(_))));
    }
    assert!(done(db.remove_oauth_account(&user.id, only.id, Vec::new(), Vec::new()).await));
    let refused =
        db.put_oauth_account(&user.id, account("google", "1"), linked("1"), Vec::new()).await.expect("an answer");
    assert!(matches!(refused, Outcome::Refused(Condition::OAuthAccountLinked(_))), "unlinked");
    assert_eq!(ids(&db, &user.id).await, [""; 0]);
}

async fn oa_14_logins_do_not_link_again_what_is_unlinked<P: SampleProfile>(db: impl UserDatabase<P> + Clone) {
    let user = stored(&db, 1).await;
    for round in 0..8 {
        let id = round.to_string();
        done(db.put_oauth_account(&user.id, account("google", &id), Vec::new(), Vec::new()).await);
        let [only] = <[_; 1]>::try_from(db.oauth_accounts(&user.id).await.expect("a list")).expect("one account");
        let mut running = JoinSet::new();
        for _ in 0..4 {
            let (db, user, account) = (db.clone(), user.id.clone(), account("google", &id));
            running.spawn(async move {
                let linked = vec![Condition::OAuthAccountLinked(account.identity.clone())];
                let put = db.put_oauth_account(&user, account, linked, Vec::new()).await.expect("an answer");
                assert!(matches!(put, Outcome::Done(_) | Outcome::Refused(Condition::OAuthAccountLinked(_))));
            });
        }
        let (unlinking, owner) = (db.clone(), user.id.clone());
        running.spawn(async move {
            assert!(done(unlinking.remove_oauth_account(&owner, only.id, Vec::new(), Vec::new()).await));
        });
        running.join_all().await;
        assert_eq!(ids(&db, &user.id).await, [""; 0], "round {round}");
    }
}

async fn oa_06_two_users_at_once<P: SampleProfile>(db: impl UserDatabase<P> + Clone) {
    for round in 0..4 {
        let id = round.to_string();
        let mut running = JoinSet::new();
        for number in 0..5 {
            let user = stored(&db, 10 * round + number).await;
            let (db, id) = (db.clone(), id.clone());
            running.spawn(async move {
                match db.put_oauth_account(&user.id, account("google", &id), Vec::new(), Vec::new()).await {
                    Ok(Outcome::Done(user)) => Some(user.id),
                    Err(DatabaseError::Conflict(Conflict::OAuthAccount)) => None,
                    other => panic!("linked or taken: {other:?}"),
                }
            });
        }
        let linked: Vec<_> = running.join_all().await.into_iter().flatten().collect();
        let [winner] = linked.as_slice() else { panic!("one user gets it: {linked:?}") };
        assert_eq!(owner(&db, "google", &id).await.as_ref(), Some(winner));
    }
}

async fn oa_13_first_logins_at_once<P: SampleProfile>(db: impl UserDatabase<P> + Clone) {
    let mut running = JoinSet::new();
    for _ in 0..10 {
        let db = db.clone();
        running.spawn(async move {
            match db.create_with_oauth_account(new_user(1), account("google", "1")).await {
                Ok(user) => Some(user.id),
                Err(DatabaseError::Conflict(_)) => None,
                other => panic!("created or taken: {other:?}"),
            }
        });
    }
    let made: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    let [user] = made.as_slice() else { panic!("one of ten: {made:?}") };
    assert_eq!(owner(&db, "google", "1").await.as_ref(), Some(user));
    assert_eq!(ids(&db, user).await, ["google 1"]);
}

/// What tells of a change is kept with it, and never without it. A store that keeps no messages has only the condition to keep.
async fn what_is_told<P: SampleProfile>(db: impl UserDatabase<P>) {
    let (user, other) = (stored(&db, 1).await, stored(&db, 2).await);
    let told = || vec![(message("a@camelot.bt"), 100)];
    let not_linked = || vec![Condition::OAuthAccountNotLinked(identity("google", "1"))];
    let late = || vec![Condition::TokensValidAfterIs(Some(7))];
    let kept = async |count| {
        let count = if db.keeps_messages() { count } else { 0 };
        assert_eq!(keys(&db).await.len(), count);
    };
    let put = async |id: &P::Id, only_if| db.put_oauth_account(id, account("google", "1"), only_if, told()).await;
    assert!(matches!(put(&user.id, late()).await, Ok(Outcome::Refused(_))));
    kept(0).await;
    done(put(&user.id, not_linked()).await);
    kept(1).await;
    let refused = put(&user.id, not_linked()).await;
    assert!(matches!(refused, Ok(Outcome::Refused(Condition::OAuthAccountNotLinked(_)))), "it is by now");
    assert!(is_conflict(put(&other.id, not_linked()).await), "not to this one, but to another");
    kept(1).await;
    let [linked] = <[_; 1]>::try_from(db.oauth_accounts(&user.id).await.expect("a list")).expect("one account");
    let remove = async |id: &P::Id, only_if| db.remove_oauth_account(id, linked.id, only_if, told()).await;
    assert!(!done(remove(&other.id, Vec::new()).await), "somebody else's");
    assert!(matches!(remove(&user.id, late()).await, Ok(Outcome::Refused(_))));
    let last = vec![Condition::AnotherOAuthAccountRemains];
    assert!(matches!(remove(&user.id, last).await, Ok(Outcome::Refused(_))));
    kept(1).await;
    assert!(done(remove(&user.id, Vec::new()).await));
    kept(2).await;
    assert!(!done(remove(&user.id, Vec::new()).await));
    kept(2).await;
    done(put(&user.id, not_linked()).await);
    kept(3).await;
    // Whoever waits for them gets them as they were written.
    if db.keeps_messages() {
        let claimed = db.claim(100, 10).await.expect("an answer");
        let told = |it: &Claimed| it.message.as_ref().is_some_and(|it| it.task.mailbox() == "a@camelot.bt");
        assert!(claimed.len() == 3 && claimed.iter().all(told), "{claimed:?}");
    }
}

async fn of_links_at_once_one_is_told<P: SampleProfile>(db: impl UserDatabase<P> + Clone) {
    let user = stored(&db, 1).await;
    let mut running = JoinSet::new();
    for _ in 0..6 {
        let (db, id) = (db.clone(), user.id.clone());
        running.spawn(async move {
            let not_linked = vec![Condition::OAuthAccountNotLinked(identity("google", "1"))];
            let told = vec![(message("a@camelot.bt"), 100)];
            match db.put_oauth_account(&id, account("google", "1"), not_linked, told).await.expect("an answer") {
                Outcome::Done(_) => true,
                Outcome::Refused(Condition::OAuthAccountNotLinked(_)) => false,
                other => panic!("linked, or linked already: {other:?}"),
            }
        });
    }
    assert_eq!(running.join_all().await.into_iter().filter(|linked| *linked).count(), 1);
    assert_eq!(ids(&db, &user.id).await, ["google 1"]);
    assert_eq!(keys(&db).await.len(), usize::from(db.keeps_messages()));
}
