//! Nodes whose clocks differ.

use axum_users::Clock;
use axum_users_races::{Answer, Backend, Engine, Local, Node as _, Provider, Request, Session};
use serde_json::json;
use time::Duration;

use crate::{Folder, START};

const PASSWORDS: [&str; 2] = ["plum tomato engine", "green river stone"];

async fn log_in(node: &Local, backend: Backend, password: &str) -> Session {
    let form = [("username", "arthur@camelot.bt"), ("password", password)];
    let answer = node.send(Request::new("POST", format!("/auth/{}/login", backend.name())).form(&form)).await;
    Session::of(&answer.unwrap(), backend).unwrap()
}

async fn refreshed(node: &Local, session: Session) -> Session {
    let form = [("grant_type", "refresh_token"), ("refresh_token", session.refresh.as_deref().unwrap())];
    let path = format!("/auth/{}/refresh", session.backend.name());
    let answer = node.send(Request::new("POST", path).form(&form)).await.unwrap();
    Session::of(&answer, session.backend).unwrap()
}

/// Whoever changes the password does so on the node that is behind; the sessions of the node that is ahead end all the same.
#[tokio::test]
async fn av_08_jw_08_a_new_password_ends_what_a_node_issued_whose_clock_is_ahead() {
    let provider = Provider::start().await.unwrap();
    for engine in Engine::ALL {
        let folder = Folder::new();
        let tables = folder.tables(engine).await;
        let (behind, ahead) = (Clock::mock(START), Clock::mock(START + Duration::seconds(20)));
        let store = tables.store().await.unwrap();
        let local = |clock| store.node(clock, &provider).unwrap();
        let (behind, ahead) = (local(&behind), local(&ahead));
        let account = json!({ "email": "arthur@camelot.bt", "password": PASSWORDS[0] });
        let created: Answer = behind.send(Request::new("POST", "/auth/register").json(&account)).await.unwrap();
        assert_eq!(created.status, 201);
        let (mut old, mut new) = (PASSWORDS[0], PASSWORDS[1]);
        for backend in Backend::ALL {
            let acting = log_in(&behind, backend, old).await;
            let mut others = vec![log_in(&ahead, backend, old).await];
            if backend != Backend::Cookie {
                others.push(refreshed(&ahead, log_in(&behind, backend, old).await).await);
            }
            let change = Request::new("PATCH", "/users/me").by(&acting).json(&json!({ "password": new }));
            assert_eq!(behind.send(change).await.unwrap().status, 200);
            for node in [&behind, &ahead] {
                for other in &others {
                    let status = node.send(Request::me().by(other)).await.unwrap().status;
                    assert_eq!(status, 401, "{}: {}", engine.name(), backend.name());
                }
                assert_eq!(node.send(Request::me().by(&acting)).await.unwrap().status, 200);
            }
            (old, new) = (new, old);
        }
        store.close().await;
        tables.remove().await.unwrap();
    }
}
