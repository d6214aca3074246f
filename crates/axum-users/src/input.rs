//! Request bodies: read up to a limit, then as JSON or as a form, as the wire has them.

use axum::{body::Body as HttpBody, extract::Request};
use axum_users_core::{Body, Issue, JsonError, JsonInput, Loc, json};
use http::{HeaderMap, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::error::ApiError;

/// How many bytes a body may have unless told otherwise.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;
/// How many fields a form may have.
const MAX_FIELDS: usize = 1000;

/// Reads the whole body; a longer one is refused before it is buffered.
pub(crate) async fn read(request: Request, limit: usize) -> Result<(Parts, Vec<u8>), ApiError> {
    let (parts, body) = request.into_parts();
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(ApiError::TooLarge);
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok((parts, collected.to_bytes().into())),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::TooLarge),
        Err(_) => Err(ApiError::BadBody("There was an error parsing the body".into())),
    }
}

/// A body that should be JSON, parsed but not yet looked into: who may ask comes first.
#[derive(Debug)]
pub(crate) enum JsonBody {
    Empty,
    Value(JsonInput),
    /// Another media type: it stays text, and is no object.
    Text,
}

impl JsonBody {
    /// What the media type says it is. Malformed JSON is refused at once; in strict, two members of one name are malformed.
    pub(crate) fn parse(headers: &HeaderMap, bytes: &[u8], strict: bool) -> Result<Self, ApiError> {
        if bytes.is_empty() {
            return Ok(Self::Empty);
        }
        if !is_json(headers) {
            return Ok(Self::Text);
        }
        let parse = if strict { json::parse_unique } else { json::parse };
        parse(bytes).map(Self::Value).map_err(|error| match error {
            JsonError::Invalid { position, message } => {
                ApiError::Unprocessable(vec![Issue::json_invalid(position, message)])
            }
            _ => ApiError::BadBody("There was an error parsing the body".into()),
        })
    }

    /// The same where whatever is no object has no fields.
    pub(crate) fn embedded(self) -> Body {
        Body::embedded(match self {
            Self::Value(value) => value,
            Self::Empty | Self::Text => JsonInput::Null,
        })
    }

    /// The object whose fields are looked for.
    pub(crate) fn into_body(self) -> Result<Body, ApiError> {
        let body = match self {
            Self::Empty => Err(Issue::missing_body()),
            Self::Value(value) => Body::new(value),
            Self::Text => Err(Issue::not_an_object()),
        };
        body.map_err(|issue| ApiError::Unprocessable(vec![issue]))
    }
}

/// `application/json` or `application/<anything>+json`, in any case, parameters ignored.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(essence) = essence(headers) else { return false };
    let Some(subtype) = essence.strip_prefix("application/") else { return false };
    subtype == "json" || subtype.ends_with("+json")
}

/// The media type in lower case, without parameters.
fn essence(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next()?.trim().to_ascii_lowercase())
}

/// A form, and the issues found in it.
#[derive(Debug, Default)]
pub(crate) struct Form {
    fields: Vec<(String, Field)>,
    issues: Vec<Issue>,
}

#[derive(Debug)]
enum Field {
    Text(String),
    /// An uploaded file, where text is asked for.
    File,
}

impl Form {
    /// Urlencoded or multipart; any other body is a form without fields.
    pub(crate) async fn parse(headers: &HeaderMap, bytes: Vec<u8>) -> Result<Self, ApiError> {
        let fields = match essence(headers).as_deref() {
            Some("application/x-www-form-urlencoded") => urlencoded(&bytes)?,
            Some("multipart/form-data") => multipart(headers, bytes).await?,
            _ => Vec::new(),
        };
        Ok(Self { fields, issues: Vec::new() })
    }

    /// A field that has to be there and not empty; a repeated one takes its last value.
    pub(crate) fn required(&mut self, name: &'static str) -> Option<String> {
        match self.take(name) {
            Some(Field::Text(text)) if !text.is_empty() => Some(text),
            Some(Field::File) => {
                self.issues.push(not_text(name));
                None
            }
            _ => {
                self.issues.push(Issue::missing(place(name)));
                None
            }
        }
    }

    /// A field's text, if it is there and not empty.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name) {
            Some(Field::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A field that may be absent or empty, else has to match.
    pub(crate) fn optional_matching(&mut self, name: &'static str, pattern: &str, matches: impl Fn(&str) -> bool) {
        match self.take(name) {
            None => {}
            Some(Field::Text(text)) if text.is_empty() || matches(&text) => {}
            Some(Field::Text(text)) => self.issues.push(
                Issue::new("string_pattern_mismatch", place(name), format!("String should match pattern '{pattern}'"))
                    .input(JsonInput::Text(text))
                    .ctx("pattern", pattern),
            ),
            Some(Field::File) => {
                self.issues.push(not_text(name));
            }
        }
    }

    pub(crate) fn finish(self) -> Result<(), Vec<Issue>> {
        if self.issues.is_empty() { Ok(()) } else { Err(self.issues) }
    }

    fn take(&mut self, name: &str) -> Option<Field> {
        let index = self.fields.iter().rposition(|(it, _)| it == name)?;
        Some(self.fields.swap_remove(index).1)
    }
}

fn place(name: &'static str) -> [Loc; 2] {
    ["body".into(), name.into()]
}

/// A file where text is asked for; its content is not echoed.
fn not_text(name: &'static str) -> Issue {
    Issue::new("string_type", place(name), "Input should be a valid string")
}

type Fields = Vec<(String, Field)>;

fn urlencoded(bytes: &[u8]) -> Result<Fields, ApiError> {
    let fields =
        form_urlencoded::parse(bytes).map(|(name, value)| (name.into_owned(), Field::Text(value.into_owned())));
    let fields: Fields = fields.take(MAX_FIELDS + 1).collect();
    limited(fields)
}

async fn multipart(headers: &HeaderMap, bytes: Vec<u8>) -> Result<Fields, ApiError> {
    let invalid = |_| ApiError::BadBody("Invalid multipart data.".into());
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary =
        multer::parse_boundary(content_type).map_err(|_| ApiError::BadBody("Missing boundary in multipart.".into()))?;
    let mut parts = multer::Multipart::new(HttpBody::from(bytes).into_data_stream(), boundary);
    let mut fields = Fields::new();
    while let Some(part) = parts.next_field().await.map_err(invalid)? {
        let Some(name) = part.name().map(str::to_owned) else {
            return Err(ApiError::BadBody("The Content-Disposition header field \"name\" must be provided.".into()));
        };
        let is_file = part.file_name().is_some();
        let text = part.bytes().await.map_err(invalid)?;
        let field = if is_file { Field::File } else { Field::Text(String::from_utf8_lossy(&text).into_owned()) };
        fields.push((name, field));
        if fields.len() > MAX_FIELDS {
            break;
        }
    }
    limited(fields)
}

fn limited(fields: Fields) -> Result<Fields, ApiError> {
    if fields.len() > MAX_FIELDS {
        return Err(ApiError::BadBody(format!("Too many fields. Maximum number of fields is {MAX_FIELDS}.")));
    }
    Ok(fields)
}
