//! Users who go, for a while or for ever.

use anyhow::Result;
use serde_json::json;

use crate::{
    Arena, Backend, Node, Person, Request, Session,
    arena::{Answered, PASSWORD},
};

const LOGGING_IN: usize = 6;

pub(super) async fn deactivation<N: Node>(arena: &Arena<N>) -> Result<()> {
    let person = arena.person().await?;
    let (admin, session) = arena.superuser().await?;
    let set = |is_active: bool| {
        let request = Request::new("PATCH", format!("/users/{}", person.id));
        request.by(&session).json(&json!({ "is_active": is_active }))
    };
    let sessions = leave(arena, &person, set(false), 200).await?;
    all_dead(arena, &sessions, "after deactivation").await;
    arena.password_is(&person, PASSWORD, false, "after deactivation").await;
    let status = arena.insist(set(true)).await.status;
    arena.expect(status == 200, || format!("a reactivation is answered {status}"));
    all_dead(arena, &sessions, "after reactivation").await;
    let again = arena.logged_in(&person, PASSWORD, Backend::Jwt).await?;
    arena.alive(&again, "after reactivation").await;
    let _ = arena.store().delete(&admin.id, Vec::new()).await?;
    Ok(())
}

pub(super) async fn deletion<N: Node>(arena: &Arena<N>) -> Result<()> {
    let person = arena.person().await?;
    let (admin, session) = arena.superuser().await?;
    let delete = Request::new("DELETE", format!("/users/{}", person.id)).by(&session);
    let sessions = leave(arena, &person, delete, 204).await?;
    all_dead(arena, &sessions, "after deletion").await;
    arena.password_is(&person, PASSWORD, false, "after deletion").await;
    let gone = arena.store().get(&person.id).await?.is_none();
    arena.expect(gone, || "a deleted user is there".into());
    let _ = arena.store().delete(&admin.id, Vec::new()).await?;
    let orphans = arena.tables().orphans().await?;
    arena.expect(orphans.is_none_or(|it| it == 0), || format!("rows of users who are gone: {orphans:?}"));
    Ok(())
}

async fn all_dead<N: Node>(arena: &Arena<N>, sessions: &[Session], what: &str) {
    for session in sessions {
        arena.dead(session, what).await;
    }
}

/// Sends the request that ends it all among logins, refreshes and live sessions; every session that anyone ever had.
async fn leave<N: Node>(arena: &Arena<N>, person: &Person, last: Request, expected: u16) -> Result<Vec<Session>> {
    let end = Answered::default();
    let mut sessions = Vec::new();
    let mut acts: Vec<_> = (0..LOGGING_IN).map(|number| arena.logins(person, PASSWORD, number, &end)).collect();
    for backend in Backend::ALL {
        let session = arena.logged_in(person, PASSWORD, backend).await?;
        acts.extend((0..2).map(|_| arena.works(&session, &end)));
        sessions.push(session);
    }
    acts.push(arena.ends(last, expected, &end));
    sessions.extend(arena.while_time_flies(acts).await?.into_iter().flatten());
    Ok(sessions)
}
