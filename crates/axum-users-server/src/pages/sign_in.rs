//! `/`, `/sign-in` and `/sign-out`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use axum_users::{Error, UserId};
use http::{HeaderName, HeaderValue};
use minijinja::Value;

use super::{
    Pages, Values,
    form::Form,
    parameter,
    providers::{self, Failed},
    texts::Text,
};

/// To the account, or to where people sign in.
pub(super) async fn start<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Result<Response, Response> {
    let (mut parts, _) = request.into_parts();
    let path = if pages.person(&mut parts).await?.is_some() { "/account" } else { "/sign-in" };
    Ok(pages.see(path))
}

pub(super) async fn show<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Result<Response, Response> {
    let (mut parts, _) = request.into_parts();
    let done = parameter(&parts, "done").unwrap_or_default();
    // Whoever has to show again who they are is signed in.
    if done != "again" && pages.person(&mut parts).await?.is_some() {
        return Ok(pages.see(if done == "verified" { "/account?done=verified" } else { "/account" }));
    }
    let notice = match done.as_str() {
        "signed-out" => Some(Text::DoneSignedOut),
        "registered" => Some(Text::DoneRegistered),
        "verified" => Some(Text::DoneVerified),
        "reset" => Some(Text::DoneReset),
        "again" => Some(Text::DoneAgain),
        _ => None,
    };
    let mut form = pages.form("");
    let failed = Failed::of(&parts);
    if let Some(failed) = &failed {
        failed.tell(&mut form);
    }
    let can_verify = pages.has_mail && failed.is_some_and(|failed| failed.asks_for_proof());
    Ok(page(&pages, &form, notice, can_verify))
}

pub(super) async fn send<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Result<Response, Response> {
    let (parts, sent) = pages.read(request).await?;
    let mut form = pages.form("");
    let email = sent.get("email").unwrap_or_default().trim();
    form.set("email", email);
    if email.is_empty() {
        form.wrong("email", Text::Email, Text::Missing);
    }
    let password = form.password(&sent, "password", Text::Password);
    let Some(password) = password.filter(|_| form.is_right()) else {
        return Ok(page(&pages, &form, None, false));
    };
    match pages.users.log_in(&pages.backend, email, password, &parts).await {
        Ok(answer) => Ok(pages.see_with(answer, "/account")),
        Err(error) => {
            let can_verify = matches!(error, Error::UserNotVerified) && pages.has_mail;
            form.refused(error, ("password", Text::Password));
            Ok(page(&pages, &form, None, can_verify))
        }
    }
}

/// Whether anybody was signed in or not, nobody is afterwards.
pub(super) async fn sign_out<Id: UserId>(
    State(pages): State<Pages<Id>>,
    request: Request,
) -> Result<Response, Response> {
    let (mut parts, _) = pages.read(request).await?;
    let answer = match pages.person(&mut parts).await? {
        Some(person) => {
            let info = pages.users.request_info(&parts);
            match person.log_out(pages.users.manager(), Some(&info)).await {
                Ok(answer) => answer,
                Err(error) => {
                    let mut form = pages.form("");
                    form.refused(error, ("password", Text::Password));
                    return Err(pages.failed(form.status()));
                }
            }
        }
        None => pages.backend.transport().logout_response(),
    };
    let mut answer = pages.see_with(answer, "/sign-in?done=signed-out");
    // Not `"cookies"`: that would take those of all hosts of the site, and the mark of a known browser (ASVS 14.3.1).
    let data = HeaderValue::from_static("\"cache\", \"storage\"");
    answer.headers_mut().insert(HeaderName::from_static("clear-site-data"), data);
    Ok(answer)
}

fn page<Id: UserId>(pages: &Pages<Id>, form: &Form<'_>, notice: Option<Text>, can_verify: bool) -> Response {
    let verify_url = if can_verify { format!("{}/request-verify", pages.look.base) } else { String::new() };
    let values = Values::from([
        ("notice", Value::from(notice.map_or("", |text| pages.text(text)))),
        ("verify_url", Value::from(verify_url)),
        ("has_reset", Value::from(pages.has_mail)),
        ("providers", providers::sign_in(pages)),
        ("has_registration", Value::from(pages.has_registration)),
    ]);
    pages.page_with("sign_in.html", form, values)
}
