//! The paths of each router.

use serde_json::{Map, Value, json};

use super::names::{operation_id, summary};
use crate::{error::ErrorCode, transport::Transport};

/// `auth:<backend>.login` and `.logout`.
pub(super) fn auth(prefix: &str, backend: &str, transport: &dyn Transport, security: &Value) -> Map<String, Value> {
    let bad = [
        (ErrorCode::LoginBadCredentials, "Bad credentials or the user is inactive."),
        (ErrorCode::LoginUserNotVerified, "The user is not verified."),
    ];
    let bad = bad.map(|(code, summary)| (code, summary, json!(code.as_str())));
    let mut login = operation(&format!("auth:{backend}.login"), &format!("{prefix}/login"), "post", "auth");
    set(&mut login, "requestBody", body("application/x-www-form-urlencoded", &form_name(prefix, backend)));
    let (status, success) = transport.openapi_login_success();
    let mut responses = Map::new();
    responses.insert("200".into(), successful(json!({})));
    responses.insert("400".into(), bad_request(&bad));
    responses.insert(status.into(), success);
    responses.insert("422".into(), unprocessable());
    set(&mut login, "responses", Value::Object(responses));

    let mut logout = operation(&format!("auth:{backend}.logout"), &format!("{prefix}/logout"), "post", "auth");
    let mut responses = Map::new();
    responses.insert("200".into(), successful(json!({})));
    responses.insert("401".into(), json!({ "description": UNAUTHORIZED }));
    responses.extend(transport.openapi_logout_success().map(|(status, response)| (status.to_owned(), response)));
    set(&mut logout, "responses", Value::Object(responses));
    set(&mut logout, "security", security.clone());
    paths([
        (format!("{prefix}/login"), json!({ "post": login })),
        (format!("{prefix}/logout"), json!({ "post": logout })),
    ])
}

/// `auth:<backend>.refresh`.
pub(super) fn refresh(prefix: &str, backend: &str, transport: &dyn Transport) -> Map<String, Value> {
    let path = format!("{prefix}/refresh");
    let mut post = operation(&format!("auth:{backend}.refresh"), &path, "post", "auth");
    set(&mut post, "requestBody", body("application/x-www-form-urlencoded", "RefreshForm"));
    let (status, success) = transport.openapi_login_success();
    let example = |error: &str, detail: &str| json!({ "value": { "error": error, "detail": detail } });
    let examples = json!({
        "invalid_grant": example("invalid_grant", ErrorCode::RefreshBadToken.as_str()),
        "invalid_request": example("invalid_request", "refresh_token is missing"),
    });
    let content = json!({ "application/json": { "schema": schema("OAuthError"), "examples": examples } });
    let bad = json!({ "description": "Bad Request", "content": content });
    set(&mut post, "responses", json!({ status: success, "400": bad }));
    paths([(path, json!({ "post": post }))])
}

/// `users:sessions`, `users:end_sessions`, `users:end_session`, and the same of a user.
pub(super) fn sessions(prefix: &str, security: &Value) -> Map<String, Value> {
    let of = |path: String, names: [&str; 3], by_id: bool| {
        let parameter = |name: &str, title: &str| {
            let schema = json!({ "type": "string", "title": title });
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        };
        let answer = |success: (&str, Value)| {
            let (status, success) = success;
            let mut responses = json!({ status: success, "401": { "description": UNAUTHORIZED } });
            if by_id {
                set(&mut responses, "403", json!({ "description": "Not a superuser, or not a fresh login." }));
                set(&mut responses, "404", json!({ "description": "The user does not exist." }));
            }
            responses
        };
        let build = |name: &str, path: &str, method: &str, mut parameters: Vec<Value>, responses: Value| {
            let mut operation = operation(name, path, method, "users");
            if by_id {
                parameters.insert(0, parameter("id", "Id"));
            }
            if !parameters.is_empty() {
                set(&mut operation, "parameters", Value::Array(parameters));
            }
            set(&mut operation, "responses", responses);
            set(&mut operation, "security", security.clone());
            operation
        };
        let [list, end_all, end] = names;
        let listed = json!({ "type": "array", "items": schema("SessionRead") });
        let gone = || answer(("204", json!({ "description": "Successful Response" })));
        let not_fresh = json!({ "description": "Not a fresh login: `FRESH_LOGIN_REQUIRED`." });
        let mut all_gone = gone();
        let mut one_gone = gone();
        if !by_id {
            set(&mut all_gone, "403", not_fresh.clone());
            set(&mut one_gone, "403", not_fresh);
        }
        set(&mut one_gone, "404", json!({ "description": "There is no such session." }));
        let keep = json!({
            "name": "keep_current", "in": "query", "required": false,
            "schema": { "type": "boolean", "default": false, "title": "Keep Current" },
        });
        let one = format!("{path}/{{session}}");
        let keeps = if by_id { Vec::new() } else { vec![keep] };
        let many = json!({
            "get": build(list, &path, "get", Vec::new(), answer(("200", successful(listed)))),
            "delete": build(end_all, &path, "delete", keeps, all_gone),
        });
        let single = build(end, &one, "delete", vec![parameter("session", "Session")], one_gone);
        [(path, many), (one, json!({ "delete": single }))]
    };
    let mine = ["users:sessions", "users:end_sessions", "users:end_session"];
    let theirs = ["users:user_sessions", "users:end_user_sessions", "users:end_user_session"];
    let mut all = paths(of(format!("{prefix}/me/sessions"), mine, false));
    all.extend(of(format!("{prefix}/{{id}}/sessions"), theirs, true));
    all
}

/// The name of the schema of a backend's login form.
pub(super) fn form_name(prefix: &str, backend: &str) -> String {
    format!("Body_{}", operation_id(&format!("auth:{backend}.login"), &format!("{prefix}/login"), "post"))
}

/// `register:register`.
pub(super) fn register(prefix: &str, has_unique_columns: bool) -> Map<String, Value> {
    let path = format!("{prefix}/register");
    let mut post = operation("register:register", &path, "post", "auth");
    set(&mut post, "requestBody", body("application/json", "UserCreate"));
    let mut bad = vec![exists(ErrorCode::RegisterUserAlreadyExists), refused(ErrorCode::RegisterInvalidPassword)];
    bad.extend(has_unique_columns.then(|| taken(ErrorCode::RegisterValueAlreadyExists)));
    let responses = json!({ "201": successful(schema("UserRead")), "400": bad_request(&bad), "422": unprocessable() });
    set(&mut post, "responses", responses);
    paths([(path, json!({ "post": post }))])
}

/// `verify:request-token` and `verify:verify`.
pub(super) fn verify(prefix: &str) -> Map<String, Value> {
    let bad = [
        (
            ErrorCode::VerifyUserBadToken,
            "Bad token, not existing user or not the e-mail currently set for the user.",
            json!(ErrorCode::VerifyUserBadToken.as_str()),
        ),
        (
            ErrorCode::VerifyUserAlreadyVerified,
            "The user is already verified.",
            json!(ErrorCode::VerifyUserAlreadyVerified.as_str()),
        ),
    ];
    let request = embedded(prefix, "request-verify-token", "verify:request-token");
    let verify = embedded(prefix, "verify", "verify:verify");
    let accepted = json!({ "202": successful(json!({})), "422": unprocessable() });
    let verified = json!({ "200": successful(schema("UserRead")), "400": bad_request(&bad), "422": unprocessable() });
    paths([request.answering(accepted), verify.answering(verified)])
}

/// `reset:forgot_password` and `reset:reset_password`.
pub(super) fn reset(prefix: &str) -> Map<String, Value> {
    let code = ErrorCode::ResetPasswordInvalidPassword;
    let bad = [
        (ErrorCode::ResetPasswordBadToken, "Bad or expired token.", json!(ErrorCode::ResetPasswordBadToken.as_str())),
        (
            code,
            "Password validation failed.",
            json!({ "code": code.as_str(), "reason": "Password should be at least 3 characters" }),
        ),
    ];
    let forgot = embedded(prefix, "forgot-password", "reset:forgot_password");
    let reset = embedded(prefix, "reset-password", "reset:reset_password");
    let accepted = json!({ "202": successful(json!({})), "422": unprocessable() });
    let done = json!({ "200": successful(json!({})), "400": bad_request(&bad), "422": unprocessable() });
    paths([forgot.answering(accepted), reset.answering(done)])
}

/// A route whose fields are parameters of the handler, so that its body has a schema named after it.
struct Embedded {
    path: String,
    operation: Value,
}

fn embedded(prefix: &str, path: &str, name: &str) -> Embedded {
    let path = format!("{prefix}/{path}");
    let mut operation = operation(name, &path, "post", "auth");
    set(&mut operation, "requestBody", body("application/json", &embedded_name(name, &path)));
    Embedded { path, operation }
}

/// What the schema of such a body is called.
pub(super) fn embedded_name(name: &str, path: &str) -> String {
    format!("Body_{}", operation_id(name, path, "post"))
}

impl Embedded {
    fn answering(mut self, responses: Value) -> (String, Value) {
        set(&mut self.operation, "responses", responses);
        (self.path, json!({ "post": self.operation }))
    }
}

/// `users:current_user`, `users:patch_current_user`, `users:user`, `users:patch_user`, `users:delete_user`.
pub(super) fn users(
    prefix: &str,
    security: &Value,
    has_unique_columns: bool,
    with_current_password: bool,
) -> Map<String, Value> {
    let (me, id) = (format!("{prefix}/me"), format!("{prefix}/{{id}}"));
    let mut bad = vec![exists(ErrorCode::UpdateUserEmailAlreadyExists), refused(ErrorCode::UpdateUserInvalidPassword)];
    bad.extend(has_unique_columns.then(|| taken(ErrorCode::UpdateUserValueAlreadyExists)));
    if with_current_password {
        bad.extend(current_password());
    }
    let read = || successful(schema("UserRead"));
    let unauthorized = || json!({ "description": UNAUTHORIZED });
    let (forbidden, missing) =
        (json!({ "description": "Not a superuser." }), json!({ "description": "The user does not exist." }));
    let build = |name: &str, path: &str, method: &str, responses: Value, with_body: bool| {
        let mut operation = operation(name, path, method, "users");
        if path.ends_with("{id}") {
            let schema = json!({ "type": "string", "title": "Id" });
            let parameter = json!({ "name": "id", "in": "path", "required": true, "schema": schema });
            set(&mut operation, "security", security.clone());
            set(&mut operation, "parameters", json!([parameter]));
        }
        if with_body {
            set(&mut operation, "requestBody", body("application/json", "UserUpdate"));
        }
        set(&mut operation, "responses", responses);
        set(&mut operation, "security", security.clone());
        operation
    };
    let patched = json!({ "200": read(), "401": unauthorized(), "400": bad_request(&bad), "422": unprocessable() });
    let patched_by_id = json!({
        "200": read(), "401": unauthorized(), "403": forbidden, "404": missing,
        "400": bad_request(&bad), "422": unprocessable(),
    });
    let deleted = json!({
        "204": { "description": "Successful Response" }, "401": unauthorized(), "403": forbidden, "404": missing,
        "422": unprocessable(),
    });
    let found = json!({
        "200": read(), "401": unauthorized(), "403": forbidden, "404": missing, "422": unprocessable(),
    });
    let known = json!({ "200": read(), "401": unauthorized() });
    paths([
        (
            me.clone(),
            json!({
                "get": build("users:current_user", &me, "get", known, false),
                "patch": build("users:patch_current_user", &me, "patch", patched, true),
            }),
        ),
        (
            id.clone(),
            json!({
                "get": build("users:user", &id, "get", found, false),
                "patch": build("users:patch_user", &id, "patch", patched_by_id, true),
                "delete": build("users:delete_user", &id, "delete", deleted, false),
            }),
        ),
    ])
}

pub(super) const UNAUTHORIZED: &str = "Missing token or inactive user.";

/// Code, summary, and the `detail` of the example.
type Example = (ErrorCode, &'static str, Value);

fn exists(code: ErrorCode) -> Example {
    (code, "A user with this email already exists.", json!(code.as_str()))
}

fn refused(code: ErrorCode) -> Example {
    let reason = "Password should beat least 3 characters"; // to the letter
    (code, "Password validation failed.", json!({ "code": code.as_str(), "reason": reason }))
}

fn taken(code: ErrorCode) -> Example {
    (code, "Another user has this value.", json!({ "code": code.as_str(), "field": "…" }))
}

fn current_password() -> [Example; 2] {
    [
        (ErrorCode::UpdateUserCurrentPasswordRequired, "The current password, or a new login, is asked for."),
        (ErrorCode::UpdateUserCurrentPasswordWrong, "The current password is wrong."),
    ]
    .map(|(code, summary)| (code, summary, json!(code.as_str())))
}

pub(super) fn operation(name: &str, path: &str, method: &str, tag: &str) -> Value {
    json!({ "tags": [tag], "summary": summary(name), "operationId": operation_id(name, path, method) })
}

fn body(media_type: &str, name: &str) -> Value {
    json!({ "content": { media_type: { "schema": schema(name) } }, "required": true })
}

pub(super) fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub(super) fn successful(schema: Value) -> Value {
    json!({ "description": "Successful Response", "content": { "application/json": { "schema": schema } } })
}

fn bad_request(examples: &[Example]) -> Value {
    let example = |(code, summary, detail): &Example| {
        (code.as_str().to_owned(), json!({ "summary": summary, "value": { "detail": detail } }))
    };
    let examples: Map<String, Value> = examples.iter().map(example).collect();
    let content = json!({ "application/json": { "schema": schema("ErrorModel"), "examples": examples } });
    json!({ "description": "Bad Request", "content": content })
}

pub(super) fn unprocessable() -> Value {
    let content = json!({ "application/json": { "schema": schema("HTTPValidationError") } });
    json!({ "description": "Validation Error", "content": content })
}

pub(super) fn paths<const N: usize>(paths: [(String, Value); N]) -> Map<String, Value> {
    paths.into_iter().collect()
}

pub(super) fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.into(), value);
    }
}
