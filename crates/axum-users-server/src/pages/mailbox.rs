//! `/mailbox`: mails of the development transport, on the developer's own machine.

use axum::{
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use axum_users::{RenderedMail, UserId};
use http::{HeaderMap, StatusCode, header};
use minijinja::Value;
use url::Url;

use super::{Pages, Values, object, texts::Text};
use crate::config::is_loopback;

pub(super) async fn list<Id: UserId>(State(pages): State<Pages<Id>>, headers: HeaderMap) -> Response {
    let mails = mails(&pages, &headers).iter().map(described).collect::<Vec<_>>();
    pages.page(StatusCode::OK, "mailbox.html", &Values::from([("mails", Value::from(mails))]))
}

pub(super) async fn mail<Id: UserId>(
    State(pages): State<Pages<Id>>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response {
    match mails(&pages, &headers).iter().find(|mail| mail.key() == key) {
        Some(mail) => pages.page(StatusCode::OK, "mail.html", &Values::from([("mail", described(mail))])),
        None => pages.see("/mailbox"),
    }
}

/// The mail as its reader sees it: in a frame that may do nothing.
pub(super) async fn html<Id: UserId>(
    State(pages): State<Pages<Id>>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response {
    match mails(&pages, &headers).iter().find(|mail| mail.key() == key) {
        Some(mail) => {
            let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; \
                          form-action 'none'; sandbox";
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CONTENT_SECURITY_POLICY, policy),
                (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
            ];
            (headers, mail.html().to_owned()).into_response()
        }
        None => pages.message(StatusCode::NOT_FOUND, Text::FailedTitle, Text::Failed, ("/mailbox", Text::Home)),
    }
}

/// None for a name that is not of this machine: a page of somebody else's whose name leads here could read them (DNS rebinding).
fn mails<Id: UserId>(pages: &Pages<Id>, headers: &HeaderMap) -> Vec<RenderedMail> {
    let Some(mailbox) = &pages.mailbox else { return Vec::new() };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_own = host.is_some_and(|host| {
        let is_ours = |url: Url| is_loopback(&url) || url.host_str() == pages.host.as_deref();
        Url::parse(&format!("http://{host}")).is_ok_and(is_ours)
    });
    if is_own { mailbox.mails() } else { Vec::new() }
}

fn described(mail: &RenderedMail) -> Value {
    object([
        ("key", mail.key()),
        ("subject", mail.subject()),
        ("to", mail.to().as_str()),
        ("link", mail.link().unwrap_or_default()),
        ("text", mail.text()),
    ])
}
