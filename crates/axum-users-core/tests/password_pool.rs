//! The pool under load, with hashers that do what the test says.
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panic, its helpers too")]

use std::{
    fmt::Debug,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use axum_users_core::{
    password::{
        Argon2Params, DefaultHasher, HasherError, PasswordError, PasswordHash, PasswordHasher, PasswordPool,
        PasswordPoolBuilder, ValidatedPassword, Verification,
    },
    secret::Secret,
};
use tokio::{task::JoinHandle, time::timeout};

/// A hasher at a gate: it says when it has begun, and ends when the gate is open.
#[derive(Clone, Default)]
struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    open: Mutex<bool>,
    opened: Condvar,
    begun: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
    released: AtomicUsize,
}

impl Gate {
    fn open(&self) {
        *self.0.open.lock().unwrap() = true;
        self.0.opened.notify_all();
    }

    fn begun(&self) -> usize {
        self.0.begun.load(SeqCst)
    }
}

impl PasswordHasher for Gate {
    fn hash(&self, password: &ValidatedPassword) -> Result<PasswordHash, HasherError> {
        self.0.begun.fetch_add(1, SeqCst);
        self.0.most.fetch_max(self.0.running.fetch_add(1, SeqCst) + 1, SeqCst);
        let open = self.0.open.lock().unwrap();
        drop(self.0.opened.wait_while(open, |open| !*open).unwrap());
        self.0.running.fetch_sub(1, SeqCst);
        assert_ne!(password.expose(), "panic", "as the test wants it");
        Ok(PasswordHash::from_stored(password.expose().to_owned()))
    }

    fn verify(&self, _: &str, _: &PasswordHash) -> Result<Verification, HasherError> {
        Ok(Verification::Valid)
    }

    fn release(&self) {
        self.0.released.fetch_add(1, SeqCst);
    }
}

fn pool(gate: &Gate, settings: impl FnOnce(PasswordPoolBuilder) -> PasswordPoolBuilder) -> PasswordPool {
    settings(PasswordPool::builder(gate.clone()).threads(1)).build().unwrap()
}

fn password(text: &str) -> ValidatedPassword {
    ValidatedPassword::danger_unchecked(Secret::from(text))
}

type Answer = JoinHandle<Result<PasswordHash, PasswordError>>;

/// Puts a job in the queue, and is sure that it is there.
async fn start(pool: &PasswordPool, text: &'static str) -> Answer {
    let job = tokio::spawn({
        let pool = pool.clone();
        async move { pool.hash(password(text)).await }
    });
    tokio::task::yield_now().await;
    job
}

/// Long enough for any machine: a test that comes to its end was stuck.
const STUCK: Duration = Duration::from_secs(60);

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(STUCK, wait).await.expect("it happens");
}

/// The gate is shut meanwhile: an answer that waited for a hash would not come.
async fn assert_busy<T: Debug>(answer: impl Future<Output = Result<T, PasswordError>>) {
    match timeout(STUCK, answer).await.expect("refused at once") {
        Err(PasswordError::Busy { retry_after }) => {
            assert!(retry_after >= Duration::from_secs(1) && retry_after.subsec_nanos() == 0, "{retry_after:?}");
        }
        other => panic!("expected Busy, got {other:?}"),
    }
}

#[tokio::test]
async fn av_01_what_does_not_fit_in_the_queue_is_refused_at_once() {
    let gate = Gate::default();
    let pool = pool(&gate, |builder| builder.queue(2));
    let running = start(&pool, "running").await;
    until(|| gate.begun() == 1).await;
    let (one, two) = (start(&pool, "one").await, start(&pool, "two").await);
    assert_busy(pool.hash(password("three"))).await;
    assert_busy(pool.verify(Secret::from("three"), PasswordHash::from_stored(String::new()))).await;
    assert_busy(pool.verify_dummy(Secret::from("three"))).await;
    gate.open();
    for (job, text) in [(running, "running"), (one, "one"), (two, "two")] {
        assert_eq!(job.await.unwrap().unwrap().as_str(), text);
    }
    assert!(pool.hash(password("three")).await.is_ok(), "there is room again");
}

#[tokio::test]
async fn av_01_what_would_wait_too_long_is_refused_at_once() {
    let gate = Gate::default();
    let pool = pool(&gate, |builder| builder.max_wait(Duration::ZERO));
    let running = start(&pool, "running").await;
    until(|| gate.begun() == 1).await;
    let next = start(&pool, "next").await;
    assert_busy(pool.hash(password("the one behind"))).await;
    gate.open();
    assert!(running.await.unwrap().is_ok() && next.await.unwrap().is_ok());
}

#[tokio::test]
async fn av_01_an_idle_thread_takes_work_without_a_queue() {
    let gate = Gate::default();
    let pool = pool(&gate, |builder| builder.threads(2).queue(0).max_wait(Duration::ZERO));
    let (one, two) = (start(&pool, "one").await, start(&pool, "two").await);
    assert_busy(pool.hash(password("three"))).await;
    gate.open();
    assert!(one.await.unwrap().is_ok() && two.await.unwrap().is_ok());
}

#[tokio::test]
async fn av_01_a_burst_of_fifty_is_served() {
    let gate = Gate::default();
    let pool = pool(&gate, |builder| builder);
    let mut jobs = Vec::new();
    for _ in 0..50 {
        jobs.push(start(&pool, "guinevere").await);
    }
    gate.open();
    for job in jobs {
        assert!(job.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn av_01_no_more_run_at_once_than_there_are_threads() {
    let gate = Gate::default();
    let pool = pool(&gate, |builder| builder.threads(3));
    assert_eq!(pool.threads(), 3);
    let mut jobs = Vec::new();
    for _ in 0..12 {
        jobs.push(start(&pool, "guinevere").await);
    }
    until(|| gate.begun() == 3).await;
    gate.open();
    for job in jobs {
        assert!(job.await.unwrap().is_ok());
    }
    assert_eq!(gate.0.most.load(SeqCst), 3);
}

#[test]
fn av_01_the_memory_budget_bounds_the_threads() {
    let pool = PasswordPool::builder(DefaultHasher::default()).memory_budget(1 << 20).build().unwrap();
    assert_eq!(pool.threads(), 1);
    let pool = PasswordPool::builder(DefaultHasher::default()).threads(0).build().unwrap();
    assert_eq!(pool.threads(), 1);
}

#[tokio::test]
async fn av_01_work_that_nobody_waits_for_is_dropped_and_makes_room() {
    let gate = Gate::default();
    let pool = pool(&gate, |builder| builder.queue(2));
    let running = start(&pool, "running").await;
    until(|| gate.begun() == 1).await;
    for text in ["gone", "gone too"] {
        let gone = start(&pool, text).await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
    }
    let (one, two) = (start(&pool, "one").await, start(&pool, "two").await);
    let gone = two;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    gate.open();
    assert!(running.await.unwrap().is_ok() && one.await.unwrap().is_ok());
    assert!(pool.hash(password("last")).await.is_ok());
    assert_eq!(gate.begun(), 3, "running, one, last");
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_thread_lives_on() {
    let gate = Gate::default();
    gate.open();
    let pool = pool(&gate, |builder| builder);
    for _ in 0..3 {
        let error = pool.hash(password("panic")).await.unwrap_err();
        assert!(matches!(error, PasswordError::Hasher(_)), "{error:?}");
    }
    assert!(pool.hash(password("guinevere")).await.is_ok());
}

#[tokio::test]
async fn the_threads_end_with_the_last_handle() {
    struct Last(mpsc::Sender<()>);
    impl Drop for Last {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    impl PasswordHasher for Last {
        fn hash(&self, _: &ValidatedPassword) -> Result<PasswordHash, HasherError> {
            Ok(PasswordHash::from_stored(String::new()))
        }
        fn verify(&self, _: &str, _: &PasswordHash) -> Result<Verification, HasherError> {
            Ok(Verification::Invalid)
        }
    }
    let (sender, ended) = mpsc::channel();
    let pool = PasswordPool::builder(Last(sender)).threads(4).build().unwrap();
    let other = pool.clone();
    drop(pool);
    assert!(other.hash(password("guinevere")).await.is_ok());
    assert!(ended.try_recv().is_err());
    drop(other);
    ended.recv_timeout(STUCK).expect("the hasher is dropped by the last thread");
}

#[tokio::test]
async fn memory_is_given_back_when_there_is_no_work() {
    let gate = Gate::default();
    gate.open();
    let pool = pool(&gate, |builder| builder.keep_memory(Duration::from_millis(1)));
    assert!(pool.hash(password("guinevere")).await.is_ok());
    until(|| gate.0.released.load(SeqCst) > 0).await;
    assert!(pool.hash(password("guinevere")).await.is_ok());
}

/// The hash is the priority of the thread that made it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn av_02_hashing_threads_yield_to_all_others() {
    struct Nice;
    fn nice() -> i32 {
        rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap()
    }
    impl PasswordHasher for Nice {
        fn hash(&self, _: &ValidatedPassword) -> Result<PasswordHash, HasherError> {
            Ok(PasswordHash::from_stored(nice().to_string()))
        }
        fn verify(&self, _: &str, _: &PasswordHash) -> Result<Verification, HasherError> {
            Ok(Verification::Invalid)
        }
    }
    let before = nice();
    let pool = PasswordPool::builder(Nice).threads(1).build().unwrap();
    let there = pool.hash(password("guinevere")).await.unwrap();
    assert_eq!(there.as_str(), (before + 10).min(19).to_string());
    assert_eq!(nice(), before, "this thread keeps its own");
}

#[tokio::test]
async fn pw_10_an_outdated_hash_comes_back_with_a_new_one() {
    let with = |m| DefaultHasher::new(Argon2Params::danger_below_floor(m, 1, 1).unwrap());
    let pool = PasswordPool::builder(with(16)).build().unwrap();
    let old = with(8).hash(&password("guinevere")).unwrap();

    let (wrong, none) = pool.verify_and_update(Secret::from("lancelot"), old.clone()).await.unwrap();
    assert!(wrong == Verification::Invalid && none.is_none());
    let (right, new) = pool.verify_and_update(Secret::from("guinevere"), old).await.unwrap();
    assert_eq!(right, Verification::ValidButOutdated);
    let (right, none) = pool.verify_and_update(Secret::from("guinevere"), new.unwrap()).await.unwrap();
    assert!(right == Verification::Valid && none.is_none());
    let answer = pool.verify(Secret::from("x"), PasswordHash::from_stored("!".to_owned())).await.unwrap();
    assert_eq!(answer, Verification::Unusable);
}

#[tokio::test]
async fn pw_10_a_failed_upgrade_does_not_fail_the_login() {
    struct Full;
    impl PasswordHasher for Full {
        fn hash(&self, _: &ValidatedPassword) -> Result<PasswordHash, HasherError> {
            Err(HasherError::new("no memory"))
        }
        fn verify(&self, _: &str, _: &PasswordHash) -> Result<Verification, HasherError> {
            Ok(Verification::ValidButOutdated)
        }
    }
    let pool = PasswordPool::builder(Full).threads(1).build().unwrap();
    let (answer, updated) =
        pool.verify_and_update(Secret::from("guinevere"), PasswordHash::from_stored(String::new())).await.unwrap();
    assert!(answer == Verification::ValidButOutdated && updated.is_none());
    assert!(matches!(pool.verify_dummy(Secret::from("guinevere")).await, Err(PasswordError::Hasher(_))));
}
