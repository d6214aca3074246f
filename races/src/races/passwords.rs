//! New passwords.

use anyhow::Result;
use axum_users::{UserChange, UserDatabase as _};
use serde_json::json;

use crate::{
    Arena, Backend, Node, Person, Request, Session,
    arena::{Act, Answered, OTHER, PASSWORD},
};

/// Clients with old tokens, and clients that log in.
const CLIENTS: usize = 12;
const LOGGING_IN: usize = 6;

pub(super) async fn change_vs_live_sessions<N: Node>(arena: &Arena<N>, number: usize) -> Result<()> {
    let person = arena.person().await?;
    let acting = arena.logged_in(&person, PASSWORD, Backend::number(number)).await?;
    let mut others = Vec::new();
    for backend in Backend::ALL {
        others.push(arena.logged_in(&person, PASSWORD, backend).await?);
    }
    let end = Answered::default();
    let mut acts: Vec<Act<Vec<Session>>> = Vec::new();
    for other in others.iter().cycle().take(CLIENTS) {
        let (arena, end, other) = (arena.clone(), end.clone(), other.clone());
        acts.push(Box::pin(async move {
            let mut late = 0;
            while late < arena.nodes() {
                let after = end.is_told();
                let status = arena.ask(Request::me().by(&other)).await.status;
                let allowed: &[u16] = if after { &[401, 503] } else { &[200, 401, 503] };
                arena.expect(allowed.contains(&status), || {
                    format!("an old token of {} is answered {status}, after the change: {after}", other.backend.name())
                });
                late += usize::from(after);
            }
            Vec::new()
        }));
    }
    acts.push(arena.ends(change(&acting), 200, &end));
    arena.at_once(acts).await?;
    for other in &others {
        arena.dead(other, "after a new password").await;
    }
    arena.alive(&acting, "the session that changed the password").await;
    let count = arena.sessions_that_count(&person).await?;
    arena.expect(count == 1, || format!("{count} stored sessions count after a new password"));
    Ok(())
}

pub(super) async fn login_vs_change<N: Node>(arena: &Arena<N>, number: usize) -> Result<()> {
    let person = arena.person().await?;
    let acting = arena.logged_in(&person, PASSWORD, Backend::number(number)).await?;
    logins_vs_change(arena, &person, &acting).await
}

pub(super) async fn hash_upgrade_vs_change<N: Node>(arena: &Arena<N>, number: usize) -> Result<()> {
    let person = arena.person().await?;
    let acting = arena.logged_in(&person, PASSWORD, Backend::number(number)).await?;
    let outdated = UserChange { hashed_password: Some(arena.outdated_hash()), ..UserChange::default() };
    let _ = arena.store().update(&person.id, outdated).await?;
    logins_vs_change(arena, &person, &acting).await
}

async fn logins_vs_change<N: Node>(arena: &Arena<N>, person: &Person, acting: &Session) -> Result<()> {
    let end = Answered::default();
    let mut acts: Vec<_> = (0..LOGGING_IN).map(|number| arena.logins(person, PASSWORD, number, &end)).collect();
    acts.push(arena.ends(change(acting), 200, &end));
    for session in arena.at_once(acts).await?.into_iter().flatten() {
        arena.dead(&session, "proved with the old password").await;
    }
    arena.alive(acting, "the session that changed the password").await;
    arena.password_is(person, PASSWORD, false, "the old password").await;
    arena.password_is(person, OTHER, true, "the new password").await;
    Ok(())
}

/// `PATCH /users/me` with another password.
pub(super) fn change(acting: &Session) -> Request {
    Request::new("PATCH", "/users/me").by(acting).json(&json!({ "password": OTHER }))
}
