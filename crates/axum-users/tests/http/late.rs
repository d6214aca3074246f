//! Requests whose session ends while they are on their way.

use std::sync::Arc;

use axum_users::{InvalidPassword, PasswordContext, UserHooks, UserUpdate, Users, memory::MemoryStore};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinHandle};

use crate::people::{COOKIE, DB, JWT, OTHER, OnDisk, PASSWORD, Person, application, change, visitor};

const HELD: &str = "a password that waits";

/// Judges one password only after it is let go.
#[derive(Clone)]
struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }
}

impl UserHooks<()> for Gate {
    async fn validate_password(&self, password: &str, _: PasswordContext<'_, ()>) -> Result<(), InvalidPassword> {
        if password == HELD {
            self.arrived.add_permits(1);
            self.open.acquire().await.unwrap().forget();
        }
        Ok(())
    }
}

type Answer = JoinHandle<(u16, Value)>;

/// A change of password that was let in, and waits.
async fn on_its_way(person: &Person, gate: &Gate) -> Answer {
    let person = person.clone();
    let answer = tokio::spawn(async move { person.json("PATCH", "/users/me", &json!({ "password": HELD })).await });
    gate.arrived.acquire().await.unwrap().forget();
    answer
}

async fn applications(gate: &Gate) -> (OnDisk<()>, [Users<()>; 2]) {
    let disk = OnDisk::new().await;
    let memory = application(MemoryStore::new()).hooks(gate.clone()).build().unwrap();
    let sql = application(disk.store.clone()).hooks(gate.clone()).build().unwrap();
    (disk, [memory, sql])
}

#[tokio::test]
async fn se_07_a_session_that_was_ended_neither_changes_the_password_nor_comes_back() {
    let gate = Gate::new();
    let (_disk, applications) = applications(&gate).await;
    for users in applications {
        let nobody = visitor(&users);
        for (number, backend) in [JWT, COOKIE, DB].into_iter().enumerate() {
            for deactivated in [false, true] {
                let email = format!("a{number}{deactivated}@camelot.bt");
                nobody.register(&email).await;
                let thief = nobody.logged_in(&email, PASSWORD, backend).await;
                let owner = nobody.logged_in(&email, PASSWORD, backend).await;
                let answer = on_its_way(&thief, &gate).await;
                if deactivated {
                    for is_active in [Some(false), Some(true)] {
                        change(&users, &email, UserUpdate { is_active, ..UserUpdate::default() }).await;
                    }
                } else {
                    assert_eq!(owner.json("PATCH", "/users/me", &json!({ "password": OTHER })).await.0, 200);
                }
                assert!(!thief.is_known().await);
                gate.open.add_permits(1);
                assert_eq!(answer.await.unwrap().0, 401, "{backend} {deactivated}");
                assert!(!thief.is_known().await, "{backend} {deactivated}: once ended, always ended");
                assert_eq!(owner.is_known().await, !deactivated);
                assert_eq!(nobody.login(backend, &email, HELD).await.status(), 400);
                let password = if deactivated { PASSWORD } else { OTHER };
                assert!(nobody.logged_in(&email, password, backend).await.is_known().await);
            }
        }
    }
}

#[tokio::test]
async fn se_07_a_session_that_changes_its_password_twice_at_once_lives_on() {
    let gate = Gate::new();
    let (_disk, applications) = applications(&gate).await;
    for users in applications {
        let nobody = visitor(&users);
        for (number, backend) in [JWT, COOKIE, DB].into_iter().enumerate() {
            let email = format!("a{number}@camelot.bt");
            nobody.register(&email).await;
            let person = nobody.logged_in(&email, PASSWORD, backend).await;
            let other = nobody.logged_in(&email, PASSWORD, backend).await;
            let answer = on_its_way(&person, &gate).await;
            assert_eq!(person.json("PATCH", "/users/me", &json!({ "password": OTHER })).await.0, 200);
            gate.open.add_permits(1);
            assert_eq!(answer.await.unwrap().0, 200, "{backend}");
            assert!(person.is_known().await && !other.is_known().await, "{backend}");
            assert!(nobody.logged_in(&email, HELD, backend).await.is_known().await, "the last one counts");
        }
    }
}
