//! The component schemas.

use axum_users_core::{ColumnValue, FromBody, Kind, ProfileRead, Property};
use serde_json::{Map, Value, json};

use super::names::title;
use crate::UserProfile;

/// Those that every document has.
pub(super) fn common() -> Map<String, Value> {
    let text = |title: &str| json!({ "type": "string", "title": title });
    let alternatives =
        json!([{ "type": "string" }, { "additionalProperties": { "type": "string" }, "type": "object" }]);
    let step = json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] });
    let item = json!({ "$ref": "#/components/schemas/ValidationError" });
    let schemas = [
        object("ErrorModel", vec![("detail".into(), json!({ "anyOf": alternatives, "title": "Detail" }))], &["detail"]),
        object(
            "HTTPValidationError",
            vec![("detail".into(), json!({ "items": item, "type": "array", "title": "Detail" }))],
            &[],
        ),
        object(
            "ValidationError",
            vec![
                ("loc".into(), json!({ "items": step, "type": "array", "title": "Location" })),
                ("msg".into(), text("Message")),
                ("type".into(), text("Error Type")),
                ("input".into(), json!({ "title": "Input" })),
                ("ctx".into(), json!({ "type": "object", "title": "Context" })),
            ],
            &["loc", "msg", "type"],
        ),
    ];
    let names = ["ErrorModel", "HTTPValidationError", "ValidationError"].map(str::to_owned);
    names.into_iter().zip(schemas).collect()
}

pub(super) fn bearer_response() -> Value {
    let members = ["access_token", "token_type"];
    let properties = members.map(|name| (name.to_owned(), titled(name, json!({ "type": "string" }), None)));
    object("BearerResponse", properties.into(), &members)
}

/// What a login answers where there are refresh tokens.
pub(super) fn refreshable_response() -> Value {
    let text = || json!({ "type": "string" });
    let properties = [
        ("access_token", text()),
        ("token_type", text()),
        ("refresh_token", text()),
        ("expires_in", json!({ "type": "integer" })),
    ];
    let properties = properties.map(|(name, schema)| (name.to_owned(), titled(name, schema, None)));
    object("BearerResponse", properties.into(), &["access_token", "token_type"])
}

pub(super) fn refresh_form() -> Value {
    let properties = [
        ("grant_type", json!({ "type": "string", "pattern": "^refresh_token$" })),
        ("refresh_token", json!({ "type": "string", "format": "password" })),
    ];
    let properties = properties.map(|(name, schema)| (name.to_owned(), titled(name, schema, None)));
    object("RefreshForm", properties.into(), &["grant_type", "refresh_token"])
}

/// RFC 6749 section 5.2.
pub(super) fn oauth_error() -> Value {
    let properties = ["error", "detail"].map(|name| (name.to_owned(), titled(name, json!({ "type": "string" }), None)));
    object("OAuthError", properties.into(), &["error"])
}

/// A body of these fields, all of them required.
pub(super) fn embedded(title: &str, fields: &[&str]) -> Value {
    let schema = |name: &str| if name == "email" { email() } else { json!({ "type": "string" }) };
    let properties = fields.iter().map(|name| ((*name).to_owned(), titled(name, schema(name), None))).collect();
    object(title, properties, fields)
}

pub(super) fn session_read() -> Value {
    let time = || json!({ "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "null" }] });
    let properties = [
        ("id", json!({ "type": "string" })),
        ("backend", json!({ "type": "string" })),
        ("created_at", time()),
        ("last_seen_at", time()),
        ("expires_at", time()),
        ("address", Option::<String>::schema()),
        ("user_agent", Option::<String>::schema()),
        ("current", json!({ "type": "boolean" })),
    ];
    let names = properties.each_ref().map(|(name, _)| *name);
    let properties = properties.map(|(name, schema)| (name.to_owned(), titled(name, schema, None)));
    object("SessionRead", properties.into(), &names)
}

pub(super) fn login_form(title: &str) -> Value {
    let optional = || json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] });
    let secret = json!({ "anyOf": [{ "type": "string" }, { "type": "null" }], "format": "password" });
    let pattern = json!({ "type": "string", "pattern": "^password$" });
    let properties = [
        ("grant_type", json!({ "anyOf": [pattern, { "type": "null" }] }), None),
        ("username", json!({ "type": "string" }), None),
        ("password", json!({ "type": "string", "format": "password" }), None),
        ("scope", json!({ "type": "string" }), Some(json!(""))),
        ("client_id", optional(), None),
        ("client_secret", secret, None),
    ];
    let properties = properties.map(|(name, schema, default)| (name.to_owned(), titled(name, schema, default)));
    object(title, properties.into(), &["username", "password"])
}

pub(super) fn user_read<P: UserProfile>(with_accounts: bool) -> Value {
    let mut properties = vec![
        ("id".to_owned(), id::<P>()),
        ("email".to_owned(), titled("email", email(), None)),
    ];
    properties.extend(flags(&json!({ "type": "boolean" }), true));
    if with_accounts {
        let account = json!({ "$ref": "#/components/schemas/BaseOAuthAccount" });
        let accounts = json!({ "items": account, "type": "array" });
        properties.push(("oauth_accounts".into(), titled("oauth_accounts", accounts, Some(json!([])))));
    }
    with_profile("UserRead", properties, &["id", "email"], P::Read::properties())
}

/// The id of a user; one of MongoDB is a schema of its own.
fn id<P: UserProfile>() -> Value {
    match P::Id::KIND {
        Kind::ObjectId => json!({ "$ref": format!("#/components/schemas/{OBJECT_ID}") }),
        _ => titled("id", P::Id::schema(), None),
    }
}

/// The schema of an object id, and its name.
pub(super) fn object_id<P: UserProfile>() -> Option<(&'static str, Value)> {
    let mut schema = P::Id::schema();
    super::routes::set(&mut schema, "example", "5eb7cf5a86d9755df3a6c593".into());
    (P::Id::KIND == Kind::ObjectId).then_some((OBJECT_ID, schema))
}

const OBJECT_ID: &str = "PydanticObjectId";

pub(super) fn user_create<P: UserProfile>() -> Value {
    let mut properties = vec![
        ("email".to_owned(), titled("email", email(), None)),
        ("password".to_owned(), titled("password", json!({ "type": "string" }), None)),
    ];
    properties.extend(flags(&Option::<bool>::schema(), true));
    with_profile("UserCreate", properties, &["email", "password"], P::Create::properties())
}

pub(super) fn user_update<P: UserProfile>(with_current_password: bool) -> Value {
    let mut properties = vec![
        ("password".to_owned(), titled("password", Option::<String>::schema(), None)),
        ("email".to_owned(), titled("email", json!({ "anyOf": [email(), { "type": "null" }] }), None)),
    ];
    if with_current_password {
        let schema = Option::<String>::schema();
        properties.push(("current_password".to_owned(), titled("current_password", schema, None)));
    }
    properties.extend(flags(&Option::<bool>::schema(), false));
    with_profile("UserUpdate", properties, &[], P::Update::properties())
}

pub(super) type Properties = Vec<(String, Value)>;

fn email() -> Value {
    json!({ "type": "string", "format": "email" })
}

fn flags(schema: &Value, with_defaults: bool) -> Properties {
    let flags = [("is_active", true), ("is_superuser", false), ("is_verified", false)];
    let default = |value: bool| with_defaults.then(|| json!(value));
    flags.map(|(name, value)| (name.to_owned(), titled(name, schema.clone(), default(value)))).into()
}

/// The application's own columns stand after the base fields, as in a subclass.
fn with_profile(title: &str, mut properties: Properties, required: &[&str], own: Vec<Property>) -> Value {
    let mut required: Vec<String> = required.iter().map(|name| (*name).to_owned()).collect();
    for property in own {
        if property.required {
            required.push(property.name.to_string());
        }
        properties.push((property.name.to_string(), titled(&property.name, property.schema, None)));
    }
    object(title, properties, &required.iter().map(String::as_str).collect::<Vec<_>>())
}

pub(super) fn object(title: &str, properties: Properties, required: &[&str]) -> Value {
    let properties: Map<String, Value> = properties.into_iter().collect();
    if required.is_empty() {
        json!({ "properties": properties, "type": "object", "title": title })
    } else {
        json!({ "properties": properties, "type": "object", "required": required, "title": title })
    }
}

/// A schema with its title and default.
pub(super) fn titled(name: &str, mut schema: Value, default: Option<Value>) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".into(), title(name).into());
        object.extend(default.map(|default| ("default".to_owned(), default)));
    }
    schema
}
