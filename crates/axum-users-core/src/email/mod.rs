//! E-mail addresses: which are accepted, how they are stored, and when two of them are one mailbox.
//!
//! # The rule
//!
//! An address is accepted as the contract has it: [`Email::parse`]. What is stored of it:
//!
//! | part | stored |
//! |---|---|
//! | ASCII letters of the local part | in the case typed; the names of RFC 2142 (`info`, `postmaster`, …) in lower case |
//! | other letters of the local part | in Normalization Form C and lower case |
//! | domain | in its lower-case Unicode form (IDNA 2008 over UTS-46) |
//!
//! Two addresses are **one mailbox** if their stored forms are equal once ASCII letters are folded. That folding is all that
//! is left to a database, so engines and locales cannot disagree. No other likeness counts:
//!
//! | one | other | one mailbox |
//! |---|---|---|
//! | `King.Arthur@camelot.bt` | `king.arthur@CAMELOT.BT` | yes: ASCII case |
//! | `ÉLODIE@camelot.bt` | `élodie@camelot.bt` | yes: case outside ASCII |
//! | `e` + U+0301 + `lodie@camelot.bt` | `élodie@camelot.bt` | yes: NFC |
//! | `user@xn--bcher-kva.example` | `user@BÜCHER.example` | yes: IDNA |
//! | `user@ＥＸＡＭＰＬＥ.com` | `user@example.com` | yes: UTS-46 |
//! | U+212A + `ing@camelot.bt` (Kelvin sign) | `king@camelot.bt` | yes: NFC |
//! | `ΝΊΚΟΣ@camelot.bt` | `νίκος@camelot.bt` | yes: a final sigma |
//! | `élodie@camelot.bt` | `elodie@camelot.bt` | no: accents |
//! | `ﬁona@camelot.bt` | `fiona@camelot.bt` | no: ligatures |
//! | `ａ@camelot.bt` | `a@camelot.bt` | no: width, in the local part |
//! | `ıris@camelot.bt` | `iris@camelot.bt` | no: dotless i |
//! | `İris@camelot.bt` | `iris@camelot.bt` | no: dotted capital I keeps its dot |
//! | `straße@camelot.bt` | `strasse@camelot.bt` | no: sharp s |
//! | `user@faß.de` | `user@fass.de` | no: two domains in IDNA 2008 |
//! | `u.ser@camelot.bt` | `user@camelot.bt` | no: dots |
//! | `user+tag@camelot.bt` | `user@camelot.bt` | no: tags |
//! | `аrthur@camelot.bt` (Cyrillic а) | `arthur@camelot.bt` | no: look-alikes |

mod domain;
mod idna;
mod literal;
mod local;
mod split;
mod unicode;

use std::fmt;

use domain::too_many;

/// An e-mail address in the form in which it is stored.
///
/// ```
/// use axum_users_core::Email;
///
/// let email = Email::parse("  King.Arthur@Camelot.BT ").unwrap();
/// assert_eq!(email.as_str(), "King.Arthur@camelot.bt");
/// assert_eq!(email.key(), Email::parse("king.arthur@camelot.bt").unwrap().key());
///
/// let refused = Email::parse("king.arthur").unwrap_err();
/// assert_eq!(refused.reason(), "An email address must have an @-sign.");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Email(String);

impl Email {
    /// The stored form of what was typed. Blanks around it are dropped, and of `name <address>` only the address is used.
    ///
    /// Accepted is what Pydantic's `EmailStr` accepts without a look at the DNS: at most 254 bytes, no quotes and no control
    /// characters, a public domain of IDNA 2008. The stored form is accepted again, as it is.
    ///
    /// # Errors
    /// [`InvalidEmail`] with the reason, in the words of the wire.
    pub fn parse(typed: &str) -> Result<Self, InvalidEmail> {
        if typed.chars().count() > 2048 {
            return Err(InvalidEmail::because("Length must not exceed 2048 characters"));
        }
        if typed.contains(['\r', '\n']) {
            return Err(InvalidEmail::because("Carriage return and line feed characters are not allowed"));
        }
        stored_form(split::unwrap(typed)).map(Self).map_err(InvalidEmail::because)
    }

    /// An address as a store has it, unchecked: another system may have written it by another rule.
    #[must_use]
    pub fn from_stored(stored: String) -> Self {
        Self(stored)
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the last `@`; everything if there is none, which only [`Email::from_stored`] lets happen.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or(self.as_str(), |(local, _)| local)
    }

    /// The part after the last `@`; empty if there is none.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The domain in the ASCII form of IDNA, for mail servers without `SMTPUTF8`; `None` if it has none.
    #[must_use]
    pub fn ascii_domain(&self) -> Option<String> {
        domain::normalise(self.domain()).ok().map(|it| it.ascii)
    }

    /// What this address is looked up and compared by.
    #[must_use]
    pub fn key(&self) -> EmailKey {
        EmailKey::of_typed(&self.0)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for Email {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for Email {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What a mailbox is looked up and compared by: equal keys, one mailbox. See the [module](self).
///
/// ```
/// use axum_users_core::EmailKey;
///
/// let key = EmailKey::of_typed("ÉLODIE@Camelot.bt");
/// assert_eq!(key.candidates(), ["élodie@camelot.bt", "Élodie@camelot.bt"]);
/// assert!(key.matches("élodie@camelot.bt"));
/// assert!(!key.matches("elodie@camelot.bt"));
/// ```
#[derive(Clone, Debug)]
pub struct EmailKey {
    normal: String,
    typed: String,
}

impl EmailKey {
    /// The key of any text, such as the user name of a login form, which is neither checked nor trimmed: the stored form with
    /// ASCII folded if the text is an address as it stands, else the text with ASCII folded.
    #[must_use]
    pub fn of_typed(typed: &str) -> Self {
        let folded = typed.to_ascii_lowercase();
        // Far beyond any address, nothing is looked for: the time this takes must not grow with the text.
        let normal = if typed.len() > 1024 { None } else { stored_form(typed).ok() };
        Self { normal: normal.map_or_else(|| folded.clone(), |it| it.to_ascii_lowercase()), typed: folded }
    }

    /// The form by which mailboxes are compared; canonical, so also the key to count attempts by.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.normal
    }

    /// What to look for in a column that is folded in ASCII: the stored form, and the text as typed, for rows that another
    /// system stored by another rule. Often they are the same.
    #[must_use]
    pub fn candidates(&self) -> [&str; 2] {
        [&self.normal, &self.typed]
    }

    /// Whether a stored address is this mailbox. To be asked after a look-up, since the collation of an engine may join more
    /// than the rule does: accents, blanks at the end, ligatures.
    #[must_use]
    pub fn matches(&self, stored: &str) -> bool {
        *self == Self::of_typed(stored)
    }
}

impl PartialEq for EmailKey {
    fn eq(&self, other: &Self) -> bool {
        self.normal == other.normal
    }
}

impl Eq for EmailKey {}

impl std::hash::Hash for EmailKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.normal.hash(state);
    }
}

/// Why a text is not an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value is not a valid email address: {reason}")]
pub struct InvalidEmail {
    reason: String,
}

impl InvalidEmail {
    /// The reason, for people: `An email address must have an @-sign.`
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// The stored form of an address without anything around it, or the reason why it is none.
fn stored_form(address: &str) -> Result<String, String> {
    let parts = split::split(address)?;
    let mut local = local::normalise(&parts.local, parts.quoted)?;
    if parts.local.is_ascii() && ROLES.iter().any(|role| local.eq_ignore_ascii_case(role)) {
        local.make_ascii_lowercase();
    }
    let domain = domain::normalise(&parts.domain)?;
    check_length(&format!("{}@{}", parts.local, parts.domain), "")?;
    check_length(&format!("{local}@{}", domain.unicode), "after normalization ")?;
    check_length(&format!("{local}@{}", domain.ascii), "when the part after the @-sign is converted to IDNA ASCII ")?;
    if parts.named {
        return Err("A display name and angle brackets around the email address are not permitted here.".into());
    }
    let stored = format!("{}@{}", fold(&local), domain.unicode);
    check_length(&stored, "after normalization ")?;
    Ok(stored)
}

/// The mailbox names of RFC 2142, which are the same in any case.
const ROLES: [&str; 15] = [
    "info",
    "marketing",
    "sales",
    "support",
    "abuse",
    "noc",
    "security",
    "postmaster",
    "hostmaster",
    "usenet",
    "news",
    "webmaster",
    "www",
    "uucp",
    "ftp",
];

/// Letters outside ASCII in lower case, and NFC again.
fn fold(local: &str) -> String {
    if local.is_ascii() {
        return local.to_owned();
    }
    // Lower case of the whole, since a final sigma is known by its neighbours; then the ASCII letters as they were.
    let lower = local.to_lowercase();
    let mut lower = lower.chars();
    let mut folded = String::with_capacity(local.len());
    for c in local.chars() {
        let same = lower.by_ref().take(c.to_lowercase().count());
        if c.is_ascii() {
            same.for_each(drop);
            folded.push(c);
        } else {
            folded.extend(same);
        }
    }
    unicode::nfc(&folded).into_owned()
}

/// RFC 5321, section 4.5.3.1.3: at most 254 bytes. `when` says which form is meant; empty: the one typed.
fn check_length(address: &str, when: &str) -> Result<(), String> {
    let excess = address.len().saturating_sub(254);
    if excess == 0 {
        return Ok(());
    }
    let widest = address.chars().map(char::len_utf8).max().unwrap_or(1);
    let reason = match (excess / widest).max(1) {
        _ if !when.is_empty() => too_many(excess, "byte"),
        fewest if fewest < excess => format!("{fewest}-{}", too_many(excess, "character")),
        _ => too_many(excess, "character"),
    };
    Err(format!("The email address is too long {when}({reason})."))
}
