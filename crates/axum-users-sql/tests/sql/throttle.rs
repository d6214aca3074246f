//! Guesses in parallel, on one node and on three.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum_users_core::{
    Clock, DefaultHasher, Email, Error, Fields, PasswordHash, PasswordHasher, PasswordPool, RequestInfo, Secret,
    UserCreate, UserManager, ValidatedPassword, Verification,
    password::{Argon2Params, HasherError},
};
use axum_users_sql::SqlStore;
use time::OffsetDateTime;
use tokio::task::JoinSet;

use crate::databases::Engine;

/// Counts how often a password is looked at.
struct Counting(DefaultHasher, Arc<AtomicUsize>);

impl PasswordHasher for Counting {
    fn hash(&self, password: &ValidatedPassword) -> Result<PasswordHash, HasherError> {
        self.0.hash(password)
    }
    fn verify(&self, password: &str, stored: &PasswordHash) -> Result<Verification, HasherError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.verify(password, stored)
    }
    fn verify_dummy(&self, password: &str) -> Result<(), HasherError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.verify_dummy(password)
    }
}

const PASSWORD: &str = "plum tomato engine";

/// 200 wrong guesses at one mailbox, from 200 addresses, spread over these nodes: how many were looked at.
async fn guesses(nodes: &[UserManager<()>], looked_at: &AtomicUsize, spellings: [&'static str; 2]) -> usize {
    let before = looked_at.load(Ordering::SeqCst);
    let mut running = JoinSet::new();
    let who = nodes.iter().cycle().zip(spellings.into_iter().cycle());
    for (number, (node, email)) in (0..200_u8).zip(who) {
        let node = node.clone();
        running.spawn(async move {
            let mut request = RequestInfo::default();
            request.client_address = Some([192, 0, 2, number].into());
            node.login(email, Secret::from("green river stone"), false, Some(&request)).await.err().unwrap()
        });
    }
    let errors = running.join_all().await;
    let refused = errors.iter().filter(|error| matches!(error, Error::BadCredentials)).count();
    let throttled = errors.iter().filter(|error| matches!(error, Error::Throttled { .. })).count();
    assert_eq!(refused + throttled, 200, "{errors:?}");
    let looked_at = looked_at.load(Ordering::SeqCst) - before;
    assert_eq!(looked_at, refused, "what is throttled is not looked at");
    looked_at
}

#[tokio::test(flavor = "multi_thread")]
async fn au_03_parallel_guesses_never_exceed_the_budget_on_one_node_and_on_three() {
    for engine in Engine::ALL {
        let url = engine.empty().await;
        let looked_at = Arc::new(AtomicUsize::new(0));
        let clock = Clock::mock(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let hasher = DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap());
            let passwords = PasswordPool::builder(Counting(hasher, Arc::clone(&looked_at))).queue(300).build().unwrap();
            let store = SqlStore::connect(&url).await.unwrap();
            nodes.push(UserManager::<()>::builder(store).passwords(passwords).clock(clock.clone()).build().unwrap());
        }
        for email in ["élodie@camelot.bt", "kay@camelot.bt"] {
            let create = UserCreate::new(Email::parse(email).unwrap(), Secret::from(PASSWORD), ());
            nodes[0].create(create, Fields::All, None).await.unwrap();
        }
        assert_eq!(guesses(&nodes[..1], &looked_at, ["kay@camelot.bt", "KAY@Camelot.bt"]).await, 10, "{engine:?}");
        assert_eq!(guesses(&nodes, &looked_at, ["élodie@camelot.bt", "ÉLODIE@CAMELOT.BT"]).await, 10, "{engine:?}");
        assert_eq!(guesses(&nodes, &looked_at, ["nobody@camelot.bt", "NOBODY@camelot.bt"]).await, 10, "{engine:?}");
        // One more each 90 seconds, whichever node is asked.
        clock.advance(time::Duration::seconds(90));
        assert_eq!(guesses(&nodes, &looked_at, ["élodie@camelot.bt", "ÉLODIE@CAMELOT.BT"]).await, 1, "{engine:?}");
        // The right password opens it again, and the budget is whole.
        clock.advance(time::Duration::seconds(90));
        let address = Some(&RequestInfo::default());
        assert!(nodes[1].login("élodie@camelot.bt", Secret::from(PASSWORD), false, address).await.is_ok());
        assert_eq!(guesses(&nodes, &looked_at, ["élodie@camelot.bt", "ÉLODIE@CAMELOT.BT"]).await, 10, "{engine:?}");
    }
}
