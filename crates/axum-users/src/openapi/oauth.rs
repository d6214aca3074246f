//! The paths and schemas of logins by providers.

use axum_users_core::Kind;
use serde_json::{Map, Value, json};

use super::{
    names::operation_id,
    routes::{UNAUTHORIZED, operation, paths, schema, set, successful, unprocessable},
    schemas::{object, titled},
};
use crate::{UserProfile, error::ErrorCode};

/// `oauth:<provider>.<backend>.authorize` and `.callback`.
pub(super) fn login(prefix: &str, provider: &str, backend: &str, with_redirects: bool) -> Map<String, Value> {
    let inactive = json!({ "summary": "User is inactive.", "value": detail(ErrorCode::LoginBadCredentials) });
    let inactive = Some((ErrorCode::LoginBadCredentials.as_str().to_owned(), inactive));
    let name = format!("oauth:{provider}.{backend}");
    both(prefix, &name, with_redirects, successful(json!({})), inactive, None)
}

/// `oauth-associate:<provider>.authorize` and `.callback`.
pub(super) fn associate(prefix: &str, provider: &str, with_redirects: bool, security: &Value) -> Map<String, Value> {
    let name = format!("oauth-associate:{provider}");
    both(prefix, &name, with_redirects, successful(schema("UserRead")), None, Some(security))
}

fn both(
    prefix: &str,
    name: &str,
    with_redirects: bool,
    success: Value,
    more: Option<(String, Value)>,
    security: Option<&Value>,
) -> Map<String, Value> {
    let build = |leaf: &str, parameters: Vec<Value>, responses: Value| {
        let path = format!("{prefix}/{leaf}");
        let mut get = operation(&format!("{name}.{leaf}"), &path, "get", "auth");
        if let Some(security) = security {
            set(&mut get, "security", security.clone());
        }
        set(&mut get, "parameters", parameters.into());
        set(&mut get, "responses", responses);
        (path, get)
    };
    let parameter = |name: &str, schema: Value| json!({ "name": name, "in": "query", "required": false, "schema": titled(name, schema, None) });
    let optional = || json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] });
    let mut asked = vec![parameter("scopes", json!({ "type": "array", "items": { "type": "string" } }))];
    asked.extend(with_redirects.then(|| parameter("redirect_to", optional())));
    let start = json!({ "200": successful(schema("OAuth2AuthorizeResponse")), "422": unprocessable() });
    let (authorize_path, authorize) = build("authorize", asked, start);

    let came = ["code", "code_verifier", "state", "error"].map(|name| parameter(name, optional()));
    let mut examples: Map<String, Value> = more.into_iter().collect();
    examples.insert("INVALID_STATE_TOKEN".into(), json!({ "summary": "Invalid state token." }));
    for (code, summary) in [
        (ErrorCode::AccessTokenDecodeError, "Access token is error."),
        (ErrorCode::AccessTokenAlreadyExpired, "Access token is already expired."),
    ] {
        examples.insert(code.as_str().into(), json!({ "summary": summary, "value": detail(code) }));
    }
    let content = json!({ "application/json": { "schema": schema("ErrorModel"), "examples": examples } });
    let bad = json!({ "description": "Bad Request", "content": content });
    let end = json!({ "200": success, "400": bad, "422": unprocessable() });
    let (callback_path, mut callback) = build("callback", came.into(), end);
    set(&mut callback, "description", "The response varies based on the authentication backend used.".into());
    paths([(authorize_path, json!({ "get": authorize })), (callback_path, json!({ "get": callback }))])
}

/// `users:oauth_accounts` and `users:remove_oauth_account`.
pub(super) fn accounts(prefix: &str, security: &Value) -> Map<String, Value> {
    let (path, one) = (format!("{prefix}/me/accounts"), format!("{prefix}/me/accounts/{{account}}"));
    let build = |name: &str, path: &str, method: &str, responses: Value| {
        let operation_id = operation_id(name, path, method);
        let mut built = operation(name, path, method, "users");
        set(&mut built, "operationId", operation_id.into());
        set(&mut built, "responses", responses);
        set(&mut built, "security", security.clone());
        built
    };
    let listed = json!({ "type": "array", "items": schema("LinkedAccount"), "title": "Accounts" });
    let list = json!({ "200": successful(listed), "401": { "description": UNAUTHORIZED } });
    let last = json!({ "LAST_LOGIN_METHOD": {
        "summary": "The user could not log in any more.", "value": detail(ErrorCode::LastLoginMethod),
    } });
    let content = json!({ "application/json": { "schema": schema("ErrorModel"), "examples": last } });
    let removed = json!({
        "204": { "description": "Successful Response" },
        "400": { "description": "Bad Request", "content": content },
        "401": { "description": UNAUTHORIZED },
        "403": { "description": "Not a fresh login." },
        "404": { "description": "The account does not exist." },
    });
    let mut remove = build("users:remove_oauth_account", &one, "delete", removed);
    let parameter = json!({ "type": "string", "title": "Account" });
    let parameter = json!({ "name": "account", "in": "path", "required": true, "schema": parameter });
    set(&mut remove, "parameters", json!([parameter]));
    paths([
        (path.clone(), json!({ "get": build("users:oauth_accounts", &path, "get", list) })),
        (one, json!({ "delete": remove })),
    ])
}

fn detail(code: ErrorCode) -> Value {
    json!({ "detail": code.as_str() })
}

pub(super) fn authorize_response() -> Value {
    let url = titled("authorization_url", json!({ "type": "string" }), None);
    object("OAuth2AuthorizeResponse", vec![("authorization_url".into(), url)], &["authorization_url"])
}

/// An account without tokens.
pub(super) fn linked_account<P: UserProfile>() -> Value {
    use axum_users_core::ColumnValue as _;
    let text = || json!({ "type": "string" });
    // Whether it is a UUID or an object id depends on the store.
    let id = if P::Id::KIND == Kind::Integer { P::Id::schema() } else { text() };
    let members = [("id", id), ("oauth_name", text()), ("account_id", text()), ("account_email", text())];
    let names = members.each_ref().map(|(name, _)| *name);
    let properties = members.map(|(name, schema)| (name.to_owned(), titled(name, schema, None)));
    object("LinkedAccount", properties.into(), &names)
}

/// An account within a user.
pub(super) fn account_in_user() -> Value {
    let text = || json!({ "type": "string" });
    let or_null = |of_type: &str| json!({ "anyOf": [{ "type": of_type }, { "type": "null" }] });
    let members = [
        ("id", json!({})),
        ("oauth_name", text()),
        ("access_token", text()),
        ("expires_at", or_null("integer")),
        ("refresh_token", or_null("string")),
        ("account_id", text()),
        ("account_email", text()),
    ];
    let properties = members.map(|(name, schema)| (name.to_owned(), titled(name, schema, None)));
    let required = ["id", "oauth_name", "access_token", "account_id", "account_email"];
    let mut account = object("BaseOAuthAccount", properties.into(), &required);
    set(&mut account, "description", "Base OAuth account model.".into());
    account
}
