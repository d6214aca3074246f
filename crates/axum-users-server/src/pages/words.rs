//! Words for people in the place of what the routes of a provider say to programs.
//!
//! The API answers JSON where something is wrong, as the contract has it. A browser that goes to such a route by itself would show
//! that to a person: it is led to a page instead, or gets one. Who comes by a script or a program gets the JSON.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use axum_users::{ErrorCode, FRESH_LOGIN_REQUIRED, RequestOrigin, UserId, is_navigation};
use http::{StatusCode, header};

use super::{
    Pages, form,
    providers::{Errand, Failed, SIGNED_OUT},
    texts::Text,
    with_headers,
};

/// More than any answer of ours that says what is wrong, in bytes.
const LONGEST: usize = 64 << 10;

pub(super) async fn in_words<Id: UserId>(State(pages): State<Pages<Id>>, request: Request, next: Next) -> Response {
    let errand = Errand::of(&pages, request.uri().path()).filter(|_| is_navigation(request.headers()));
    let is_foreign = pages.users.request_origin(request.headers()) == RequestOrigin::Foreign;
    let answer = next.run(request).await;
    match errand {
        Some(errand) if answer.status().is_client_error() || answer.status().is_server_error() => {
            with_headers(words(&pages, errand, is_foreign, answer).await)
        }
        _ => answer,
    }
}

/// What went wrong, on a page with a way on.
async fn words<Id: UserId>(pages: &Pages<Id>, errand: Errand, is_foreign: bool, answer: Response) -> Response {
    let status = answer.status();
    let retry_after = answer.headers().get(header::RETRY_AFTER).cloned();
    let back = match errand {
        Errand::SignIn => ("/sign-in", Text::ForgotBack),
        Errand::Link => ("/account", Text::AccountBack),
    };
    let mut page = match status {
        StatusCode::UNAUTHORIZED => pages.see(&Failed::new(SIGNED_OUT, errand).path("/sign-in")),
        StatusCode::FORBIDDEN => match code_of(answer).await {
            Some(code) if code == FRESH_LOGIN_REQUIRED => pages.see("/sign-in?done=again"),
            _ if is_foreign => pages.message(status, Text::ForeignTitle, Text::ForeignLink, back),
            _ => pages.see(&Failed::new(ErrorCode::LoginUserNotVerified.as_str(), errand).path("/account")),
        },
        StatusCode::TOO_MANY_REQUESTS => {
            let seconds = retry_after.as_ref().and_then(|value| value.to_str().ok()?.parse().ok());
            let wait = Duration::from_secs(seconds.unwrap_or_default());
            pages.say(status, Text::FailedTitle, &form::throttled(&pages.look.texts, wait), back)
        }
        _ if status.is_server_error() => pages.failed(status),
        _ => {
            let known =
                code_of(answer).await.filter(|code| ErrorCode::ALL.iter().any(|it| it.as_str() == code.as_str()));
            let code = known.unwrap_or_else(|| ErrorCode::OAuthProviderError.as_str().to_owned());
            pages.see(&Failed::new(code, errand).path("/account"))
        }
    };
    if let Some(retry_after) = retry_after {
        page.headers_mut().insert(header::RETRY_AFTER, retry_after);
    }
    page
}

/// The code that an answer to a program has in its `detail`.
async fn code_of(answer: Response) -> Option<String> {
    let bytes = axum::body::to_bytes(answer.into_body(), LONGEST).await.ok()?;
    let body: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    let detail = body.get("detail")?;
    detail.as_str().or_else(|| detail.get("code")?.as_str()).map(str::to_owned)
}
