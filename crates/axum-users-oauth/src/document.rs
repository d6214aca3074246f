//! A document of an issuer, kept for a while: nobody waits for one that is there, and a provider that hangs keeps one caller waiting
//! at a time, not all of them one after the other.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum_users_core::{Clock, oauth::OAuthClientError};
use tokio::sync::Mutex as Turn;

use crate::http::unavailable;

/// For how many seconds a document is taken as it is.
pub(crate) const FRESH: i64 = 86_400;
/// For how many seconds more it is still taken, while it is fetched anew beside the request.
pub(crate) const STALE: i64 = 86_400;
/// For how many seconds after a failure nobody asks again.
pub(crate) const FAILED: i64 = 10;
/// How often it is fetched at most, in seconds, because somebody [misses something](Document::without) in it.
pub(crate) const MISSED: i64 = 60;

/// A cheap handle.
pub(crate) struct Document<T>(Arc<Inner<T>>);

struct Inner<T> {
    known: Mutex<Known<T>>,
    /// Whoever has it fetches.
    turn: Arc<Turn<()>>,
}

struct Known<T> {
    found: Option<(Arc<T>, i64)>,
    failed_at: Option<i64>,
    missed_at: Option<i64>,
}

/// What there is.
enum State<T> {
    Fresh(Arc<T>),
    Stale(Arc<T>),
    Nothing,
}

impl<T> Clone for Document<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Document<T> {
    fn default() -> Self {
        let known = Mutex::new(Known { found: None, failed_at: None, missed_at: None });
        Self(Arc::new(Inner { known, turn: Arc::default() }))
    }
}

impl<T: Send + Sync + 'static> Document<T> {
    /// The document; fetched when there is none that counts.
    pub(crate) async fn get(
        &self,
        clock: &Clock,
        fetch: impl Future<Output = Result<T, OAuthClientError>> + Send + 'static,
    ) -> Result<Arc<T>, OAuthClientError> {
        match self.state(clock.unix()) {
            State::Fresh(document) => return Ok(document),
            State::Stale(document) => {
                self.renew(clock, fetch);
                return Ok(document);
            }
            State::Nothing => {}
        }
        let _turn = self.0.turn.lock().await;
        // Somebody may have fetched it meanwhile, or tried to.
        let now = clock.unix();
        match self.state(now) {
            State::Fresh(document) | State::Stale(document) => Ok(document),
            State::Nothing if self.failed(now) => Err(unavailable("the issuer did not answer a moment ago".into())),
            State::Nothing => self.fetched(clock, fetch).await,
        }
    }

    /// A newer document than the one in which something is missed, if it may be fetched; else the same.
    pub(crate) async fn without(
        &self,
        seen: &Arc<T>,
        clock: &Clock,
        fetch: impl Future<Output = Result<T, OAuthClientError>>,
    ) -> Result<Arc<T>, OAuthClientError> {
        let _turn = self.0.turn.lock().await;
        let now = clock.unix();
        {
            let mut known = self.known();
            if let Some((document, _)) = &known.found
                && !Arc::ptr_eq(document, seen)
            {
                return Ok(Arc::clone(document));
            }
            if known.missed_at.is_some_and(|at| now < at.saturating_add(MISSED)) {
                return Ok(Arc::clone(seen));
            }
            known.missed_at = Some(now);
        }
        self.fetched(clock, fetch).await
    }

    /// The last one that there was, however old.
    pub(crate) fn last(&self) -> Option<Arc<T>> {
        self.known().found.as_ref().map(|(document, _)| Arc::clone(document))
    }

    /// Fetches it beside the request, unless somebody does, or failed a moment ago.
    fn renew(&self, clock: &Clock, fetch: impl Future<Output = Result<T, OAuthClientError>> + Send + 'static) {
        let Ok(turn) = Arc::clone(&self.0.turn).try_lock_owned() else { return };
        if self.failed(clock.unix()) {
            return;
        }
        let (document, clock) = (self.clone(), clock.clone());
        tokio::spawn(async move {
            let _turn = turn;
            let _ = document.fetched(&clock, fetch).await;
        });
    }

    async fn fetched(
        &self,
        clock: &Clock,
        fetch: impl Future<Output = Result<T, OAuthClientError>>,
    ) -> Result<Arc<T>, OAuthClientError> {
        let fetched = fetch.await.map(Arc::new);
        let now = clock.unix();
        let mut known = self.known();
        match &fetched {
            Ok(document) => (known.found, known.failed_at) = (Some((Arc::clone(document), now)), None),
            Err(_) => known.failed_at = Some(now),
        }
        fetched
    }

    fn state(&self, now: i64) -> State<T> {
        match &self.known().found {
            Some((document, at)) if now < at.saturating_add(FRESH) => State::Fresh(Arc::clone(document)),
            Some((document, at)) if now < at.saturating_add(FRESH + STALE) => State::Stale(Arc::clone(document)),
            _ => State::Nothing,
        }
    }

    fn failed(&self, now: i64) -> bool {
        self.known().failed_at.is_some_and(|at| now < at.saturating_add(FAILED))
    }

    fn known(&self) -> MutexGuard<'_, Known<T>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
