//! `/request-verify`, `/verify`, `/forgot-password` and `/reset-password`: what goes by mail, and what comes back.
//!
//! A link is opened by mail filters too, and its address stays in histories. So opening it changes nothing: its token moves into a
//! cookie of a few minutes, the address is left, and a person sends a form.

use axum::{
    extract::{Request, State},
    response::Response,
};
use axum_users::{Error, JsonInput, Secret, UserId};
use http::{HeaderValue, StatusCode, header, request::Parts};
use minijinja::Value;

use super::{
    Pages, Values,
    form::{Form, Sent},
    parameter,
    texts::Text,
};

/// A mail with a link, and the page that asks for it.
struct Ask {
    path: &'static str,
    /// The table of its texts.
    words: &'static str,
    sent: (Text, Text),
}

const VERIFY: Ask = Ask {
    path: "/request-verify",
    words: "request_verify",
    sent: (Text::RequestVerifySentTitle, Text::RequestVerifySent),
};
const FORGOT: Ask =
    Ask { path: "/forgot-password", words: "forgot_password", sent: (Text::ForgotSentTitle, Text::ForgotSent) };

/// A page that a link leads to.
struct Link {
    path: &'static str,
    cookie: &'static str,
    template: &'static str,
    broken: (Text, Text),
    again: (&'static str, Text),
}

const VERIFY_LINK: Link = Link {
    path: "/verify",
    cookie: "axum_users_verify",
    template: "verify.html",
    broken: (Text::VerifyBrokenTitle, Text::VerifyBroken),
    again: ("/request-verify", Text::VerifyAgain),
};
const RESET_LINK: Link = Link {
    path: "/reset-password",
    cookie: "axum_users_reset",
    template: "reset_password.html",
    broken: (Text::ResetBrokenTitle, Text::ResetBroken),
    again: ("/forgot-password", Text::ResetAgain),
};

/// For how long the token of an opened link is kept, in seconds.
const KEPT: u32 = 600;
/// Tokens of ours are shorter.
const LONGEST: usize = 2048;

pub(super) async fn show_request_verify<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Response {
    show_ask(&pages, &request.into_parts().0, &VERIFY)
}

pub(super) async fn request_verify<Id: UserId>(
    State(pages): State<Pages<Id>>,
    request: Request,
) -> Result<Response, Response> {
    let (parts, sent) = pages.read(request).await?;
    let mut form = pages.form("");
    let Some(email) = address(&mut form, &sent) else { return Ok(ask(&pages, &form, &VERIFY)) };
    let asked = pages.users.request_verify(&email, Some(&pages.users.request_info(&parts))).await;
    Ok(asked_for(&pages, form, asked, &VERIFY))
}

pub(super) async fn show_forgot<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Response {
    show_ask(&pages, &request.into_parts().0, &FORGOT)
}

pub(super) async fn forgot<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Result<Response, Response> {
    let (parts, sent) = pages.read(request).await?;
    let mut form = pages.form("");
    let Some(email) = address(&mut form, &sent) else { return Ok(ask(&pages, &form, &FORGOT)) };
    let asked = pages.users.forgot_password(&email, Some(&pages.users.request_info(&parts))).await;
    Ok(asked_for(&pages, form, asked, &FORGOT))
}

fn address(form: &mut Form<'_>, sent: &Sent) -> Option<String> {
    let email: JsonInput = form.email(sent, Text::Email)?;
    let email = form.read(vec![("email".to_owned(), email)], |body| body.email("email"))?;
    Some(email.as_str().to_owned())
}

fn show_ask<Id: UserId>(pages: &Pages<Id>, parts: &Parts, which: &Ask) -> Response {
    if parameter(parts, "done").as_deref() == Some("sent") {
        return pages.message(StatusCode::OK, which.sent.0, which.sent.1, ("/sign-in", Text::ForgotBack));
    }
    ask(pages, &pages.form(""), which)
}

fn ask<Id: UserId>(pages: &Pages<Id>, form: &Form<'_>, which: &Ask) -> Response {
    let words = pages.look.texts.to_value().get_attr(which.words).unwrap_or_default();
    pages.page_with("ask_for_mail.html", form, Values::from([("words", words), ("action", Value::from(which.path))]))
}

/// The same for everybody; a worker sees whether there is anything to do.
fn asked_for<Id: UserId>(pages: &Pages<Id>, mut form: Form<'_>, asked: Result<(), Error>, which: &Ask) -> Response {
    match asked {
        Ok(()) => pages.see(&format!("{}?done=sent", which.path)),
        Err(error) => {
            form.refused(error, ("email", Text::Email));
            ask(pages, &form, which)
        }
    }
}

pub(super) async fn show_verify<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Response {
    opened(&pages, &request.into_parts().0, &VERIFY_LINK)
}

pub(super) async fn verify<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Result<Response, Response> {
    let (mut parts, sent) = pages.read(request).await?;
    let Some(token) = sent.get("token").map(Secret::from) else { return Ok(broken(&pages, &VERIFY_LINK)) };
    match pages.users.verify_address(&token, &mut parts).await {
        // Pressed twice is as good as once.
        Ok(_) | Err(Error::UserAlreadyVerified) => {
            Ok(without_token(&pages, &VERIFY_LINK, pages.see("/sign-in?done=verified")))
        }
        Err(Error::InvalidVerifyToken) => Ok(broken(&pages, &VERIFY_LINK)),
        Err(error) => {
            let mut form = pages.form("");
            form.refused(error, ("token", Text::Email));
            Ok(with_form(&pages, &VERIFY_LINK, &form, token.expose()))
        }
    }
}

pub(super) async fn show_reset<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Response {
    opened(&pages, &request.into_parts().0, &RESET_LINK)
}

pub(super) async fn reset<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Result<Response, Response> {
    let (parts, sent) = pages.read(request).await?;
    let Some(token) = sent.get("token").map(Secret::from) else { return Ok(broken(&pages, &RESET_LINK)) };
    let mut form = pages.form("");
    let Some(password) = form.password(&sent, "new_password", Text::NewPassword) else {
        return Ok(with_form(&pages, &RESET_LINK, &form, token.expose()));
    };
    let info = pages.users.request_info(&parts);
    match pages.users.reset_password(&token, &password, Some(&info)).await {
        Ok(user) => {
            let mut answer = without_token(&pages, &RESET_LINK, pages.see("/sign-in?done=reset"));
            // Whoever reads the mail of the user signs in with this browser next; strangers do not keep it out.
            pages.backend.remember_device(&mut answer, &user, pages.users.manager(), Some(&info));
            Ok(answer)
        }
        Err(Error::InvalidResetToken) => Ok(broken(&pages, &RESET_LINK)),
        Err(error) => {
            form.refused(error, ("new_password", Text::NewPassword));
            Ok(with_form(&pages, &RESET_LINK, &form, token.expose()))
        }
    }
}

/// A link that was opened: its token leaves the address. The page without it shows the form.
///
/// The cookie is `SameSite=Lax`: a browser that comes from a page of the mailbox would not send a strict one along with the
/// redirect.
fn opened<Id: UserId>(pages: &Pages<Id>, parts: &Parts, link: &Link) -> Response {
    match parameter(parts, "token") {
        Some(token) if is_token(&token) => keep_token(pages, link, pages.see(link.path), &token, KEPT),
        Some(_) => without_token(pages, link, pages.see(link.path)),
        None => match kept_token(pages, link, parts) {
            Some(token) => with_form(pages, link, &pages.form(""), &token),
            None => broken(pages, link),
        },
    }
}

fn with_form<Id: UserId>(pages: &Pages<Id>, link: &Link, form: &Form<'_>, token: &str) -> Response {
    let values = Values::from([("token", Value::from(token)), ("password_hint", pages.password_hint())]);
    pages.page_with(link.template, form, values)
}

fn broken<Id: UserId>(pages: &Pages<Id>, link: &Link) -> Response {
    let answer = pages.message(StatusCode::BAD_REQUEST, link.broken.0, link.broken.1, link.again);
    without_token(pages, link, answer)
}

fn without_token<Id: UserId>(pages: &Pages<Id>, link: &Link, answer: Response) -> Response {
    keep_token(pages, link, answer, "", 0)
}

/// Host-only, so that no neighbour of this host can put another one in its place (RFC 6265bis section 4.1.3.2).
fn keep_token<Id: UserId>(pages: &Pages<Id>, link: &Link, mut answer: Response, token: &str, seconds: u32) -> Response {
    let secure = if pages.is_https { "; Secure" } else { "" };
    let name = cookie_name(pages, link);
    let cookie = format!("{name}={token}; HttpOnly; Max-Age={seconds}; Path=/; SameSite=Lax{secure}");
    if let Ok(mut cookie) = HeaderValue::try_from(cookie) {
        cookie.set_sensitive(true);
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer
}

fn kept_token<Id: UserId>(pages: &Pages<Id>, link: &Link, parts: &Parts) -> Option<String> {
    let name = cookie_name(pages, link);
    let cookies = parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(it, _)| *it == name).map(|(_, token)| token.to_owned()).filter(|token| is_token(token))
}

fn cookie_name<Id: UserId>(pages: &Pages<Id>, link: &Link) -> String {
    format!("{}{}", if pages.is_https { "__Host-" } else { "" }, link.cookie)
}

/// What a JWT is made of; anything else was not mailed by us, and is not put into a cookie.
fn is_token(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=~".contains(&byte))
}
