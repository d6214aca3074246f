//! Identities as they are linked and stored.

use std::fmt;

use uuid::Uuid;

use crate::{
    id::{ObjectId, UserId},
    profile::UserProfile,
    secret::Secret,
    session::TokenHash,
    value::Value,
};

/// What an account with a provider is known by. No other text is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OAuthIdentity {
    oauth_name: String,
    account_id: String,
}

impl OAuthIdentity {
    /// The account of this id with the provider of this name; `None` where that is none (ASVS 10.5.2): an id has 1 to 320
    /// characters, no control characters, and no blank at its beginning or end.
    #[must_use]
    pub fn new(oauth_name: &str, account_id: &str) -> Option<Self> {
        let is_id = (1..=320).contains(&account_id.chars().count())
            && !account_id.chars().any(char::is_control)
            && account_id.trim() == account_id;
        is_id.then(|| Self { oauth_name: oauth_name.into(), account_id: account_id.into() })
    }

    /// The name of the provider.
    #[must_use]
    pub fn oauth_name(&self) -> &str {
        &self.oauth_name
    }

    /// Its id of the account.
    #[must_use]
    pub fn account_id(&self) -> &str {
        &self.account_id
    }

    /// What a unique index is over: 43 characters, whatever the length of the two, and whatever the collation of their columns.
    #[must_use]
    pub fn key(&self) -> String {
        TokenHash::of(&format!("axum-users identity {} {}", self.oauth_name, self.account_id)).as_str().to_owned()
    }
}

/// The id of a link. Which kind it is of depends on the store: in MongoDB it is an object id, whatever identifies the users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "built by adapters")]
pub enum AccountId {
    /// A number that the database counted.
    Integer(i64),
    /// A UUID.
    Uuid(Uuid),
    /// An object id.
    ObjectId(ObjectId),
}

impl AccountId {
    /// An id of the same kind as the users'; `None` for one of a kind that no store has.
    pub fn of(id: &impl UserId) -> Option<Self> {
        match id.to_value() {
            Value::Integer(it) => Some(Self::Integer(it)),
            Value::Uuid(it) => Some(Self::Uuid(it)),
            Value::ObjectId(it) => Some(Self::ObjectId(it)),
            _ => None,
        }
    }

    /// Reads an id of a path, of whichever kind. No text is of two kinds.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let uuid = || Uuid::parse(text).map(Self::Uuid);
        let object_id = || ObjectId::parse(text).map(Self::ObjectId);
        uuid().or_else(object_id).or_else(|| i64::parse(text).map(Self::Integer))
    }

    /// As it is stored and sent.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Self::Integer(it) => Value::Integer(it),
            Self::Uuid(it) => Value::Uuid(it),
            Self::ObjectId(it) => Value::ObjectId(it),
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(it) => fmt::Display::fmt(it, f),
            Self::Uuid(it) => fmt::Display::fmt(it, f),
            Self::ObjectId(it) => fmt::Display::fmt(it, f),
        }
    }
}

/// An account that is linked to a user, as it is stored.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "built by adapters")]
pub struct OAuthAccount<P: UserProfile> {
    /// The id of the link.
    pub id: AccountId,
    /// Whose it is.
    pub user_id: P::Id,
    /// The name of the provider.
    pub oauth_name: String,
    /// The provider's id of the account.
    pub account_id: String,
    /// The address that the provider has; it may be another one than the user's.
    pub account_email: String,
    /// When the access token expires (Unix seconds).
    pub expires_at: Option<i64>,
    /// See [`OAuthToken::access_token`](super::OAuthToken::access_token).
    pub access_token: ProviderToken,
    /// See [`OAuthToken::refresh_token`](super::OAuthToken::refresh_token).
    pub refresh_token: Option<ProviderToken>,
}

/// An account that is about to be linked, or to be brought up to date.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "read by adapters")]
pub struct NewOAuthAccount {
    /// Which account it is.
    pub identity: OAuthIdentity,
    /// See [`OAuthAccount::account_email`]; 320 characters at most.
    pub account_email: String,
    /// See [`OAuthAccount::expires_at`]; of 31 bits, as the tables of FastAPI Users have room for.
    pub expires_at: Option<i64>,
    /// Sealed, of any length.
    pub access_token: String,
    /// Sealed; `None` keeps the one that is stored: providers send it at the first login only.
    pub refresh_token: Option<String>,
}

/// A provider's token as it is stored.
#[derive(Clone)]
#[expect(clippy::exhaustive_enums, reason = "adapters answer exactly these")]
pub enum ProviderToken {
    /// [Sealed](super::OAuthKeys).
    Sealed(String),
    /// In clear, as FastAPI Users wrote it.
    Plain(Secret),
}

impl ProviderToken {
    /// Of a sealed token and one in clear, where a store has room for both: the one in clear, which FastAPI Users wrote later, as we
    /// leave none there. `None` when there is neither.
    #[must_use]
    pub fn stored(sealed: Option<&str>, plain: Option<&str>) -> Option<Self> {
        let plain = plain.filter(|plain| !plain.is_empty() || sealed.is_none());
        plain
            .map(|it| Self::Plain(Secret::from(it.to_owned())))
            .or_else(|| sealed.map(|it| Self::Sealed(it.to_owned())))
    }
}

impl fmt::Debug for ProviderToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sealed(_) => "ProviderToken::Sealed(…)",
            Self::Plain(_) => "ProviderToken::Plain(…)",
        })
    }
}

impl<P: UserProfile> OAuthAccount<P> {
    /// Which account it is; `None` for a row that no provider could have made.
    #[must_use]
    pub fn identity(&self) -> Option<OAuthIdentity> {
        OAuthIdentity::new(&self.oauth_name, &self.account_id)
    }
}

/// The id and the name of the provider.
impl<P: UserProfile> fmt::Debug for OAuthAccount<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthAccount")
            .field("id", &self.id)
            .field("user_id", &self.user_id)
            .field("oauth_name", &self.oauth_name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oa_07_an_empty_or_odd_subject_is_no_identity() {
        for odd in ["", " ", "a ", " a", "a\0", "a\nb", "\u{85}", &"x".repeat(321)] {
            assert_eq!(OAuthIdentity::new("google", odd), None, "{odd:?}");
        }
        for fine in ["0", "people/1", "a b", "ü", &"ü".repeat(320)] {
            assert!(OAuthIdentity::new("google", fine).is_some(), "{fine}");
        }
    }

    #[test]
    fn oa_06_keys_differ_where_identities_do() {
        let key = |name, id| OAuthIdentity::new(name, id).unwrap().key();
        assert_eq!(key("google", "1").len(), 43);
        assert_eq!(key("google", "1"), key("google", "1"));
        for (a, b) in
            [(("google", "1"), ("github", "1")), (("google", "a"), ("google", "A")), (("a", "b c"), ("a", "b_c"))]
        {
            assert_ne!(key(a.0, a.1), key(b.0, b.1));
        }
    }
}
