//! Configuration: what is said where, what wins, and what is refused with which words.

use crate::harness::{Folder, PASSWORD, Ran};

fn config_with(text: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let folder = Folder::new();
    folder.write("axum-users.toml", text);
    config_in(&folder, variables, arguments)
}

fn config_in(folder: &Folder, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    folder.run_with(&[&["config"], arguments].concat(), variables)
}

/// What the line of this key says, without the padding.
fn line(ran: &Ran, key: &str) -> String {
    let found = ran.stdout.lines().find(|line| line.starts_with(&format!("{key} =")));
    found
        .unwrap_or_else(|| panic!("{key} is missing in {}{}", ran.stdout, ran.stderr))
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn the_command_line_beats_the_environment_beats_the_file_beats_the_default() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\nbody_limit_bytes = 1000\n[database]\nurl = \"sqlite://file.db\"";
    let variables = [("AXUM_USERS__SERVER__LISTEN", "127.0.0.1:2"), ("AXUM_USERS__DATABASE__URL", "sqlite://env.db")];
    let ran = config_with(file, &variables, &["--listen", "127.0.0.1:3"]).succeeded();
    assert_eq!(line(&ran, "server.listen"), "server.listen = \"127.0.0.1:3\" # --listen");
    assert_eq!(line(&ran, "database.url"), "database.url = \"sqlite://env.db\" # AXUM_USERS__DATABASE__URL");
    assert_eq!(line(&ran, "server.body_limit_bytes"), "server.body_limit_bytes = 1000 # ./axum-users.toml");
    assert_eq!(line(&ran, "server.docs"), "server.docs = true # default");
}

#[test]
fn what_config_prints_is_a_configuration() {
    let ran = config_with(
        "[users.profile.nickname]\n[auth.backend.web]\ntransport = \"cookie\"\nstrategy = \"jwt\"",
        &[],
        &[],
    )
    .succeeded();
    let again = config_with(&ran.stdout, &[], &[]).succeeded();
    assert_eq!(
        line(&again, "users.profile.nickname.type"),
        "users.profile.nickname.type = \"text\" # ./axum-users.toml"
    );
}

#[test]
fn another_file_has_to_be_there() {
    let folder = Folder::new();
    folder.write("other.toml", "[server]\nbody_limit_bytes = 7");
    let ran = config_in(&folder, &[], &["--config", "other.toml"]).succeeded();
    assert!(line(&ran, "server.body_limit_bytes").ends_with("= 7 # other.toml"));
    config_in(&folder, &[], &["--config", "missing.toml"]).refused(&["missing.toml"]);
}

#[test]
fn lists_and_numbers_come_from_the_environment_too() {
    let variables = [
        ("AXUM_USERS__AUTH__BACKENDS", "cookie, jwt"),
        ("AXUM_USERS__AUTH__BACKEND__JWT__AUDIENCE", r#"["a,b", "c"]"#),
        ("AXUM_USERS__USERS__PROFILE__NICKNAME__TYPE", "text"),
        ("AXUM_USERS__SERVER__TRUSTED_PROXIES", "2"),
    ];
    let ran = config_with("", &variables, &[]).succeeded();
    assert!(line(&ran, "auth.backends").starts_with(r#"auth.backends = ["cookie", "jwt"]"#));
    assert!(line(&ran, "auth.backend.jwt.audience").contains(r#"["a,b", "c"]"#));
    assert!(line(&ran, "server.trusted_proxies").starts_with("server.trusted_proxies = 2"));
}

#[test]
fn a_wrong_key_or_value_is_named_with_its_origin_and_never_shown() {
    for (text, words) in [
        ("[server]\nlisten = \"canary\"", &["server.listen", "an address", "axum-users.toml"][..]),
        ("[server]\nlisten_on = \"canary\"", &["server.listen_on", "no such setting", "body_limit_bytes"]),
        ("[server]\ndocs = \"canary\"", &["server.docs", "true or false"]),
        ("[server]\nbody_limit_bytes = -1", &["server.body_limit_bytes", "not negative"]),
        ("[server]\nlog_filter = \"canary=canary=canary\"", &["server.log_filter"]),
        ("profile = \"canary\"", &["profile", "compat", "strict"]),
        ("canary", &["line 1", "not TOML"]),
        ("[secrets]\njwt = \"canary\" x", &["line 2", "not TOML"]),
        ("[secrets]\njwt = [\"canary\"]", &["secrets.jwt", "text"]),
        ("[secrets]\nkey = \"canary\"", &["secrets.key", "no such setting"]),
        ("server = \"canary\"", &["server", "no such setting"]),
        ("[auth]\nbackends = []", &["auth.backends"]),
        ("[auth]\nbackends = [\"a/b\"]", &["auth.backends"]),
        ("[auth]\nbackends = [\"own\"]", &["auth.backend.own.transport", "auth.backend.own.strategy"]),
        ("[auth.backend.jwt]\ncookie_name = \"canary\"", &["auth.backend.jwt.cookie_name", "no such setting"]),
        ("[auth.backend.jwt]\nalgorithm = \"none\"", &["auth.backend.jwt.algorithm", "HS256"]),
        ("[auth.backend.jwt]\nalgorithm = \"RS256\"", &["auth.backend.jwt.algorithm", "private_key_file"]),
        ("[database]\nurl = \"canary://canary\"", &["database.url", "sqlite:"]),
        ("[database]\nuser_table = \"a;b\"", &["database", "name"]),
        ("[server]\nallowed_origins = [\"https://a.example/path\"]", &["server.allowed_origins"]),
        ("public_url = \"canary\"", &["public_url", "https://"]),
    ] {
        let ran = config_with(text, &[], &[]).refused(words);
        assert!(!ran.stderr.contains("= \"canary") && !ran.stderr.contains("canary\""), "{text}: {}", ran.stderr);
    }
    config_with("", &[("AXUM_USERS__SERVER__DOCS", "yes")], &[]).refused(&["server.docs", "AXUM_USERS__SERVER__DOCS"]);
    config_with("", &[], &["--listen", "here"]).refused(&["server.listen", "--listen"]);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let ran = config_with("a = 1\n[server]\nb = 2\ndocs = 3", &[], &[]);
    ran.refused(&["a: no such", "server.b: no such", "server.docs should be"]);
}

#[test]
fn what_comes_later_is_not_accepted_now() {
    config_with("[metrics]", &[], &[]).refused(&["later"]);
}

#[test]
fn a_database_has_its_own_ids_and_names() {
    let with_url = |url: &str, more: &str| config_with(&format!("[database]\nurl = {url:?}\n{more}"), &[], &[]);
    let ran = with_url("mongodb://localhost/app", "");
    assert!(line(&ran, "database.user_id").starts_with("database.user_id = \"object_id\" "));
    assert!(line(&ran, "database.user_table").starts_with("database.user_table = \"User\" "));
    with_url("mongodb://localhost/app", "user_id = \"uuid\"").succeeded();
    with_url("mongodb://localhost", "").refused(&["database.url", "mongodb://host/app"]);
    with_url("mongodb://localhost/app", "user_id = \"integer\"").refused(&["database.user_id"]);
    with_url("mongodb://localhost/app", "oauth_account_table = \"a\"").refused(&["database.oauth_account_table"]);
    with_url("mongodb://localhost/app", "columns.email = \"mail\"").refused(&["database.columns.email"]);
    with_url("sqlite://a.db", "user_id = \"object_id\"").refused(&["database.user_id", "MongoDB"]);
    with_url("mongodb://a,b/app", "").refused(&["database.url", "tls=true"]);
    with_url("mongodb://a,b/app?tls=true", "").succeeded();
    with_url("mongodb+srv://cluster.example/app", "").succeeded();
}

#[test]
fn public_url_is_asked_for_where_others_can_reach_the_server() {
    let ran = config_with("[server]\nlisten = \"0.0.0.0:8000\"", &[], &[]);
    ran.refused(&["server.listen", "public_url"]);
    config_with("public_url = \"https://users.camelot.bt\"\n[server]\nlisten = \"0.0.0.0:8000\"", &[], &[]).succeeded();
}

#[test]
fn ck_01_unsafe_cookies_are_for_this_machine_only() {
    for setting in ["cookie_secure", "cookie_http_only"] {
        let key = format!("auth.backend.cookie.{setting}");
        let unsafe_cookie = format!("[auth.backend.cookie]\n{setting} = false");
        for url in ["https://users.camelot.bt", "http://users.camelot.bt", "http://10.0.0.1:8000"] {
            config_with(&format!("public_url = \"{url}\"\n{unsafe_cookie}"), &[], &[]).refused(&[&key]);
        }
        config_with(&unsafe_cookie, &[], &[]).succeeded();
    }
    for text in [
        "cookie_name = \"__Host-a\"\ncookie_secure = true\ncookie_path = \"/a\"",
        "cookie_name = \"__Host-a\"",
        "cookie_name = \"__Secure-a\"",
        "cookie_same_site = \"none\"",
    ] {
        config_with(&format!("[auth.backend.cookie]\n{text}"), &[], &[]).refused(&["auth.backend.cookie.cookie_"]);
    }
}

#[test]
fn cr_07_a_database_elsewhere_is_spoken_to_in_private() {
    for (url, accepted) in [
        ("postgres://me@db.camelot.bt/users", false),
        ("postgres://me@db.camelot.bt/users?sslmode=prefer", false),
        ("postgres://me@db.camelot.bt/users?sslmode=verify-full", true),
        ("postgres://me@db.camelot.bt/users?sslmode=require", true),
        ("mysql://me@10.0.0.1/users", false),
        ("mysql://me@10.0.0.1/users?ssl-mode=VERIFY_IDENTITY", true),
        ("postgres://me@localhost/users", true),
    ] {
        let text = format!("[database]\nurl = \"{url}\"");
        let ran = config_with(&text, &[], &[]);
        assert_eq!(ran.code, if accepted { 0 } else { 2 }, "{url}: {}", ran.stderr);
        let ran = config_with(&format!("{text}\ndanger_plaintext = true"), &[], &[]).succeeded();
        assert_eq!(ran.stdout.contains("# warning: database.url"), !accepted || url.ends_with("=require"), "{url}");
    }
}

#[test]
fn cr_05_the_password_of_the_database_is_never_shown() {
    let url = "postgres://me:canary@127.0.0.1:1/users";
    let ran = config_with("", &[("AXUM_USERS__DATABASE__URL", url)], &[]).succeeded();
    assert!(line(&ran, "database.url").contains("postgres://me:…@127.0.0.1:1/users"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("canary") && !ran.stderr.contains("canary"));

    let folder = Folder::new();
    let variables = [("AXUM_USERS__DATABASE__URL", url), ("AXUM_USERS__SERVER__LOG_FILTER", "trace")];
    let ran = folder.run_with(&["serve"], &variables);
    assert_eq!(ran.code, 1);
    assert!(!ran.stdout.contains("canary") && !ran.stderr.contains("canary"));
}

#[test]
fn se_08_tokens_without_an_end_are_warned_of_or_refused() {
    for key in ["auth.backend.jwt", "auth.backend.cookie"] {
        let text = format!("[{key}]\nlifetime_seconds = 0");
        let ran = config_with(&text, &[], &[]).succeeded();
        assert!(ran.stdout.contains(&format!("# warning: {key}.lifetime_seconds")), "{}", ran.stdout);
        config_with(&format!("profile = \"strict\"\n{text}"), &[], &[]).refused(&[&format!("{key}.lifetime_seconds")]);
    }
    let folder = Folder::new();
    folder.write(
        "axum-users.toml",
        "[auth.backend.jwt]\nlifetime_seconds = 0\n[auth.backend.cookie]\nlifetime_seconds = 0",
    );
    let server = folder.serve();
    server.register("king@camelot.bt");
    let token = server.token("king@camelot.bt", PASSWORD);
    assert_eq!(server.as_bearer("GET", "/users/me", &token).status, 200);
}

#[test]
fn strict_is_stricter_and_says_what_it_lacks() {
    let without_mail = "# warning: profile = \"strict\" without mail";
    let ran = config_with("profile = \"strict\"\n[mail]\ntransport = \"none\"", &[], &[]).succeeded();
    assert!(ran.stdout.contains(without_mail), "{}", ran.stdout);
    let ran = config_with("profile = \"strict\"", &[], &[]).succeeded();
    assert!(!ran.stdout.contains(without_mail), "{}", ran.stdout);
    for said in [
        "password.min_length = 15",
        "auth.backend.jwt.lifetime_seconds = 900",
        "auth.backend.cookie.cookie_name = \"__Host-fastapiusersauth\"",
        "auth.backend.cookie.cookie_secure = true",
    ] {
        assert!(ran.stdout.contains(said), "{said} is missing in {}", ran.stdout);
    }
    config_with("profile = \"strict\"\n[password]\nmin_length = 8", &[], &[]).refused(&["password.min_length"]);
}

/// No forced rotation, no hints, no security questions (ASVS 6.2.10, 6.4.2): nothing about passwords but this can be set.
#[test]
fn pw_12_there_is_no_setting_for_rotation_hints_or_questions() {
    let breached = "[password.breached]\nfile = \"breached.txt\"";
    for profile in ["compat", "strict"] {
        let ran = config_with(&format!("profile = \"{profile}\"\n{breached}"), &[], &[]).succeeded();
        let keys = ran.stdout.lines().filter_map(|line| line.strip_prefix("password.")?.split(' ').next());
        let mut keys: Vec<&str> = keys.collect();
        keys.sort_unstable();
        let expected = [
            "argon2.iterations",
            "argon2.memory_kib",
            "argon2.parallelism",
            "breached.file",
            "breached.on_failure",
            "max_length",
            "min_length",
            "refuse_common",
        ];
        assert_eq!(keys, expected);
        for word in ["rotat", "expir", "history", "hint", "question"] {
            assert!(!ran.stdout.contains(word), "{word}: {}", ran.stdout);
        }
    }
}

#[test]
fn pw_09_hashes_below_the_floor_are_refused() {
    for argon2 in ["memory_kib = 19455", "iterations = 1", "parallelism = 0", "parallelism = 256"] {
        let folder = Folder::new();
        folder.write("axum-users.toml", &format!("[password.argon2]\n{argon2}"));
        let mut command = folder.command(&["config"]);
        for name in ["MEMORY_KIB", "ITERATIONS", "PARALLELISM"] {
            command.env_remove(format!("AXUM_USERS__PASSWORD__ARGON2__{name}"));
        }
        Ran::of(command, "").refused(&["password.argon2"]);
    }
}

#[test]
fn usage_errors_have_the_exit_code_of_usage_errors() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["fly"]).code, 2);
    assert_eq!(folder.run(&["user", "create"]).code, 2);
    assert_eq!(folder.run(&["user", "create", "not an address"]).code, 2);
    assert_eq!(folder.run(&["--help"]).code, 0);
    assert_eq!(folder.run(&["--version"]).code, 0);
}

const SMTP: &str = "[mail]\ntransport = \"smtp\"\nfrom = \"Camelot <noreply@camelot.bt>\"\n\
                    smtp_url = \"smtp://arthur:canary@mail.camelot.bt\"\n";

#[test]
fn mail_is_printed_here_and_nothing_elsewhere_until_somebody_says_how() {
    let ran = config_with("", &[], &[]).succeeded();
    assert_eq!(line(&ran, "mail.transport"), "mail.transport = \"development\" # default");
    let ran = config_with("public_url = \"https://users.camelot.bt\"", &[], &[]).succeeded();
    assert_eq!(line(&ran, "mail.transport"), "mail.transport = \"none\" # default");
    assert!(ran.stdout.contains("# warning: mail.transport = \"none\""), "{}", ran.stdout);
    let printed = "public_url = \"https://users.camelot.bt\"\n[mail]\ntransport = \"development\"";
    let ran = config_with(printed, &[], &[]).succeeded();
    assert!(ran.stdout.contains("# warning: mail.transport = \"development\""), "{}", ran.stdout);
    config_with(&format!("profile = \"strict\"\n{printed}"), &[], &[]).refused(&["mail.transport", "public_url"]);
    config_with("profile = \"strict\"\n[mail]\ntransport = \"development\"", &[], &[]).succeeded();
}

#[test]
fn mail_that_cannot_be_sent_stops_the_start() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    folder.write("templates/verify.en.txt", "{{ lnik }}");
    folder.write("ca.pem", "nothing");
    for (text, words) in [
        ("[mail]\ntransport = \"canary\"".to_owned(), &["mail.transport", "smtp"][..]),
        ("[mail]\ntransport = \"smtp\"".to_owned(), &["mail.from", "mail.smtp_url"]),
        (SMTP.replace("smtp://", "canary://"), &["mail.smtp_url", "smtps://"]),
        (SMTP.replace("@mail", "/@mail"), &["mail.smtp_url"]),
        (SMTP.replace("<noreply@", "<"), &["mail: the sender"]),
        (format!("{SMTP}ca_file = \"nowhere.pem\""), &["mail.ca_file", "nowhere.pem"]),
        (format!("{SMTP}ca_file = \"ca.pem\""), &["mail.ca_file", "ca.pem"]),
        (format!("{SMTP}ca_file = \"ca.pem\"\ndanger_plaintext = true"), &["mail.ca_file", "no TLS"]),
        ("[mail]\ntemplates = \"templates\"".to_owned(), &["mail: verify.en.txt", "undefined"]),
        ("[mail]\ntemplates = \"nowhere\"".to_owned(), &["mail: nowhere cannot be read"]),
        ("[mail]\nlanguage = \"fr\"".to_owned(), &["mail: there are no mails in \"fr\""]),
        ("[mail]\nverify_page = \"verify\"".to_owned(), &["mail: \"verify\" should be a path"]),
        ("[verification]\nlifetime_seconds = 1".to_owned(), &["verification.lifetime_seconds"]),
        ("[reset_password]\nlifetime_seconds = 604801".to_owned(), &["reset_password.lifetime_seconds"]),
    ] {
        folder.write("axum-users.toml", &text);
        let ran = config_in(&folder, &[], &[]).refused(words);
        assert!(!ran.stderr.contains(":canary@"), "{text}: {}", ran.stderr);
    }
}

#[test]
fn cr_05_the_login_of_the_mail_server_is_a_secret() {
    let ran = config_with(SMTP, &[], &[]).succeeded();
    assert!(line(&ran, "mail.smtp_url").starts_with("mail.smtp_url = \"…\""));
    assert!(!ran.stdout.contains("canary"), "{}", ran.stdout);
    let folder = Folder::new();
    folder.write("url", "smtps://arthur:canary@mail.camelot.bt\n");
    folder.write("axum-users.toml", "[mail]\ntransport = \"smtp\"\nfrom = \"noreply@camelot.bt\"");
    let ran = config_in(&folder, &[("AXUM_USERS__MAIL__SMTP_URL_FILE", "url")], &[]).succeeded();
    assert!(line(&ran, "mail.smtp_url").ends_with("AXUM_USERS__MAIL__SMTP_URL_FILE"), "{}", ran.stdout);
}
