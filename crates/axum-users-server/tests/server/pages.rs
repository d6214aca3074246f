//! Pages for people: each page and each form, as a browser without scripts sees them.

use axum_users::random;

use crate::{
    harness::{Folder, PASSWORD},
    visitor::{Visitor, between, form, is_wrong, says, sees},
};

const ON: (&str, &str) = ("AXUM_USERS__THROTTLE__ENABLED", "true");
const NEW_PASSWORD: &str = "plum tomato engine";
const ARTHUR: &str = "arthur@camelot.bt";
const CONFIRM: &str = "Confirm your e-mail address";
const RESET: &str = "Set a new password";

#[test]
fn a_person_signs_up_and_out_and_in() {
    let folder = Folder::new();
    let server = folder.serve_with(&[ON]);
    let arthur = Visitor::of(&server);
    sees(&arthur.get("/"), "/sign-in");
    sees(&arthur.get("/account"), "/sign-in");
    says(&arthur.get("/sign-up"), 200, "autocomplete=\"new-password\"");
    sees(&arthur.sign_up(ARTHUR, PASSWORD), "/account?done=welcome-sent");
    says(&arthur.get("/account?done=welcome-sent"), 200, "We have sent you a link that confirms your address.");
    says(&arthur.get("/account"), 200, "Signed in as arthur@camelot.bt");
    for path in ["/", "/sign-in", "/sign-up"] {
        sees(&arthur.get(path), "/account");
    }
    let answer = arthur.post("/sign-out", &[]);
    sees(&answer, "/sign-in?done=signed-out");
    assert_eq!(answer.header("clear-site-data"), Some("\"cache\", \"storage\""));
    assert!(arthur.cookie("axum_users_device").is_some(), "the browser stays known");
    assert!(!arthur.is_signed_in());
    // Whoever is signed out already may be so again.
    sees(&arthur.post("/sign-out", &[]), "/sign-in?done=signed-out");
    says(&arthur.get("/sign-in?done=signed-out"), 200, "You are signed out.");
    says(&arthur.get("/sign-in"), 200, "autocomplete=\"current-password\"");
    sees(&arthur.sign_in("ARTHUR@camelot.bt", PASSWORD), "/account");
    assert!(arthur.is_signed_in());
    assert_eq!(server.log_in("jwt", ARTHUR, PASSWORD).status, 200, "it is the same user by the API");
}

#[test]
fn a_session_that_was_ended_elsewhere_is_over_on_the_pages() {
    let folder = Folder::new();
    let server = folder.serve();
    let arthur = Visitor::of(&server);
    arthur.sign_up(ARTHUR, PASSWORD);
    let token = server.token(ARTHUR, PASSWORD);
    assert_eq!(server.as_bearer("DELETE", "/users/me/sessions", &token).status, 204);
    sees(&arthur.get("/account"), "/sign-in");
    sees(&arthur.post("/account/password", &[]), "/sign-in");
    // The token of another backend is none here.
    let token = server.token(ARTHUR, PASSWORD);
    let bearer = format!("Bearer {token}");
    sees(&server.send("GET", "/account", &[("authorization", &bearer)], b""), "/sign-in");
}

#[test]
fn what_is_wrong_stands_beside_the_field() {
    let folder = Folder::new();
    let server = folder.serve();
    let visitor = Visitor::of(&server);
    let answer = visitor.post("/sign-up", &[]);
    assert_eq!(answer.status, 422);
    is_wrong(&answer, "email", "Please fill this in.");
    is_wrong(&answer, "password", "Please fill this in.");
    let answer = visitor.sign_up("no <address>", "hunter2 \" canary");
    assert_eq!(answer.status, 422);
    is_wrong(&answer, "email", "This is no e-mail address. One looks like name@example.com.");
    assert!(answer.body.contains("value=\"no &lt;address&gt;\""), "what was typed is kept: {}", answer.body);
    assert!(!answer.body.contains("canary"), "but no password");
    let answer = visitor.sign_up(ARTHUR, "short");
    assert_eq!(answer.status, 400);
    is_wrong(&answer, "password", "Password should be at least 8 characters");
    sees(&visitor.sign_up(ARTHUR, PASSWORD), "/account?done=welcome-sent");
    let answer = Visitor::of(&server).sign_up(ARTHUR, PASSWORD);
    assert_eq!(answer.status, 400);
    is_wrong(&answer, "email", "There is an account with this address already.");
    let answer =
        visitor.send("POST", "/sign-in", &[("sec-fetch-site", "same-origin"), ("content-type", "text/plain")], "x");
    says(&answer, 415, "The form could not be read.");
}

#[test]
fn en_01_the_sign_in_page_is_the_same_for_unknown_wrong_and_inactive() {
    let folder = Folder::new();
    let server = folder.serve();
    server.register(ARTHUR);
    let superuser = ["user", "create", "merlin@camelot.bt", "--superuser"];
    folder.run_with_input(&superuser, PASSWORD).succeeded();
    let mordred = server.register("mordred@camelot.bt").value();
    let path = format!("/users/{}", mordred["id"].as_str().unwrap());
    let merlin = server.token("merlin@camelot.bt", PASSWORD);
    let inactive = serde_json::json!({ "is_active": false });
    assert_eq!(server.json("PATCH", &path, Some(&merlin), &inactive).status, 200);
    let mut pages = Vec::new();
    for (email, password) in [(ARTHUR, "wrong"), ("nobody@camelot.bt", "wrong"), ("mordred@camelot.bt", PASSWORD)] {
        let answer = Visitor::of(&server).sign_in(email, password);
        says(&answer, 400, "The address or the password is wrong.");
        assert!(answer.header("set-cookie").is_none());
        pages.push(unvaried(&answer.body).replace(email, "…"));
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:?}");
    let visitor = Visitor::of(&server);
    let answer = visitor.sign_in("", "");
    is_wrong(&answer, "email", "Please fill this in.");
    is_wrong(&answer, "password", "Please fill this in.");
}

#[test]
fn rc_10_opening_a_link_changes_nothing_and_its_token_leaves_the_address() {
    let folder = Folder::new();
    let server = folder.serve();
    let arthur = Visitor::of(&server);
    arthur.sign_up(ARTHUR, PASSWORD);
    let verify = arthur.mailed_link(ARTHUR, CONFIRM, 1);
    sees(&arthur.post("/forgot-password", &[("email", ARTHUR)]), "/forgot-password?done=sent");
    let reset = arthur.mailed_link(ARTHUR, RESET, 1);
    for (link, path) in [(&verify, "/verify"), (&reset, "/reset-password")] {
        let token = link.split_once("?token=").unwrap().1;
        // What a mail filter does, and what a browser does that looks ahead.
        for method in ["GET", "HEAD", "GET", "GET"] {
            let filter = Visitor::of(&server);
            let answer = filter.send(method, link, &[("sec-purpose", "prefetch")], "");
            sees(&answer, path);
            assert!(!answer.header("location").unwrap().contains(token));
            let cookie = answer.header("set-cookie").unwrap();
            assert!(cookie.contains("; HttpOnly; Max-Age=600; Path=/; SameSite=Lax"), "{cookie}");
            let page = filter.send(method, path, &[], "");
            assert_eq!(page.status, 200, "{}", page.body);
        }
        // The filter had cookies of its own.
        says(&arthur.get(path), 400, "This link does not work");
    }
    assert!(arthur.get("/account").body.contains("Not confirmed"), "nothing is verified");
    assert_eq!(server.log_in("jwt", ARTHUR, PASSWORD).status, 200, "nothing is reset");

    sees(&arthur.get(&verify), "/verify");
    let page = arthur.get("/verify");
    let token = between(&page.body, "name=\"token\" value=\"", "\"");
    assert!(verify.ends_with(&token));
    let answer = arthur.post("/verify", &[("token", &token)]);
    sees(&answer, "/sign-in?done=verified");
    sees(&arthur.get("/sign-in?done=verified"), "/account?done=verified");
    says(&arthur.get("/account?done=verified"), 200, "Your address is confirmed.");
    assert!(!arthur.get("/account").body.contains("Not confirmed"));
    says(&arthur.get("/verify"), 400, "This link does not work");
    // Pressed twice is as good as once.
    sees(&arthur.post("/verify", &[("token", &token)]), "/sign-in?done=verified");

    sees(&arthur.get(&reset), "/reset-password");
    let reset_token = between(&arthur.get("/reset-password").body, "name=\"token\" value=\"", "\"");
    let answer = arthur.post("/reset-password", &[("token", &reset_token), ("new_password", "short")]);
    assert_eq!(answer.status, 400);
    is_wrong(&answer, "new_password", "Password should be at least 8 characters");
    assert_eq!(between(&answer.body, "name=\"token\" value=\"", "\""), reset_token, "it can be sent again");
    let answer = arthur.post("/reset-password", &[("token", &reset_token), ("new_password", "")]);
    is_wrong(&answer, "new_password", "Please fill this in.");
    let answer = arthur.post("/reset-password", &[("token", &reset_token), ("new_password", NEW_PASSWORD)]);
    sees(&answer, "/sign-in?done=reset");
    assert!(!arthur.is_signed_in(), "all sessions end");
    says(&arthur.get("/sign-in?done=reset"), 200, "Your password is set.");
    sees(&arthur.sign_in(ARTHUR, NEW_PASSWORD), "/account");
    let answer = arthur.post("/reset-password", &[("token", &reset_token), ("new_password", PASSWORD)]);
    says(&answer, 400, "This link does not work");

    let log = server.stop();
    for secret in [&token, &reset_token, PASSWORD, NEW_PASSWORD, "canary"] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
    assert!(log.contains("\"/verify\"") || log.contains("path=/verify"), "{log}");
}

#[test]
fn a_link_that_is_none_does_not_work() {
    let folder = Folder::new();
    let server = folder.serve();
    let visitor = Visitor::of(&server);
    for path in ["/verify", "/reset-password"] {
        let long = "x".repeat(3000);
        for token in ["", "a%0d%0aset-cookie:%20x=1", "%22%3cscript%3e", "a;b", "a%20b", &long] {
            let answer = visitor.get(&format!("{path}?token={token}"));
            sees(&answer, path);
            assert_eq!(answer.headers("set-cookie").count(), 1);
            assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"), "{answer:?}");
            says(&visitor.get(path), 400, "This link does not work");
        }
        sees(&visitor.get(&format!("{path}?token=a.b.c")), path);
        assert_eq!(visitor.get(path).status, 200, "what it is worth is seen when it is sent");
        let answer = visitor.post(path, &[("token", "a.b.c"), ("new_password", NEW_PASSWORD)]);
        says(&answer, 400, "This link does not work");
        says(&visitor.post(path, &[]), 400, "This link does not work");
    }
}

#[test]
fn en_08_pages_that_ask_for_a_mail_answer_the_same_to_everybody() {
    let folder = Folder::new();
    let server = folder.serve();
    Visitor::of(&server).sign_up(ARTHUR, PASSWORD);
    for path in ["/forgot-password", "/request-verify"] {
        let answers = [ARTHUR, "nobody@camelot.bt"].map(|email| {
            let visitor = Visitor::of(&server);
            let answer = visitor.post(path, &[("email", email)]);
            sees(&answer, &format!("{path}?done=sent"));
            let page = visitor.get(&format!("{path}?done=sent"));
            says(&page, 200, "If there is an account with this address");
            let head: Vec<String> = answer
                .head
                .lines()
                .filter(|line| !line.starts_with("x-request-id") && !line.starts_with("date"))
                .map(str::to_owned)
                .collect();
            (head, answer.body, unvaried(&page.body))
        });
        assert_eq!(answers[0], answers[1]);
        let answer = Visitor::of(&server).post(path, &[("email", "no address")]);
        assert_eq!(answer.status, 422);
        is_wrong(&answer, "email", "This is no e-mail address. One looks like name@example.com.");
    }
    let visitor = Visitor::of(&server);
    assert!(visitor.mailed_link(ARTHUR, RESET, 1).starts_with("/reset-password?token="));
    assert!(!visitor.get("/mailbox").body.contains("nobody@camelot.bt"));
}

#[test]
fn a_person_changes_password_and_address() {
    let folder = Folder::new();
    let server = folder.serve();
    let (arthur, elsewhere) = (Visitor::of(&server), Visitor::of(&server));
    arthur.sign_up(ARTHUR, PASSWORD);
    elsewhere.sign_in(ARTHUR, PASSWORD);
    let answer = arthur.post("/account/password", &[("current_password", "wrong"), ("new_password", NEW_PASSWORD)]);
    assert_eq!(answer.status, 400);
    is_wrong(&answer, "password-current_password", "This is not your current password.");
    let answer = arthur.post("/account/password", &[("current_password", PASSWORD), ("new_password", "short")]);
    is_wrong(&answer, "password-new_password", "Password should be at least 8 characters");
    let answer = arthur.post("/account/password", &[("new_password", NEW_PASSWORD)]);
    assert_eq!(answer.status, 422);
    is_wrong(&answer, "password-current_password", "Please fill this in.");
    let answer = arthur.post("/account/password", &[("current_password", PASSWORD), ("new_password", NEW_PASSWORD)]);
    sees(&answer, "/account?done=password");
    says(&arthur.get("/account?done=password"), 200, "Your password is changed");
    assert!(!elsewhere.is_signed_in());

    let answer = arthur.post("/account/email", &[("email", "king@camelot.bt"), ("current_password", PASSWORD)]);
    is_wrong(&answer, "email-current_password", "This is not your current password.");
    assert!(answer.body.contains("value=\"king@camelot.bt\""));
    server.register("lancelot@camelot.bt");
    let answer = arthur.post("/account/email", &[("email", "lancelot@camelot.bt"), ("current_password", NEW_PASSWORD)]);
    is_wrong(&answer, "email-email", "There is an account with this address already.");
    let answer = arthur.post("/account/email", &[("email", "Arthur@camelot.bt"), ("current_password", NEW_PASSWORD)]);
    sees(&answer, "/account?done=email");
    let answer = arthur.post("/account/email", &[("email", "king@camelot.bt"), ("current_password", NEW_PASSWORD)]);
    sees(&answer, "/account?done=verify-sent");
    says(&arthur.get("/account"), 200, "Signed in as king@camelot.bt");
    let link = arthur.mailed_link("king@camelot.bt", CONFIRM, 1);
    arthur.get(&link);
    let token = between(&arthur.get("/verify").body, "name=\"token\" value=\"", "\"");
    sees(&arthur.post("/verify", &[("token", &token)]), "/sign-in?done=verified");
    assert!(!arthur.get("/account").body.contains("Not confirmed"));
    sees(&arthur.post("/account/verify", &[]), "/account");
}

#[test]
fn a_person_ends_sessions() {
    let folder = Folder::new();
    let server = folder.serve();
    let visitors = [(); 3].map(|()| Visitor::of(&server));
    let [arthur, second, third] = &visitors;
    arthur.sign_up(ARTHUR, PASSWORD);
    for visitor in [second, third] {
        let fields = form(&[("email", ARTHUR), ("password", PASSWORD)]);
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        let headers = [("sec-fetch-site", "same-origin"), ("user-agent", firefox)];
        sees(&visitor.send("POST", "/sign-in", &headers, &fields), "/account");
    }
    let page = arthur.get("/account").body;
    assert_eq!(page.matches("This browser").count(), 1);
    assert_eq!(page.matches("name=\"session\"").count(), 2);
    assert!(page.contains("Firefox, Linux") && page.contains("From 127.0.0.1"), "{page}");
    let session = between(&page, "name=\"session\" value=\"", "\"");
    sees(&arthur.post("/account/sessions", &[("session", &session)]), "/account?done=session");
    assert_eq!([second, third].iter().filter(|it| it.is_signed_in()).count(), 1);
    sees(&arthur.post("/account/sessions", &[("session", "no such session")]), "/account");
    second.sign_in(ARTHUR, PASSWORD);
    sees(&arthur.post("/account/sessions", &[("others", "true")]), "/account?done=sessions");
    assert!(arthur.is_signed_in() && !second.is_signed_in() && !third.is_signed_in());
}

#[test]
fn se_12_ending_sessions_asks_for_a_login_of_a_short_while_ago() {
    let folder = Folder::new();
    let server = folder.serve();
    let (arthur, elsewhere) = (Visitor::of(&server), Visitor::of(&server));
    arthur.sign_up(ARTHUR, PASSWORD);
    elsewhere.sign_in(ARTHUR, PASSWORD);
    age_sessions(&folder, 700);
    sees(&arthur.post("/account/sessions", &[("others", "true")]), "/sign-in?done=again");
    assert!(elsewhere.is_signed_in());
    says(&arthur.get("/sign-in?done=again"), 200, "to show that it is you");
    sees(&arthur.sign_in(ARTHUR, PASSWORD), "/account");
    sees(&arthur.post("/account/sessions", &[("others", "true")]), "/account?done=sessions");
    assert!(!elsewhere.is_signed_in());
}

/// As if all logins had been so many seconds earlier.
pub(crate) fn age_sessions(folder: &Folder, seconds: i64) {
    let url = format!("sqlite://{}", folder.path().join("axum-users.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::Connection as _;
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let statement = format!("UPDATE \"axum_users_user_session\" SET created_at = created_at - {seconds}");
        let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        assert!(done.rows_affected() > 0);
    });
}

#[test]
fn au_01_too_many_attempts_are_told_when_to_come_back() {
    let folder = Folder::new();
    let server = folder.serve_with(&[ON]);
    server.register(ARTHUR);
    let visitor = Visitor::of(&server);
    for _ in 0..10 {
        assert_eq!(visitor.sign_in(ARTHUR, "wrong").status, 400);
    }
    let answer = visitor.sign_in(ARTHUR, "wrong");
    says(&answer, 429, "Too many attempts. Try again in ");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=90).contains(&seconds), "{seconds}");
    assert_eq!(server.log_in("jwt", ARTHUR, "wrong").status, 429, "it is the same bucket");
}

#[test]
fn ck_03_ck_04_forms_are_taken_from_our_own_pages_only() {
    let folder = Folder::new();
    let server = folder.serve();
    let arthur = Visitor::of(&server);
    arthur.sign_up(ARTHUR, PASSWORD);
    let own = format!("http://{}", server.address);
    let fields = form(&[("email", ARTHUR), ("password", PASSWORD)]);
    for path in [
        "/sign-in",
        "/sign-up",
        "/sign-out",
        "/request-verify",
        "/verify",
        "/forgot-password",
        "/reset-password",
        "/account/profile",
        "/account/email",
        "/account/password",
        "/account/sessions",
        "/account/verify",
    ] {
        let foreign: [&[(&str, &str)]; 6] = [
            &[],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "https://mordred.example")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        ];
        for headers in foreign {
            let answer = arthur.send("POST", path, headers, &fields);
            says(&answer, 403, "That did not come from here");
            assert!(answer.header("set-cookie").is_none());
        }
        assert_ne!(arthur.send("POST", path, &[("origin", &own)], "").status, 403, "{path}");
        arthur.sign_in(ARTHUR, PASSWORD);
    }
    assert!(arthur.is_signed_in());
}

#[test]
fn ck_06_only_forms_change_something() {
    let folder = Folder::new();
    let server = folder.serve();
    let arthur = Visitor::of(&server);
    arthur.sign_up(ARTHUR, PASSWORD);
    for path in
        ["/sign-out", "/account/profile", "/account/email", "/account/password", "/account/sessions", "/account/verify"]
    {
        for method in ["GET", "HEAD"] {
            assert_eq!(arthur.send(method, path, &[], "").status, 405, "{method} {path}");
        }
    }
    assert!(arthur.is_signed_in());
}

#[test]
fn ck_08_every_page_has_its_headers_and_takes_nothing_from_elsewhere() {
    let folder = Folder::new();
    let server = folder.serve();
    let arthur = Visitor::of(&server);
    let mut answers: Vec<_> =
        ["/sign-in", "/sign-up", "/forgot-password", "/request-verify", "/verify", "/reset-password", "/mailbox"]
            .map(|path| arthur.get(path))
            .into();
    answers.push(arthur.sign_up("no address", ""));
    answers.push(arthur.sign_in(ARTHUR, PASSWORD));
    answers.push(arthur.send("POST", "/sign-in", &[], ""));
    arthur.sign_up(ARTHUR, PASSWORD);
    answers.push(arthur.get("/account"));
    let link = arthur.mailed_link(ARTHUR, CONFIRM, 1);
    answers.push(arthur.get(&between(&arthur.get("/mailbox").body, "<li><a href=\"", "\"")));
    arthur.get(&link);
    answers.push(arthur.get("/verify"));
    let mut nonces = Vec::new();
    for answer in &answers {
        let policy = answer.header("content-security-policy").unwrap();
        let nonce = between(policy, "style-src 'nonce-", "'");
        assert!(nonce.len() >= 22);
        let frames = if answer.body.contains("<iframe") { " frame-src 'self';" } else { "" };
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src 'self';{frames} \
                 form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
            )
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name} of {}", answer.body);
        }
        assert!(answer.header("permissions-policy").unwrap().contains("camera=(), "));
        assert!(answer.header("server").is_none());
        assert_eq!(answer.body.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
        for attribute in ["src", "href", "action"] {
            for value in answer.body.split(&format!(" {attribute}=\"")).skip(1) {
                let value = value.split('"').next().unwrap().replace("&#x2f;", "/");
                let is_ours = (value.starts_with('/') && !value.starts_with("//"))
                    || value.starts_with('#')
                    || answer.body.contains("<iframe");
                assert!(is_ours, "{attribute}={value:?}");
            }
        }
        for inline in ["<style", "style=\"", " onclick", " onload", " onsubmit", "javascript:"] {
            assert!(!answer.body.contains(inline), "{inline} in {}", answer.body);
        }
        assert!(!answer.body.split("<script").skip(1).any(|script| !script.contains("defer></script>")));
        nonces.push(nonce);
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), answers.len(), "a nonce is used once");
    let redirect = arthur.get("/");
    assert!(redirect.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert_eq!(redirect.header("cache-control"), Some("no-store"));
}

#[test]
fn ck_08_browsers_remember_that_it_is_https() {
    let folder = Folder::new();
    folder.write("axum-users.toml", "public_url = \"https://users.camelot.bt\"\n[mail]\ntransport = \"development\"");
    let server = folder.serve();
    let visitor = Visitor::of(&server);
    let answer = visitor.get("/sign-in");
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000; includeSubDomains"));
    let answer = visitor.get("/verify?token=a.b.c");
    let cookie = answer.header("set-cookie").unwrap();
    assert_eq!(
        cookie, "__Host-axum_users_verify=a.b.c; HttpOnly; Max-Age=600; Path=/; SameSite=Lax; Secure",
        "no neighbour can plant another one"
    );
    // Whoever comes by this name could use the links of others.
    assert_eq!(visitor.get("/mailbox").status, 404);
}

#[test]
fn files_of_pages_may_be_kept_and_change_their_address_with_their_bytes() {
    let folder = Folder::new();
    let plain = folder.serve();
    let page = plain.get("/sign-in").body;
    let style = between(&page, "<link rel=\"stylesheet\" href=\"", "\"");
    for path in
        [style.clone(), between(&page, "<script src=\"", "\""), between(&page, "<link rel=\"icon\" href=\"", "\"")]
    {
        let answer = plain.get(&path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"));
    }
    plain.stop();
    let server = folder.serve_with(&[("AXUM_USERS__PAGES__ACCENT_COLOR", "#b00020")]);
    let page = server.get("/sign-in").body;
    let branded = between(&page, "<link rel=\"stylesheet\" href=\"", "\"");
    assert_ne!(branded, style);
    assert!(server.get(&branded).body.contains("--accent:#b00020"));
}

#[test]
fn own_columns_are_asked_for_and_changed() {
    let folder = Folder::new();
    folder.write(
        "axum-users.toml",
        "[users.profile.first_name]\nrequired = true\n[users.profile.age]\ntype = \"integer\"\n\
         [users.profile.terms]\ntype = \"bool\"\nrequired = true\n[users.profile.news]\ntype = \"bool\"\n\
         [users.profile.born]\ntype = \"date\"\n[users.profile.settings]\ntype = \"json\"\n\
         [users.profile.seen]\ntype = \"timestamp\"\n[users.profile.badge]\ntype = \"uuid\"\nunique = true\n\
         [users.profile.weight]\ntype = \"real\"\n[users.profile.plan]\nread_only = true\n[users.profile.score]\nhidden = true\n",
    );
    let server = folder.serve();
    let arthur = Visitor::of(&server);
    let page = arthur.get("/sign-up").body;
    assert!(page.contains("<label for=\"profile.first_name\">First name</label>"), "{page}");
    assert!(page.contains("autocomplete=\"given-name\"") && !page.contains("Plan") && !page.contains("Score"));
    let mut fields = vec![("email", ARTHUR), ("password", PASSWORD)];
    let answer = arthur.post("/sign-up", &fields);
    is_wrong(&answer, "profile.first_name", "Please fill this in.");
    fields.extend([
        ("profile.first_name", "Arthur \"the king\""),
        ("profile.age", "old"),
        ("profile.born", "yesterday"),
        ("profile.settings", "{"),
        ("profile.seen", "noon"),
        ("profile.badge", "none"),
        ("profile.weight", "heavy"),
        ("profile.plan", "gold"),
        ("profile.score", "7"),
    ]);
    let answer = arthur.post("/sign-up", &fields);
    assert_eq!(answer.status, 422);
    is_wrong(&answer, "profile.age", "This should be a whole number.");
    is_wrong(&answer, "profile.born", "This should be a date, such as 2026-01-31.");
    is_wrong(&answer, "profile.settings", "This should be JSON.");
    is_wrong(&answer, "profile.seen", "This should be a time, such as 2026-01-31T12:00:00Z.");
    is_wrong(&answer, "profile.weight", "This should be a number.");
    assert!(answer.body.contains("value=\"Arthur &quot;the king&quot;\""), "{}", answer.body);
    fields.truncate(3);
    fields.extend([
        ("profile.age", "42"),
        ("profile.terms", "true"),
        ("profile.news", "false"),
        ("profile.born", "1984-05-06"),
        ("profile.settings", "{\"a\": [1, \"x\"]}"),
        ("profile.seen", "2026-01-31T12:00:00Z"),
        ("profile.badge", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        ("profile.weight", "81.5"),
        ("profile.plan", "gold"),
    ]);
    sees(&arthur.post("/sign-up", &fields), "/account?done=welcome-sent");
    let token = server.token(ARTHUR, PASSWORD);
    let user = server.as_bearer("GET", "/users/me", &token).value();
    assert_eq!(user["first_name"], "Arthur \"the king\"");
    assert_eq!((&user["age"], &user["terms"], &user["news"]), (&42.into(), &true.into(), &false.into()));
    assert_eq!((&user["born"], &user["weight"]), (&"1984-05-06".into(), &81.5.into()));
    assert_eq!(user["settings"], serde_json::json!({ "a": [1, "x"] }));
    assert_eq!(user["badge"], "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    assert!(user["plan"].is_null() && user.get("score").is_none());
    let page = arthur.get("/account").body;
    for value in ["value=\"42\"", "value=\"1984-05-06\"", "value=\"81.5\"", "type=\"checkbox\" id=\"profile.terms\""] {
        assert!(page.contains(value), "{value}: {page}");
    }
    let mut changed: Vec<(&str, &str)> = fields[2..].to_vec();
    changed[1] = ("profile.age", "");
    changed.retain(|(name, _)| *name != "profile.terms");
    sees(&arthur.post("/account/profile", &changed), "/account?done=profile");
    let user = server.as_bearer("GET", "/users/me", &token).value();
    assert!(user["age"].is_null() && user["terms"] == false && user["plan"].is_null(), "{user}");
    changed[0] = ("profile.first_name", "");
    let answer = arthur.post("/account/profile", &changed);
    is_wrong(&answer, "profile.first_name", "Please fill this in.");
    let other = Visitor::of(&server);
    let answer =
        other.post("/sign-up", &[("email", "mordred@camelot.bt"), ("password", PASSWORD), fields[2], fields[9]]);
    assert_eq!(answer.status, 400, "{}", answer.body);
    is_wrong(&answer, "profile.badge", "Somebody else has this already.");
}

#[test]
fn whoever_has_to_prove_the_address_first_is_told_so() {
    let folder = Folder::new();
    folder.write("axum-users.toml", "[auth]\nrequires_verification = true");
    let server = folder.serve();
    let arthur = Visitor::of(&server);
    sees(&arthur.sign_up(ARTHUR, PASSWORD), "/sign-up?done=sent");
    says(&arthur.get("/sign-up?done=sent"), 200, "We have sent you a mail.");
    assert!(!arthur.is_signed_in());
    let answer = arthur.sign_in(ARTHUR, PASSWORD);
    says(&answer, 400, "Confirm your address first");
    assert!(answer.body.contains(">Send me a new link</a>"));
    confirm(&arthur, ARTHUR, 1);
    sees(&arthur.sign_in(ARTHUR, PASSWORD), "/account");
    let fields = [("email", "king@camelot.bt"), ("current_password", PASSWORD)];
    sees(&arthur.post("/account/email", &fields), "/account?done=verify-sent");
    says(&arthur.get("/account"), 200, "You can use your account as soon as your address is confirmed.");
    for path in ["/account/email", "/account/password", "/account/profile"] {
        sees(&arthur.post(path, &fields), "/account");
    }
    assert!(arthur.get("/account").body.contains("king@camelot.bt"));
    sees(&arthur.post("/account/verify", &[]), "/account?done=verify-sent");
    confirm(&arthur, "king@camelot.bt", 1);
    assert!(arthur.get("/account").body.contains("/account/password"));
}

fn confirm(visitor: &Visitor<'_>, email: &str, count: usize) {
    visitor.get(&visitor.mailed_link(email, CONFIRM, count));
    let token = between(&visitor.get("/verify").body, "name=\"token\" value=\"", "\"");
    sees(&visitor.post("/verify", &[("token", &token)]), "/sign-in?done=verified");
}

#[test]
fn en_05_in_strict_signing_up_answers_the_same_to_everybody() {
    let folder = Folder::new();
    folder.write("axum-users.toml", "profile = \"strict\"");
    let server = folder.serve();
    let email = format!("{}@camelot.bt", random::uuid_v4().simple());
    for _ in 0..2 {
        let visitor = Visitor::of(&server);
        let answer = visitor.sign_up(&email, PASSWORD);
        sees(&answer, "/sign-up?done=sent");
        assert!(answer.header("set-cookie").is_none());
        assert!(!visitor.is_signed_in());
    }
}

#[test]
fn a_house_has_a_name_a_logo_and_words_of_its_own() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("pages")).unwrap();
    folder.write("pages/texts.toml", "language = \"fr\"\n[sign_in]\ntitle = \"Connexion\"");
    folder.write("pages/style.css", ":root { --radius: 0 }");
    folder.write(
        "pages/message.html",
        "{% extends \"layout.html\" %}{% block content %}<p>Ours: {{ text }}</p>{% endblock %}",
    );
    folder.write("logo.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>");
    folder.write(
        "axum-users.toml",
        "public_url = \"http://localhost:8000/people\"\n[pages]\nproduct_name = \"Camelot & Co\"\nlogo_file = \"logo.svg\"\n\
         templates = \"pages\"\nfooter = [\"Our privacy https://camelot.bt/privacy\", \"Help /help\"]",
    );
    let server = folder.serve();
    let visitor = Visitor::of(&server);
    let page = visitor.get("/sign-in");
    says(&page, 200, "<title>Connexion · Camelot &amp; Co</title>");
    assert!(page.body.contains("<html lang=\"fr\">"));
    assert!(page.body.contains("\">Our privacy</a>") && page.body.contains("href=\"&#x2f;help\">Help</a>"));
    assert!(page.body.contains("href=\"/people/sign-up\"") || page.body.contains("href=\"&#x2f;people/sign-up\""));
    let logo = between(&page.body, "<img src=\"", "\"");
    let answer = visitor.get(logo.strip_prefix("/people").unwrap());
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/svg+xml")));
    assert!(answer.header("content-security-policy").unwrap().contains("sandbox"));
    let style = between(&page.body, "<link rel=\"stylesheet\" href=\"", "\"");
    assert!(visitor.get(style.strip_prefix("/people").unwrap()).body.contains("--radius: 0"));
    says(&visitor.get("/verify"), 400, "<p>Ours: It may be too old");
    sees(&visitor.get("/"), "/people/sign-in");
}

#[test]
fn what_cannot_be_used_stops_the_start() {
    let refused = |text: &str, files: &[(&str, &str)], words: &[&str]| {
        let folder = Folder::new();
        std::fs::create_dir(folder.path().join("own")).unwrap();
        for (name, content) in files {
            folder.write(name, content);
        }
        folder.write("axum-users.toml", text);
        folder.run(&["config"]).refused(words);
    };
    let own = "[pages]\ntemplates = \"own\"";
    refused(own, &[("own/sign_in.html", "{% if %}")], &["pages.templates", "sign_in.html"]);
    refused(own, &[("own/sign_in.html", "{{ no_such_value }}")], &["pages.templates", "sign_in.html"]);
    refused(own, &[("own/layout.html", "{{ t.no_such.text }}")], &["pages.templates", "layout.html"]);
    refused(own, &[("own/signin.html", "")], &["pages.templates", "signin.html", "sign_in.html"]);
    refused(own, &[("own/texts.toml", "[sign_in]\ntitel = \"\"")], &["pages.templates", "sign_in.titel"]);
    refused("[pages]\ntemplates = \"nowhere\"", &[], &["pages.templates", "nowhere"]);
    refused("[pages]\naccent_color = \"red\"", &[], &["pages.accent_color"]);
    refused("[pages]\nlogo_file = \"logo.svg\"", &[], &["pages.logo_file", "logo.svg"]);
    refused("[pages]\nlogo_file = \"logo.exe\"", &[("logo.exe", "")], &["pages.logo_file"]);
    refused("[pages]\nproduct_name = \"\"", &[], &["pages.product_name"]);
    refused("[pages]\nfooter = [\"Help javascript:alert(1)\"]", &[], &["pages.footer"]);
    refused("[pages]\nfooter = [\"Help //evil.example\"]", &[], &["pages.footer"]);
    refused("[pages]\ndanger_mailbox = true\n[mail]\ntransport = \"none\"", &[], &["pages.danger_mailbox"]);
    let bearer = "[auth]\nbackends = [\"jwt\"]\n[pages]\nenabled = true";
    refused(bearer, &[], &["pages.enabled", "no backend has a cookie"]);
}

#[test]
fn pages_are_off_where_they_cannot_work_or_are_not_wanted() {
    let warned = |text: &str, words: &str| {
        let folder = Folder::new();
        folder.write("axum-users.toml", text);
        let server = folder.serve();
        for path in ["/", "/sign-in", "/account", "/pages/style.css", "/mailbox"] {
            assert_eq!(server.get(path).status, 404, "{path}");
        }
        assert_eq!(server.register(ARTHUR).status, 201, "the API is there");
        let log = server.stop();
        assert!(log.contains(words), "{words:?} is missing in {log}");
    };
    warned("[auth]\nbackends = [\"jwt\"]", "no pages for people: no backend has a cookie");
    warned("[auth.backend.cookie]\ncookie_path = \"/auth\"", "cookie_path is not");
    warned("public_url = \"http://users.camelot.bt\"", "browsers do not send the Secure cookie of cookie back");
    warned("[pages]\nenabled = false", "listening");
}

#[test]
fn pages_follow_what_else_is_configured() {
    let folder = Folder::new();
    folder.write("axum-users.toml", "[mail]\ntransport = \"none\"\n[registration]\nenabled = false");
    let server = folder.serve();
    let visitor = Visitor::of(&server);
    for path in ["/sign-up", "/verify", "/request-verify", "/forgot-password", "/reset-password", "/mailbox"] {
        assert_eq!(visitor.get(path).status, 404, "{path}");
    }
    let page = visitor.get("/sign-in").body;
    assert!(!page.contains("/sign-up") && !page.contains("/forgot-password"));
    folder.run_with_input(&["user", "create", ARTHUR], PASSWORD).succeeded();
    sees(&visitor.sign_in(ARTHUR, PASSWORD), "/account");
    let page = visitor.get("/account").body;
    assert!(!page.contains("/account/verify"), "nobody could send a link");
}

#[test]
fn lg_01_the_mailbox_is_for_those_on_this_machine() {
    let folder = Folder::new();
    let server = folder.serve();
    let arthur = Visitor::of(&server);
    arthur.sign_up(ARTHUR, PASSWORD);
    arthur.mailed_link(ARTHUR, CONFIRM, 1);
    let path = between(&arthur.get("/mailbox").body, "<li><a href=\"", "\"");
    let html = arthur.get(&format!("{path}/html"));
    assert!(html.body.contains("/verify?token="));
    let policy = html.header("content-security-policy").unwrap();
    assert!(policy.ends_with("; sandbox") && policy.contains("frame-ancestors 'self'"), "{policy}");
    assert_eq!(html.header("x-frame-options"), Some("SAMEORIGIN"));
    // A name of somebody else's that leads here: their page could read it.
    let foreign = |path: &str| {
        use std::io::Write as _;
        let mut stream = server.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: rebound.example:8000\r\nConnection: close\r\n\r\n").unwrap();
        crate::harness::Answer::read(stream)
    };
    says(&foreign("/mailbox"), 200, "There are no mails yet.");
    sees(&foreign(&path), "/mailbox");
    assert_eq!(foreign(&format!("{path}/html")).status, 404);
}

/// A page without what differs each time.
fn unvaried(page: &str) -> String {
    let nonce = between(page, "nonce=\"", "\"");
    page.replace(&nonce, "…")
}
