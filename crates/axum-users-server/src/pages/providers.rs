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

/// The links of the sign-in pages.
pub(super) fn sign_in<Id: UserId>(pages: &Pages<Id>) -> Value {
    let link = |button: &Button| link(pages, "/auth", button, Text::ProviderContinue);
    Value::from(pages.providers.iter().map(link).collect::<Vec<_>>())
}

/// A link that goes to the provider and comes back to the account.
fn link<Id: UserId>(pages: &Pages<Id>, prefix: &str, button: &Button, text: Text) -> Value {
    let base = &pages.look.base;
    let back: String = form_urlencoded::byte_serialize(format!("{base}/account").as_bytes()).collect();
    let text = pages.look.texts.fill(text, &[("provider", &button.display_name)]);
    object([
        ("url", Value::from(format!("{base}{prefix}/{}/authorize?redirect_to={back}", button.name))),
        ("text", Value::from(text)),
    ])
}

/// What went wrong on the way, as the callback wrote it in the address: its code, and no other word.
pub(super) fn error_of(parts: &Parts) -> Option<String> {
    parameter(parts, "error").filter(|code| code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
}

/// Says it.
pub(super) fn tell(form: &mut Form<'_>, code: &str) {
    let texts = [
        (ErrorCode::OAuthUserAlreadyExists, Text::ProviderTaken),
        (ErrorCode::OAuthNotAvailableEmail, Text::ProviderNoEmail),
        (ErrorCode::OAuthInvalidState, Text::ProviderTooLate),
        (ErrorCode::AccessTokenAlreadyExpired, Text::ProviderTooLate),
    ];
    let text =
        texts.into_iter().find(|(known, _)| known.as_str() == code).map_or(Text::ProviderFailed, |(_, text)| text);
    form.problem(StatusCode::BAD_REQUEST, text);
}

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
    let others: Vec<_> = others.map(|button| link(pages, "/auth/associate", button, Text::ProviderLink)).collect();
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
