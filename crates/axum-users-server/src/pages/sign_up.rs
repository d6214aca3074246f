//! `/sign-up`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use axum_users::{Error, Fields, FromBody, UserCreate, UserId, UserProfile};
use http::{StatusCode, request::Parts};

use super::{
    Pages, Values,
    form::{self, Form},
    parameter, providers,
    texts::Text,
};
use crate::profile::ServerProfile;

pub(super) async fn show<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Result<Response, Response> {
    let (mut parts, _) = request.into_parts();
    if parameter(&parts, "done").as_deref() == Some("sent") {
        let back = ("/sign-in", Text::ForgotBack);
        return Ok(pages.message(StatusCode::OK, Text::SignUpSentTitle, Text::SignUpSent, back));
    }
    if pages.person(&mut parts).await?.is_some() {
        return Ok(pages.see("/account"));
    }
    Ok(page(&pages, &pages.form("")))
}

pub(super) async fn send<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Result<Response, Response> {
    let (parts, sent) = pages.read(request).await?;
    let mut form = pages.form("");
    let email = form.email(&sent, Text::Email);
    let password = form.password(&sent, "password", Text::Password);
    let mut members = form.columns(&sent);
    members.extend(email.map(|email| ("email".to_owned(), email)));
    let has_email = members.iter().any(|(name, _)| name == "email");
    let read = form.read(members, |body| {
        // Every field is asked for, so that every mistake is told.
        let email = if has_email { body.email("email") } else { None };
        let profile = <ServerProfile<Id> as UserProfile>::Create::from_body(body);
        email.zip(profile)
    });
    let Some(((email, profile), password)) = read.zip(password).filter(|_| form.is_right()) else {
        return Ok(page(&pages, &form));
    };
    let info = pages.users.request_info(&parts);
    let create = UserCreate::new(email.clone(), password.clone(), profile.into());
    match pages.users.create(create, Fields::Safe, Some(&info)).await {
        // The same for everybody: the mail tells the rest.
        Ok(_) | Err(Error::UserAlreadyExists) if pages.proves_first => Ok(pages.see("/sign-up?done=sent")),
        Ok(_) => Ok(welcome(&pages, &parts, email.as_str(), password).await),
        Err(error) => {
            form.refused(error, ("password", Text::Password));
            Ok(page(&pages, &form))
        }
    }
}

/// Sends the link that verifies, and signs in.
async fn welcome<Id: UserId>(pages: &Pages<Id>, parts: &Parts, email: &str, password: axum_users::Secret) -> Response {
    let info = pages.users.request_info(parts);
    let asked = pages.has_mail && pages.users.request_verify(email, Some(&info)).await.is_ok();
    match pages.users.log_in(&pages.backend, email, password, parts).await {
        Ok(answer) => {
            pages.see_with(answer, if asked { "/account?done=welcome-sent" } else { "/account?done=welcome" })
        }
        Err(Error::UserNotVerified) if asked => pages.see("/sign-up?done=sent"),
        // The account is there; the rest is told at the next page.
        Err(_) => pages.see("/sign-in?done=registered"),
    }
}

fn page<Id: UserId>(pages: &Pages<Id>, form: &Form<'_>) -> Response {
    let columns = form::columns(&pages.look.texts, false);
    let values = Values::from([
        ("columns", columns),
        ("password_hint", pages.password_hint()),
        ("providers", providers::sign_in(pages)),
    ]);
    pages.page_with("sign_up.html", form, values)
}
