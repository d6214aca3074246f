//! One item of a 422 answer.

use std::borrow::Cow;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::json::JsonInput;

/// One thing that is wrong with a request: an item of the `detail` of a 422 answer.
///
/// ```
/// use axum_users_core::body::Issue;
///
/// let issue = Issue::missing(["body".into(), "username".into()]);
/// assert_eq!(
///     serde_json::to_string(&issue).unwrap(),
///     r#"{"type":"missing","loc":["body","username"],"msg":"Field required","input":null}"#,
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    kind: Cow<'static, str>,
    loc: Box<[Loc]>,
    msg: Cow<'static, str>,
    input: JsonInput,
    ctx: Vec<(&'static str, String)>,
}

/// A step on the way to what is wrong: a name, or a position.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loc {
    /// `body`, `query`, `path`, or the name of a member.
    Name(Cow<'static, str>),
    /// A place in a list or a text, from 0.
    Index(usize),
}

impl Issue {
    /// An issue of a type of Pydantic's, or of your own, without `input` and `ctx`.
    #[must_use]
    pub fn new(
        kind: impl Into<Cow<'static, str>>,
        loc: impl IntoIterator<Item = Loc>,
        msg: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind: kind.into(),
            loc: loc.into_iter().collect(),
            msg: msg.into(),
            input: JsonInput::Null,
            ctx: Vec::new(),
        }
    }

    /// Echoes what came in; default `null`.
    ///
    /// # Security
    /// Never a password, a token, or a whole body, which may hold one.
    #[must_use]
    pub fn input(mut self, input: impl Into<JsonInput>) -> Self {
        self.input = input.into();
        self
    }

    /// Adds a member to `ctx`, which is left out while it is empty.
    #[must_use]
    pub fn ctx(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.ctx.push((name, value.into()));
        self
    }

    /// Something required is absent.
    #[must_use]
    pub fn missing(loc: impl IntoIterator<Item = Loc>) -> Self {
        Self::new("missing", loc, "Field required")
    }

    /// There is no body where an object was expected.
    #[must_use]
    pub fn missing_body() -> Self {
        Self::missing(["body".into()])
    }

    /// The body is no JSON object, or was not sent as JSON.
    #[must_use]
    pub fn not_an_object() -> Self {
        Self::new(
            "model_attributes_type",
            ["body".into()],
            "Input should be a valid dictionary or object to extract fields from",
        )
    }

    /// The body is not JSON; see [`crate::JsonError::Invalid`].
    #[must_use]
    pub fn json_invalid(position: usize, message: impl Into<String>) -> Self {
        Self::new("json_invalid", ["body".into(), position.into()], "JSON decode error")
            .input(JsonInput::Object(Vec::new()))
            .ctx("error", message)
    }

    /// Its `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Where it is.
    #[must_use]
    pub fn loc(&self) -> &[Loc] {
        &self.loc
    }

    /// Its message, for people.
    #[must_use]
    pub fn msg(&self) -> &str {
        &self.msg
    }
}

impl Serialize for Issue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut item = serializer.serialize_struct("Issue", if self.ctx.is_empty() { 4 } else { 5 })?;
        item.serialize_field("type", &self.kind)?;
        item.serialize_field("loc", &self.loc)?;
        item.serialize_field("msg", &self.msg)?;
        item.serialize_field("input", &self.input)?;
        if self.ctx.is_empty() {
            item.skip_field("ctx")?;
        } else {
            item.serialize_field("ctx", &Context(&self.ctx))?;
        }
        item.end()
    }
}

struct Context<'a>(&'a [(&'static str, String)]);

impl Serialize for Context<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Loc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Name(name) => serializer.serialize_str(name),
            Self::Index(index) => index.serialize(serializer),
        }
    }
}

impl From<&'static str> for Loc {
    fn from(name: &'static str) -> Self {
        Self::Name(name.into())
    }
}

impl From<String> for Loc {
    fn from(name: String) -> Self {
        Self::Name(name.into())
    }
}

impl From<usize> for Loc {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}
