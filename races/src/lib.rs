//! Requests that meet on several nodes over one database, and what must hold afterwards.
//!
//! A [`Race`] sends requests at once, over the [`Node`]s of an [`Arena`] in turn, and looks at the answers and at the store. Nodes
//! are routers in this process ([`Local`]) or servers of their own ([`Server`]). [`Weak`] stores have one guard taken out: a race
//! that does not notice is not sharp enough.

mod arena;
mod local;
mod node;
mod person;
mod provider;
mod races;
mod server;
mod store;
mod tables;
mod weak;

pub use arena::{Arena, Figures};
pub use local::Local;
pub use node::{Answer, Node, Request};
pub use person::{Backend, Person, Session};
pub use provider::{Identity, Provider};
pub use races::Race;
pub use server::Server;
pub use store::Store;
pub use tables::{Engine, Tables};
pub use weak::{Gap, Weak};
