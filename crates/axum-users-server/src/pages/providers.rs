//! Sign in by another provider, and the accounts that are linked to a user.

use axum::{
    extract::{Request, State},
    response::Response,
};
use axum_users::{AccountId, Error, ErrorCode, OAuthAccount, OAuthClient as _, UserId};
use http::{StatusCode, request::Parts};
use minijinja::Value;
use url::form_urlencoded;

use super::{
    Pages, Person,
    account::{self, Forms},
    form::Form,
    object, parameter,
    texts::Text,
};
use crate::{
    config::{Config, Provider},
    profile::ServerProfile,
};

/// A provider that answers by the cookie of the pages.
pub(super) struct Button {
    name: String,
    display_name: String,
    associates: bool,
}

/// Those of the configuration.
pub(super) fn buttons(config: &Config, backend: &str) -> Vec<Button> {
    let button = |provider: &Provider| Button {
        name: provider.client.name().to_owned(),
        display_name: provider.client.display_name().to_owned(),
        associates: provider.associates,
    };
    config.oauth.providers.iter().filter(|provider| provider.backend == backend).map(button).collect()
}

/// Why somebody went to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    SignIn,
    Link,
}

impl Errand {
    /// That of a route of the API, where its provider answers by the cookie of the pages.
    pub(super) fn of<Id: UserId>(pages: &Pages<Id>, path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/auth/")?.trim_end_matches('/');
        let (errand, rest) = match rest.strip_prefix("associate/") {
            Some(rest) => (Self::Link, rest),
            None => (Self::SignIn, rest),
        };
        let name = rest.strip_suffix("/authorize").or_else(|| rest.strip_suffix("/callback"))?;
        pages.providers.iter().any(|button| button.name == name).then_some(errand)
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::SignIn => "/auth",
            Self::Link => "/auth/associate",
        }
    }

    /// Where a browser comes back to. The account page says that a link worked; that somebody signed in can be seen.
    fn back(self) -> &'static str {
        match self {
            Self::SignIn => "/account",
            Self::Link => "/account?done=linked",
        }
    }
}

/// The links of the sign-in pages.
pub(super) fn sign_in<Id: UserId>(pages: &Pages<Id>) -> Value {
    let link = |button: &Button| link(pages, Errand::SignIn, button, Text::ProviderContinue);
    Value::from(pages.providers.iter().map(link).collect::<Vec<_>>())
}

/// A link that goes to the provider and comes back to the account.
fn link<Id: UserId>(pages: &Pages<Id>, errand: Errand, button: &Button, text: Text) -> Value {
    let (base, prefix) = (&pages.look.base, errand.prefix());
    let back: String = form_urlencoded::byte_serialize(format!("{base}{}", errand.back()).as_bytes()).collect();
    let text = pages.look.texts.fill(text, &[("provider", &button.display_name)]);
    object([
        ("url", Value::from(format!("{base}{prefix}/{}/authorize?redirect_to={back}", button.name))),
        ("text", Value::from(text)),
    ])
}

/// What went wrong on the way, as it stands in the address of the page: a code, and no other word.
pub(super) struct Failed {
    code: String,
    errand: Errand,
}

impl Failed {
    pub(super) fn new(code: impl Into<String>, errand: Errand) -> Self {
        Self { code: code.into(), errand }
    }

    /// As [`path`](Self::path), or the callback, wrote it.
    pub(super) fn of(parts: &Parts) -> Option<Self> {
        let is_code = |code: &String| code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        let code = parameter(parts, "error").filter(is_code)?;
        let is_link = parameter(parts, "done").as_deref() == Some("linked");
        Some(Self::new(code, if is_link { Errand::Link } else { Errand::SignIn }))
    }

    /// A page that says it.
    pub(super) fn path(&self, page: &str) -> String {
        let done = if self.errand == Errand::Link { "done=linked&" } else { "" };
        format!("{page}?{done}error={}", self.code)
    }

    /// Says it.
    pub(super) fn tell(&self, form: &mut Form<'_>) {
        form.problem(StatusCode::BAD_REQUEST, self.text());
    }

    /// Whether the address of the user has to be proved first.
    pub(super) fn asks_for_proof(&self) -> bool {
        self.text() == Text::NotVerified
    }

    fn text(&self) -> Text {
        let by_errand = |sign_in, link| if self.errand == Errand::Link { link } else { sign_in };
        let texts = [
            (ErrorCode::OAuthUserAlreadyExists, by_errand(Text::ProviderTaken, Text::LinkTaken)),
            (ErrorCode::OAuthNotAvailableEmail, by_errand(Text::ProviderNoEmail, Text::LinkNoEmail)),
            (ErrorCode::OAuthInvalidState, Text::ProviderTooLate),
            (ErrorCode::AccessTokenAlreadyExpired, Text::ProviderTooLate),
            // A provider has said who it is: all that is left is that the user is inactive.
            (ErrorCode::LoginBadCredentials, Text::ProviderInactive),
            (ErrorCode::LoginUserNotVerified, Text::NotVerified),
        ];
        let known = texts.into_iter().find(|(known, _)| known.as_str() == self.code).map(|(_, text)| text);
        match self.code.as_str() {
            SIGNED_OUT => Text::LinkSignedOut,
            _ => known.unwrap_or(by_errand(Text::ProviderFailed, Text::LinkFailed)),
        }
    }
}

/// A code that the API has no word for: nobody is signed in whom an account could be linked to.
pub(super) const SIGNED_OUT: &str = "SIGNED_OUT";

/// The linked accounts, and what can be linked; `None` where there are no providers.
pub(super) async fn linked<Id: UserId>(pages: &Pages<Id>, person: &Person<Id>) -> Result<Option<Value>, Response> {
    if pages.providers.is_empty() {
        return Ok(None);
    }
    let accounts = pages.users.oauth_accounts(person).await.map_err(|error| {
        let mut form = pages.form("");
        form.refused(error, ("accounts", Text::Email));
        pages.failed(form.status())
    })?;
    let named = |account: &OAuthAccount<ServerProfile<Id>>| {
        let button = pages.providers.iter().find(|button| button.name == account.oauth_name);
        let name = button.map_or(account.oauth_name.as_str(), |button| button.display_name.as_str());
        let email = account.account_email.as_str();
        let label = pages.look.texts.fill(Text::ProviderUnlinkLabel, &[("provider", name), ("email", email)]);
        object([
            ("id", account.id.to_string()),
            ("name", name.to_owned()),
            ("email", email.to_owned()),
            ("unlink_label", label),
        ])
    };
    let is_linked = |button: &&Button| accounts.iter().any(|account| account.oauth_name == button.name);
    let others = pages.providers.iter().filter(|button| button.associates && !is_linked(button));
    let others: Vec<_> = others.map(|button| link(pages, Errand::Link, button, Text::ProviderLink)).collect();
    let accounts: Vec<_> = accounts.iter().map(named).collect();
    Ok(Some(object([("accounts", Value::from(accounts)), ("others", Value::from(others))])))
}

/// Unlinks an account; that asks for a login of a short while ago, as the API does (ASVS 7.5.1).
pub(super) async fn unlink<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Result<Response, Response> {
    let (mut parts, sent) = pages.read(request).await?;
    let person = account::member(&pages, &mut parts).await?;
    if !person.is_fresh(pages.users.manager()) {
        return Ok(pages.see("/sign-in?done=again"));
    }
    let Some(id) = sent.get("account").and_then(AccountId::parse) else { return Ok(pages.see("/account")) };
    let info = pages.users.request_info(&parts);
    match pages.users.remove_oauth_account(&person, id, Some(&person.acting()), Some(&info)).await {
        // One that is not there any more is what was wanted.
        Ok(_) => Ok(pages.see("/account?done=unlinked")),
        Err(error) => {
            let mut forms = Forms::new(&pages, &person);
            match error {
                Error::LastLoginMethod => forms.accounts.problem(StatusCode::BAD_REQUEST, Text::ProviderLast),
                error => forms.accounts.refused(error, ("account", Text::Email)),
            }
            account::page(&pages, &person, forms, None).await
        }
    }
}
