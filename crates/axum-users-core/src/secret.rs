//! Text that must not be seen: passwords, tokens, keys.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Secret text. It is wiped from memory when dropped, prints as `Secret(…)`, and can neither be displayed, serialised
/// nor compared by `==` (ASVS 14.2.4).
///
/// ```
/// use axum_users_core::secret::Secret;
///
/// let password = Secret::from("correct horse");
/// assert_eq!(format!("{password:?}"), "Secret(…)");
/// assert!(password.ct_eq("correct horse"));
/// assert_eq!(password.expose(), "correct horse");
/// ```
///
/// It does not print:
///
/// ```compile_fail,E0277
/// # use axum_users_core::secret::Secret;
/// println!("{}", Secret::from("correct horse"));
/// ```
///
/// nor serialise:
///
/// ```compile_fail,E0277
/// # use axum_users_core::secret::Secret;
/// serde_json::to_string(&Secret::from("correct horse"));
/// ```
///
/// nor compare in variable time:
///
/// ```compile_fail,E0369
/// # use axum_users_core::secret::Secret;
/// let _ = Secret::from("correct horse") == Secret::from("correct horse");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether this is `other`, in a time that depends on the lengths only.
    #[must_use]
    pub fn ct_eq(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl From<String> for Secret {
    /// Takes the text over without a copy.
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::*;

    #[test]
    fn cr_04_a_secret_prints_redacted() {
        let secret = Secret::from("hunter2");
        assert!(!format!("{secret:?} {secret:#?} {:?}", Some(&secret)).contains("hunter2"));
    }

    #[test]
    fn cr_04_a_secret_is_wiped_when_dropped() {
        fn wiped<T: ZeroizeOnDrop>(_: &T) {}
        wiped(&Secret::from("hunter2").0);
    }

    #[test]
    fn equal_is_equal_to_the_byte() {
        let secret = Secret::from("hunter2");
        assert!(secret.ct_eq("hunter2"));
        assert!(!secret.ct_eq("hunter3") && !secret.ct_eq("hunter") && !secret.ct_eq("hunter22") && !secret.ct_eq(""));
    }
}
