//! The routes, from outside.
#![cfg(all(feature = "memory", feature = "sqlite"))]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing step fails the test")]

#[path = "http/access.rs"]
mod access;
#[path = "http/attacks.rs"]
mod attacks;
#[path = "http/audit.rs"]
mod audit;
#[path = "http/breached.rs"]
mod breached;
#[path = "http/browser.rs"]
mod browser;
#[path = "http/columns.rs"]
mod columns;
#[path = "http/counted.rs"]
mod counted;
#[cfg(feature = "docs")]
#[path = "http/docs.rs"]
mod docs;
#[path = "http/equal_work.rs"]
mod equal_work;
#[path = "http/faults.rs"]
mod faults;
#[path = "http/hooks.rs"]
mod hooks;
#[path = "http/identity.rs"]
mod identity;
#[path = "http/injection.rs"]
mod injection;
#[path = "http/input.rs"]
mod input;
#[path = "http/late.rs"]
mod late;
#[path = "http/mailed.rs"]
mod mailed;
#[path = "http/oauth.rs"]
mod oauth;
#[path = "http/oauth_accounts.rs"]
mod oauth_accounts;
#[path = "http/oauth_states.rs"]
mod oauth_states;
#[path = "http/openapi.rs"]
mod openapi;
#[path = "http/passwords.rs"]
mod passwords;
#[path = "http/people.rs"]
mod people;
#[path = "http/proof.rs"]
mod proof;
#[path = "http/provider.rs"]
mod provider;
#[path = "http/races.rs"]
mod races;
#[path = "http/refresh.rs"]
mod refresh;
#[path = "http/session_list.rs"]
mod session_list;
#[path = "http/sessions.rs"]
mod sessions;
#[path = "http/strict.rs"]
mod strict;
#[path = "http/throttle.rs"]
mod throttle;
#[path = "http/tokens.rs"]
mod tokens;
#[path = "http/transports.rs"]
mod transports;
