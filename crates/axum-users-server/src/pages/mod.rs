//! Pages for people: what the API does, by forms that need no script.
//!
//! A handler reads a form, asks the manager once, and answers 303, or the page again with what is wrong. Links that are opened
//! change nothing. Looks stand in `look.rs` and `templates/`, words in `templates/texts.toml`.

mod account;
mod colour;
mod form;
mod look;
mod mailbox;
mod mailed;
mod program;
mod providers;
mod samples;
mod sign_in;
mod sign_up;
mod texts;
mod words;

use std::{collections::BTreeMap, panic::resume_unwind, sync::Arc};

use axum::{
    Router,
    extract::{OptionalFromRequestParts, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use axum_users::{
    Active, AuthBackend, CurrentUser, Denied, DevelopmentMailer, Guard, PasswordPolicy, RequestOrigin, User, UserId,
    UserProfile, Users, error_chain,
};
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};
use minijinja::Value;
use tracing::Instrument as _;
use url::{Url, form_urlencoded};

pub(crate) use look::{House, Look};

use crate::{
    config::{Config, ServerMailer},
    profile::ServerProfile,
};
use form::{Form, Sent};
use look::Asset;
use texts::Text;

/// These routes of the API with all pages of this configuration beside them.
pub(crate) fn beside<Id: UserId>(config: &Config, users: &Users<ServerProfile<Id>>, routes: Router) -> Router {
    let Some(pages) = Pages::new(config, users) else { return routes };
    let mut router = Router::new()
        .route("/", get(sign_in::start::<Id>))
        .route("/sign-in", get(sign_in::show::<Id>).post(sign_in::send::<Id>))
        .route("/sign-out", post(sign_in::sign_out::<Id>))
        .route("/account", get(account::show::<Id>))
        .route("/account/profile", post(account::profile::<Id>))
        .route("/account/email", post(account::email::<Id>))
        .route("/account/password", post(account::password::<Id>))
        .route("/account/sessions", post(account::sessions::<Id>));
    let mut routes = routes;
    if !pages.providers.is_empty() {
        router = router.route("/account/accounts", post(providers::unlink::<Id>));
        routes = routes.layer(from_fn_with_state(pages.clone(), words::in_words::<Id>));
    }
    if pages.has_registration {
        router = router.route("/sign-up", get(sign_up::show::<Id>).post(sign_up::send::<Id>));
    }
    if pages.has_mail {
        router = router
            .route("/account/verify", post(account::verify::<Id>))
            .route("/account/set-password", post(account::set_password::<Id>))
            .route("/request-verify", get(mailed::show_request_verify::<Id>).post(mailed::request_verify::<Id>))
            .route("/verify", get(mailed::show_verify::<Id>).post(mailed::verify::<Id>))
            .route("/forgot-password", get(mailed::show_forgot::<Id>).post(mailed::forgot::<Id>))
            .route("/reset-password", get(mailed::show_reset::<Id>).post(mailed::reset::<Id>));
    }
    if pages.mailbox.is_some() {
        router = router
            .route("/mailbox", get(mailbox::list::<Id>))
            .route("/mailbox/{key}", get(mailbox::mail::<Id>))
            .route("/mailbox/{key}/html", get(mailbox::html::<Id>));
    }
    router = router.layer(from_fn_with_state(pages.clone(), guarded::<Id>));
    let assets = pages.look.assets().iter().cloned().map(Arc::new);
    let router = assets.fold(router, |router, asset| router.route(asset.path, get(move || serve(Arc::clone(&asset)))));
    routes.merge(router.with_state(pages))
}

/// What handlers need. A cheap handle.
struct Pages<Id: UserId>(Arc<Inner<Id>>);

struct Inner<Id: UserId> {
    users: Users<ServerProfile<Id>>,
    backend: AuthBackend<ServerProfile<Id>>,
    look: Arc<Look>,
    policy: PasswordPolicy,
    providers: Vec<providers::Button>,
    has_registration: bool,
    has_mail: bool,
    requires_verification: bool,
    /// A new user and a new address count when the mailbox was proved.
    proves_first: bool,
    is_https: bool,
    mailbox: Option<DevelopmentMailer>,
    /// The host of `public_url`.
    host: Option<String>,
}

impl<Id: UserId> Clone for Pages<Id> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Id: UserId> std::ops::Deref for Pages<Id> {
    type Target = Inner<Id>;
    fn deref(&self) -> &Inner<Id> {
        &self.0
    }
}

type Person<Id> = CurrentUser<ServerProfile<Id>, OnPages>;

/// What a template is given.
type Values = BTreeMap<&'static str, Value>;

impl<Id: UserId> Pages<Id> {
    fn new(config: &Config, users: &Users<ServerProfile<Id>>) -> Option<Self> {
        let settings = config.pages.as_ref()?;
        let mailbox = config.mail.as_ref().and_then(|mail| match &mail.mailer {
            ServerMailer::Development(mailer) if settings.mailbox => Some(mailer.clone()),
            ServerMailer::Development(_) | ServerMailer::Smtp(_) => None,
        });
        Some(Self(Arc::new(Inner {
            users: users.clone(),
            backend: users.backend(&settings.backend)?.clone(),
            look: Arc::clone(&settings.look),
            policy: config.password.clone(),
            providers: providers::buttons(config, &settings.backend),
            has_registration: config.registration,
            has_mail: config.mail.is_some(),
            requires_verification: config.auth.requires_verification,
            proves_first: config.strict && config.mail.is_some(),
            is_https: config.server.public_url.is_https,
            mailbox,
            host: Url::parse(&config.server.public_url.url).ok().and_then(|url| Some(url.host_str()?.to_owned())),
        })))
    }

    fn text(&self, text: Text) -> &str {
        self.look.texts.get(text)
    }

    fn form(&self, id: &'static str) -> Form<'_> {
        Form::new(&self.look.texts, id)
    }

    /// Who is calling, by the cookie of the pages.
    async fn person(&self, parts: &mut Parts) -> Result<Option<Person<Id>>, Response> {
        let found = <Person<Id> as OptionalFromRequestParts<_>>::from_request_parts(parts, &self.users).await;
        // What it says is meant for programs.
        found.map_err(|answer| self.failed(answer.status()))
    }

    /// Who is calling; others sign in first.
    async fn signed_in(&self, parts: &mut Parts) -> Result<Person<Id>, Response> {
        self.person(parts).await?.ok_or_else(|| self.see("/sign-in"))
    }

    /// 303 to one of our pages.
    fn see(&self, path: &str) -> Response {
        self.see_with(StatusCode::SEE_OTHER.into_response(), path)
    }

    /// The same with the cookies of an answer.
    fn see_with(&self, mut answer: Response, path: &str) -> Response {
        // A transport that could not make its cookie has nothing to say.
        if answer.status().is_server_error() {
            return self.failed(answer.status());
        }
        *answer.status_mut() = StatusCode::SEE_OTHER;
        let location = HeaderValue::try_from(format!("{}{path}", self.look.base));
        answer.headers_mut().insert(header::LOCATION, location.unwrap_or(HeaderValue::from_static("/")));
        answer
    }

    /// A page.
    fn page(&self, status: StatusCode, template: &str, values: &Values) -> Response {
        let nonce = look::nonce();
        let page = match self.look.render(template, &nonce, values) {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(template, error = error_chain(&error), "a page could not be made");
                let text = self.text(Text::Failed).to_owned();
                return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
            }
        };
        let frames = if template == "mail.html" { " frame-src 'self';" } else { "" };
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src 'self';{frames} \
             form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        let headers =
            [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy.as_str())];
        (status, headers, page).into_response()
    }

    /// A page with a form, with the status that the form has.
    fn page_with(&self, template: &str, form: &Form<'_>, mut values: Values) -> Response {
        values.insert("form", form.to_value());
        values.insert("is_wrong", Value::from(!form.is_right()));
        let mut answer = self.page(form.status(), template, &values);
        if let Some(wait) = form.retry_after() {
            // RFC 9110 section 10.2.3: whole seconds, and not too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        answer
    }

    /// A page that says one thing, and where to go from there.
    fn message(&self, status: StatusCode, title: Text, text: Text, link: (&str, Text)) -> Response {
        self.say(status, title, self.text(text), link)
    }

    /// The same with a text that was filled.
    fn say(&self, status: StatusCode, title: Text, text: &str, (path, link_text): (&str, Text)) -> Response {
        let is_wrong = !status.is_success();
        let values = Values::from([
            ("title", Value::from(self.text(title))),
            ("text", Value::from(text)),
            ("link", Value::from(format!("{}{path}", self.look.base))),
            ("link_text", Value::from(self.text(link_text))),
            ("mailbox_url", Value::from(if is_wrong { String::new() } else { self.mailbox_url() })),
            ("is_wrong", Value::from(is_wrong)),
        ]);
        self.page(status, "message.html", &values)
    }

    fn failed(&self, status: StatusCode) -> Response {
        let text = if status == StatusCode::SERVICE_UNAVAILABLE { Text::Busy } else { Text::Failed };
        let mut answer = self.message(status, Text::FailedTitle, text, ("/", Text::Home));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }

    /// Where mails are shown that were not sent; empty where they are not.
    fn mailbox_url(&self) -> String {
        if self.mailbox.is_some() { format!("{}/mailbox", self.look.base) } else { String::new() }
    }

    fn password_hint(&self) -> Value {
        let length = self.policy.length().start().to_string();
        Value::from(self.look.texts.fill(Text::PasswordHint, &[("length", &length)]))
    }

    /// Reads a form to its end; whether it comes from here was seen before.
    async fn read(&self, request: Request) -> Result<(Parts, Sent), Response> {
        let (parts, body) = request.into_parts();
        let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = media_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        let unreadable =
            || self.message(StatusCode::UNSUPPORTED_MEDIA_TYPE, Text::FailedTitle, Text::MediaType, ("/", Text::Home));
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(unreadable());
        }
        // The layer around all routes has read it and kept to its limit.
        let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| unreadable())?;
        Ok((parts, Sent::parse(&bytes)))
    }
}

/// What a template takes apart by names.
fn object<K: Into<String>, V: Into<Value>>(members: impl IntoIterator<Item = (K, V)>) -> Value {
    let members = members.into_iter().map(|(name, value)| (name.into(), value.into()));
    Value::from(members.collect::<BTreeMap<String, Value>>())
}

/// A parameter of the query; of several the last one.
fn parameter(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).filter(|(it, _)| it == name).last().map(|(_, value)| value.into_owned())
}

/// Everybody who is active, by the backend of the pages.
enum OnPages {}

/// Which backend that is, beside the request.
#[derive(Clone)]
struct PagesBackend(Arc<str>);

impl<P: UserProfile> Guard<P> for OnPages {
    fn check(user: &User<P>) -> Result<(), Denied> {
        Active::check(user)
    }

    fn enabled(backend: &str, request: &Parts) -> bool {
        request.extensions.get::<PagesBackend>().is_some_and(|ours| *ours.0 == *backend)
    }
}

/// What every page goes through: forms come from our own pages only (ASVS 3.5.1) and are worked off though the browser
/// hangs up; answers get their headers.
async fn guarded<Id: UserId>(State(pages): State<Pages<Id>>, mut request: Request, next: Next) -> Response {
    let answer = if request.method().is_safe() {
        request.extensions_mut().insert(PagesBackend(pages.backend.name().into()));
        next.run(request).await
    } else if pages.users.request_origin(request.headers()) == RequestOrigin::Own {
        request.extensions_mut().insert(PagesBackend(pages.backend.name().into()));
        match tokio::spawn(next.run(request).in_current_span()).await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => pages.failed(StatusCode::INTERNAL_SERVER_ERROR),
        }
    } else {
        pages.message(StatusCode::FORBIDDEN, Text::ForeignTitle, Text::Foreign, ("/", Text::Home))
    };
    with_headers(answer)
}

/// What every page says to its browser.
fn with_headers(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // Redirects and what fails without a template have no page to protect, and allow none.
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(nothing);
    answer
}

/// ASVS 3.4; those of every answer of this server come on top.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), \
         gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), \
         publickey-credentials-create=(), publickey-credentials-get=(), screen-wake-lock=(), usb=(), \
         xr-spatial-tracking=()",
    ),
];

/// Its address changes with its bytes. A picture that is opened by itself is only that.
async fn serve(asset: Arc<Asset>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    ];
    (headers, asset.bytes.clone()).into_response()
}
