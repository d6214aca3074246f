//! Accounts with a provider.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};

use crate::{
    Answer, Arena, Backend, Identity, Node, Request, Session,
    arena::{Act, Answered, PASSWORD},
    provider::NAME,
};

/// Users who link the same identity, and identities that a user links.
const LINKING: usize = 4;
const LOGGING_IN: usize = 10;
/// How often a login that has to succeed is tried.
const TRIES: usize = 100;

pub(super) async fn link_vs_link<N: Node>(arena: &Arena<N>) -> Result<()> {
    let who = Identity::new();
    let (mut sessions, mut acts) = (Vec::new(), Vec::new());
    for number in 0..LINKING {
        let session = arena.logged_in(&arena.person().await?, PASSWORD, Backend::refreshable(number)).await?;
        acts.push(asks(arena, links(arena, &session, &who).await?));
        sessions.push(session);
    }
    let answers = arena.at_once(acts).await?;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let won = statuses.iter().filter(|status| **status == 200).count();
    // What was cut off may have been done.
    let cut_off = statuses.contains(&503);
    let allowed = statuses.iter().all(|status| [200, 400, 503].contains(status));
    arena.expect(allowed && won <= 1 && (won == 1 || cut_off), || format!("links are answered {statuses:?}"));
    let mut owners = Vec::new();
    for session in &sessions {
        let count = accounts(arena, session).await?.len();
        if count > 0 {
            owners.extend(vec![id_of_user(arena, session).await?; count]);
        }
    }
    arena.expect(owners.len() <= 1 && owners.len() >= won, || format!("one identity has {} links", owners.len()));
    if let [owner] = owners.as_slice() {
        let session = logged_in(arena, &who).await?;
        let is_owner = id_of_user(arena, &session).await? == *owner;
        arena.expect(is_owner, || "a provider's login enters as somebody else than the owner of the link".into());
    }
    Ok(())
}

pub(super) async fn first_login_vs_first_login<N: Node>(arena: &Arena<N>) -> Result<()> {
    let who = Identity::new();
    let mut acts = Vec::new();
    for _ in 0..LOGGING_IN {
        acts.push(asks(arena, logs_in(arena, &who).await?));
    }
    let mut users = BTreeSet::new();
    for answer in arena.at_once(acts).await? {
        match Session::of(&answer, Backend::Jwt) {
            Some(session) => drop(users.insert(id_of_user(arena, &session).await?)),
            None => arena.expect(answer.is_unavailable(), || {
                format!("a first login is answered {} {}", answer.status, answer.body)
            }),
        }
    }
    let again = logged_in(arena, &who).await?;
    users.insert(id_of_user(arena, &again).await?);
    arena.expect(users.len() == 1, || format!("one identity enters as {} users", users.len()));
    let rows = arena.tables().users_of(&who.email()).await?;
    arena.expect(rows == 1, || format!("one identity made {rows} users"));
    let links = accounts(arena, &again).await?.len();
    arena.expect(links == 1, || format!("one identity has {links} links"));
    Ok(())
}

pub(super) async fn unlink_vs_login<N: Node>(arena: &Arena<N>, number: usize) -> Result<()> {
    let person = arena.person().await?;
    let who = Identity::of_mailbox(person.email.split('@').next().unwrap_or_default());
    let session = arena.logged_in(&person, PASSWORD, Backend::refreshable(number)).await?;
    let status = arena.insist(links(arena, &session, &who).await?).await.status;
    arena.expect(status == 200, || format!("a link is answered {status}"));
    let linked = accounts(arena, &session).await?;
    let account = linked.first().context("the account was not linked")?;
    let mut acts = Vec::new();
    for _ in 0..LOGGING_IN {
        acts.push(comes_back(arena, logs_in(arena, &who).await?, "a login by a provider", &[200, 400, 503]));
    }
    let unlink = Request::new("DELETE", format!("/users/me/accounts/{account}")).by(&session);
    acts.push(arena.ends(unlink, 204, &Answered::default()));
    arena.at_once(acts).await?;
    let left = accounts(arena, &session).await?.len();
    arena.expect(left == 0, || format!("{left} links are left of one that was unlinked"));
    let status = arena.ask(logs_in(arena, &who).await?).await.status;
    arena.expect([400, 503].contains(&status), || format!("a login by what was unlinked is answered {status}"));
    Ok(())
}

pub(super) async fn link_vs_deletion<N: Node>(arena: &Arena<N>, number: usize) -> Result<()> {
    let person = arena.person().await?;
    let (admin, acting) = arena.superuser().await?;
    let session = arena.logged_in(&person, PASSWORD, Backend::refreshable(number)).await?;
    let identities: Vec<_> = (0..LINKING).map(|_| Identity::new()).collect();
    let mut acts = Vec::new();
    for who in &identities {
        acts.push(comes_back(arena, links(arena, &session, who).await?, "a link", &[200, 401, 404, 503]));
    }
    let delete = Request::new("DELETE", format!("/users/{}", person.id)).by(&acting);
    acts.push(arena.ends(delete, 204, &Answered::default()));
    arena.at_once(acts).await?;
    let gone = arena.store().get(&person.id).await?.is_none();
    arena.expect(gone, || "a deleted user is there".into());
    let orphans = arena.tables().orphans().await?;
    arena.expect(orphans.is_none_or(|it| it == 0), || format!("rows of users who are gone: {orphans:?}"));
    // They are free again.
    for who in &identities {
        let answer = arena.ask(logs_in(arena, who).await?).await;
        arena.expect([200, 503].contains(&answer.status), || {
            format!("the first login by what a deleted user had is answered {} {}", answer.status, answer.body)
        });
    }
    let _ = arena.store().delete(&admin.id, Vec::new()).await?;
    Ok(())
}

/// Sends a request.
fn asks<N: Node>(arena: &Arena<N>, request: Request) -> Act<Answer> {
    let arena = arena.clone();
    Box::pin(async move { arena.ask(request).await })
}

/// Sends a request that may be answered like this.
fn comes_back<N: Node>(
    arena: &Arena<N>,
    request: Request,
    what: &'static str,
    allowed: &'static [u16],
) -> Act<Vec<Session>> {
    let arena = arena.clone();
    Box::pin(async move {
        let answer = arena.ask(request).await;
        arena.expect(allowed.contains(&answer.status), || {
            format!("{what} is answered {} {}", answer.status, answer.body)
        });
        Vec::new()
    })
}

/// A login by the provider that has to succeed.
async fn logged_in<N: Node>(arena: &Arena<N>, who: &Identity) -> Result<Session> {
    for _ in 0..TRIES {
        // Each with a state of its own.
        let answer = arena.ask(logs_in(arena, who).await?).await;
        if !answer.is_unavailable() {
            return Session::of(&answer, Backend::Jwt)
                .with_context(|| format!("a login by a provider was refused: {answer:?}"));
        }
    }
    bail!("a login by a provider is answered 503 for ever")
}

/// A login by the provider, up to where the browser comes back.
async fn logs_in<N: Node>(arena: &Arena<N>, who: &Identity) -> Result<Request> {
    goes_there(arena, &format!("/auth/{NAME}"), who, |request| request).await
}

/// Likewise, to link the account.
async fn links<N: Node>(arena: &Arena<N>, session: &Session, who: &Identity) -> Result<Request> {
    goes_there(arena, &format!("/auth/associate/{NAME}"), who, |request| request.by(session)).await
}

/// Begins; the request of the browser that comes back.
async fn goes_there<N: Node>(
    arena: &Arena<N>,
    route: &str,
    who: &Identity,
    by: impl Fn(Request) -> Request,
) -> Result<Request> {
    let answer = arena.insist(by(Request::new("GET", format!("{route}/authorize")))).await;
    let url = answer.text("authorization_url").with_context(|| format!("nobody may begin: {answer:?}"))?;
    let state = url.split(['?', '&']).find_map(|it| it.strip_prefix("state=")).context("there is no state")?;
    let cookie = answer.cookie.clone().context("there is no cookie")?;
    let back = Request::new("GET", format!("{route}/callback?code={}&state={state}", who.code()));
    Ok(by(back).cookie(cookie))
}

async fn id_of_user<N: Node>(arena: &Arena<N>, session: &Session) -> Result<String> {
    let answer = arena.insist(Request::me().by(session)).await;
    Ok(answer.text("id").with_context(|| format!("a session counts for nobody: {answer:?}"))?.to_owned())
}

/// The ids of the links of whoever has this session.
async fn accounts<N: Node>(arena: &Arena<N>, session: &Session) -> Result<Vec<String>> {
    let answer = arena.insist(Request::new("GET", "/users/me/accounts").by(session)).await;
    let list = answer.body.as_array().with_context(|| format!("the links are not listed: {answer:?}"))?;
    Ok(list.iter().filter_map(|account| account.get("id")?.as_str()).map(str::to_owned).collect())
}
