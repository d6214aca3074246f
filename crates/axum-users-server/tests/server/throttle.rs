//! `[throttle]`.

use crate::harness::{Folder, PASSWORD, Ran};

const ON: (&str, &str) = ("AXUM_USERS__THROTTLE__ENABLED", "true");

#[test]
fn au_01_the_server_throttles_logins_unless_it_is_told_not_to() {
    let folder = Folder::new();
    let server = folder.serve_with(&[ON]);
    assert_eq!(server.register("king@camelot.bt").status, 201);
    for number in 0..11 {
        let expected = if number < 10 { 400 } else { 429 };
        assert_eq!(server.log_in("jwt", "king@camelot.bt", "wrong").status, expected, "{number}");
    }
    let answer = server.log_in("jwt", "KING@camelot.bt", "wrong");
    assert_eq!((answer.status, answer.body.as_str()), (429, r#"{"detail":"Too Many Requests"}"#));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=90).contains(&seconds), "{seconds}");
    server.stop();
    // It is not forgotten by a restart, nor is it known to a node that counts for nobody.
    let server = folder.serve_with(&[ON]);
    assert_eq!(server.log_in("jwt", "king@camelot.bt", "wrong").status, 429);
    server.stop();
    let server = folder.serve_with(&[("AXUM_USERS__THROTTLE__ENABLED", "false")]);
    assert_eq!(server.log_in("jwt", "king@camelot.bt", "wrong").status, 400);
}

#[test]
fn au_05_the_server_makes_browsers_known() {
    let folder = Folder::new();
    let server = folder.serve_with(&[ON, ("AXUM_USERS__THROTTLE__ACCOUNT_FAILURES", "1")]);
    server.register("king@camelot.bt");
    let answer = server.log_in("cookie", "king@camelot.bt", PASSWORD);
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_eq!(server.log_in("jwt", "king@camelot.bt", "wrong").status, 400);
    assert_eq!(server.log_in("jwt", "king@camelot.bt", PASSWORD).status, 429);
    let device = answer.headers("set-cookie").find(|cookie| cookie.starts_with("axum_users_device=")).unwrap();
    let headers =
        [("content-type", "application/x-www-form-urlencoded"), ("cookie", device.split(';').next().unwrap())];
    let form = format!("username=king%40camelot.bt&password={}", PASSWORD.replace(' ', "+"));
    assert_eq!(server.send("POST", "/auth/cookie/login", &headers, form.as_bytes()).status, 204);
}

#[test]
fn au_01_limits_are_settings_and_none_is_without_sense() {
    let config = |text: &str| -> Ran {
        let folder = Folder::new();
        folder.write("axum-users.toml", text);
        folder.run(&["config"])
    };
    for (text, words) in [
        ("account_failures = 0", "throttle.account_failures"),
        ("account_failures = 101", "100 at most"),
        ("mailbox_mails_per_hour = 0", "throttle.mailbox_mails_per_hour"),
        ("address_failures_per_minute = -1", "throttle.address_failures_per_minute"),
        ("account = 1", "account_failures"),
    ] {
        config(&format!("[throttle]\n{text}")).refused(&[words]);
    }
    let shown = config("[throttle]\naccount_failures = 5").succeeded().stdout;
    assert!(shown.contains("throttle.account_failures = 5"), "{shown}");
    assert!(shown.contains("# warning: throttle.enabled = false"), "{shown}");
}
