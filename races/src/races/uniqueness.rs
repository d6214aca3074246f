//! What there is once.

use anyhow::Result;
use axum_users::{UserChange, random};
use serde_json::json;

use crate::{
    Arena, Backend, Node, Request,
    arena::{Act, PASSWORD},
};

const MOVERS: usize = 10;

pub(super) async fn registration<N: Node>(arena: &Arena<N>) -> Result<()> {
    let email = address();
    let mut acts: Vec<Act<u16>> = Vec::new();
    for spelling in spellings(&email, arena.crowd()) {
        let arena = arena.clone();
        let body = json!({ "email": spelling, "password": PASSWORD });
        acts.push(Box::pin(
            async move { arena.insist(Request::new("POST", "/auth/register").json(&body)).await.status },
        ));
    }
    let statuses = arena.at_once(acts).await?;
    let created = statuses.iter().filter(|status| **status == 201).count();
    let allowed = statuses.iter().all(|status| [201, 400].contains(status));
    arena.expect(created == 1 && allowed, || format!("registrations are answered {statuses:?}"));
    let rows = arena.tables().users_of(&email).await?;
    arena.expect(rows == 1, || format!("one mailbox has {rows} users"));
    Ok(())
}

pub(super) async fn last_superuser<N: Node>(arena: &Arena<N>, number: usize) -> Result<()> {
    let pair = [arena.superuser().await?, arena.superuser().await?];
    let field = if number.is_multiple_of(2) { "is_superuser" } else { "is_active" };
    let mut acts: Vec<Act<u16>> = Vec::new();
    for ((_, session), (target, _)) in pair.iter().zip(pair.iter().rev()) {
        let request = Request::new("PATCH", format!("/users/{}", target.id));
        let (arena, request) = (arena.clone(), request.by(session).json(&json!({ field: false })));
        acts.push(Box::pin(async move { arena.insist(request).await.status }));
    }
    let statuses = arena.at_once(acts).await?;
    let allowed = statuses.iter().all(|status| [200, 400, 401, 403].contains(status));
    arena.expect(allowed, || format!("superusers are answered {statuses:?}"));
    let mut remaining = 0;
    for (person, _) in &pair {
        let user = arena.store().get(&person.id).await?;
        remaining += usize::from(user.is_some_and(|user| user.is_superuser && user.is_active));
        let gone = UserChange { is_superuser: Some(false), ..UserChange::default() };
        let _ = arena.store().update(&person.id, gone).await?;
    }
    arena.expect(remaining == 1, || format!("{remaining} superusers remain: {statuses:?}"));
    Ok(())
}

pub(super) async fn move_to_one_address<N: Node>(arena: &Arena<N>) -> Result<()> {
    let email = address();
    let mut acts: Vec<Act<u16>> = Vec::new();
    for (number, spelling) in spellings(&email, MOVERS).into_iter().enumerate() {
        let person = arena.person().await?;
        let session = arena.logged_in(&person, PASSWORD, Backend::number(number)).await?;
        let request = Request::new("PATCH", "/users/me").by(&session).json(&json!({ "email": spelling }));
        let arena = arena.clone();
        acts.push(Box::pin(async move { arena.insist(request).await.status }));
    }
    let statuses = arena.at_once(acts).await?;
    let moved = statuses.iter().filter(|status| **status == 200).count();
    let allowed = statuses.iter().all(|status| [200, 400].contains(status));
    arena.expect(moved == 1 && allowed, || format!("new addresses are answered {statuses:?}"));
    let rows = arena.tables().users_of(&email).await?;
    arena.expect(rows == 1, || format!("one mailbox has {rows} users"));
    Ok(())
}

/// A new one, all small.
fn address() -> String {
    format!("arthur{}@camelot.bt", random::uuid_v4().simple())
}

/// An address in so many ways, 64 at most, with capitals here and there.
fn spellings(email: &str, count: usize) -> Vec<String> {
    let spell = |bits: usize| {
        let in_capitals = |n: usize| n < 6 && bits >> n & 1 == 1;
        email.chars().enumerate().map(|(n, c)| if in_capitals(n) { c.to_ascii_uppercase() } else { c }).collect()
    };
    (0..count).map(spell).collect()
}
