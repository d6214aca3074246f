//! Fields of a request body: every one is tried, and everything that is wrong is reported at once, in the order of the schema.

mod convert;
mod issue;
mod moment;

use std::{borrow::Cow, fmt};

pub use issue::{Issue, Loc};

use crate::{
    email::Email,
    json::JsonInput,
    secret::Secret,
    value::{ColumnValue, Kind, Value},
};
use convert::Refusal;

/// Reads itself from the fields of a body. Derived with the profile; by hand:
///
/// ```
/// use axum_users_core::{
///     body::{Body, FromBody, Property},
///     json,
/// };
///
/// struct SignUp {
///     first_name: String,
///     age: Option<i64>,
/// }
///
/// impl FromBody for SignUp {
///     fn from_body(body: &mut Body) -> Option<Self> {
///         // Every field is asked for before the first `?`, so that every error is found.
///         let (first_name, age) = (body.required("first_name"), body.optional("age", || None));
///         Some(Self { first_name: first_name?, age: age? })
///     }
///     fn properties() -> Vec<Property> {
///         vec![Property::required::<String>("first_name"), Property::optional::<Option<i64>>("age")]
///     }
/// }
///
/// let body = Body::new(json::parse(br#"{"first_name": "Galahad"}"#).unwrap()).unwrap();
/// assert_eq!(body.read::<SignUp>().ok().map(|it| it.first_name).as_deref(), Some("Galahad"));
///
/// let body = Body::new(json::parse(br#"{"age": "old"}"#).unwrap()).unwrap();
/// assert_eq!(body.read::<SignUp>().err().map(|it| it.len()), Some(2));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a request body",
    note = "derive `UserProfile`, or implement `FromBody`"
)]
pub trait FromBody: Sized {
    /// Takes its fields; `None` if an issue was recorded for one of them.
    fn from_body(body: &mut Body) -> Option<Self>;

    /// Its fields, in order, for the API description.
    fn properties() -> Vec<Property>;
}

/// One field of a body, as the API description shows it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Property {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its JSON schema, without title and default.
    pub schema: serde_json::Value,
    /// Whether it must be there.
    pub required: bool,
}

impl Property {
    /// A field that must be there.
    #[must_use]
    pub fn required<T: ColumnValue>(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), schema: T::schema(), required: true }
    }

    /// A field of a new row: see [`Body::column`].
    #[must_use]
    pub fn column<T: ColumnValue>(name: impl Into<Cow<'static, str>>) -> Self {
        Self { required: !T::NULLABLE, ..Self::required::<T>(name) }
    }

    /// A field that may be absent.
    #[must_use]
    pub fn optional<T: ColumnValue>(name: impl Into<Cow<'static, str>>) -> Self {
        Self { required: false, ..Self::required::<T>(name) }
    }

    /// A field of a change: absent keeps. Null is part of every schema, as the contract has it.
    #[must_use]
    pub fn update<T: ColumnValue>(name: impl Into<Cow<'static, str>>) -> Self {
        let schema = if T::NULLABLE { T::schema() } else { Option::<T>::schema() };
        Self { name: name.into(), schema, required: false }
    }

    /// A field that is described at run time.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, schema: serde_json::Value, required: bool) -> Self {
        Self { name: name.into(), schema, required }
    }
}

/// No fields.
impl FromBody for () {
    fn from_body(_body: &mut Body) -> Option<Self> {
        Some(())
    }
    fn properties() -> Vec<Property> {
        Vec::new()
    }
}

/// The members of a body that nobody asked for yet, and the issues that were found.
///
/// Each method takes one field, which is gone then. `None` means that an issue was recorded. Members that nobody asks for are
/// ignored, as the contract has it.
pub struct Body {
    members: Vec<(String, JsonInput)>,
    issues: Vec<Issue>,
}

impl Body {
    /// The body of a route that takes one object.
    ///
    /// # Errors
    /// An [`Issue`] if it is none. The value is not echoed: it may hold a password.
    pub fn new(value: JsonInput) -> Result<Self, Issue> {
        match value {
            JsonInput::Object(members) => Ok(Self { members, issues: Vec::new() }),
            _ => Err(Issue::not_an_object()),
        }
    }

    /// The body of a route that takes fields: anything but an object, no body too, is an object without members.
    #[must_use]
    pub fn embedded(value: JsonInput) -> Self {
        Self::new(value).unwrap_or(Self { members: Vec::new(), issues: Vec::new() })
    }

    /// A field that must be there.
    pub fn required<T: ColumnValue>(&mut self, name: &str) -> Option<T> {
        let input = self.take_required(name)?;
        let value = convert::column(&input);
        self.accept(name, value, input)
    }

    /// A field that has a default; null is not absent.
    pub fn optional<T: ColumnValue>(&mut self, name: &str, default: impl FnOnce() -> T) -> Option<T> {
        match self.take(name) {
            None => Some(default()),
            Some(input) => {
                let value = convert::column(&input);
                self.accept(name, value, input)
            }
        }
    }

    /// A field of a new row: one that may be null is null when it is absent, any other must be there.
    pub fn column<T: ColumnValue>(&mut self, name: &str) -> Option<T> {
        match (T::NULLABLE, self.take(name)) {
            (true, None) => T::from_value(Value::Null).ok(),
            (false, None) => {
                self.issues.push(Issue::missing(place(name)));
                None
            }
            (_, Some(input)) => {
                let value = convert::column(&input);
                self.accept(name, value, input)
            }
        }
    }

    /// A field of a change. `Some(None)`: absent, keep what there is. Null clears a column that may be null, and is an issue
    /// elsewhere (RFC 7396 in spirit).
    pub fn update<T: ColumnValue>(&mut self, name: &str) -> Option<Option<T>> {
        self.optional_with(name, convert::column)
    }

    /// A field that is described at run time. `Some(None)`: absent.
    pub fn value(&mut self, name: &str, kind: Kind, nullable: bool) -> Option<Option<Value>> {
        self.optional_with(name, |input| convert::value(input, kind, nullable))
    }

    /// An e-mail address that must be there.
    pub fn email(&mut self, name: &str) -> Option<Email> {
        let input = self.take_required(name)?;
        let value = convert::email(&input);
        self.accept(name, value, input)
    }

    /// An e-mail address of a change. `Some(None)`: absent. Null is an issue.
    pub fn update_email(&mut self, name: &str) -> Option<Option<Email>> {
        self.optional_with(name, convert::email)
    }

    /// A password that must be there: any text, the empty one too. It is never echoed.
    pub fn password(&mut self, name: &str) -> Option<Secret> {
        let input = self.take_required(name)?;
        self.secret(name, input)
    }

    /// A password of a change. `Some(None)`: absent or null, keep it. It is never echoed.
    pub fn update_password(&mut self, name: &str) -> Option<Option<Secret>> {
        match self.take(name) {
            None | Some(JsonInput::Null) => Some(None),
            Some(input) => self.secret(name, input).map(Some),
        }
    }

    /// A token that must be there: any text. It is never echoed.
    pub fn token(&mut self, name: &str) -> Option<Secret> {
        self.password(name)
    }

    /// A flag of a registration, or of a change that drops flags. `Some(None)`: absent, or null, which says the same there.
    pub fn flag(&mut self, name: &str) -> Option<Option<bool>> {
        match self.take(name) {
            None | Some(JsonInput::Null) => Some(None),
            Some(input) => {
                let value = convert::boolean(&input);
                self.accept(name, value, input).map(Some)
            }
        }
    }

    /// A flag of a change that is applied. `Some(None)`: absent. Null is an issue, since no flag can be null.
    pub fn update_flag(&mut self, name: &str) -> Option<Option<bool>> {
        self.optional_with(name, convert::boolean)
    }

    /// Records an issue of your own, at this place in the order.
    pub fn report(&mut self, issue: Issue) {
        self.issues.push(issue);
    }

    /// Reads a whole value.
    ///
    /// # Errors
    /// All issues, in the order in which the fields were asked for.
    pub fn read<T: FromBody>(mut self) -> Result<T, Vec<Issue>> {
        let value = T::from_body(&mut self);
        match (self.finish(), value) {
            (Ok(()), Some(value)) => Ok(value),
            (Err(issues), _) => Err(issues),
            (Ok(()), None) => Err(vec![Issue::not_an_object()]),
        }
    }

    /// Whether all is well.
    ///
    /// # Errors
    /// All issues, in the order in which the fields were asked for.
    pub fn finish(self) -> Result<(), Vec<Issue>> {
        if self.issues.is_empty() { Ok(()) } else { Err(self.issues) }
    }

    fn optional_with<T>(
        &mut self,
        name: &str,
        convert: impl FnOnce(&JsonInput) -> Result<T, Refusal>,
    ) -> Option<Option<T>> {
        let Some(input) = self.take(name) else { return Some(None) };
        let value = convert(&input);
        self.accept(name, value, input).map(Some)
    }

    fn take_required(&mut self, name: &str) -> Option<JsonInput> {
        let input = self.take(name);
        if input.is_none() {
            self.issues.push(Issue::missing(place(name)));
        }
        input
    }

    fn take(&mut self, name: &str) -> Option<JsonInput> {
        let index = self.members.iter().position(|(it, _)| it == name)?;
        Some(self.members.swap_remove(index).1)
    }

    fn secret(&mut self, name: &str, input: JsonInput) -> Option<Secret> {
        match input {
            JsonInput::Text(text) => Some(Secret::from(text)),
            other => {
                let refused = convert::text(&other).map(drop);
                self.accept(name, refused, JsonInput::Null);
                None
            }
        }
    }

    fn accept<T>(&mut self, name: &str, value: Result<T, Refusal>, input: JsonInput) -> Option<T> {
        value
            .map_err(|refusal| {
                let issue = Issue::new(refusal.kind, place(name), refusal.msg).input(input);
                self.issues.push(refusal.ctx.into_iter().fold(issue, |issue, (name, value)| issue.ctx(name, value)));
            })
            .ok()
    }
}

fn place(name: &str) -> [Loc; 2] {
    ["body".into(), name.to_owned().into()]
}

/// Names only: a value may be a password.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.members.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Body").field("members", &names).field("issues", &self.issues).finish()
    }
}
