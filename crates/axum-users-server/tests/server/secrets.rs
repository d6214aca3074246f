//! Secrets: made once, kept to themselves, and refused when they can be guessed.

use std::os::unix::fs::PermissionsExt as _;

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::harness::{Folder, PASSWORD};

const GOOD: &str = "w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u0oIi";
const THIRD: &str = "bQ8nV3xT5yR1mK7wZ4cL9hJ2dF6gS0pAeUiO";
const OTHER: &str = "hT5vB1xKq8Zr3Wm6Yd9Ls2Np7Gc4Jf0AaEoU";

#[test]
fn cr_05_secrets_are_made_once() {
    let folder = Folder::new();
    let server = folder.serve();
    server.register("king@camelot.bt");
    let token = server.token("king@camelot.bt", PASSWORD);
    server.stop();
    let made = folder.read("axum-users.secrets.toml");
    let again = folder.serve();
    assert_eq!(again.as_bearer("GET", "/users/me", &token).status, 200);
    again.stop();
    assert_eq!(folder.read("axum-users.secrets.toml"), made);
    let secrets: Vec<&str> = made.split('"').filter(|part| part.len() == 43).collect();
    assert_eq!(secrets.len(), 4);
    let shown = folder.run(&["config"]).succeeded();
    assert!(shown.stdout.contains("secrets.jwt = \"…\""), "{}", shown.stdout);
    assert!(!secrets.iter().any(|secret| shown.stdout.contains(secret)));
}

#[test]
fn cr_05_a_secrets_file_that_others_may_read_is_refused() {
    let folder = Folder::new();
    folder.serve().stop();
    let path = folder.path().join("axum-users.secrets.toml");
    for mode in [0o640, 0o604, 0o620, 0o666] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        folder.run(&["serve"]).refused(&["axum-users.secrets.toml", "chmod 600"]);
    }
}

#[test]
fn cr_05_no_secret_is_in_the_arguments_of_the_process() {
    let folder = Folder::new();
    // With all that are needed nothing is made; without mail the others are not.
    folder.serve_with(&[("AXUM_USERS__SECRETS__JWT", GOOD), ("AXUM_USERS__MAIL__TRANSPORT", "none")]).stop();
    let server = folder.serve_with(&[
        ("AXUM_USERS__SECRETS__JWT", GOOD),
        ("AXUM_USERS__SECRETS__VERIFICATION", OTHER),
        ("AXUM_USERS__SECRETS__RESET_PASSWORD", THIRD),
    ]);
    let arguments = std::fs::read(format!("/proc/{}/cmdline", server.id())).unwrap();
    assert!(!String::from_utf8(arguments).unwrap().contains(GOOD));
    assert!(!folder.path().join("axum-users.secrets.toml").exists());
}

#[test]
fn secrets_come_from_variables_and_from_files_that_variables_name() {
    let folder = Folder::new();
    // What looks like a number stays text.
    let token_of = |variables: &[(&str, &str)]| {
        let server = folder.serve_with(variables);
        server.register("king@camelot.bt");
        let token = server.token("king@camelot.bt", PASSWORD);
        server.stop();
        token
    };
    folder.write("jwt", &format!("{GOOD}\n"));
    let token = token_of(&[("AXUM_USERS__SECRETS__JWT_FILE", "jwt")]);
    let server = folder.serve_with(&[("AXUM_USERS__SECRETS__JWT", GOOD)]);
    assert_eq!(server.as_bearer("GET", "/users/me", &token).status, 200);
    server.stop();

    let rotated = [("AXUM_USERS__SECRETS__JWT", OTHER), ("AXUM_USERS__SECRETS__PREVIOUS__JWT", GOOD)];
    let server = folder.serve_with(&rotated);
    assert_eq!(server.as_bearer("GET", "/users/me", &token).status, 200);
    server.stop();
    let server = folder.serve_with(&rotated[..1]);
    assert_eq!(server.as_bearer("GET", "/users/me", &token).status, 401);
    server.stop();

    let both = [("AXUM_USERS__SECRETS__JWT", GOOD), ("AXUM_USERS__SECRETS__JWT_FILE", "jwt")];
    folder.run_with(&["config"], &both).refused(&["AXUM_USERS__SECRETS__JWT_FILE"]);
    folder
        .run_with(&["config"], &[("AXUM_USERS__SECRETS__JWT_FILE", "nowhere")])
        .refused(&["AXUM_USERS__SECRETS__JWT_FILE"]);
}

#[test]
fn cr_01_two_hundred_bad_secrets_are_refused_without_being_shown() {
    let bad = bad_secrets();
    assert!(bad.len() >= 200, "{}", bad.len());
    let folder = Folder::new();
    std::thread::scope(|scope| {
        for secrets in bad.chunks(bad.len().div_ceil(4)) {
            let folder = &folder;
            scope.spawn(move || {
                for secret in secrets {
                    let ran = folder.run_with(&["serve"], &[("AXUM_USERS__SECRETS__JWT", secret)]);
                    let said = ran.refused(&["secrets.jwt: "]).stderr;
                    // Shorter ones are words of the message itself.
                    assert!(secret.len() < 16 || !said.contains(secret.as_str()), "{said}");
                }
            });
        }
    });
}

/// Short, repeated, typed, published.
fn bad_secrets() -> Vec<String> {
    let samples = [
        "SECRET",
        "secret",
        "changeme",
        "change-me",
        "changethis",
        "password",
        "supersecret",
        "your-secret-key",
        "test",
        "mysecretkey",
        "jwtsecret",
        "letmein",
        "admin",
        "keyboard cat",
        "s3cr3t",
        "development",
        "topsecret",
        "default",
    ];
    let mut bad: Vec<String> = vec![String::new(), "   ".into(), " ".repeat(40)];
    for sample in samples {
        let repeated = sample.repeat(40_usize.div_ceil(sample.len()));
        bad.extend([
            sample.into(),
            sample.to_uppercase(),
            format!("{sample}123"),
            format!("{sample}-{sample}-{sample}"),
            repeated,
        ]);
    }
    for character in "aA0x-_.z9 ".chars() {
        bad.push(character.to_string().repeat(32));
        bad.push(character.to_string().repeat(64));
    }
    for length in 1..32 {
        bad.push(GOOD.chars().take(length).collect());
        bad.push(OTHER.chars().take(length).collect());
    }
    for piece in
        ["abc", "0123456789", "qwertyuiop", "abcdefgh", "deadbeef", "12345678", "aB3$", "xyz-", "Passw0rd!", "hunter2"]
    {
        bad.push(piece.repeat(32_usize.div_ceil(piece.len())));
        bad.push(piece.repeat(64_usize.div_ceil(piece.len())));
    }
    bad.extend(
        [
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "0123456789012345678901234567890123456789",
            "a-string-secret-at-least-256-bits-long",
            "your-256-bit-secret",
            "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
            "this-is-a-very-long-secret-key-for-development-only",
            "please-change-this-secret-key-in-production",
            "SECRET-SECRET-SECRET-SECRET-SECRET-0123456789",
            "-----BEGIN PUBLIC KEY-----MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
        ]
        .map(str::to_owned),
    );
    bad
}

#[test]
fn cr_01_equal_secrets_are_refused() {
    let folder = Folder::new();
    folder.write("axum-users.toml", &format!("[secrets]\njwt = \"{GOOD}\"\nverification = \"{GOOD}\""));
    let ran = folder.run(&["serve"]).refused(&["secrets.verification", "secrets.jwt"]);
    assert!(!ran.stderr.contains(GOOD));
}

#[test]
fn cr_01_a_system_that_is_taken_over_may_keep_its_secret_and_is_reminded() {
    let folder = Folder::new();
    folder.write(
        "axum-users.toml",
        "[secrets]\njwt = \"SECRET\"\nreset_password = \"SECRET\"\ndanger_accept_legacy = true",
    );
    let server = folder.serve();
    assert_eq!(server.register("king@camelot.bt").status, 201);
    let log = server.stop();
    assert!(log.contains("secrets.jwt") && log.contains("danger_accept_legacy"), "{log}");
    folder.write("axum-users.toml", "[secrets]\njwt = \"\"\ndanger_accept_legacy = true");
    folder.run(&["serve"]).refused(&["secrets.jwt"]);
}

#[test]
fn tokens_can_be_signed_by_a_key_pair() {
    let folder = Folder::new();
    let pair = Ed25519KeyPair::generate().unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    folder.write("private.pem", &pem("PRIVATE", pair.to_pkcs8v1().unwrap().as_ref()));
    folder.write("public.pem", &pem("PUBLIC", public.as_ref()));
    let files = "private_key_file = \"private.pem\"\npublic_key_file = \"public.pem\"";
    folder.write("axum-users.toml", &format!("[auth.backend.jwt]\nalgorithm = \"EdDSA\"\n{files}"));
    let server = folder.serve();
    server.register("king@camelot.bt");
    let token = server.token("king@camelot.bt", PASSWORD);
    assert_eq!(server.as_bearer("GET", "/users/me", &token).value()["email"], json!("king@camelot.bt"));
    server.stop();
    folder.write("axum-users.toml", &format!("[auth.backend.jwt]\nalgorithm = \"ES256\"\n{files}"));
    folder.run(&["serve"]).refused(&["private.pem", "public.pem"]);
}

/// RFC 7468.
fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind} KEY-----\n{}\n-----END {kind} KEY-----\n", STANDARD.encode(der))
}
