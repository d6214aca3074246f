//! Refresh tokens.

use anyhow::{Result, bail};
use time::Duration;

use super::passwords::change;
use crate::{
    Arena, Backend, Node, Request, Session,
    arena::{self, Act, Answered, PASSWORD},
};

/// Clients that have the same refresh token.
const CLIENTS: usize = 5;

pub(super) async fn logout_vs_refresh<N: Node>(arena: &Arena<N>, number: usize) -> Result<()> {
    let person = arena.person().await?;
    let backend = Backend::refreshable(number);
    let bystander = arena.logged_in(&person, PASSWORD, backend).await?;
    let session = arena.logged_in(&person, PASSWORD, backend).await?;
    let logout = Request::new("POST", format!("/auth/{}/logout", backend.name())).by(&session);
    end(arena, &session, logout, "after logout").await?;
    arena.alive(&bystander, "beside a logout").await;
    Ok(())
}

pub(super) async fn end_session_vs_refresh<N: Node>(arena: &Arena<N>, number: usize) -> Result<()> {
    let person = arena.person().await?;
    let acting = arena.logged_in(&person, PASSWORD, Backend::number(number)).await?;
    let session = arena.logged_in(&person, PASSWORD, Backend::refreshable(number)).await?;
    let id = arena.id_of(&session).await?;
    let delete = Request::new("DELETE", format!("/users/me/sessions/{id}")).by(&acting);
    end(arena, &session, delete, "after its end").await?;
    arena.alive(&acting, "beside an ended session").await;
    Ok(())
}

pub(super) async fn refresh_vs_password_change<N: Node>(arena: &Arena<N>, number: usize) -> Result<()> {
    let person = arena.person().await?;
    let acting = arena.logged_in(&person, PASSWORD, Backend::refreshable(number / 2)).await?;
    let session = arena.logged_in(&person, PASSWORD, Backend::refreshable(number)).await?;
    let end = Answered::default();
    let mut acts: Vec<_> = (0..CLIENTS).map(|_| arena.works(&session, &end)).collect();
    acts.push(arena.ends(change(&acting), 200, &end));
    let gained = arena.at_once(acts).await?.into_iter().flatten();
    for session in gained.chain([session]) {
        arena.dead(&session, "refreshed beside a new password").await;
    }
    arena.alive(&acting, "the session that changed the password").await;
    match arena.refresh(&acting).await {
        Some(next) => arena.alive(&next, "the session that changed the password, refreshed").await,
        None => arena.violation("the session that changed the password cannot be refreshed"),
    }
    Ok(())
}

pub(super) async fn parallel<N: Node>(arena: &Arena<N>, number: usize) -> Result<()> {
    let person = arena.person().await?;
    let first = arena.logged_in(&person, PASSWORD, Backend::refreshable(number)).await?;
    let id = arena.id_of(&first).await?;
    let mut acts: Vec<Act<Option<Session>>> = Vec::new();
    for _ in 0..arena.crowd() {
        let (arena, first) = (arena.clone(), first.clone());
        acts.push(Box::pin(async move {
            let answer = arena.insist(arena::refresh(&first)?).await;
            arena.expect(answer.status == 200, || format!("a parallel refresh is answered {}", answer.status));
            Session::of(&answer, first.backend)
        }));
    }
    let gained: Vec<Session> = arena.at_once(acts).await?.into_iter().flatten().collect();
    let Some(second) = gained.first() else { bail!("no refresh succeeded") };
    let same = gained.iter().all(|session| session.refresh.is_some() && session.refresh == second.refresh);
    arena.expect(same, || "one refresh token has several successors".into());
    let unused = arena.tables().unused_refresh_tokens(&id).await?;
    arena.expect(unused == 1, || format!("a session has {unused} refresh tokens that were not used"));
    for session in gained.iter().chain([&first]) {
        let status = arena.insist(Request::me().by(session)).await.status;
        arena.expect(status == 200, || format!("a token of a parallel refresh is answered {status}"));
    }
    let Some(third) = arena.refresh(second).await else { bail!("the successor cannot be used") };
    arena.alive(&third, "after the successor was used").await;
    let Some(clock) = arena.clock() else { return Ok(()) };
    // Whoever still has the first one copied it.
    clock.advance(Duration::seconds(11));
    let again = arena.refresh(&first).await;
    arena.expect(again.is_none(), || "a refresh token was used again".into());
    for session in gained.iter().chain([&first, &third]) {
        arena.dead(session, "after a refresh token was used again").await;
    }
    Ok(())
}

/// Ends a session while it is refreshed: nothing of it is left.
async fn end<N: Node>(arena: &Arena<N>, session: &Session, last: Request, what: &str) -> Result<()> {
    let end = Answered::default();
    let mut acts: Vec<_> = (0..CLIENTS).map(|_| arena.works(session, &end)).collect();
    acts.push(arena.ends(last, 204, &end));
    let gained = arena.at_once(acts).await?.into_iter().flatten();
    for session in gained.chain([session.clone()]) {
        arena.dead(&session, what).await;
    }
    let left = arena.tables().refresh_tokens_of_ended_sessions().await?;
    arena.expect(left.is_none_or(|it| it == 0), || format!("refresh tokens of ended sessions are left: {left:?}"));
    Ok(())
}
