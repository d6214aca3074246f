//! The OpenAPI document: paths, operation ids, schemas and security schemes as FastAPI Users writes them, so that generated
//! clients go on working; the application's own columns stand after the base fields.
//!
//! It is plain JSON, built by hand: titles, defaults and the order of alternatives are part of the contract, and the builder
//! types of the usual crates have no place for some of them.

#[cfg(feature = "docs")]
mod docs;
mod names;
mod oauth;
mod routes;
mod schemas;

use axum_users_core::Column;
#[cfg(feature = "docs")]
pub use docs::openapi_router;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{AuthBackend, ConfigError, UserProfile, Users};

/// How OpenAPI describes where a token travels: a name and a security scheme object.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SecurityScheme {
    /// The key under `components.securitySchemes`; schemes of one name collapse, the last one counts.
    pub name: String,
    /// The object (OpenAPI 3.1 section 4.8.27).
    pub object: Value,
}

impl SecurityScheme {
    /// A scheme.
    pub fn new(name: impl Into<String>, object: Value) -> Self {
        Self { name: name.into(), object }
    }
}

/// An OpenAPI 3.1 document.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct OpenApi(Value);

impl OpenApi {
    /// Title and version of the application. Default: `FastAPI` and `0.1.0`, as there.
    #[must_use]
    pub fn info(mut self, title: &str, version: &str) -> Self {
        if let Some(document) = self.0.as_object_mut() {
            document.insert("info".into(), json!({ "title": title, "version": version }));
        }
        self
    }

    /// Adds paths and components of the application, or of another kind of users.
    ///
    /// # Errors
    /// [`ConfigError`] names what both documents describe, each in its own way.
    pub fn merge(mut self, other: &Value) -> Result<Self, ConfigError> {
        if let Some(document) = self.0.as_object_mut() {
            for section in ["paths", "components"] {
                if let Some(theirs) = other.get(section) {
                    merge_into(document.entry(section).or_insert_with(|| json!({})), theirs, section)?;
                }
            }
        }
        Ok(self)
    }

    /// As JSON.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.0
    }
}

fn merge_into(ours: &mut Value, theirs: &Value, place: &str) -> Result<(), ConfigError> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in theirs {
                match ours.get_mut(name) {
                    Some(mine) => merge_into(mine, value, &format!("{place}/{name}"))?,
                    None => {
                        ours.insert(name.clone(), value.clone());
                    }
                }
            }
            Ok(())
        }
        (ours, theirs) if ours == theirs => Ok(()),
        _ => Err(ConfigError::new(format!("both OpenAPI documents describe {place}, each in its own way"))),
    }
}

impl<P: UserProfile> Users<P> {
    /// The document of everything that [`router`](Self::router) serves.
    #[must_use]
    pub fn openapi(&self) -> OpenApi {
        let mut builder = self.openapi_builder();
        for backend in self.backends() {
            builder = builder.auth_backend(&format!("/auth/{}", backend.name()), backend);
        }
        if self.registers() {
            builder = builder.register_router("/auth");
        }
        if self.verifies() {
            builder = builder.verify_router("/auth");
        }
        if self.resets_passwords() {
            builder = builder.reset_password_router("/auth");
        }
        for provider in &self.oauth().providers {
            for (prefix, backend) in self.oauth_prefixes(provider) {
                builder = builder.oauth(&prefix, provider.name(), backend.name());
            }
            if provider.associates {
                builder = builder.oauth_associate(&format!("/auth/associate/{}", provider.name()), provider.name());
            }
        }
        if !self.oauth().providers.is_empty() {
            builder = builder.oauth_accounts_router("/users");
        }
        builder.users_router("/users").sessions_router("/users").build()
    }

    /// A document for routers at places of your own; its methods are called as the routers are.
    pub fn openapi_builder(&self) -> OpenApiBuilder<'_, P> {
        OpenApiBuilder { users: self, paths: Map::new(), schemas: schemas::common() }
    }
}

/// Builds an [`OpenApi`] document, router by router.
#[must_use]
pub struct OpenApiBuilder<'a, P: UserProfile> {
    users: &'a Users<P>,
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl<P: UserProfile> OpenApiBuilder<'_, P> {
    /// The routes of [`Users::auth_router`] below `prefix`.
    ///
    /// # Errors
    /// [`ConfigError`] when no backend has this name.
    pub fn auth_router(self, prefix: &str, backend: &str) -> Result<Self, ConfigError> {
        let users = self.users;
        let known = users
            .backend(backend)
            .ok_or_else(|| ConfigError::new(format!("there is no backend called {backend:?}")))?;
        Ok(self.auth_backend(prefix, known))
    }

    /// The same for a backend at hand.
    pub fn auth_backend(mut self, prefix: &str, backend: &AuthBackend<P>) -> Self {
        let auth = routes::auth(prefix, backend.name(), backend.transport(), &self.security());
        self.paths.extend(auth);
        let form = routes::form_name(prefix, backend.name());
        self.schemas.insert(form.clone(), schemas::login_form(&form));
        if backend.transport().openapi_login_success().0 == "200" {
            let refreshable = self.users.backends().iter().any(|backend| backend.refresh_tokens().is_some());
            let response = if refreshable { schemas::refreshable_response() } else { schemas::bearer_response() };
            self.schemas.insert("BearerResponse".into(), response);
        }
        if backend.refresh_tokens().is_some() {
            self.paths.extend(routes::refresh(prefix, backend.name(), backend.transport()));
            self.schemas.insert("RefreshForm".into(), schemas::refresh_form());
            self.schemas.insert("OAuthError".into(), schemas::oauth_error());
        }
        self
    }

    /// The route of [`Users::register_router`] below `prefix`.
    pub fn register_router(mut self, prefix: &str) -> Self {
        self.schemas.insert("UserCreate".into(), schemas::user_create::<P>());
        self.user_read();
        let proves = self.users.proves_mailbox_first();
        self.paths.extend(routes::register(prefix, has_unique_columns::<P>(), proves));
        self
    }

    /// The routes of [`Users::verify_router`] below `prefix`.
    pub fn verify_router(mut self, prefix: &str) -> Self {
        self.user_read();
        self.embedded(prefix, "verify:request-token", "request-verify-token", &["email"]);
        self.embedded(prefix, "verify:verify", "verify", &["token"]);
        let makes_users = self.users.proves_mailbox_first();
        self.paths.extend(routes::verify(prefix, makes_users.then(has_unique_columns::<P>)));
        self
    }

    /// The routes of [`Users::reset_password_router`] below `prefix`.
    pub fn reset_password_router(mut self, prefix: &str) -> Self {
        self.embedded(prefix, "reset:forgot_password", "forgot-password", &["email"]);
        self.embedded(prefix, "reset:reset_password", "reset-password", &["token", "password"]);
        self.paths.extend(routes::reset(prefix));
        self
    }

    fn embedded(&mut self, prefix: &str, name: &str, path: &str, fields: &[&str]) {
        let name = routes::embedded_name(name, &format!("{prefix}/{path}"));
        self.schemas.insert(name.clone(), schemas::embedded(&name, fields));
    }

    /// The routes of [`Users::users_router`] below `prefix`.
    pub fn users_router(mut self, prefix: &str) -> Self {
        self.user_read();
        self.schemas.insert("UserUpdate".into(), schemas::user_update::<P>(self.users.strict()));
        let users = routes::UsersRoutes {
            has_unique_columns: has_unique_columns::<P>(),
            with_current_password: self.users.strict(),
            proves_mailbox_first: self.users.proves_mailbox_first(),
        };
        let paths = routes::users(prefix, &self.security(), &users);
        self.paths.extend(paths);
        self
    }

    /// The routes of [`Users::sessions_router`] below `prefix`.
    pub fn sessions_router(mut self, prefix: &str) -> Self {
        self.schemas.insert("SessionRead".into(), schemas::session_read());
        self.paths.extend(routes::sessions(prefix, &self.security()));
        self
    }

    /// The routes of [`Users::oauth_router`] below `prefix`.
    ///
    /// # Errors
    /// [`ConfigError`] when there is no such provider or backend.
    pub fn oauth_router(self, prefix: &str, provider: &str, backend: &str) -> Result<Self, ConfigError> {
        let known = self.users.oauth_provider(provider)?;
        let backend = self.users.backend(backend);
        let backend = backend.ok_or_else(|| ConfigError::new("there is no backend of this name"))?;
        Ok(self.oauth(prefix, known.name(), backend.name()))
    }

    fn oauth(mut self, prefix: &str, provider: &str, backend: &str) -> Self {
        self.schemas.insert("OAuth2AuthorizeResponse".into(), oauth::authorize_response());
        self.paths.extend(oauth::login(prefix, provider, backend, self.users.oauth().redirects.is_some()));
        self
    }

    /// The routes of [`Users::oauth_associate_router`] below `prefix`.
    ///
    /// # Errors
    /// [`ConfigError`] when there is no such provider.
    pub fn oauth_associate_router(self, prefix: &str, provider: &str) -> Result<Self, ConfigError> {
        let known = self.users.oauth_provider(provider)?;
        Ok(self.oauth_associate(prefix, known.name()))
    }

    fn oauth_associate(mut self, prefix: &str, provider: &str) -> Self {
        self.schemas.insert("OAuth2AuthorizeResponse".into(), oauth::authorize_response());
        self.user_read();
        let with_redirects = self.users.oauth().redirects.is_some();
        self.paths.extend(oauth::associate(prefix, provider, with_redirects, &self.security()));
        self
    }

    /// The routes of [`Users::oauth_accounts_router`] below `prefix`.
    pub fn oauth_accounts_router(mut self, prefix: &str) -> Self {
        self.schemas.insert("LinkedAccount".into(), oauth::linked_account::<P>());
        self.paths.extend(oauth::accounts(prefix, &self.security()));
        self
    }

    fn user_read(&mut self) {
        // In strict an account within a user has no tokens, unless they are shown.
        let oauth = self.users.oauth();
        if oauth.shown {
            let bare = self.users.strict() && !oauth.exposes_tokens;
            let account = if bare { oauth::linked_account::<P>() } else { oauth::account_in_user() };
            self.schemas.insert("BaseOAuthAccount".into(), account);
        }
        if let Some((name, schema)) = schemas::object_id::<P>() {
            self.schemas.insert(name.into(), schema);
        }
        self.schemas.insert("UserRead".into(), schemas::user_read::<P>(oauth.shown));
    }

    /// The document.
    #[must_use]
    pub fn build(self) -> OpenApi {
        let schemes = self.users.backends().iter().map(|backend| backend.transport().security_scheme());
        let schemes: Map<String, Value> = schemes.map(|scheme| (scheme.name, scheme.object)).collect();
        OpenApi(json!({
            "openapi": "3.1.0",
            "info": { "title": "FastAPI", "version": "0.1.0" },
            "paths": self.paths,
            "components": { "schemas": self.schemas, "securitySchemes": schemes },
        }))
    }

    /// Every backend's scheme as an alternative, in their order, each once.
    fn security(&self) -> Value {
        let mut names: Vec<String> = Vec::new();
        for backend in self.users.backends() {
            let name = backend.transport().security_scheme().name;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.into_iter().map(|name| json!({ name: [] })).collect()
    }
}

fn has_unique_columns<P: UserProfile>() -> bool {
    P::columns().iter().any(|column: &Column| column.unique)
}
