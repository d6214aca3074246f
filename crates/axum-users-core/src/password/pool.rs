//! Where hashing happens: a few threads of its own, and a queue that says no in time.

use std::{
    collections::VecDeque,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{HasherError, PasswordHash, PasswordHasher, ValidatedPassword, Verification};
use crate::secret::Secret;

/// Runs a [`PasswordHasher`] on a fixed number of threads, away from the async workers. A handle: clones share the
/// threads, which end with the last of them.
///
/// What does not fit in the queue is refused at once, with [`PasswordError::Busy`] (ASVS 15.2.2). Work whose caller has
/// gone away is dropped from the queue. On Linux the threads yield to all others (by nice 10), so that a storm of logins
/// leaves the rest of the server responsive.
#[derive(Clone)]
pub struct PasswordPool {
    handle: Arc<Handle>,
}

impl PasswordPool {
    /// With the defaults of [`PasswordPoolBuilder`].
    pub fn builder(hasher: impl PasswordHasher) -> PasswordPoolBuilder {
        PasswordPoolBuilder {
            hasher: Arc::new(hasher),
            threads: None,
            memory_budget: 256 << 20,
            max_wait: Duration::from_secs(10),
            queue: 1024,
            keep_memory: Duration::from_secs(60),
        }
    }

    /// How many threads there are, hence hashes at the same time.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.handle.shared.threads
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] without any work done; [`PasswordError::Hasher`] if the hasher failed or panicked.
    pub async fn hash(&self, password: ValidatedPassword) -> Result<PasswordHash, PasswordError> {
        self.run(move |hasher| hasher.hash(&password)).await
    }

    /// Whether the password belongs to the hash.
    ///
    /// # Errors
    /// As [`hash`](Self::hash).
    pub async fn verify(&self, password: Secret, stored: PasswordHash) -> Result<Verification, PasswordError> {
        self.run(move |hasher| hasher.verify(password.expose(), &stored)).await
    }

    /// [`verify`](Self::verify), and for [`Verification::ValidButOutdated`] the hash to store instead, from the same
    /// place in the queue. `None` there means that hashing failed, which is no reason to refuse the login; the next one
    /// tries again.
    ///
    /// # Errors
    /// As [`hash`](Self::hash).
    pub async fn verify_and_update(
        &self,
        password: Secret,
        stored: PasswordHash,
    ) -> Result<(Verification, Option<PasswordHash>), PasswordError> {
        self.run(move |hasher| {
            let verification = hasher.verify(password.expose(), &stored)?;
            let updated = match verification {
                Verification::ValidButOutdated => hasher
                    .hash(&ValidatedPassword::proved(password))
                    .inspect_err(|error| {
                        tracing::warn!(error = error as &dyn std::error::Error, "no hash to upgrade to")
                    })
                    .ok(),
                Verification::Valid | Verification::Invalid | Verification::Unusable => None,
            };
            Ok((verification, updated))
        })
        .await
    }

    /// Takes as long as [`verify`](Self::verify), where there is no user to verify.
    ///
    /// # Errors
    /// As [`hash`](Self::hash).
    pub async fn verify_dummy(&self, password: Secret) -> Result<(), PasswordError> {
        self.run(move |hasher| hasher.verify_dummy(password.expose())).await
    }

    /// See [`PasswordHasher::generate`]. Quick: it runs where it is called.
    #[must_use]
    pub fn generate(&self) -> Secret {
        self.handle.shared.hasher.generate()
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn PasswordHasher) -> Result<T, HasherError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let (reply, answer) = oneshot::channel();
        self.handle.shared.push(Box::new(Task { work, reply }))?;
        answer.await.map_err(|_| HasherError::new("the hashing thread went away"))?.map_err(PasswordError::Hasher)
    }
}

impl fmt::Debug for PasswordPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { threads, max_wait, queue, .. } = &*self.handle.shared;
        let mut debug = formatter.debug_struct("PasswordPool");
        debug.field("threads", threads).field("max_wait", max_wait).field("queue", queue).finish_non_exhaustive()
    }
}

/// Settings of a [`PasswordPool`].
pub struct PasswordPoolBuilder {
    hasher: Arc<dyn PasswordHasher>,
    threads: Option<usize>,
    memory_budget: usize,
    max_wait: Duration,
    queue: usize,
    keep_memory: Duration,
}

impl PasswordPoolBuilder {
    /// Threads, hence hashes at the same time; at least 1. Default: the cores that the process may use, but no more than
    /// [`memory_budget`](Self::memory_budget) has room for.
    ///
    /// Set here, the number holds whatever the budget says.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads: Some(threads), ..self }
    }

    /// Memory for all hashes together, in bytes. Default: 256 MiB, which is room for 3 threads at the default parameters
    /// and [`CostCeiling`](super::CostCeiling). One thread runs in any case. Memory is taken at the first hash.
    #[must_use]
    pub fn memory_budget(self, memory_budget: usize) -> Self {
        Self { memory_budget, ..self }
    }

    /// How long a caller should have to wait in the queue at most, judged by how long hashes took lately. Default: 10
    /// seconds, about 100 hashes for each thread at the default parameters. Longer is of little use: clients and proxies
    /// begin to give up.
    #[must_use]
    pub fn max_wait(self, max_wait: Duration) -> Self {
        Self { max_wait, ..self }
    }

    /// How many callers may wait, however fast hashing is. Default: 1024. Each holds its request in memory. With 0 a
    /// caller is refused unless a thread is idle.
    #[must_use]
    pub fn queue(self, queue: usize) -> Self {
        Self { queue, ..self }
    }

    /// How long memory is kept for the next hash while there is none. Default: a minute. Getting it anew makes the first
    /// hash by about a third slower.
    #[must_use]
    pub fn keep_memory(self, keep_memory: Duration) -> Self {
        Self { keep_memory, ..self }
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system's, if it has no more threads.
    pub fn build(self) -> io::Result<PasswordPool> {
        let threads = self.threads.unwrap_or_else(|| {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            cores.min(self.hasher.concurrency_within(self.memory_budget))
        });
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            hasher: self.hasher,
            threads,
            max_wait: self.max_wait,
            queue: self.queue,
            keep_memory: self.keep_memory,
            state: Mutex::new(State { jobs: VecDeque::new(), idle: threads, typical: FIRST_GUESS, closed: false }),
            wake: Condvar::new(),
        });
        let handle = Handle { shared };
        for _ in 0..threads {
            let shared = Arc::clone(&handle.shared);
            thread::Builder::new().name("password".to_owned()).spawn(move || shared.work())?;
        }
        Ok(PasswordPool { handle: Arc::new(handle) })
    }
}

/// Why a [`PasswordPool`] gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Too many are waiting. To the client: 503 with Retry-After.
    #[error("too many passwords are waiting to be hashed")]
    Busy {
        /// When the queue should have been worked off; whole seconds, at least 1.
        retry_after: Duration,
    },
    /// The hasher failed or panicked.
    #[error(transparent)]
    Hasher(#[from] HasherError),
}

/// How long a hash takes, until one was seen.
const FIRST_GUESS: Duration = Duration::from_millis(100);

/// The last one tells the threads to end.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

struct Shared {
    hasher: Arc<dyn PasswordHasher>,
    threads: usize,
    max_wait: Duration,
    queue: usize,
    keep_memory: Duration,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    jobs: VecDeque<Box<dyn Job>>,
    /// Threads that wait for work.
    idle: usize,
    /// How long a job takes, as a moving average.
    typical: Duration,
    closed: bool,
}

impl Shared {
    fn push(&self, job: Box<dyn Job>) -> Result<(), PasswordError> {
        let mut state = self.lock();
        if self.is_full(&state) {
            state.jobs.retain(|job| !job.is_abandoned());
        }
        if self.is_full(&state) {
            let seconds = self.wait(&state).as_secs_f64().ceil().max(1.0);
            return Err(PasswordError::Busy { retry_after: Duration::from_secs(seconds as u64) });
        }
        state.jobs.push_back(job);
        self.wake.notify_one();
        Ok(())
    }

    /// Whether one more would have to wait, and should not.
    fn is_full(&self, state: &State) -> bool {
        let waiting = state.jobs.len();
        waiting >= state.idle && (waiting >= self.queue + state.idle || self.wait(state) > self.max_wait)
    }

    /// How long one more would wait, about.
    fn wait(&self, state: &State) -> Duration {
        let waiting = state.jobs.len().saturating_sub(state.idle);
        state.typical.mul_f64(waiting as f64 / self.threads as f64)
    }

    fn work(&self) {
        yield_to_others();
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.idle -= 1;
                drop(state);
                let took = self.run(job);
                state = self.lock();
                state.idle += 1;
                if let Some(took) = took {
                    state.typical = (state.typical * 7 + took) / 8;
                }
            } else if state.closed {
                return;
            } else {
                let (woken, timeout) =
                    self.wake.wait_timeout(state, self.keep_memory).unwrap_or_else(PoisonError::into_inner);
                state = woken;
                if timeout.timed_out() && state.jobs.is_empty() && state.idle == self.threads {
                    drop(state);
                    self.hasher.release();
                    state = self.lock();
                }
            }
        }
    }

    fn run(&self, job: Box<dyn Job>) -> Option<Duration> {
        if job.is_abandoned() {
            return None;
        }
        let start = Instant::now();
        job.run(&*self.hasher);
        Some(start.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

trait Job: Send {
    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
    fn run(self: Box<Self>, hasher: &dyn PasswordHasher);
}

struct Task<T, F> {
    work: F,
    reply: oneshot::Sender<Result<T, HasherError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&dyn PasswordHasher) -> Result<T, HasherError> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(self: Box<Self>, hasher: &dyn PasswordHasher) {
        let Self { work, reply } = *self;
        let result = catch_unwind(AssertUnwindSafe(|| work(hasher)))
            .unwrap_or_else(|_| Err(HasherError::new("the password hasher panicked")));
        // An error means that the caller went away meanwhile.
        let _ = reply.send(result);
    }
}

/// Lowers the priority of this thread alone, which is what Linux does with the id of a thread (setpriority(2)). Best
/// effort: where it cannot be done, hashing competes as an equal.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};

        let thread = Some(rustix::thread::gettid());
        let lowered = getpriority_process(thread).and_then(|nice| setpriority_process(thread, (nice + YIELD).min(19)));
        if let Err(error) = lowered {
            tracing::debug!(%error, "hashing threads keep their priority");
        }
    }
}

/// How much nicer than the rest of the process. The kernel gives a thread about a tenth for each ten of these, when
/// there is not enough for all.
#[cfg(target_os = "linux")]
const YIELD: i32 = 10;
