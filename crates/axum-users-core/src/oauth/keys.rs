//! What signs states and seals tokens.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{OAuthAccount, OAuthIdentity, ProviderToken, STATE_LIFETIME};
use crate::{
    derive::derived,
    error::Error,
    jwt::{WeakSecret, check_secret},
    profile::UserProfile,
    random,
    secret::Secret,
    token::TokenSettings,
};

/// The keys of everything around OAuth: the secret that signs state tokens, and the key that tokens of providers are sealed with
/// (AES-256-GCM, NIST SP 800-38D), which is derived by HKDF (RFC 5869).
#[derive(Clone, Debug)]
pub struct OAuthKeys {
    pub(crate) state: TokenSettings,
    /// What seals comes first.
    sealing: Vec<SealingKey>,
}

impl OAuthKeys {
    /// From one secret. It may be the one that FastAPI Users signs its states with.
    ///
    /// # Errors
    /// [`WeakSecret`] when the secret is short, guessable or published: whoever knows it makes others link an account of theirs,
    /// and reads tokens of providers in a copy of the database.
    pub fn new(secret: &[u8]) -> Result<Self, WeakSecret> {
        let state = TokenSettings::new(secret)?.lifetime(STATE_LIFETIME);
        Ok(Self { state, sealing: vec![SealingKey::derived_from(secret)] })
    }

    /// From any secret: for a deployment that is taken over with a short one.
    ///
    /// # Security
    /// See [`new`](Self::new) for what whoever guesses it can do.
    ///
    /// # Errors
    /// [`WeakSecret`] when it is no secret at all.
    pub fn danger_weak_secret(secret: &[u8]) -> Result<Self, WeakSecret> {
        let state = TokenSettings::danger_weak_secret(secret)?.lifetime(STATE_LIFETIME);
        Ok(Self { state, sealing: vec![SealingKey::derived_from(secret)] })
    }

    /// A secret from before: states that it signed still count, and tokens that it sealed are still read. A row is sealed with
    /// the new one at the next login by it, so an old secret is needed as long as rows of it are there.
    #[must_use]
    pub fn previous(mut self, secret: &[u8]) -> Self {
        self.state = self.state.previous(secret);
        self.sealing.push(SealingKey::derived_from(secret));
        self
    }

    /// Seals tokens with another secret than the one that signs states. The latter is still tried for tokens that it sealed.
    ///
    /// # Errors
    /// [`WeakSecret`] when the secret is short, guessable or published.
    pub fn seal_with(mut self, secret: &[u8]) -> Result<Self, WeakSecret> {
        check_secret(secret)?;
        self.sealing.insert(0, SealingKey::derived_from(secret));
        Ok(self)
    }

    pub(crate) fn seal(&self, part: Part, identity: &OAuthIdentity, token: &Secret) -> Result<String, Error> {
        let key = self.sealing.first().ok_or(Error::NotConfigured("oauth"))?;
        let mut nonce = [0; NONCE_LEN];
        random::fill(&mut nonce);
        let mut bytes = token.expose().as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let sealed = key.cipher()?.seal_in_place_append_tag(unique, Aad::from(part.of(identity)), &mut bytes);
        sealed.map_err(|error| Error::Internal(error.into()))?;
        Ok(format!("{}.{}", key.id, URL_SAFE_NO_PAD.encode([&nonce[..], &bytes].concat())))
    }

    /// The token of a row; `None` when no key of ours sealed it for this row.
    pub(crate) fn open(&self, part: Part, identity: &OAuthIdentity, stored: &ProviderToken) -> Option<Secret> {
        let sealed = match stored {
            ProviderToken::Plain(token) => return Some(token.clone()),
            ProviderToken::Sealed(sealed) => sealed,
        };
        let (id, sealed) = sealed.split_once('.')?;
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let key = self.sealing.iter().find(|key| key.id == id)?.cipher().ok()?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = sealed.to_vec();
        let token = key.open_in_place(nonce, Aad::from(part.of(identity)), &mut bytes).ok()?;
        String::from_utf8(token.to_vec()).ok().map(Secret::from)
    }

    /// Seals an access token, and with it which mailbox the provider proved the account to have, if it did.
    pub(crate) fn seal_access(
        &self,
        identity: &OAuthIdentity,
        token: &Secret,
        proved: Option<&str>,
    ) -> Result<String, Error> {
        match proved {
            None => self.seal(Part::Access, identity, token),
            Some(mailbox) => {
                let both = Secret::from(format!("{mailbox}\n{}", token.expose()));
                self.seal(Part::ProvedAccess, identity, &both)
            }
        }
    }

    /// What the row of an account holds; `None` when no key of ours sealed it.
    pub(crate) fn open_account<P: UserProfile>(&self, account: &OAuthAccount<P>) -> Option<Opened> {
        let identity = account.identity()?;
        let (access, proved) = match self.open(Part::Access, &identity, &account.access_token) {
            Some(access) => (access, None),
            None => {
                let both = self.open(Part::ProvedAccess, &identity, &account.access_token)?;
                let (mailbox, access) = both.expose().split_once('\n')?;
                (Secret::from(access), Some(mailbox.to_owned()))
            }
        };
        let refresh = account.refresh_token.as_ref().and_then(|it| self.open(Part::Refresh, &identity, it));
        Some(Opened { access, refresh, proved })
    }
}

/// What the row of an account holds.
pub(crate) struct Opened {
    pub(crate) access: Secret,
    pub(crate) refresh: Option<Secret>,
    /// The [key](crate::EmailKey) of the mailbox that the provider proved, when the row was written last.
    pub(crate) proved: Option<String>,
}

/// Which token of a row it is.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Access,
    /// The access token of an account whose address the provider proved, after the mailbox.
    ProvedAccess,
    Refresh,
}

impl Part {
    /// A sealed token opens in its own place of its own row alone.
    fn of(self, identity: &OAuthIdentity) -> Vec<u8> {
        let part = match self {
            Self::Access => "access",
            Self::ProvedAccess => "proved access",
            Self::Refresh => "refresh",
        };
        format!("axum-users {part} token {} {}", identity.oauth_name(), identity.account_id()).into_bytes()
    }
}

#[derive(Clone)]
struct SealingKey {
    /// Tells keys apart, and nothing of them.
    id: String,
    key: Secret,
}

impl SealingKey {
    fn derived_from(secret: &[u8]) -> Self {
        let key = derived(secret, b"tokens of oauth providers");
        let id = digest(&SHA256, &[b"axum-users key id ", key.as_ref()].concat());
        Self {
            id: URL_SAFE_NO_PAD.encode(id.as_ref().get(..6).unwrap_or_default()),
            key: Secret::from(URL_SAFE_NO_PAD.encode(key)),
        }
    }

    fn cipher(&self) -> Result<LessSafeKey, Error> {
        let key = URL_SAFE_NO_PAD.decode(self.key.expose()).map_err(|error| Error::Internal(error.into()))?;
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|error| Error::Internal(error.into()))?;
        Ok(LessSafeKey::new(key))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u";
    const OTHER: &[u8] = b"another secret: Zq8Lr5Tn2Wx7Kv4B";

    fn identity(name: &str, id: &str) -> OAuthIdentity {
        OAuthIdentity::new(name, id).unwrap()
    }

    fn opened(keys: &OAuthKeys, part: Part, identity: &OAuthIdentity, sealed: &str) -> Option<String> {
        keys.open(part, identity, &ProviderToken::Sealed(sealed.into())).map(|token| token.expose().to_owned())
    }

    #[test]
    fn oa_11_a_sealed_token_opens_in_its_place_alone() {
        let keys = OAuthKeys::new(SECRET).unwrap();
        let row = identity("google", "1");
        for length in [0, 1, 16, 40_000] {
            let token = "ü".repeat(length);
            let sealed = keys.seal(Part::Access, &row, &Secret::from(token.as_str())).unwrap();
            assert_eq!(opened(&keys, Part::Access, &row, &sealed), Some(token));
        }
        let sealed = keys.seal(Part::Access, &row, &Secret::from("canary")).unwrap();
        assert!(!sealed.contains("canary"));
        assert_ne!(keys.seal(Part::Access, &row, &Secret::from("canary")).unwrap(), sealed, "sealed anew each time");
        assert_eq!(opened(&keys, Part::Refresh, &row, &sealed), None, "the other column");
        assert_eq!(opened(&keys, Part::Access, &identity("google", "2"), &sealed), None, "another row");
        assert_eq!(opened(&keys, Part::Access, &identity("github", "1"), &sealed), None, "another row");
        for index in 0..sealed.len() {
            let mut other = sealed.clone().into_bytes();
            other[index] = if other[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(opened(&keys, Part::Access, &row, &String::from_utf8(other).unwrap()), None, "{index}");
        }
        for odd in ["", ".", "x.", "x.AAAA", sealed.split_once('.').unwrap().0] {
            assert_eq!(opened(&keys, Part::Access, &row, odd), None, "{odd}");
        }
    }

    #[test]
    fn rc_11_a_row_says_which_mailbox_its_provider_proved() {
        let keys = OAuthKeys::new(SECRET).unwrap();
        let row = identity("google", "1");
        let account = |access_token| OAuthAccount::<()> {
            id: crate::AccountId::Integer(1),
            user_id: crate::UserId::generate().unwrap(),
            oauth_name: "google".into(),
            account_id: "1".into(),
            account_email: "a@camelot.bt".into(),
            expires_at: None,
            access_token,
            refresh_token: None,
        };
        for (token, proved) in
            [("token", None), ("a\nb", None), ("token", Some("a@camelot.bt")), ("a\nb", Some("ü@b.bt"))]
        {
            let sealed = keys.seal_access(&row, &Secret::from(token), proved).unwrap();
            let opened = keys.open_account(&account(ProviderToken::Sealed(sealed))).unwrap();
            assert_eq!((opened.access.expose(), opened.proved.as_deref()), (token, proved));
        }
        // A token of another system proves nothing, whatever it looks like.
        let opened = keys.open_account(&account(ProviderToken::Plain(Secret::from("a@camelot.bt\ntoken")))).unwrap();
        assert_eq!((opened.access.expose(), opened.proved), ("a@camelot.bt\ntoken", None));
    }

    #[test]
    fn cr_06_the_keys_of_sealed_tokens_rotate() {
        let (old, row) = (OAuthKeys::new(SECRET).unwrap(), identity("google", "1"));
        let sealed = old.seal(Part::Refresh, &row, &Secret::from("token")).unwrap();
        let new = OAuthKeys::new(OTHER).unwrap();
        assert_eq!(opened(&new, Part::Refresh, &row, &sealed), None);
        let rotated = new.previous(SECRET);
        assert_eq!(opened(&rotated, Part::Refresh, &row, &sealed).as_deref(), Some("token"));
        let apart = OAuthKeys::new(SECRET).unwrap().seal_with(OTHER).unwrap();
        assert_eq!(opened(&apart, Part::Refresh, &row, &sealed).as_deref(), Some("token"));
        for keys in [rotated, apart] {
            let again = keys.seal(Part::Refresh, &row, &Secret::from("token")).unwrap();
            assert_eq!(opened(&old, Part::Refresh, &row, &again), None, "sealed with the new one");
        }
        assert!(OAuthKeys::new(b"short").is_err() && OAuthKeys::new(SECRET).unwrap().seal_with(b"short").is_err());
    }

    #[test]
    fn cr_04_keys_do_not_print() {
        let printed = format!("{:?}", OAuthKeys::new(SECRET).unwrap());
        let key = SealingKey::derived_from(SECRET);
        assert!(!printed.contains(key.key.expose()) && !printed.contains("w7Pj2mQ9"), "{printed}");
    }
}
