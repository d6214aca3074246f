//! What stands between the two legs of a login: the state token, and the browser's secret that it is bound to.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::OAuthKeys;
use crate::{
    error::{BadOAuthState, Error},
    jwt::{Claims, JwtError},
    random,
    secret::Secret,
    session::TokenHash,
    token::Purpose,
};

/// How long a state counts (ASVS 10.2.1).
pub const STATE_LIFETIME: Duration = Duration::from_secs(600);

/// What a login by a provider is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are exactly these two flows")]
pub enum OAuthFlow {
    /// Somebody logs in, with the backend of this name.
    Login {
        /// The backend's name.
        backend: String,
    },
    /// The user of this id links an account.
    Associate {
        /// The text of the id.
        user: String,
    },
}

/// What a state token says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OAuthState {
    /// The name of the provider.
    pub provider: String,
    /// What for.
    pub flow: OAuthFlow,
    /// Where the browser goes afterwards.
    pub redirect_to: Option<String>,
}

/// A random value that one browser keeps in a cookie, for one login. The state names its hash, and PKCE verifier and nonce are
/// made of it: so a state that somebody else reads, in a log or in an address, is of no use to them, and nothing has to be kept
/// here until the browser comes back.
#[derive(Clone, Debug)]
pub(crate) struct BrowserSecret(Secret);

impl BrowserSecret {
    pub(crate) fn generate() -> Self {
        Self(random::token())
    }

    /// As a browser sent it.
    pub(crate) fn sent(text: Secret) -> Self {
        Self(text)
    }

    pub(crate) fn into_secret(self) -> Secret {
        self.0
    }

    /// RFC 7636 section 4.1: 43 characters, 256 bits.
    pub(crate) fn verifier(&self) -> Secret {
        Secret::from(self.made(b"verifier"))
    }

    pub(crate) fn nonce(&self) -> String {
        self.made(b"nonce")
    }

    fn hash(&self) -> String {
        self.made(b"state")
    }

    fn made(&self, purpose: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose().as_bytes());
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, purpose))
    }
}

impl OAuthState {
    /// Of this provider, for this flow.
    #[must_use]
    pub fn new(provider: impl Into<String>, flow: OAuthFlow, redirect_to: Option<String>) -> Self {
        Self { provider: provider.into(), flow, redirect_to }
    }

    pub(crate) fn encode(
        &self,
        keys: &OAuthKeys,
        strict: bool,
        browser: &BrowserSecret,
        now: i64,
    ) -> Result<Secret, Error> {
        let mut claims = Claims::new();
        if let OAuthFlow::Associate { user } = &self.flow {
            claims = claims.with("sub", user.as_str());
        }
        claims = claims.with("csrftoken", browser.hash()).with("provider", self.provider.as_str());
        if let OAuthFlow::Login { backend } = &self.flow {
            claims = claims.with("backend", backend.as_str());
        }
        if let Some(target) = &self.redirect_to {
            claims = claims.with("redirect_to", target.as_str());
        }
        keys.state.encode(Purpose::OAuthState, strict, claims, now)
    }

    /// What a state says that this browser began, and what it is known by for its one use.
    pub(crate) fn decode(
        keys: &OAuthKeys,
        strict: bool,
        state: &Secret,
        browser: &BrowserSecret,
        now: i64,
    ) -> Result<(Self, String), BadOAuthState> {
        let claims =
            keys.state.decode_or_why(Purpose::OAuthState, strict, state, now).map_err(|error| match error {
                JwtError::Expired => BadOAuthState::Expired,
                JwtError::TooLong | JwtError::Malformed | JwtError::Signature | JwtError::Claims => {
                    BadOAuthState::Unreadable
                }
                _ => BadOAuthState::Wrong,
            })?;
        if claims.expires_at().is_none() {
            return Err(BadOAuthState::Wrong);
        }
        let bound_to = claims.text("csrftoken").ok_or(BadOAuthState::Wrong)?;
        if !Secret::from(browser.hash()).ct_eq(bound_to) {
            return Err(BadOAuthState::Wrong);
        }
        let text = |name: &str| claims.text(name).map(str::to_owned);
        let flow = match (text("sub"), text("backend")) {
            (Some(user), None) => OAuthFlow::Associate { user },
            (None, Some(backend)) => OAuthFlow::Login { backend },
            _ => return Err(BadOAuthState::Wrong),
        };
        let provider = text("provider").ok_or(BadOAuthState::Wrong)?;
        let once = TokenHash::of(bound_to).as_str().to_owned();
        Ok((Self { provider, flow, redirect_to: text("redirect_to") }, once))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn keys() -> OAuthKeys {
        OAuthKeys::new(b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u").unwrap()
    }

    fn states() -> [OAuthState; 3] {
        let login = || OAuthFlow::Login { backend: "cookie".into() };
        [
            OAuthState::new("google", login(), None),
            OAuthState::new("google", login(), Some("/account?x=1".into())),
            OAuthState::new("github", OAuthFlow::Associate { user: "7".into() }, None),
        ]
    }

    #[test]
    fn oa_01_a_state_says_what_it_said_for_ten_minutes_to_its_browser() {
        for (state, strict) in states().into_iter().flat_map(|state| [(state.clone(), false), (state, true)]) {
            let browser = BrowserSecret::generate();
            let token = state.encode(&keys(), strict, &browser, NOW).unwrap();
            let read = |browser: &BrowserSecret, at| {
                OAuthState::decode(&keys(), strict, &token, browser, at).map(|(state, _)| state)
            };
            assert_eq!(read(&browser, NOW).unwrap(), state);
            assert_eq!(read(&browser, NOW + 599).unwrap(), state);
            assert_eq!(read(&browser, NOW + 600), Err(BadOAuthState::Expired));
            assert_eq!(read(&BrowserSecret::generate(), NOW), Err(BadOAuthState::Wrong));
            assert_eq!(read(&BrowserSecret::sent(Secret::from("")), NOW), Err(BadOAuthState::Wrong));
        }
    }

    #[test]
    fn oa_01_who_reads_a_state_learns_neither_cookie_nor_verifier() {
        let browser = BrowserSecret::generate();
        let token = states()[0].encode(&keys(), false, &browser, NOW).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(token.expose().split('.').nth(1).unwrap()).unwrap();
        let payload = String::from_utf8(payload).unwrap();
        assert!(payload.contains(&browser.hash()));
        for hidden in [browser.0.expose(), browser.verifier().expose(), browser.nonce().as_str()] {
            assert!(!payload.contains(hidden), "{payload}");
        }
        assert_ne!(browser.verifier().expose(), browser.nonce());
        assert_eq!(browser.verifier().expose().len(), 43);
    }

    #[test]
    fn oa_05_a_state_that_is_none_says_how() {
        let browser = BrowserSecret::generate();
        let read = |token: &str| {
            OAuthState::decode(&keys(), false, &Secret::from(token), &browser, NOW).map(|(state, _)| state)
        };
        for odd in ["", "zz", "a.b.c", &"x".repeat(100_000)] {
            assert_eq!(read(odd), Err(BadOAuthState::Unreadable), "{odd:.20}");
        }
        let other = OAuthKeys::new(b"another secret: Zq8Lr5Tn2Wx7Kv4B").unwrap();
        let foreign = states()[0].encode(&other, false, &browser, NOW).unwrap();
        assert_eq!(read(foreign.expose()), Err(BadOAuthState::Unreadable));
        assert!(
            OAuthState::decode(&keys().previous(b"another secret: Zq8Lr5Tn2Wx7Kv4B"), false, &foreign, &browser, NOW)
                .is_ok()
        );
        // Signed by us without an end; for something else; with claims of both flows, of none, without a browser.
        let endless = Claims::new().with("csrftoken", browser.hash()).with("aud", "fastapi-users:oauth-state");
        let endless = endless.with("provider", "google").with("backend", "cookie");
        let secret = b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u";
        let endless = crate::jwt::JwtKeys::new(crate::jwt::JwtKey::hs256(secret)).encode(&endless).unwrap();
        assert_eq!(read(&endless), Err(BadOAuthState::Wrong));
        let settings = || keys().state;
        let mailed = settings().encode(Purpose::Verify, false, Claims::new().with("sub", "7"), NOW).unwrap();
        assert_eq!(read(mailed.expose()), Err(BadOAuthState::Wrong));
        let hash = browser.hash();
        let base = || Claims::new().with("csrftoken", hash.as_str());
        for claims in [
            Claims::new(),
            base(),
            base().with("provider", "google"),
            base().with("backend", "cookie"),
            base().with("provider", "google").with("backend", 7),
            base().with("provider", "google").with("backend", "cookie").with("sub", "7"),
            Claims::new().with("provider", "google").with("backend", "cookie"),
            Claims::new().with("csrftoken", 5).with("provider", "google").with("backend", "cookie"),
        ] {
            let token = settings().encode(Purpose::OAuthState, false, claims, NOW).unwrap();
            assert_eq!(read(token.expose()), Err(BadOAuthState::Wrong));
        }
    }
}
