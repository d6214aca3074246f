//! Which passwords are accepted.
#![expect(clippy::unwrap_used, reason = "a test fails by panic, its helpers too")]

use axum_users_core::password::{InvalidPassword, PasswordPolicy};
use proptest::prelude::*;

const COMMON: &str = include_str!("../src/password/common-passwords.txt");

fn refusal(policy: &PasswordPolicy, password: &str, email: Option<&str>) -> Option<String> {
    policy.check(password, email).err().map(|refused| refused.reason().as_str().unwrap().to_owned())
}

fn lengths_only() -> PasswordPolicy {
    PasswordPolicy::default().refuse_common(false).refuse_context(false)
}

#[test]
fn pw_01_lengths_count_code_points() {
    let policy = PasswordPolicy::default();
    let short = Some("Password should be at least 8 characters".to_owned());
    let long = Some("Password should be at most 1024 characters".to_owned());
    assert_eq!(refusal(&policy, "", None), short);
    for letter in ["ξ", "🔑", "\u{308}"] {
        assert_eq!(refusal(&policy, &letter.repeat(7), None), short);
        assert_eq!(refusal(&policy, &letter.repeat(8), None), None);
        assert_eq!(refusal(&policy, &letter.repeat(1024), None), None);
        assert_eq!(refusal(&policy, &letter.repeat(1025), None), long);
    }
}

#[test]
fn pw_01_lengths_are_configurable() {
    let policy = PasswordPolicy::default().min_length(15).max_length(20);
    assert_eq!(refusal(&policy, "plum tomatoes!", None), Some("Password should be at least 15 characters".to_owned()));
    assert_eq!(refusal(&policy, "plum tomatoes!!", None), None);
    assert_eq!(refusal(&policy, &"plum!".repeat(4), None), None);
    let long = Some("Password should be at most 20 characters".to_owned());
    assert_eq!(refusal(&policy, "plum tomatoes on toast", None), long);
    assert_eq!(refusal(&lengths_only().min_length(0), "", None), None);
}

#[test]
fn pw_03_common_passwords_are_refused_in_whatever_case() {
    let policy = PasswordPolicy::default();
    let common = Some("Password should not be a common one".to_owned());
    for password in COMMON.lines() {
        assert_eq!(refusal(&policy, password, None), common, "{password}");
        assert_eq!(refusal(&policy, &password.to_uppercase(), None), common, "{password}");
    }
    for password in ["Password", "12345678", "iloveyou", "qwertyuiop", "11111111", "TRUSTNO1"] {
        assert_eq!(refusal(&policy, password, None), common, "{password}");
        assert_eq!(refusal(&policy.clone().refuse_common(false), password, None), None);
    }
}

#[test]
fn pw_03_the_list_is_long_enough_and_in_order() {
    let list: Vec<&str> = COMMON.lines().collect();
    assert!(list.len() >= 10_000);
    assert!(list.is_sorted_by(|one, two| one < two), "the look-up is a binary search");
    assert!(list.iter().all(|password| password.chars().count() >= 8 && password.to_lowercase() == **password));
}

#[test]
fn pw_05_words_of_the_context_are_refused() {
    let policy = PasswordPolicy::default().context_words(["Round Table", "ni!"]);
    let context = Some("Password should not contain the e-mail address or the name of this service".to_owned());
    let email = Some("King.Arthur+court@mail.Camelot.bt");
    for password in [
        "king.arthur+court",
        "KING.ARTHUR 1987",
        "xxking.arthurxx",
        "camelot-forever",
        "my CAMELOT castle",
        "roundtable round table",
        "king.arthur+court@mail.camelot.bt",
    ] {
        assert_eq!(refusal(&policy, password, email), context, "{password}");
        assert_eq!(refusal(&policy.clone().refuse_context(false), password, email), None, "{password}");
    }
    for password in ["king of the arthurs", "c4melot forever", "knights who say ni!", "a mail for you", "lancelot.bt"] {
        assert_eq!(refusal(&policy, password, email), None, "{password}");
    }
    assert_eq!(refusal(&policy, "camelot-forever", None), None, "without an address there is nothing to compare");
    assert_eq!(refusal(&policy, "the round table", None), context);
}

#[test]
fn pw_05_short_words_and_odd_addresses_do_not_count() {
    let policy = PasswordPolicy::default();
    for email in ["bob@ibm.com", "bob@x.co.uk", "bob", "@", "", "bob@", "@.", "a+@b.c"] {
        assert_eq!(refusal(&policy, "bob works at ibm.co.uk", Some(email)), None, "{email}");
    }
    for (email, password) in [
        ("zoë@bücher.example", "many bücher here"),
        ("bob@example.co.uk", "an example to all"),
        ("ÉLODIE@x.fr", "élodie et moi"),
        ("a@b@camelot.bt", "camelot-forever"),
    ] {
        assert!(refusal(&policy, password, Some(email)).is_some(), "{email}");
    }
}

#[test]
fn a_refusal_may_have_any_shape() {
    let reason = serde_json::json!({"code": "too_weak", "score": 1});
    let refused = InvalidPassword::from_json(reason.clone());
    assert_eq!(refused.reason(), &reason);
    assert_eq!(refused.into_reason(), reason);
    assert_eq!(InvalidPassword::new("no").reason(), "no");
}

proptest! {
    #[test]
    fn pw_02_what_is_accepted_is_what_was_typed(password in any::<String>()) {
        let accepted = lengths_only().min_length(0).check(&password, None).unwrap();
        prop_assert_eq!(accepted.expose(), password);
    }

    #[test]
    fn pw_03_passphrases_are_accepted(words in prop::collection::vec("[a-z]{3,9}", 4..8)) {
        prop_assert!(PasswordPolicy::default().check(&words.join(" "), None).is_ok());
    }
}
