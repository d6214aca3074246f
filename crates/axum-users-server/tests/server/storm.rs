//! Many log in at once.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::harness::{Answer, Folder, PASSWORD, Server};

const KING: &str = "king@camelot.bt";
const CROWD: usize = 64;
/// What one hash takes.
const HASH_KIB: u64 = 32 << 10;
/// What the process may need beside hashes while it serves them all: stacks, buffers, pages of the database.
const SERVING_KIB: u64 = 12 << 10;

/// A server with room for one hash at a time, however many cores there are.
fn server(folder: &Folder) -> Server {
    let (memory, budget) = (HASH_KIB.to_string(), (HASH_KIB << 10).to_string());
    folder.serve_with(&[
        ("AXUM_USERS__PASSWORD__ARGON2__MEMORY_KIB", &memory),
        ("AXUM_USERS__HASHING__MEMORY_BUDGET_BYTES", &budget),
    ])
}

/// Right and wrong passwords, and people nobody knows, all at the same time.
fn storm(server: &Server) -> Vec<Answer> {
    thread::scope(|scope| {
        let logins: Vec<_> = (0..CROWD)
            .map(|number| {
                let (email, password) = match number % 3 {
                    0 => (KING, PASSWORD),
                    1 => (KING, "not the password"),
                    _ => ("nobody@camelot.bt", PASSWORD),
                };
                scope.spawn(move || server.log_in("jwt", email, password))
            })
            .collect();
        logins.into_iter().map(|login| login.join().unwrap()).collect()
    })
}

/// A number of `/proc/<pid>/status`, in KiB.
fn status_kib(server: &Server, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn av_01_a_storm_of_logins_stays_within_the_budget() {
    let folder = Folder::new();
    let server = server(&folder);
    // As many at once, without a hash.
    thread::scope(|scope| {
        for _ in 0..CROWD {
            scope.spawn(|| assert_eq!(server.get("/users/me").status, 401));
        }
    });
    let base = status_kib(&server, "VmHWM");
    assert_eq!(server.register(KING).status, 201);
    let answers = storm(&server);
    for answer in &answers {
        match answer.status {
            200 | 400 => {}
            503 => assert!(answer.header("retry-after").is_some(), "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
    }
    assert!(answers.iter().any(|answer| answer.status == 200), "nobody came through");
    let most = status_kib(&server, "VmHWM");
    let budget = HASH_KIB + HASH_KIB / 10;
    assert!(most > base + HASH_KIB / 2, "nothing was hashed: {base} KiB, then {most} KiB");
    assert!(most <= base + budget + SERVING_KIB, "{base} KiB before, {most} KiB at most");
}

#[test]
fn av_02_who_needs_no_hash_is_served_in_a_storm() {
    let folder = Folder::new();
    let server = server(&folder);
    assert_eq!(server.register(KING).status, 201);
    let token = server.token(KING, PASSWORD);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let probe = scope.spawn(|| {
            let mut rounds = 0;
            while !over.load(Ordering::SeqCst) {
                let (live, me) = (server.get("/health/live"), server.as_bearer("GET", "/users/me", &token));
                assert_eq!((live.status, me.status), (200, 200));
                rounds += 1;
            }
            rounds
        });
        let answers = storm(&server);
        over.store(true, Ordering::SeqCst);
        assert_eq!(answers.len(), CROWD);
        assert!(probe.join().unwrap() > 1, "it answered before the storm was over");
    });
}
