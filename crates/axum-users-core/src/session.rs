//! Sessions, and when a token counts: one rule for every strategy, in whole seconds, because `iat` and MySQL's `created_at`
//! have no finer ones.
//!
//! - A *session* begins with a login. What is stored of it ([`SessionState`]) is known by its [`SessionId`], which a token of
//!   ours carries; a token that carries none (FastAPI Users issued it) is a session of its own, [known by the
//!   token](SessionId::of).
//! - Ending a user's tokens moves `tokens_valid_after` to [`next_valid_after`].
//! - A token is issued at [`issued_at`]: a login that proved the old password is dead when the change commits, one right
//!   after the change lives. A session begins only while `tokens_valid_after` is what it was when the password was proved, so
//!   that this does not hang on clocks.
//! - A token [counts](admits) if it was issued at or after `tokens_valid_after`, or its session was [renewed] since; never if
//!   its session was ended.
//!
//! [renewed]: SessionState::renewed_at

use std::{fmt, net::IpAddr, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use time::OffsetDateTime;

use crate::{database::Condition, hooks::RequestInfo, random, secret::Secret};

/// How often [`SessionState::seen_at`] is written at most, in seconds.
pub const SEEN_EVERY: i64 = 60;

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

/// What an opaque token (43 characters of base64url, as we and FastAPI Users issue them) may be stored as: its hash, and as it was
/// issued where both systems read the store. Any other text is stored nowhere.
pub fn stored_forms(token: &str, hash: &TokenHash, shared: bool) -> impl Iterator<Item = String> + use<> {
    let ours = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_token = token.len() == 43 && token.bytes().all(ours);
    let hash = is_token.then(|| hash.0.clone());
    let plain = (is_token && shared).then(|| token.to_owned());
    hash.into_iter().chain(plain)
}

/// What a new opaque token is stored as.
#[must_use]
pub fn stored_form(token: &Secret, shared: bool) -> String {
    if shared { token.expose().to_owned() } else { TokenHash::of(token.expose()).0 }
}

/// What a session is known by: 22 characters of base64url. It tells nothing about its tokens, and is no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(String);

impl SessionId {
    const LENGTH: usize = 22;

    /// A new one, 128 random bits.
    #[must_use]
    pub fn generate() -> Self {
        Self(random::short_token())
    }

    /// The session of a token that names none: the first 132 bits of its hash.
    #[must_use]
    pub fn of(token: &TokenHash) -> Self {
        Self(token.as_str().chars().take(Self::LENGTH).collect())
    }

    /// Whether a stored token that names no session is of this one: it is stored as its hash, or as it was issued.
    #[must_use]
    pub fn is_of_stored(&self, stored: &str) -> bool {
        stored.get(..Self::LENGTH) == Some(self.as_str()) || Self::of(&TokenHash::of(stored)) == *self
    }

    /// Exactly what we write; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let ours = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (text.len() == Self::LENGTH && text.bytes().all(ours)).then(|| Self(text.to_owned()))
    }

    /// Its 22 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is stored of a session and read with every token of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by adapters")]
pub struct SessionState {
    /// It was ended: no token of it ever counts again.
    pub ended: bool,
    /// When it changed its user's password, and lived on: its older tokens count as if they were issued then.
    pub renewed_at: Option<i64>,
    /// When its user proved who they are.
    pub created_at: i64,
    /// When it was last used, give or take [`SEEN_EVERY`].
    pub seen_at: i64,
}

/// A session that begins, or is heard of for the first time.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "read by adapters")]
pub struct NewSession {
    /// What it is known by.
    pub id: SessionId,
    /// The backend that the user logged in by.
    pub backend: String,
    /// When the user proved who they are (Unix seconds).
    pub created_at: i64,
    /// When the last token of it has expired (Unix seconds); `i64::MAX`: never.
    pub valid_until: i64,
    /// From where; see [`RequestInfo::client_address`].
    pub address: Option<IpAddr>,
    /// With what: the header `User-Agent`, 255 characters at most.
    pub user_agent: Option<String>,
    /// What must hold of the user, or it does not begin. Of no account for a session that is there already.
    pub only_if: Vec<Condition>,
}

impl NewSession {
    /// With what a request tells of its client.
    #[must_use]
    pub fn of(id: SessionId, backend: &str, created_at: i64, valid_until: i64, request: Option<&RequestInfo>) -> Self {
        let user_agent = request
            .and_then(|request| request.user_agent.as_deref())
            .map(|text| text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(255).collect());
        let address = request.and_then(|request| request.client_address);
        Self { id, backend: backend.into(), created_at, valid_until, address, user_agent, only_if: Vec::new() }
    }
}

/// A session as its user sees it in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by adapters")]
pub struct StoredSession {
    /// What it is known by.
    pub id: SessionId,
    /// The backend that the user logged in by.
    pub backend: String,
    /// See [`SessionState`].
    pub state: SessionState,
    /// When the last token of it has expired (Unix seconds); `i64::MAX`: never.
    pub valid_until: i64,
    /// From where it began.
    pub address: Option<String>,
    /// With what it began.
    pub user_agent: Option<String>,
}

/// Ends the tokens of a user in the transaction of the change that asks for it.
#[derive(Clone, Debug)]
pub struct EndTokens {
    /// Now, in whole seconds. What the store knows to be issued later, by a node whose clock is ahead, ends too.
    pub now: i64,
    /// The session that lives on; `None` ends all.
    pub keep: Option<KeptSession>,
}

/// The session that lives on when all others end.
#[derive(Clone, Debug)]
pub struct KeptSession {
    /// It; stored when the store does not know it yet.
    pub session: NewSession,
    /// What its token is stored as, where it is stored: such a row may not name its session.
    pub stored_token: Option<Secret>,
}

/// Whether a token counts. An unknown instant counts only while nothing was ever ended.
#[must_use]
pub fn admits(issued: Option<i64>, tokens_valid_after: Option<i64>, session: Option<&SessionState>) -> bool {
    if session.is_some_and(|session| session.ended) {
        return false;
    }
    let issued = issued.max(session.and_then(|session| session.renewed_at));
    tokens_valid_after.is_none_or(|limit| issued.is_some_and(|issued| issued >= limit))
}

/// Whether a session was not used for longer than `idle`. A token of which nothing is stored was last used when it was issued.
#[must_use]
pub fn is_idle(issued: Option<i64>, session: Option<&SessionState>, idle: Option<Duration>, now: i64) -> bool {
    let Some(idle) = idle.and_then(|idle| i64::try_from(idle.as_secs()).ok()) else { return false };
    let seen_at = session.map_or(issued, |session| Some(session.seen_at));
    seen_at.is_some_and(|seen_at| seen_at.saturating_add(idle) <= now)
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

    fn session(ended: bool, renewed_at: Option<i64>) -> SessionState {
        SessionState { ended, renewed_at, created_at: 50, seen_at: 60 }
    }

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
    fn se_04_an_ended_session_never_counts_and_a_renewed_one_until_the_next_change() {
        assert!(!admits(Some(200), Some(100), Some(&session(true, None))));
        assert!(!admits(Some(200), None, Some(&session(true, Some(300)))));
        assert!(admits(Some(1), Some(100), Some(&session(false, Some(100)))));
        assert!(!admits(Some(1), Some(101), Some(&session(false, Some(100)))));
        assert!(admits(None, Some(100), Some(&session(false, Some(100)))));
        assert!(admits(None, None, None));
        assert!(!admits(None, Some(100), None));
    }

    #[test]
    fn se_08_idle_is_counted_from_the_last_use() {
        let idle = Some(Duration::from_secs(600));
        assert!(!is_idle(Some(0), Some(&session(false, None)), idle, 659));
        assert!(is_idle(Some(0), Some(&session(false, None)), idle, 660));
        assert!(is_idle(Some(59), None, idle, 659));
        assert!(!is_idle(Some(0), None, None, i64::MAX));
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = SessionId::generate();
        assert_eq!(SessionId::parse(id.as_str()), Some(id));
        let of = SessionId::of(&TokenHash::of("token"));
        assert_eq!(SessionId::parse(of.as_str()), Some(of));
        for wrong in ["", "short", "a/bcdefghijklmnopqrstu", "abcdefghijklmnopqrstuvw", "äbcdefghijklmnopqrstu"] {
            assert_eq!(SessionId::parse(wrong), None, "{wrong}");
        }
    }
}
