//! Lists of breached passwords in a file.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum_users_core::password::{BreachedPasswords as _, BreachedPasswordsFile, PasswordSha1};
use proptest::prelude::*;

/// A file that is gone when the test is over.
struct List(PathBuf);

impl List {
    fn new(text: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("axum-users-breached-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn of(passwords: impl IntoIterator<Item = (String, u64)>, end: &str) -> Self {
        let lines: BTreeMap<String, u64> =
            passwords.into_iter().map(|(it, count)| (PasswordSha1::of(&it).as_str().to_owned(), count)).collect();
        Self::new(&lines.iter().map(|(hash, count)| format!("{hash}:{count}{end}")).collect::<String>())
    }

    fn refusal(&self) -> ErrorKind {
        BreachedPasswordsFile::open(&self.0).unwrap_err().kind()
    }
}

impl Drop for List {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn contains(list: &BreachedPasswordsFile, password: &str) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(list.contains(&PasswordSha1::of(password))).map_err(|error| format!("{error:?}"))
}

#[test]
fn pw_04_hashes_are_those_of_the_lists_and_do_not_print() {
    let hash = PasswordSha1::of("password");
    assert_eq!(hash.as_str(), "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
    assert_eq!(hash.split(), ("5BAA6", "1E4C9B93F3F0682250B6CF8331B7EE68FD8"));
    assert_eq!(format!("{hash:?}"), "PasswordSha1(…)");
}

#[test]
fn pw_04_every_line_of_a_file_is_found_and_nothing_else() {
    for size in [1, 2, 3, 1000] {
        for end in ["\n", "\r\n"] {
            let number = |number: usize| format!("password number {number}");
            let file = List::of((0..size).map(|it| (number(it), 1 + 7_u64.pow(it as u32 % 9))), end);
            let list = BreachedPasswordsFile::open(&file.0).unwrap();
            for it in 0..size {
                assert_eq!(contains(&list, &number(it)), Ok(true), "{it} of {size}");
            }
            for it in size..2 * size {
                assert_eq!(contains(&list, &number(it)), Ok(false), "{it} of {size}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pw_04_a_file_answers_as_a_map_does(
        listed in prop::collection::btree_map("[a-d]{1,3}", 0_u64..3, 1..80),
        asked in prop::collection::vec("[a-d]{1,3}", 20),
    ) {
        let file = List::of(listed.clone(), "\n");
        let list = BreachedPasswordsFile::open(&file.0).unwrap();
        for password in asked.iter().chain(listed.keys()) {
            let expected = listed.get(password).is_some_and(|count| *count > 0);
            prop_assert_eq!(contains(&list, password), Ok(expected));
        }
    }
}

#[test]
fn pw_04_lower_case_and_a_last_line_without_an_end_are_read() {
    let hash = PasswordSha1::of("plum tomato engine").as_str().to_lowercase();
    let file = List::new(&format!("{}:1\n{hash}:3", "0".repeat(40)));
    let list = BreachedPasswordsFile::open(&file.0).unwrap();
    assert_eq!(contains(&list, "plum tomato engine"), Ok(true));
}

#[test]
fn pw_04_what_is_no_such_file_is_refused_at_the_start() {
    let hash = |it: u8| format!("{it:040X}");
    let by_count: String = (0..100).map(|it| format!("{}:{it}\n", hash(99 - it))).collect();
    for text in [
        "",
        "password\n",
        &"0".repeat(40),
        &format!("{}:\n", hash(1)),
        &format!("{}:many\n", hash(1)),
        &format!("{}G:1\n", "0".repeat(39)),
        &"x".repeat(10_000),
        &by_count,
    ] {
        assert_eq!(List::new(text).refusal(), ErrorKind::InvalidData, "{text:.60}");
    }
    assert_eq!(BreachedPasswordsFile::open(std::env::temp_dir()).unwrap_err().kind(), ErrorKind::InvalidData);
    let gone = List::new("x");
    fs::remove_file(&gone.0).unwrap();
    assert_eq!(gone.refusal(), ErrorKind::NotFound);
}

#[test]
fn pw_04_a_file_that_went_away_or_went_bad_is_a_failure_and_no_answer() {
    let file = List::of([("plum tomato engine".to_owned(), 3)], "\n");
    let list = BreachedPasswordsFile::open(&file.0).unwrap();
    fs::write(&file.0, "<html>\n".repeat(100)).unwrap();
    assert!(contains(&list, "plum tomato engine").unwrap_err().contains("SHA-1"));
    fs::remove_file(&file.0).unwrap();
    assert!(contains(&list, "plum tomato engine").unwrap_err().contains("NotFound"));
}
