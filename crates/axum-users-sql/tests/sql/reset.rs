//! One use of a reset token, whatever runs in parallel, on every engine.

use axum_users_core::{
    Email, Fields, Secret, TokenSettings, UserCreate, UserManager,
    password::{Argon2Params, DefaultHasher, PasswordPool},
};
use axum_users_sql::SqlStore;

use crate::databases::Engine;

#[tokio::test(flavor = "multi_thread")]
async fn rc_02_fifty_parallel_uses_of_one_token_set_one_password() {
    for engine in Engine::ALL {
        let url = engine.empty().await;
        // Three nodes, each with a pool of its own.
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let hasher = DefaultHasher::new(Argon2Params::danger_below_floor(8, 1, 1).unwrap());
            let store = SqlStore::<()>::connect(&url).await.unwrap();
            let manager = UserManager::builder(store)
                .passwords(PasswordPool::builder(hasher).queue(100).build().unwrap())
                .reset_password(TokenSettings::new(b"uE6bH2nV9yC4mK8qT1xW5zG3jD7fR0sL").unwrap());
            nodes.push(manager.build().unwrap());
        }
        let email = Email::parse("lancelot@camelot.bt").unwrap();
        let create = UserCreate::new(email, Secret::from("plum tomato engine"), ());
        let user = nodes[0].create(create, Fields::All, None).await.unwrap();
        let token = nodes[0].reset_password_token(&user).await.unwrap();
        let uses: Vec<_> = (0..50)
            .map(|number| {
                let (node, token) = (nodes[number % 3].clone(), token.clone());
                let password = format!("green river stone {number}");
                tokio::spawn(async move {
                    let done = node.reset_password(&token, &Secret::from(password.as_str()), None).await;
                    done.is_ok().then_some(password)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for used in uses {
            winners.extend(used.await.unwrap());
        }
        assert_eq!(winners.len(), 1, "{engine:?}: {winners:?}");
        for number in 0..50 {
            let password = format!("green river stone {number}");
            let proof = nodes[1].authenticate("lancelot@camelot.bt", Secret::from(password.as_str())).await.unwrap();
            assert_eq!(proof.is_some(), winners[0] == password, "{engine:?} {password}");
        }
    }
}
