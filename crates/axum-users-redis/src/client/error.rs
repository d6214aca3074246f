//! What an error of the driver means.

use std::{fmt, sync::Arc};

use axum_users_core::DatabaseError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why there is no answer. The driver's error is not kept: servers repeat arguments in their messages.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// Whether the same call may go through later.
    pub(super) unavailable: bool,
    text: Arc<str>,
}

/// What an error says about the connection that it came through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The connection is fine.
    Keep,
    /// The next call needs another one.
    Replace,
    /// The same call may go through on another one, at once.
    ReplaceAndRetry,
}

/// Codes that the driver has no kind for: out of memory, too few replicas, a script that does not end, a snapshot that failed.
const BUSY: [&str; 4] = ["OOM", "NOREPLICAS", "BUSY", "MISCONF"];

impl Failure {
    pub(super) fn of(error: &RedisError) -> Self {
        use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
        let unavailable = match error.kind() {
            ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => true,
            ErrorKind::Server(kind) => {
                matches!(kind, Ask | BusyLoading | ClusterDown | MasterDown | Moved | ReadOnly | TryAgain)
            }
            _ => code(error).is_some_and(|code| BUSY.contains(&code.as_str())),
        };
        Self { unavailable, text: text(error).into() }
    }

    pub(super) fn timed_out() -> Self {
        Self::unavailable("Redis does not answer in time")
    }

    pub(super) fn unavailable(text: &str) -> Self {
        Self { unavailable: true, text: text.into() }
    }

    pub(super) fn refused(text: &str) -> Self {
        Self { unavailable: false, text: text.into() }
    }

    pub(super) fn not_text() -> Self {
        Self::refused("Redis holds a value that is not text")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for DatabaseError {
    fn from(failure: Failure) -> Self {
        if failure.unavailable { Self::Unavailable(failure.into()) } else { Self::Driver(failure.into()) }
    }
}

impl Remedy {
    pub(super) fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown) => Self::ReplaceAndRetry,
            // All that is asked for may be done twice.
            ErrorKind::Io if error.is_connection_dropped() => Self::ReplaceAndRetry,
            ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => Self::Replace,
            _ => Self::Keep,
        }
    }
}

fn text(error: &RedisError) -> String {
    match error.kind() {
        // These show the answer.
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => "Redis answers something else".into(),
        _ => {
            let text = error.to_string();
            let end = text.find("with args beginning with").unwrap_or(text.len());
            format!("Redis: {}", text.get(..end).unwrap_or_default().trim_end_matches([' ', ',']))
        }
    }
}

/// The code that the server answered, also to one of several commands.
fn code(error: &RedisError) -> Option<String> {
    let errors = error.clone().into_server_errors()?;
    errors.first().map(|(_, error)| error.code().to_owned())
}

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    fn server_error(code: &str) -> RedisError {
        redis::parse_redis_value(format!("-{code} as the server says\r\n").as_bytes())
            .unwrap()
            .extract_error()
            .unwrap_err()
    }

    #[test]
    fn what_may_go_through_later_is_unavailable() {
        for code in [
            "LOADING",
            "CLUSTERDOWN",
            "MASTERDOWN",
            "TRYAGAIN",
            "READONLY",
            "MOVED",
            "OOM",
            "NOREPLICAS",
            "BUSY",
            "MISCONF",
        ] {
            assert!(Failure::of(&server_error(code)).unavailable, "{code}");
        }
        for kind in [std::io::ErrorKind::ConnectionRefused, std::io::ErrorKind::TimedOut] {
            assert!(Failure::of(&std::io::Error::from(kind).into()).unavailable, "{kind}");
        }
        for code in ["ERR", "NOPERM", "NOAUTH", "WRONGPASS", "WRONGTYPE", "CROSSSLOT", "BUSYGROUP"] {
            assert!(!Failure::of(&server_error(code)).unavailable, "{code}");
        }
    }

    #[test]
    fn a_replica_is_left_and_a_loading_server_is_kept() {
        let remedy = |code| Remedy::of(&server_error(code));
        assert!(remedy("READONLY") == Remedy::ReplaceAndRetry);
        assert!(remedy("MASTERDOWN") == Remedy::ReplaceAndRetry);
        assert!(remedy("LOADING") == Remedy::Keep);
        assert!(remedy("OOM") == Remedy::Keep);
        assert!(Remedy::of(&std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()) == Remedy::ReplaceAndRetry);
        assert!(Remedy::of(&std::io::Error::from(std::io::ErrorKind::TimedOut).into()) == Remedy::Replace);
    }

    #[test]
    fn cr_05_arguments_are_not_repeated() {
        let detail = "unknown command 'AUTH', with args beginning with: 'canary' ";
        let failure = Failure::of(&make_extension_error("ERR".into(), Some(detail.into())));
        assert!(!format!("{failure} {failure:?}").contains("canary"), "{failure}");
        assert!(failure.to_string().contains("unknown command 'AUTH'"), "{failure}");
    }
}
