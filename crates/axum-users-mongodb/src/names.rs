//! Collections and indexes: what they are called.

/// Our unique index over the folded address.
pub(crate) const EMAIL_KEY_INDEX: &str = "axum_users_email_key";
/// Our unique index over the keys of linked accounts.
pub(crate) const ACCOUNT_KEY_INDEX: &str = "axum_users_account_key";
/// Our unique index over the messages that users were made by: each makes one.
pub(crate) const MADE_BY_INDEX: &str = "axum_users_made_by";
/// The unique index over addresses of FastAPI Users.
pub(crate) const THEIR_EMAIL_INDEX: &str = "case_insensitive_email_index";

/// What collections are called. The default is what FastAPI Users calls them.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) users: String,
    pub(crate) access_tokens: String,
}

impl Default for Names {
    fn default() -> Self {
        Self { users: "User".into(), access_tokens: "AccessToken".into() }
    }
}

impl Names {
    /// A collection of ours, beside these users.
    pub(crate) fn ours(&self, what: &str) -> String {
        format!("axum_users_{}_{what}", self.users)
    }
}

/// The unique index over one of the application's own columns.
pub(crate) fn unique_index(column: &str) -> String {
    format!("axum_users_unique_{column}")
}
