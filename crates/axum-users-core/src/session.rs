//! When a token counts: one rule for every strategy, in whole seconds, because `iat` and MySQL's `created_at` have no finer
//! ones.
//!
//! - Ending a user's tokens moves `tokens_valid_after` to [`next_valid_after`].
//! - A token is issued at [`issued_at`]: a login that proved the old password is dead when the change commits, one right
//!   after the change lives.
//! - A token [counts](admits) if it was issued at or after `tokens_valid_after`, or a [`Mark`] keeps it; never if a mark
//!   ended it.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use time::OffsetDateTime;

/// What a token is known by in a store: SHA-256 in base64url without padding, 43 characters (ASVS 14.2.4).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TokenHash(String);

impl TokenHash {
    /// The hash of a token as issued.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())))
    }

    /// Its 43 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The first eight characters: enough to find a token's lines in a log.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({}…)", self.0.get(..8).unwrap_or_default())
    }
}

/// What is known of one token beside its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It counts though it is older than `tokens_valid_after`: the session that changed its own password.
    Kept,
    /// It never counts again: logged out.
    Ended,
}

/// Ends the tokens of a user in the transaction of the change that asks for it.
#[derive(Clone, Debug)]
pub struct EndTokens {
    /// Now, in whole seconds.
    pub now: i64,
    /// The one that lives on, and until when (Unix seconds); `None` ends all.
    pub keep: Option<(TokenHash, i64)>,
}

/// Whether a token counts. An unknown instant counts only while nothing was ever ended.
#[must_use]
pub fn admits(issued: Option<i64>, tokens_valid_after: Option<i64>, mark: Option<Mark>) -> bool {
    match mark {
        Some(Mark::Ended) => false,
        Some(Mark::Kept) => true,
        None => match (issued, tokens_valid_after) {
            (_, None) => true,
            (Some(issued), Some(limit)) => issued >= limit,
            (None, Some(_)) => false,
        },
    }
}

/// The next `tokens_valid_after`: later than every token issued so far, also within one second.
#[must_use]
pub fn next_valid_after(now: i64, tokens_valid_after: Option<i64>) -> i64 {
    tokens_valid_after.map_or(now, |limit| limit.max(now)).saturating_add(1)
}

/// The instant of a token that is issued to a user whose row was read at `read_at`.
#[must_use]
pub fn issued_at(read_at: OffsetDateTime, tokens_valid_after: Option<i64>) -> OffsetDateTime {
    match tokens_valid_after.and_then(|limit| OffsetDateTime::from_unix_timestamp(limit).ok()) {
        Some(limit) if limit > read_at => limit,
        _ => read_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn se_07_a_change_ends_what_was_issued_before_and_spares_what_comes_after() {
        let at = |seconds, micros| {
            OffsetDateTime::from_unix_timestamp(seconds).unwrap() + time::Duration::microseconds(micros)
        };
        let before = issued_at(at(100, 999_999), None).unix_timestamp();
        let limit = next_valid_after(100, None);
        assert!(!admits(Some(before), Some(limit), None));
        // the same second, after the change
        assert!(admits(Some(issued_at(at(100, 999_999), Some(limit)).unix_timestamp()), Some(limit), None));
        // two changes in one second: a token between them is dead after the second
        let between = issued_at(at(100, 0), Some(limit)).unix_timestamp();
        assert!(!admits(Some(between), Some(next_valid_after(100, Some(limit))), None));
    }

    #[test]
    fn se_04_a_mark_decides_before_the_instant() {
        assert!(!admits(Some(200), Some(100), Some(Mark::Ended)));
        assert!(admits(Some(1), Some(100), Some(Mark::Kept)));
        assert!(admits(None, None, None));
        assert!(!admits(None, Some(100), None));
    }
}
