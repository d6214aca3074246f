//! `/account` and the forms on it.

use axum::{
    extract::{Request, State},
    response::Response,
};
use axum_users::{
    Body, Error, Fields, FromBody as _, JsonInput, Secret, SessionId, StoredSession, UserId, UserProfile, UserUpdate,
};
use http::{StatusCode, request::Parts};
use minijinja::Value;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use super::{
    Pages, Person, Values,
    form::{self, Form, Sent},
    object, parameter, program,
    providers::{self, Failed},
    texts::Text,
};
use crate::profile::{self, ServerProfile};

type Update<Id> = UserUpdate<ServerProfile<Id>>;

/// The forms of the page; each has ids of its own.
pub(super) struct Forms<'a> {
    pub(super) accounts: Form<'a>,
    verify: Form<'a>,
    profile: Form<'a>,
    email: Form<'a>,
    password: Form<'a>,
}

pub(super) async fn show<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Result<Response, Response> {
    let (mut parts, _) = request.into_parts();
    let failed = Failed::of(&parts);
    let person = match pages.person(&mut parts).await? {
        Some(person) => person,
        // Back from a provider, and nobody was signed in.
        None => return Ok(pages.see(&failed.map_or("/sign-in".to_owned(), |failed| failed.path("/sign-in")))),
    };
    let done = parameter(&parts, "done").unwrap_or_default();
    let notice = match done.as_str() {
        _ if failed.is_some() => None,
        "welcome" => Some(Text::DoneWelcome),
        "welcome-sent" => Some(Text::DoneWelcomeSent),
        "verified" => Some(Text::DoneVerified),
        "verify-sent" => Some(Text::DoneVerifySent),
        "profile" => Some(Text::DoneProfile),
        "email" => Some(Text::DoneEmail),
        "email-sent" => Some(Text::DoneEmailSent),
        "password" => Some(Text::DonePassword),
        "session" => Some(Text::DoneSession),
        "sessions" => Some(Text::DoneSessions),
        "linked" => Some(Text::DoneLinked),
        "unlinked" => Some(Text::DoneUnlinked),
        "password-sent" => Some(Text::DonePasswordSent),
        _ => None,
    };
    let mut forms = Forms::new(&pages, &person);
    if let Some(failed) = failed {
        failed.tell(&mut forms.accounts);
    }
    page(&pages, &person, forms, notice).await
}

pub(super) async fn profile<Id: UserId>(
    State(pages): State<Pages<Id>>,
    request: Request,
) -> Result<Response, Response> {
    let (mut parts, sent) = pages.read(request).await?;
    let person = member(&pages, &mut parts).await?;
    let mut forms = Forms::new(&pages, &person);
    let form = &mut forms.profile;
    let members = form.columns(&sent);
    let change = form.read(members, |body: &mut Body| <ServerProfile<Id> as UserProfile>::Update::from_body(body));
    if let Some(profile) = change.filter(|_| form.is_right()) {
        let update = Update::<Id> { profile, ..Update::<Id>::default() };
        match change_user(&pages, &person, &parts, update).await {
            Ok(_) => return Ok(pages.see("/account?done=profile")),
            Err(error) => form.refused(error, ("profile", Text::Password)),
        }
    }
    page(&pages, &person, forms, None).await
}

pub(super) async fn email<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Result<Response, Response> {
    let (mut parts, sent) = pages.read(request).await?;
    let person = with_password(&pages, &mut parts).await?;
    let mut forms = Forms::new(&pages, &person);
    let form = &mut forms.email;
    let email = form.email(&sent, Text::NewEmail);
    let email = email.and_then(|email: JsonInput| {
        form.read(vec![("email".to_owned(), email)], |body: &mut Body| body.email("email"))
    });
    let current_password = form.password(&sent, "current_password", Text::CurrentPassword);
    if let Some((email, current_password)) = email.zip(current_password).filter(|_| form.is_right()) {
        let is_other_mailbox = email.key() != person.email.key();
        let update = Update::<Id> {
            email: Some(email.clone()),
            current_password: Some(current_password),
            ..Update::<Id>::default()
        };
        match change_user(&pages, &person, &parts, update).await {
            // It waits for the proof of the mailbox, whoever has it.
            Ok(updated) if updated.email != email => return Ok(pages.see("/account?done=email-sent")),
            Err(Error::UserAlreadyExists) if pages.proves_first => {
                return Ok(pages.see("/account?done=email-sent"));
            }
            Ok(_) => {
                let asked = is_other_mailbox && pages.has_mail && {
                    let info = pages.users.request_info(&parts);
                    pages.users.request_verify(email.as_str(), Some(&info)).await.is_ok()
                };
                return Ok(pages.see(if asked { "/account?done=verify-sent" } else { "/account?done=email" }));
            }
            Err(error) => form.refused(error, ("current_password", Text::CurrentPassword)),
        }
    }
    page(&pages, &person, forms, None).await
}

pub(super) async fn password<Id: UserId>(
    State(pages): State<Pages<Id>>,
    request: Request,
) -> Result<Response, Response> {
    let (mut parts, sent) = pages.read(request).await?;
    let person = with_password(&pages, &mut parts).await?;
    let mut forms = Forms::new(&pages, &person);
    let form = &mut forms.password;
    let passwords = passwords(form, &sent);
    if let Some((current_password, password)) = passwords {
        let update = Update::<Id> {
            password: Some(password),
            current_password: Some(current_password),
            ..Update::<Id>::default()
        };
        match change_user(&pages, &person, &parts, update).await {
            Ok(_) => return Ok(pages.see("/account?done=password")),
            Err(error) => form.refused(error, ("new_password", Text::NewPassword)),
        }
    }
    page(&pages, &person, forms, None).await
}

fn passwords(form: &mut Form<'_>, sent: &Sent) -> Option<(Secret, Secret)> {
    let current = form.password(sent, "current_password", Text::CurrentPassword);
    let new = form.password(sent, "new_password", Text::NewPassword);
    current.zip(new)
}

pub(super) async fn verify<Id: UserId>(State(pages): State<Pages<Id>>, request: Request) -> Result<Response, Response> {
    let (mut parts, _) = pages.read(request).await?;
    let person = pages.signed_in(&mut parts).await?;
    if person.is_verified {
        return Ok(pages.see("/account"));
    }
    let info = pages.users.request_info(&parts);
    match pages.users.request_verify(person.email.as_str(), Some(&info)).await {
        Ok(()) => Ok(pages.see("/account?done=verify-sent")),
        Err(error) => {
            let mut forms = Forms::new(&pages, &person);
            forms.verify.refused(error, ("verify", Text::Email));
            page(&pages, &person, forms, None).await
        }
    }
}

/// Asks for the mail with a link to a password, for whoever has none: they have no current one to show.
pub(super) async fn set_password<Id: UserId>(
    State(pages): State<Pages<Id>>,
    request: Request,
) -> Result<Response, Response> {
    let (mut parts, _) = pages.read(request).await?;
    let person = member(&pages, &mut parts).await?;
    if person.has_password() {
        return Ok(pages.see("/account"));
    }
    let info = pages.users.request_info(&parts);
    match pages.users.forgot_password(person.email.as_str(), Some(&info)).await {
        Ok(()) => Ok(pages.see("/account?done=password-sent")),
        Err(error) => {
            let mut forms = Forms::new(&pages, &person);
            forms.password.refused(error, ("password", Text::Password));
            page(&pages, &person, forms, None).await
        }
    }
}

/// Ends one session or all others; that asks for a login of a short while ago, as the API does (ASVS 7.5.2).
pub(super) async fn sessions<Id: UserId>(
    State(pages): State<Pages<Id>>,
    request: Request,
) -> Result<Response, Response> {
    let (mut parts, sent) = pages.read(request).await?;
    let person = pages.signed_in(&mut parts).await?;
    if !person.is_fresh(pages.users.manager()) {
        return Ok(pages.see("/sign-in?done=again"));
    }
    let info = pages.users.request_info(&parts);
    let (ended, done) = match sent.get("session").map(SessionId::parse) {
        // One that is over already is what was wanted.
        Some(Some(id)) => {
            let ended = pages.users.end_session_by_id(&person, &id, Some(&info)).await.map(drop);
            (ended, "/account?done=session")
        }
        Some(None) => (Ok(()), "/account"),
        None => {
            let acting = person.acting();
            (pages.users.end_sessions(&person, Some(&acting), Some(&info)).await, "/account?done=sessions")
        }
    };
    match ended {
        Ok(()) => Ok(pages.see(done)),
        Err(error) => {
            let mut form = pages.form("");
            form.refused(error, ("session", Text::Email));
            Err(pages.failed(form.status()))
        }
    }
}

/// Who may change what is theirs: others prove their address first, where that is asked for.
pub(super) async fn member<Id: UserId>(pages: &Pages<Id>, parts: &mut Parts) -> Result<Person<Id>, Response> {
    let person = pages.signed_in(parts).await?;
    if is_limited(pages, &person) { Err(pages.see("/account")) } else { Ok(person) }
}

/// Who has a current password to show; the page has no such form for others.
async fn with_password<Id: UserId>(pages: &Pages<Id>, parts: &mut Parts) -> Result<Person<Id>, Response> {
    let person = member(pages, parts).await?;
    if person.has_password() { Ok(person) } else { Err(pages.see("/account")) }
}

fn is_limited<Id: UserId>(pages: &Pages<Id>, person: &Person<Id>) -> bool {
    pages.requires_verification && !person.is_verified
}

async fn change_user<Id: UserId>(
    pages: &Pages<Id>,
    person: &Person<Id>,
    parts: &Parts,
    update: Update<Id>,
) -> Result<axum_users::User<ServerProfile<Id>>, Error> {
    let info = pages.users.request_info(parts);
    pages.users.update(person, update, Fields::Safe, Some(&person.acting()), Some(&info)).await
}

impl<'a> Forms<'a> {
    pub(super) fn new<Id: UserId>(pages: &'a Pages<Id>, person: &Person<Id>) -> Self {
        let mut profile = pages.form("");
        profile.set_columns(&person.profile);
        let [accounts, verify, email, password] =
            ["accounts-", "verify-", "email-", "password-"].map(|id| pages.form(id));
        Self { accounts, verify, profile, email, password }
    }

    fn all(&self) -> [(&'static str, &Form<'a>); 5] {
        [
            ("verify", &self.verify),
            ("profile", &self.profile),
            ("email", &self.email),
            ("password", &self.password),
            ("accounts", &self.accounts),
        ]
    }
}

pub(super) async fn page<Id: UserId>(
    pages: &Pages<Id>,
    person: &Person<Id>,
    forms: Forms<'_>,
    notice: Option<Text>,
) -> Result<Response, Response> {
    let texts = &pages.look.texts;
    let email = person.email.as_str();
    let sessions = pages.users.sessions(person).await.map_err(|error| {
        let mut form = pages.form("");
        form.refused(error, ("sessions", Text::Email));
        pages.failed(form.status())
    })?;
    let has_others = sessions.iter().any(|session| session.id != *person.session_id());
    let sessions: Vec<Value> =
        sessions.iter().map(|session| described(pages, session, session.id == *person.session_id())).collect();
    let linked = providers::linked(pages, person).await?;
    let has_writable = profile::own().iter().any(|own| own.is_writable());
    let has_sent = matches!(
        notice,
        Some(Text::DoneWelcomeSent | Text::DoneVerifySent | Text::DoneEmailSent | Text::DonePasswordSent)
    );
    let values = Values::from([
        ("notice", Value::from(notice.map_or("", |text| pages.text(text)))),
        ("mailbox_url", Value::from(if has_sent { pages.mailbox_url() } else { String::new() })),
        ("email", Value::from(email)),
        ("signed_in_as", Value::from(texts.fill(Text::SignedInAs, &[("email", email)]))),
        ("verify_text", Value::from(texts.fill(Text::VerifyWhy, &[("email", email)]))),
        ("is_verified", Value::from(person.is_verified)),
        ("has_mail", Value::from(pages.has_mail)),
        ("is_limited", Value::from(is_limited(pages, person))),
        ("proves_first", Value::from(pages.proves_first)),
        ("has_password", Value::from(person.has_password())),
        ("columns", form::columns(texts, true)),
        ("has_writable", Value::from(has_writable)),
        ("password_hint", pages.password_hint()),
        ("sessions", Value::from(sessions)),
        ("has_providers", Value::from(linked.is_some())),
        ("linked", linked.unwrap_or_default()),
        ("has_others", Value::from(has_others)),
        ("forms", object(forms.all().map(|(name, form)| (name, form.to_value())))),
    ]);
    // The form that is wrong says what this answer is.
    let wrong = forms.all().into_iter().find(|(_, form)| form.status() != StatusCode::OK);
    Ok(pages.page_with("account.html", wrong.map_or(&forms.profile, |(_, form)| form), values))
}

const MOMENT: &[BorrowedFormatItem<'static>] =
    format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute] UTC");

fn described<Id: UserId>(pages: &Pages<Id>, session: &StoredSession, is_current: bool) -> Value {
    let texts = &pages.look.texts;
    let time = |seconds| {
        let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
        moment.and_then(|moment| moment.format(MOMENT).ok()).unwrap_or_default()
    };
    let (since, seen) = (time(session.state.created_at), time(session.state.seen_at));
    let name = session.user_agent.as_deref().and_then(program::name);
    let name = name.unwrap_or_else(|| texts.get(Text::SessionUnknown).to_owned());
    let from = session.address.as_deref().map(|address| texts.fill(Text::SessionFrom, &[("address", address)]));
    object([
        ("id", Value::from(session.id.to_string())),
        ("end_label", texts.fill(Text::SessionEndLabel, &[("name", &name), ("time", &since)]).into()),
        ("name", Value::from(name)),
        ("current", Value::from(is_current)),
        ("since", texts.fill(Text::SessionSince, &[("time", &since)]).into()),
        ("seen", texts.fill(Text::SessionSeen, &[("time", &seen)]).into()),
        ("from", Value::from(from.unwrap_or_default())),
    ])
}
