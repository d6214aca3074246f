//! MongoDB for axum-users, on the documents of FastAPI Users: made when they are missing, or used as they are.
//!
//! One type, [`MongoStore`], keeps users, access tokens, refresh tokens, sessions, messages and buckets in one database.
//!
//! # What is stored where
//!
//! | collection | holds |
//! |---|---|
//! | `User` | users as FastAPI Users has them, with `oauth_accounts`; beside that, `axum_users` and `axum_users_sessions` of ours |
//! | `AccessToken` | tokens of the database strategy as FastAPI Users has them, with `session` and `expires_at` of ours |
//! | `axum_users_User_refresh` | refresh tokens |
//! | `axum_users_User_outbox` | messages that are to leave |
//! | `axum_users_User_bucket` | buckets of attempts |
//! | `axum_users_User_meta` | who is about to give up being a superuser |
//!
//! # Why no transaction is needed
//!
//! What must change together stands in one document, the user's, and an update of one document is atomic on every server that
//! speaks the protocol. A change reads the user, decides, and writes under the condition that the user is still what was read
//! (fields of FastAPI Users included, which writes without looking); else it begins again. What stands elsewhere hangs on it:
//!
//! - Tokens count by `tokens_valid_after` and by the sessions of their user, whether their documents are gone yet or not.
//! - Messages of a change are written into the user first and moved to the outbox then; whoever finds some left over moves them.
//!   A message that a change takes away is dead from then on, by the same note in the user.
//! - Two superusers who are removed at once each say so first, in one document, where the other one sees it.

mod access_tokens;
mod accounts;
mod buckets;
mod builder;
mod change;
mod document;
mod error;
mod indexes;
mod names;
mod outbox;
mod pending;
mod refresh_tokens;
mod sessions;
mod store;
mod superusers;
mod users;

pub use builder::{MongoStoreBuilder, SetupError};
pub use store::{MongoId, MongoStore};
