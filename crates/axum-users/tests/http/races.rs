//! Many at once, over a database.

use std::future::Future;

use axum_users::UserUpdate;
use serde_json::json;
use tokio::task::JoinSet;

use crate::people::{COOKIE, DB, JWT, OTHER, OnDisk, PASSWORD, Person, change, credential, superuser, visitor};

/// All of them at the same time, answers in any order.
async fn at_once<T: Send + 'static>(
    work: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    work.into_iter().collect::<JoinSet<T>>().join_all().await
}

/// Every way of writing capitals in a short address.
fn spellings() -> Vec<String> {
    let letters = "arthur";
    let case = |bits: usize| {
        letters.chars().enumerate().map(move |(n, c)| if bits >> n & 1 == 1 { c.to_ascii_uppercase() } else { c })
    };
    (0..50).map(|bits| case(bits).chain("@Camelot.BT".chars()).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rg_01_rg_02_one_of_fifty_registrations_of_one_mailbox_wins() {
    let disk = OnDisk::<()>::new().await;
    let nobody = visitor(&disk.users);
    let answers = at_once(spellings().into_iter().map(|email| {
        let nobody = nobody.clone();
        async move { nobody.json("POST", "/auth/register", &json!({ "email": email, "password": PASSWORD })).await }
    }))
    .await;
    let won = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!((answers.len(), won), (50, 1));
    let lost = (400, json!({ "detail": "REGISTER_USER_ALREADY_EXISTS" }));
    assert!(answers.iter().all(|answer| answer.0 == 201 || *answer == lost), "{answers:?}");
    assert_eq!(disk.users.list(None, 100).await.unwrap().len(), 1);
    assert!(nobody.logged_in("ARTHUR@camelot.bt", PASSWORD, JWT).await.is_known().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rg_01_one_of_twenty_people_who_move_to_one_address_gets_it() {
    let disk = OnDisk::<()>::new().await;
    let nobody = visitor(&disk.users);
    let mut people = Vec::new();
    for number in 0..20 {
        let email = format!("p{number}@camelot.bt");
        nobody.register(&email).await;
        people.push(nobody.logged_in(&email, PASSWORD, JWT).await);
    }
    let answers = at_once(
        people
            .into_iter()
            .zip(spellings())
            .map(|(person, email)| async move { person.json("PATCH", "/users/me", &json!({ "email": email })).await }),
    )
    .await;
    let lost = (400, json!({ "detail": "UPDATE_USER_EMAIL_ALREADY_EXISTS" }));
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 1);
    assert!(answers.iter().all(|answer| answer.0 == 200 || *answer == lost), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn az_04_one_superuser_remains_of_two_who_depose_each_other() {
    let disk = OnDisk::<()>::new().await;
    let mut pair: Vec<(Person, String)> = Vec::new();
    for email in ["a@camelot.bt", "b@camelot.bt"] {
        let person = superuser(&disk.users, email).await;
        let id = person.id().await;
        pair.push((person, id));
    }
    for round in 0..20 {
        let targets = [&pair[1].1, &pair[0].1].map(|id| format!("/users/{id}"));
        let field = if round % 2 == 0 { "is_superuser" } else { "is_active" };
        let statuses = at_once(pair.iter().zip(targets).map(|((person, _), path)| {
            let person = person.clone();
            async move { person.json("PATCH", &path, &json!({ field: false })).await.0 }
        }))
        .await;
        assert!(statuses.iter().all(|status| [200, 400, 401, 403].contains(status)), "{statuses:?}");
        let counts =
            disk.users.list(None, 9).await.unwrap().iter().filter(|it| it.is_superuser && it.is_active).count();
        assert_eq!(counts, 1, "round {round}: {statuses:?}");
        for (index, email) in ["a@camelot.bt", "b@camelot.bt"].into_iter().enumerate() {
            let again = UserUpdate { is_superuser: Some(true), is_active: Some(true), ..UserUpdate::default() };
            change(&disk.users, email, again).await;
            pair[index].0 = visitor(&disk.users).logged_in(email, PASSWORD, JWT).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn se_07_a_login_that_races_a_new_password_leaves_no_session() {
    let disk = OnDisk::<()>::new().await;
    let nobody = visitor(&disk.users);
    nobody.register("a@camelot.bt").await;
    let (mut old, mut new) = (PASSWORD, OTHER);
    for round in 0..15 {
        let backend = [JWT, COOKIE, DB][round % 3];
        let person = nobody.logged_in("a@camelot.bt", old, backend).await;
        let logins = at_once((0..8).map(|number| {
            let (nobody, person) = (nobody.clone(), person.clone());
            async move {
                if number == 4 {
                    assert_eq!(person.json("PATCH", "/users/me", &json!({ "password": new })).await.0, 200);
                    return None;
                }
                let response = nobody.login(backend, "a@camelot.bt", old).await;
                if !response.status().is_success() {
                    return None;
                }
                Some(Person { header: Some(credential(response).await), ..nobody })
            }
        }))
        .await;
        for late in logins.into_iter().flatten() {
            assert!(!late.is_known().await, "round {round}: proved with the old password");
        }
        assert!(person.is_known().await, "the one who changed it stays");
        (old, new) = (new, old);
    }
}

#[tokio::test]
async fn se_02_nothing_in_the_database_files_is_a_token() {
    let disk = OnDisk::<()>::new().await;
    let nobody = visitor(&disk.users);
    nobody.register("a@camelot.bt").await;
    let people = [
        nobody.logged_in("a@camelot.bt", PASSWORD, DB).await,
        nobody.logged_in("a@camelot.bt", PASSWORD, COOKIE).await,
        nobody.logged_in("a@camelot.bt", PASSWORD, JWT).await,
    ];
    let mut tried = 0;
    for file in std::fs::read_dir(&disk.folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for person in &people {
            assert!(!text.contains(person.token()), "a token as it was issued");
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        for run in text.split(|c| !is_word(c)).filter(|run| (43..200).contains(&run.len())) {
            for start in 0..=run.len() - 43 {
                let bearer = format!("Bearer {}", &run[start..start + 43]);
                let thief = Person { header: Some(("authorization", bearer)), ..nobody.clone() };
                assert!(!thief.is_known().await);
                tried += 1;
            }
        }
    }
    assert!(tried >= 2, "the hashes were found and tried");
    for person in &people {
        assert!(person.is_known().await);
    }
    let _ = &disk.store;
}
