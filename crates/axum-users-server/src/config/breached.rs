//! `[password.breached]`.

use std::path::PathBuf;

use axum_users::{BreachedPasswordsRange, password::OnFailure};

use super::keys::{Keys, words};

/// Where new passwords are looked up, and what becomes of them when that fails.
#[derive(Debug)]
pub(crate) struct BreachedSettings {
    pub(crate) list: BreachedList,
    pub(crate) on_failure: OnFailure,
}

/// A list of passwords that are known from breaches.
#[derive(Debug)]
pub(crate) enum BreachedList {
    File(PathBuf),
    Range(BreachedPasswordsRange),
}

words! {
    enum OnFailureWord {
        Allow = "allow",
        Refuse = "refuse",
    }
}

impl BreachedSettings {
    pub(super) fn read(keys: &mut Keys) -> Option<Self> {
        let file = keys.optional::<String>("password.breached.file");
        let range_url = keys.optional::<String>("password.breached.range_url");
        let on_failure = match keys.get("password.breached.on_failure", OnFailureWord::Allow) {
            OnFailureWord::Allow => OnFailure::Allow,
            OnFailureWord::Refuse => OnFailure::Refuse,
        };
        if file.is_some() && range_url.is_some() {
            keys.wrong("password.breached.range_url", "a file is named as well: keep one of the two");
        }
        let range = |url: String| match BreachedPasswordsRange::new(&url) {
            Ok(range) => Some(BreachedList::Range(range)),
            Err(error) => {
                keys.wrong("password.breached.range_url", error);
                None
            }
        };
        let list = file.map(|path| BreachedList::File(path.into())).or_else(|| range_url.and_then(range))?;
        Some(Self { list, on_failure })
    }
}
