//! The time. This file is the only one that asks the system for it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use time::{Duration, OffsetDateTime};

/// Where the time comes from: the system, or a test.
#[derive(Clone, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Mock(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until [`advance`](Self::advance) moves it; clones share the time.
    #[must_use]
    pub fn mock(start: OffsetDateTime) -> Self {
        Self(Source::Mock(Arc::new(AtomicI64::new(micros(start)))))
    }

    /// Moves a mock clock, also backwards; the system's clock is not moved.
    pub fn advance(&self, by: Duration) {
        if let Source::Mock(at) = &self.0 {
            at.fetch_add(i64::try_from(by.whole_microseconds()).unwrap_or(0), Ordering::SeqCst);
        }
    }

    /// Now, in UTC, with microseconds: no store keeps more.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        let micros = match &self.0 {
            Source::System => micros(system()),
            Source::Mock(at) => at.load(Ordering::SeqCst),
        };
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Now, in whole seconds since 1970, the fraction dropped.
    #[must_use]
    pub fn unix(&self) -> i64 {
        self.now().unix_timestamp()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Clock::System",
            Source::Mock(_) => "Clock::Mock",
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
fn system() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}
