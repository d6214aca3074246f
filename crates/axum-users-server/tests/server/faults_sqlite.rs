//! SQLite: somebody else holds the lock, the disk is full.

use std::thread;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use sqlx::{Connection as _, SqliteConnection};

use crate::{
    faults::{block_on, comes_back, is_unavailable, stored},
    harness::{Folder, PASSWORD},
};

const KING: &str = "king@camelot.bt";
const URL: &str = "sqlite://axum-users.db";

#[test]
fn av_03_sqlite_reads_go_on_while_another_process_holds_the_lock() {
    let folder = Folder::new();
    let server = folder.serve_with(&[("AXUM_USERS__DATABASE__TIME_LIMIT_SECONDS", "1")]);
    assert_eq!(server.register(KING).status, 201);
    let token = server.token(KING, PASSWORD);
    block_on(async {
        let url = format!("sqlite://{}", folder.path().join("axum-users.db").display());
        let mut other = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
        thread::scope(|scope| {
            // More than there are connections.
            let writers: Vec<_> = (0..24)
                .map(|number| {
                    let server = &server;
                    scope.spawn(move || server.register(&format!("knight{number}@camelot.bt")))
                })
                .collect();
            let mut reads = 0;
            while writers.iter().any(|writer| !writer.is_finished()) {
                assert_eq!(server.as_bearer("GET", "/users/me", &token).status, 200, "after {reads} reads");
                assert_eq!(server.get("/health/ready").status, 200);
                reads += 1;
            }
            for writer in writers {
                is_unavailable("register", &writer.join().unwrap());
            }
            is_unavailable("login", &server.log_in("jwt", KING, PASSWORD));
        });
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    });
    comes_back(&server, &token);
    assert_eq!(server.register("robin@camelot.bt").status, 201);
    assert_eq!(stored(&folder, URL), [KING, "robin@camelot.bt"].map(String::from).into());
}

/// As large a file as there is already, and no larger: what a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn av_03_sqlite_reads_go_on_when_the_disk_is_full() {
    let folder = Folder::new();
    // The signal that comes with the error would end the process.
    let server = folder.serve_by_shell("trap '' XFSZ; exec \"$0\" \"$@\"");
    assert_eq!(server.register(KING).status, 201);
    let token = server.token(KING, PASSWORD);
    let size = |limit| {
        let server = Pid::from_raw(i32::try_from(server.id()).unwrap()).unwrap();
        prlimit(Some(server), Resource::Fsize, Rlimit { current: limit, maximum: None }).unwrap();
    };
    let mut acknowledged = vec![KING.to_owned()];
    size(Some(16 << 10));
    for number in 0..5 {
        let email = format!("knight{number}@camelot.bt");
        let answer = server.register(&email);
        match answer.status {
            201 => acknowledged.push(email),
            _ => is_unavailable("register", &answer),
        }
        assert_eq!(server.as_bearer("GET", "/users/me", &token).status, 200);
        assert_eq!(server.get("/health/ready").status, 200);
    }
    is_unavailable("register", &server.register("lancelot@camelot.bt"));
    is_unavailable("login", &server.log_in("jwt", KING, PASSWORD));
    size(None);
    assert_eq!(server.register("robin@camelot.bt").status, 201);
    acknowledged.push("robin@camelot.bt".into());
    assert_eq!(stored(&folder, URL), acknowledged.into_iter().collect());
}
