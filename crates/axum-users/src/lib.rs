//! User management for axum.
//!
//! Placeholder of the tutorial page.

mod authenticator;
mod backend;
mod error;
mod extract;
mod guard;
mod input;
pub mod openapi;
mod origin;
mod respond;
mod routes;
mod schemas;
pub mod transport;
mod users;

pub use axum_users_core::*;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use axum_users_sql::{SchemaError, SqlStore, SqlStoreBuilder};

pub use axum_users_macros::{ColumnValue, UserProfile};
pub use backend::AuthBackend;
pub use error::ErrorCode;
pub use extract::{CurrentUser, PresentedToken};
pub use guard::{Active, Anyone, Denied, Guard, Superuser, Verified};
pub use routes::client_address;
pub use schemas::UserRead;
pub use transport::{BearerTransport, CookieTransport, SameSite, Transport};
pub use users::{ConfigError, Users, UsersBuilder};
