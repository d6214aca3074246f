//! New passwords, and sessions that are ended while they change something.

use anyhow::Result;
use axum_users::{Email, UserChange};
use serde_json::json;

use crate::{
    Arena, Backend, Node, Person, Request, Session,
    arena::{Act, Answered, OTHER, PASSWORD},
};

/// Clients with old tokens, and clients that log in.
const CLIENTS: usize = 12;
const LOGGING_IN: usize = 6;
/// How often a session changes its user at most.
const CHANGES: usize = 20;

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
    for session in arena.while_time_flies(acts).await?.into_iter().flatten() {
        arena.dead(&session, "proved with the old password").await;
    }
    arena.alive(acting, "the session that changed the password").await;
    arena.password_is(person, PASSWORD, false, "the old password").await;
    arena.password_is(person, OTHER, true, "the new password").await;
    Ok(())
}

pub(super) async fn change_vs_change<N: Node>(arena: &Arena<N>, number: usize) -> Result<()> {
    let person = arena.person().await?;
    let mut acts: Vec<Act<(u16, Session)>> = Vec::new();
    for backend in [Backend::number(number), Backend::number(number / 3)] {
        let (arena, session) = (arena.clone(), arena.logged_in(&person, PASSWORD, backend).await?);
        acts.push(Box::pin(async move { (arena.insist(change(&session)).await.status, session) }));
    }
    let answers = arena.at_once(acts).await?;
    let mut statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    statuses.sort_unstable();
    arena.expect(statuses == [200, 401], || format!("two sessions that set a new password are answered {statuses:?}"));
    for (status, session) in &answers {
        match status {
            200 => arena.alive(session, "the session that changed the password").await,
            _ => arena.dead(session, "the session that came too late").await,
        }
    }
    Ok(())
}

pub(super) async fn change_vs_end_of_its_session<N: Node>(arena: &Arena<N>, number: usize) -> Result<()> {
    let person = arena.person().await?;
    let ending = arena.logged_in(&person, PASSWORD, Backend::Db).await?;
    let session = arena.logged_in(&person, PASSWORD, Backend::number(number)).await?;
    let id = arena.id_of(&session).await?;
    let end = Answered::default();
    let mut acts: Vec<Act<Option<Email>>> = Vec::new();
    for client in 0..LOGGING_IN {
        let (arena, session, end, user) = (arena.clone(), session.clone(), end.clone(), person.id.simple());
        acts.push(Box::pin(async move {
            // The password takes time to be checked, and a new address ends no session.
            for change in 0..CHANGES {
                let body =
                    json!({ "email": format!("p{user}-{client}-{change}@camelot.bt"), "current_password": PASSWORD });
                let status = arena.ask(Request::new("PATCH", "/users/me").by(&session).json(&body)).await.status;
                arena.expect([200, 401, 503].contains(&status), || format!("a new address is answered {status}"));
                if end.is_told() {
                    break;
                }
            }
            None
        }));
    }
    let (sender, told) = (arena.clone(), end.clone());
    acts.push(Box::pin(async move {
        let request = Request::new("DELETE", format!("/users/me/sessions/{id}")).by(&ending);
        let status = sender.insist(request).await.status;
        let email = sender.store().get(&person.id).await.ok().flatten().map(|user| user.email);
        told.tell();
        sender.expect(status == 204, || format!("the end of a session is answered {status}"));
        email
    }));
    let then = arena.at_once(acts).await?.into_iter().flatten().next();
    let now = arena.store().get(&person.id).await?.map(|user| user.email);
    arena.expect(then.is_some() && then == now, || "a session changed its user after its end was answered".into());
    arena.dead(&session, "after its end").await;
    Ok(())
}

/// `PATCH /users/me` with another password.
pub(super) fn change(acting: &Session) -> Request {
    Request::new("PATCH", "/users/me").by(acting).json(&json!({ "password": OTHER }))
}
