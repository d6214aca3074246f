//! A form: what was sent, what was wrong with it, and what it holds when it is shown again.

use std::{collections::BTreeMap, time::Duration};

use axum_users::{
    Body, Error, Issue, JsonInput, Kind, Loc, Secret, UserId, UserProfile as _, Value as ColumnValue, json,
};
use http::StatusCode;
use minijinja::Value;

use super::object;
use url::form_urlencoded;

use super::texts::{Text, Texts};
use crate::{
    config::OwnColumn,
    profile::{self, ServerProfile},
};

/// What own columns are called in forms: nothing else begins like that.
const COLUMN: &str = "profile.";
/// The order of the fields that are not own columns; those follow.
const PLACES: [&str; 4] = ["email", "current_password", "password", "new_password"];
/// More fields than any form of ours has.
const MAX_FIELDS: usize = 1000;

/// What was sent.
pub(super) struct Sent(Vec<(String, String)>);

impl Sent {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let fields = form_urlencoded::parse(bytes).take(MAX_FIELDS);
        Self(fields.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// A field; of several the last one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(it, _)| it == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// A form on a page.
pub(super) struct Form<'a> {
    texts: &'a Texts,
    /// What its ids begin with: a page may have several forms.
    id: &'static str,
    values: BTreeMap<String, String>,
    errors: Vec<(String, String, String)>,
    problem: Option<String>,
    status: StatusCode,
    retry_after: Option<Duration>,
}

impl<'a> Form<'a> {
    /// One with nothing in it.
    pub(super) fn new(texts: &'a Texts, id: &'static str) -> Self {
        let (values, errors) = (BTreeMap::new(), Vec::new());
        Self { texts, id, values, errors, problem: None, status: StatusCode::OK, retry_after: None }
    }

    /// What a field holds.
    pub(super) fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.insert(name.into(), value.into());
    }

    /// The values of own columns.
    pub(super) fn set_columns<Id: UserId>(&mut self, profile: &ServerProfile<Id>) {
        for (own, value) in profile::own().iter().zip(profile.encode()) {
            self.set(format!("{COLUMN}{}", own.field), shown(&value));
        }
    }

    /// An address, kept for when the form is shown again.
    pub(super) fn email(&mut self, sent: &Sent, label: Text) -> Option<JsonInput> {
        let text = sent.get("email").unwrap_or_default().trim();
        self.set("email", text);
        if text.is_empty() {
            self.wrong("email", label, Text::Missing);
            return None;
        }
        Some(JsonInput::Text(text.to_owned()))
    }

    /// A password; it is never shown again.
    pub(super) fn password(&mut self, sent: &Sent, name: &str, label: Text) -> Option<Secret> {
        let found = sent.get(name).map(Secret::from);
        if found.is_none() {
            self.wrong(name, label, Text::Missing);
        }
        found
    }

    /// The members of a body for the own columns that may be set. Empty is null, or absent where a value has to be given.
    pub(super) fn columns(&mut self, sent: &Sent) -> Vec<(String, JsonInput)> {
        let mut members = Vec::new();
        for own in profile::own().iter().filter(|own| own.is_writable()) {
            let name = format!("{COLUMN}{}", own.field);
            let text = sent.get(&name).unwrap_or_default();
            self.set(name.as_str(), text);
            // A box that is not ticked is not sent.
            let text = if own.kind == Kind::Bool && own.required && text.is_empty() { "false" } else { text };
            let value = match (text, own.kind) {
                ("", _) if own.required => {
                    self.wrong_column(own, Text::Missing);
                    continue;
                }
                ("", _) => JsonInput::Null,
                (text, Kind::Json) => match json::parse(text.as_bytes()) {
                    Ok(value) => value,
                    Err(_) => {
                        self.wrong_column(own, Text::NotJson);
                        continue;
                    }
                },
                (text, _) => JsonInput::Text(text.to_owned()),
            };
            members.push((own.field.clone(), value));
        }
        members
    }

    /// Reads a body of these members; what is wrong with it is said beside the fields.
    pub(super) fn read<T>(
        &mut self,
        members: Vec<(String, JsonInput)>,
        read: impl FnOnce(&mut Body) -> Option<T>,
    ) -> Option<T> {
        let mut body = Body::embedded(JsonInput::Object(members));
        let value = read(&mut body);
        match body.finish() {
            Ok(()) => value,
            Err(issues) => {
                issues.iter().for_each(|issue| self.issue(issue));
                None
            }
        }
    }

    fn issue(&mut self, issue: &Issue) {
        let Some(Loc::Name(name)) = issue.loc().get(1) else { return };
        if let Some(own) = profile::own().iter().find(|own| own.field == *name) {
            let text = if issue.kind() == "missing" { Text::Missing } else { not_of(own.kind) };
            self.wrong_column(own, text);
        } else if *name == "email" {
            self.wrong("email", Text::Email, Text::NotEmail);
        }
    }

    fn wrong_column(&mut self, own: &OwnColumn, text: Text) {
        let (label, text) = (self.texts.column(&own.field), self.texts.get(text).to_owned());
        self.wrong_as(&format!("{COLUMN}{}", own.field), label, text);
    }

    /// Says what is wrong with a field; the first thing counts.
    pub(super) fn wrong(&mut self, name: &str, label: Text, text: Text) {
        self.wrong_as(name, self.texts.get(label).to_owned(), self.texts.get(text).to_owned());
    }

    fn wrong_as(&mut self, name: &str, label: String, text: String) {
        if !self.errors.iter().any(|(it, ..)| it == name) {
            self.errors.push((name.to_owned(), label, text));
        }
        self.fail(StatusCode::UNPROCESSABLE_ENTITY);
    }

    fn fail(&mut self, status: StatusCode) {
        if self.status == StatusCode::OK {
            self.status = status;
        }
    }

    /// Says what is wrong with all of it.
    pub(super) fn problem(&mut self, status: StatusCode, text: Text) {
        self.problem = Some(self.texts.get(text).to_owned());
        self.status = status;
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_right(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// Says why the manager did not do it. `password` is the field of a new password.
    pub(super) fn refused(&mut self, error: Error, password: (&str, Text)) {
        match error {
            Error::InvalidPassword(invalid) => {
                let reason = match invalid.reason().as_str() {
                    Some(reason) => reason.to_owned(),
                    None => self.texts.get(Text::Refused).to_owned(),
                };
                self.fail(StatusCode::BAD_REQUEST);
                self.wrong_as(password.0, self.texts.get(password.1).to_owned(), reason);
            }
            Error::UserAlreadyExists => {
                self.fail(StatusCode::BAD_REQUEST);
                self.wrong("email", Text::Email, Text::EmailTaken);
            }
            Error::ValueAlreadyExists(field) => {
                self.fail(StatusCode::BAD_REQUEST);
                match profile::own().iter().find(|own| own.field == field) {
                    Some(own) => self.wrong_column(own, Text::Taken),
                    None => self.problem(StatusCode::BAD_REQUEST, Text::Taken),
                }
            }
            Error::CurrentPasswordWrong | Error::CurrentPasswordRequired => {
                self.fail(StatusCode::BAD_REQUEST);
                self.wrong("current_password", Text::CurrentPassword, Text::WrongPassword);
            }
            Error::BadCredentials => self.problem(StatusCode::BAD_REQUEST, Text::Credentials),
            Error::UserNotVerified => self.problem(StatusCode::BAD_REQUEST, Text::NotVerified),
            Error::ValueOutOfRange => self.problem(StatusCode::UNPROCESSABLE_ENTITY, Text::OutOfRange),
            Error::LastSuperuser => self.problem(StatusCode::BAD_REQUEST, Text::LastSuperuser),
            Error::Veto(veto) => self.problem(veto.status, Text::Refused),
            Error::Throttled { retry_after } => {
                self.problem(StatusCode::TOO_MANY_REQUESTS, Text::Throttled);
                self.problem = Some(throttled(self.texts, retry_after));
                self.retry_after = Some(retry_after);
            }
            Error::Busy { retry_after } => {
                self.problem(StatusCode::SERVICE_UNAVAILABLE, Text::Busy);
                self.retry_after = Some(retry_after);
            }
            Error::BreachedPasswordsUnavailable | Error::Database(axum_users::DatabaseError::Unavailable(_)) => {
                tracing::error!(error = axum_users::error_chain(&error), "a page cannot do what it should");
                self.problem(StatusCode::SERVICE_UNAVAILABLE, Text::Busy);
                self.retry_after = Some(Duration::from_secs(1));
            }
            error => {
                tracing::error!(error = axum_users::error_chain(&error), "unexpected error");
                self.problem(StatusCode::INTERNAL_SERVER_ERROR, Text::Failed);
            }
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// For templates.
    pub(super) fn to_value(&self) -> Value {
        let texts = |pairs: Vec<(&str, &str)>| object(pairs);
        // As they stand on the page.
        let mut errors: Vec<_> = self.errors.iter().collect();
        errors.sort_by_key(|(name, ..)| PLACES.iter().position(|it| it == name).unwrap_or(PLACES.len()));
        let first = errors.first().map_or("", |(name, ..)| name.as_str());
        let list = errors.into_iter().map(|(name, label, text)| {
            texts(vec![("name", name.as_str()), ("label", label.as_str()), ("text", text.as_str())])
        });
        object([
            ("id", Value::from(self.id)),
            ("values", object(self.values.iter().map(|(name, value)| (name.as_str(), value.as_str())))),
            ("errors", texts(self.errors.iter().map(|(name, _, text)| (name.as_str(), text.as_str())).collect())),
            ("list", list.collect::<Vec<_>>().into()),
            ("first", Value::from(first)),
            ("problem", Value::from(self.problem.as_deref().unwrap_or_default())),
        ])
    }
}

/// When to come back.
pub(super) fn throttled(texts: &Texts, retry_after: Duration) -> String {
    let minutes = retry_after.as_secs().div_ceil(60).max(1).to_string();
    texts.fill(Text::Throttled, &[("minutes", &minutes)])
}

/// The own columns, for the templates' `columns`; those that only the server writes are left out of a new user's form.
pub(super) fn columns(texts: &Texts, with_read_only: bool) -> Value {
    let shown = profile::own().iter().filter(|own| !own.hidden && (with_read_only || own.is_writable()));
    let columns = shown.map(|own| {
        object([
            ("name", Value::from(format!("{COLUMN}{}", own.field))),
            ("label", Value::from(texts.column(&own.field))),
            ("kind", Value::from(word(own.kind))),
            ("required", Value::from(own.required)),
            ("read_only", Value::from(!own.is_writable())),
            ("autocomplete", Value::from(autocomplete(&own.field))),
        ])
    });
    columns.collect::<Vec<_>>().into()
}

/// HTML section 4.10.18.7.1, where the name of a column says it (WCAG 2.2, 1.3.5).
fn autocomplete(field: &str) -> &'static str {
    match field {
        "name" | "full_name" => "name",
        "first_name" | "given_name" => "given-name",
        "last_name" | "family_name" | "surname" => "family-name",
        "nick" | "nickname" => "nickname",
        "phone" | "telephone" | "phone_number" => "tel",
        "organization" | "organisation" | "company" => "organization",
        "country" => "country-name",
        "postal_code" | "zip" => "postal-code",
        _ => "",
    }
}

/// What templates call a kind.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Integer => "integer",
        Kind::Real => "real",
        Kind::Uuid => "uuid",
        Kind::Date => "date",
        Kind::Timestamp => "timestamp",
        Kind::Json => "json",
        _ => "text",
    }
}

fn not_of(kind: Kind) -> Text {
    match kind {
        Kind::Bool => Text::NotBool,
        Kind::Integer => Text::NotInteger,
        Kind::Real => Text::NotReal,
        Kind::Uuid => Text::NotUuid,
        Kind::Date => Text::NotDate,
        Kind::Timestamp => Text::NotTimestamp,
        Kind::Json => Text::NotJson,
        _ => Text::NotWords,
    }
}

/// A value as a person writes it.
fn shown(value: &ColumnValue) -> String {
    match (serde_json::to_value(value), value) {
        (Err(_), _) | (_, ColumnValue::Null) => String::new(),
        (Ok(json), ColumnValue::Json(_)) => json.to_string(),
        (Ok(serde_json::Value::String(text)), _) => text,
        (Ok(other), _) => other.to_string(),
    }
}
