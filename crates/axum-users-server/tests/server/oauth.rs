//! Log in by a certified OpenID provider, from the first request to the token, as a browser goes.

use std::{collections::HashMap, net::TcpStream};

use serde_json::{Value, json};

use crate::{
    harness::{Answer, Folder, PASSWORD, Server},
    pages::age_sessions,
    visitor::{Visitor, between, form, says, sees},
};

/// Where people find the server; the browser here knows where it really listens.
const SITE: &str = "http://localhost:8000";

pub(crate) fn provider() -> String {
    std::env::var("AXUM_USERS_TEST_OPENID_URL").expect("AXUM_USERS_TEST_OPENID_URL names no provider")
}

/// One request to the provider.
fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    use std::io::Write as _;
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let mut head = format!("{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    Answer::read(stream)
}

/// Registers a client at the provider (RFC 7591).
fn client() -> (String, String) {
    client_of(SITE)
}

/// The same for another site.
pub(crate) fn client_of(site: &str) -> (String, String) {
    let uris = json!({ "redirect_uris": [
        format!("{site}/auth/camelot/callback"), format!("{site}/auth/associate/camelot/callback"),
    ] });
    let url = format!("{}/reg", provider());
    let answer = ask("POST", &url, &[("content-type", "application/json")], &uris.to_string());
    assert_eq!(answer.status, 201, "{}", answer.body);
    let text = |name: &str| answer.value()[name].as_str().unwrap().to_owned();
    (text("client_id"), text("client_secret"))
}

fn serve(folder: &Folder, more: &[(&str, &str)]) -> Server {
    let (id, secret) = client();
    let issuer = provider();
    let mut variables = vec![
        ("AXUM_USERS__PUBLIC_URL", SITE),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__KIND", "openid"),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__ISSUER", &issuer),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__CLIENT_ID", &id),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__CLIENT_SECRET", &secret),
        ("AXUM_USERS__SERVER__LOG_FILTER", "trace"),
    ];
    variables.extend(more);
    let server = folder.serve_with(&variables);
    // It stands in no log, whatever happens.
    assert!(!server.log().contains(&secret));
    server
}

/// A browser: cookies by host, and somebody in front of it.
#[derive(Default)]
struct Browser {
    cookies: HashMap<&'static str, HashMap<String, String>>,
}

/// What the somebody does at the provider.
#[derive(Clone, Copy)]
enum There<'a> {
    IsCalled(&'a str),
    SaysNo,
}

const OURS: &str = "ours";
const THEIRS: &str = "theirs";

impl Browser {
    fn cookie(&self, whose: &str) -> String {
        let all = self.cookies.get(whose).into_iter().flatten();
        all.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, whose: &'static str, answer: &Answer) {
        for cookie in answer.headers("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.entry(whose).or_default().insert(name.to_owned(), value.to_owned());
        }
    }

    fn ours(&mut self, server: &Server, path: &str, token: Option<&str>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let cookie = self.cookie(OURS);
        let mut headers = vec![("cookie", cookie.as_str())];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let answer = server.send("GET", path, &headers, b"");
        self.keep(OURS, &answer);
        answer
    }

    fn theirs(&mut self, method: &str, url: &str, body: &str) -> Answer {
        let cookie = self.cookie(THEIRS);
        let form = ("content-type", "application/x-www-form-urlencoded");
        let answer = ask(method, url, &[("cookie", &cookie), form], body);
        self.keep(THEIRS, &answer);
        answer
    }

    /// As a person goes: a link is followed.
    fn page(&mut self, server: &Server, path: &str) -> Answer {
        let cookie = self.cookie(OURS);
        let mut answer = server.send("GET", path, &[("cookie", &cookie), ("sec-fetch-mode", "navigate")], b"");
        self.keep(OURS, &answer);
        answer.body = answer.body.replace("&#x2f;", "/");
        answer
    }

    /// By the form of the sign-in page.
    fn signs_in(&mut self, server: &Server, email: &str) {
        let form = form(&[("email", email), ("password", PASSWORD)]);
        sees(&self.press(server, "/sign-in", &form), "/account");
    }

    /// A form of one of our pages.
    fn press(&mut self, server: &Server, path: &str, form: &str) -> Answer {
        let cookie = self.cookie(OURS);
        let form_type = "application/x-www-form-urlencoded";
        let headers = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin"), ("content-type", form_type)];
        let answer = server.send("POST", path, &headers, form.as_bytes());
        self.keep(OURS, &answer);
        answer
    }

    /// From a link of a page through the provider; where that leads.
    fn follows(&mut self, server: &Server, link: &str, there: There<'_>) -> String {
        let answer = self.page(server, link);
        assert_eq!(answer.status, 303, "{}", answer.body);
        let back = self.through(answer.header("location").unwrap(), there);
        let answer = self.page(server, &back);
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.header("location").unwrap().to_owned()
    }

    /// Where the provider is asked, by this route of ours.
    fn authorize(&mut self, server: &Server, route: &str, token: Option<&str>) -> String {
        let answer = self.ours(server, &format!("{route}/authorize"), token);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.value()["authorization_url"].as_str().unwrap().to_owned()
    }

    /// Goes through the provider's pages; the path and query that it sends the browser back to.
    fn through(&mut self, url: &str, there: There<'_>) -> String {
        let mut url = url.to_owned();
        for _ in 0..10 {
            if let Some(back) = url.strip_prefix(SITE) {
                return back.to_owned();
            }
            let answer = if url.contains("/interaction/") {
                let page = self.theirs("GET", &url, "");
                match there {
                    There::SaysNo => self.theirs("POST", &format!("{url}/abort"), ""),
                    There::IsCalled(name) if page.body.contains("/login") => {
                        self.theirs("POST", &format!("{url}/login"), &format!("name={name}"))
                    }
                    There::IsCalled(_) => self.theirs("POST", &format!("{url}/consent"), ""),
                }
            } else {
                self.theirs("GET", &url, "")
            };
            let next = answer.header("location").unwrap_or_else(|| panic!("no way on from {url}: {answer:?}"));
            url = if next.starts_with('/') { format!("{}{next}", provider()) } else { next.to_owned() };
        }
        panic!("the provider goes round in circles: {url}")
    }

    /// The whole way; the answer of our callback.
    fn log_in(&mut self, server: &Server, there: There<'_>) -> Answer {
        let url = self.authorize(server, "/auth/camelot", None);
        let back = self.through(&url, there);
        self.ours(server, &back, None)
    }
}

fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.value()["access_token"].as_str().unwrap().to_owned()
}

fn me(server: &Server, token: &str) -> Value {
    server.as_bearer("GET", "/users/me", token).value()
}

#[track_caller]
fn refused(answer: &Answer, code: &str) {
    assert_eq!((answer.status, &answer.value()["detail"]), (400, &json!(code)));
}

#[test]
fn oa_03_a_person_logs_in_by_a_provider_and_is_the_same_the_next_time() {
    let folder = Folder::new();
    let server = serve(&folder, &[]);
    let first = token(&Browser::default().log_in(&server, There::IsCalled("galahad")));
    let galahad = me(&server, &first);
    assert_eq!((&galahad["email"], &galahad["is_active"]), (&json!("galahad@camelot.bt"), &json!(true)));
    let again = token(&Browser::default().log_in(&server, There::IsCalled("galahad")));
    assert_eq!(me(&server, &again), galahad);
    let other = token(&Browser::default().log_in(&server, There::IsCalled("lancelot")));
    assert_ne!(me(&server, &other)["id"], galahad["id"]);
    // Without a password of their own there is no other way in.
    let accounts = server.as_bearer("GET", "/users/me/accounts", &again);
    assert_eq!(accounts.status, 200, "{}", accounts.body);
    assert_eq!(accounts.value().as_array().map(Vec::len), Some(1));
    let log = server.stop();
    assert!(!log.contains(&again) && !log.contains("galahad@"), "no token and no address");
}

#[test]
fn oa_03_new_keys_of_the_provider_lock_nobody_out() {
    let folder = Folder::new();
    let server = serve(&folder, &[]);
    token(&Browser::default().log_in(&server, There::IsCalled("bors")));
    assert_eq!(ask("POST", &format!("{}/_ctl/rotate", provider()), &[], "").status, 200);
    token(&Browser::default().log_in(&server, There::IsCalled("bors")));
}

#[test]
fn oa_05_who_says_no_at_the_provider_gets_an_answer() {
    let folder = Folder::new();
    let server = serve(&folder, &[]);
    refused(&Browser::default().log_in(&server, There::SaysNo), "OAUTH_PROVIDER_ERROR");
}

#[test]
fn oa_01_a_state_counts_once_and_in_its_own_browser() {
    let folder = Folder::new();
    let server = serve(&folder, &[]);
    let (mut mine, mut thiefs) = (Browser::default(), Browser::default());
    let url = mine.authorize(&server, "/auth/camelot", None);
    let back = mine.through(&url, There::IsCalled("kay"));
    thiefs.authorize(&server, "/auth/camelot", None);
    refused(&thiefs.ours(&server, &back, None), "OAUTH_INVALID_STATE");
    refused(&Browser::default().ours(&server, &back, None), "OAUTH_INVALID_STATE");
    // Nothing of that spent the code.
    let answer = mine.ours(&server, &back, None);
    token(&answer);
    refused(&mine.ours(&server, &back, None), "OAUTH_INVALID_STATE");
    // Nor does the state of a login link an account.
    let url = mine.authorize(&server, "/auth/camelot", None);
    let back = mine.through(&url, There::IsCalled("kay")).replace("/auth/camelot/", "/auth/associate/camelot/");
    let session = token(&answer);
    refused(&mine.ours(&server, &back, Some(&session)), "OAUTH_INVALID_STATE");
}

#[test]
fn oa_03_an_answer_to_another_request_is_refused() {
    let folder = Folder::new();
    let server = serve(&folder, &[]);
    let mut browser = Browser::default();
    let url = browser.authorize(&server, "/auth/camelot", None);
    let (base, nonce) = url.split_once("&nonce=").unwrap();
    assert!(!nonce.contains('&'));
    let back = browser.through(&format!("{base}&nonce=another"), There::IsCalled("mordred"));
    refused(&browser.ours(&server, &back, None), "OAUTH_PROVIDER_ERROR");
    // A code that was made out to another client is not ours to spend.
    let (stranger, _) = client();
    let url = browser.authorize(&server, "/auth/camelot", None);
    let ours = url.split('&').find_map(|pair| pair.strip_prefix("client_id=")).unwrap();
    let back = browser.through(&url.replace(ours, &stranger), There::IsCalled("mordred"));
    refused(&browser.ours(&server, &back, None), "OAUTH_PROVIDER_ERROR");
    // Nor one for another verifier.
    let url = browser.authorize(&server, "/auth/camelot", None);
    let challenge = url.split('&').find_map(|pair| pair.strip_prefix("code_challenge=")).unwrap();
    let back = browser
        .through(&url.replace(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), There::IsCalled("mordred"));
    refused(&browser.ours(&server, &back, None), "OAUTH_PROVIDER_ERROR");
    assert_eq!(server.log_in("jwt", "mordred@camelot.bt", PASSWORD).status, 400, "nobody was made");
    let users = folder.run(&["user", "list"]).succeeded().stdout;
    assert!(!users.contains("mordred"), "{users}");
}

#[test]
fn oa_06_a_user_links_an_account_and_logs_in_by_it_until_it_is_unlinked() {
    let folder = Folder::new();
    let server = serve(&folder, &[]);
    assert_eq!(server.register("arthur@camelot.bt").status, 201);
    let arthur = server.token("arthur@camelot.bt", PASSWORD);
    let mut browser = Browser::default();
    let url = browser.authorize(&server, "/auth/associate/camelot", Some(&arthur));
    let back = browser.through(&url, There::IsCalled("wart"));
    let answer = browser.ours(&server, &back, Some(&arthur));
    assert_eq!((answer.status, &answer.value()["email"]), (200, &json!("arthur@camelot.bt")), "{}", answer.body);

    let by_provider = token(&Browser::default().log_in(&server, There::IsCalled("wart")));
    assert_eq!(me(&server, &by_provider), me(&server, &arthur));
    let accounts = server.as_bearer("GET", "/users/me/accounts", &arthur).value();
    let id = accounts[0]["id"].as_str().unwrap();
    assert_eq!(accounts[0]["oauth_name"], "camelot");
    let unlinked = server.as_bearer("DELETE", &format!("/users/me/accounts/{id}"), &arthur);
    assert_eq!(unlinked.status, 204, "{}", unlinked.body);
    let stranger = token(&Browser::default().log_in(&server, There::IsCalled("wart")));
    assert_ne!(me(&server, &stranger)["id"], me(&server, &arthur)["id"]);
    // One identity, one user.
    let url = browser.authorize(&server, "/auth/associate/camelot", Some(&arthur));
    let back = browser.through(&url, There::IsCalled("wart"));
    refused(&browser.ours(&server, &back, Some(&arthur)), "OAUTH_USER_ALREADY_EXISTS");
}

#[test]
fn oa_09_an_address_that_is_taken_is_no_way_into_its_account() {
    let folder = Folder::new();
    for (more, verified) in
        [(&[][..], true), (&[("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__ASSOCIATE_BY_EMAIL", "true")], false)]
    {
        let server = serve(&folder, more);
        let name = format!("victim{verified}");
        assert_eq!(server.register(&format!("{name}@camelot.bt")).status, 201);
        let people = json!({ &name: { "email": format!("{name}@camelot.bt"), "email_verified": verified } });
        assert_eq!(ask("PUT", &format!("{}/_ctl/people", provider()), &[], &people.to_string()).status, 200);
        let answer = Browser::default().log_in(&server, There::IsCalled(&name));
        refused(&answer, "OAUTH_USER_ALREADY_EXISTS");
    }
}

#[test]
fn oa_12_a_provider_that_is_away_is_told_so_and_stops_nobody_else() {
    let folder = Folder::new();
    let server = folder.serve_with(&[
        ("AXUM_USERS__PUBLIC_URL", SITE),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__KIND", "openid"),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__ISSUER", "http://127.0.0.1:9"),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__CLIENT_ID", "id"),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__CLIENT_SECRET", "a secret"),
    ]);
    let answer = server.get("/auth/camelot/authorize");
    refused(&answer, "OAUTH_PROVIDER_ERROR");
    assert_eq!(server.register("arthur@camelot.bt").status, 201);
    server.token("arthur@camelot.bt", PASSWORD);
}

#[test]
fn the_configuration_of_providers_is_checked_at_the_start() {
    let folder = Folder::new();
    for (file, words) in [
        ("[database]\noauth_account_table = \"user\"\n", &["database.oauth_account_table"][..]),
        ("[database]\noauth_account_table = \"a b;\"\n", &["cannot be the name of a table"]),
        ("[oauth.provider.x]\n", &["oauth.provider.x.kind", "\"github\""][..]),
        ("[oauth.provider.x]\nkind = \"myspace\"\n", &["oauth.provider.x.kind"]),
        (
            "[oauth.provider.google]\n",
            &["oauth.provider.google.client_id is missing", "oauth.provider.google.client_secret is missing"],
        ),
        (
            "[oauth.provider.google]\nclient_id = \"a\"\nclient_secret = \"hush\"\nbackend = \"nowhere\"\n",
            &["oauth.provider.google.backend", "\"nowhere\""],
        ),
        ("[oauth.provider.openid]\nclient_id = \"a\"\nclient_secret = \"hush\"\n", &["issuer or discovery_url"]),
        (
            "[oauth.provider.openid]\nclient_id = \"a\"\nclient_secret = \"hush\"\nissuer = \"http://a.example\"\n",
            &["oauth.provider.openid.issuer", "https"],
        ),
        (
            "[oauth.provider.microsoft]\nclient_id = \"a\"\nclient_secret = \"hush\"\ntenant = \"a/b\"\n",
            &["oauth.provider.microsoft.tenant"],
        ),
        (
            "[oauth.provider.apple]\nclient_id = \"a\"\nteam_id = \"T\"\nkey_id = \"K\"\nkey_file = \"none.p8\"\n",
            &["oauth.provider.apple.key_file", "cannot be read"],
        ),
        ("[oauth.provider.jwt]\nkind = \"google\"\nclient_id = \"a\"\nclient_secret = \"hush\"\n", &["\"jwt\""]),
        (
            "[oauth.provider.google]\nclient_id = \"a\"\nclient_secret = \"hush\"\ncolour = 1\n",
            &["oauth.provider.google.colour: no such setting"],
        ),
        (
            "[oauth.provider.google]\nclient_id = \"a\"\nclient_secret = \"hush\"\ndisplay_name = \"a\\nb\"\n",
            &["what people call \"google\" should be one line"],
        ),
    ] {
        folder.write("axum-users.toml", file);
        let refused = folder.run(&["serve"]).refused(words);
        assert!(!refused.stderr.contains("hush"), "{}", refused.stderr);
    }
    folder.write(
        "axum-users.toml",
        "[oauth.provider.github]\nclient_id = \"a\"\nclient_secret = \"hush\"\n[oauth.provider.idm]\nkind = \"oauth2\"\n\
         client_id = \"a\"\nclient_secret = \"hush\"\nauthorize_url = \"https://a.example/a\"\ntoken_url = \"https://a.example/t\"\n\
         profile_url = \"https://a.example/me\"\nid_field = \"user.id\"\ndisplay_name = \"The House\"\n",
    );
    let shown = folder.run(&["config"]).succeeded().stdout;
    assert!(shown.contains("oauth.provider.github.client_secret") && !shown.contains("hush"), "{shown}");
    let server = folder.serve();
    for name in ["github", "idm"] {
        assert_eq!(server.get(&format!("/auth/{name}/authorize")).status, 200);
        assert!(server.get("/openapi.json").value()["paths"][format!("/auth/{name}/callback")].is_object());
    }
}

const BY_COOKIE: [(&str, &str); 2] = [
    ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__BACKEND", "cookie"),
    ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__DISPLAY_NAME", "The Round Table"),
];
const SIGN_IN: &str = "/auth/camelot/authorize?redirect_to=%2Faccount";
const LINK: &str = "/auth/associate/camelot/authorize?redirect_to=%2Faccount%3Fdone%3Dlinked";
const LINKED: &str = "/account?done=linked";

#[test]
fn pages_have_a_way_in_by_each_provider_that_answers_with_their_cookie() {
    let folder = Folder::new();
    let server = serve(&folder, &BY_COOKIE);
    let mut browser = Browser::default();
    for path in ["/sign-in", "/sign-up"] {
        let page = browser.page(&server, path);
        assert!(page.body.contains(&format!("href=\"{SIGN_IN}\"")), "{}", page.body);
        assert!(page.body.contains("Continue with The Round Table"));
    }
    assert_eq!(browser.follows(&server, SIGN_IN, There::IsCalled("tristan")), "/account");
    let page = browser.page(&server, "/account");
    assert_eq!(page.status, 200);
    for words in ["tristan@camelot.bt", "The Round Table", "Unlink"] {
        assert!(page.body.contains(words), "{words} is missing in {}", page.body);
    }
    assert!(!page.body.contains(LINK), "it is linked already");
    // There is no other way in.
    let id = page.body.split("name=\"account\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let refused = browser.press(&server, "/account/accounts", &format!("account={id}"));
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("only way to sign in"), "{}", refused.body);
    // By another backend, pages have nothing to do with it.
    let server = serve(&folder, &[]);
    assert!(!Browser::default().page(&server, "/sign-in").body.contains("/authorize"));
}

#[test]
fn pages_say_what_went_wrong_at_a_provider_in_words_of_ours() {
    let folder = Folder::new();
    let server = serve(&folder, &BY_COOKIE);
    let mut browser = Browser::default();
    let back = browser.follows(&server, SIGN_IN, There::SaysNo);
    assert_eq!(back, "/account?error=OAUTH_PROVIDER_ERROR");
    let answer = browser.page(&server, &back);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/sign-in?error=OAUTH_PROVIDER_ERROR")));
    for (code, words) in [
        ("OAUTH_PROVIDER_ERROR", "did not work"),
        ("OAUTH_USER_ALREADY_EXISTS", "There is an account already"),
        ("OAUTH_NOT_AVAILABLE_EMAIL", "did not tell us an address"),
        ("OAUTH_INVALID_STATE", "in another browser"),
        ("ACCESS_TOKEN_ALREADY_EXPIRED", "took too long"),
        ("LOGIN_BAD_CREDENTIALS", "switched off"),
        ("LOGIN_USER_NOT_VERIFIED", "Confirm your address first"),
        ("SOMETHING_NEW", "did not work"),
    ] {
        let page = browser.page(&server, &format!("/sign-in?error={code}"));
        assert_eq!(page.status, 400);
        assert!(page.body.contains(words) && !page.body.contains(code), "{code}: {}", page.body);
    }
    for odd in ["%3Cscript%3E", "a%0d%0ab", "oauth", "%ff"] {
        let page = browser.page(&server, &format!("/sign-in?error={odd}"));
        assert!(page.status == 200 && !page.body.contains("<script>alert"), "{odd}");
        let answer = browser.page(&server, &format!("/account?error={odd}"));
        assert_eq!((answer.status, answer.header("location")), (303, Some("/sign-in")), "{odd}");
    }
}

#[test]
fn oa_14_accounts_are_linked_and_unlinked_on_the_account_page() {
    let folder = Folder::new();
    let server = serve(&folder, &BY_COOKIE);
    let mut browser = Browser::default();
    assert_eq!(server.register("percival@camelot.bt").status, 201);
    let form = format!("email=percival%40camelot.bt&password={}", PASSWORD.replace(' ', "+"));
    assert_eq!(browser.press(&server, "/sign-in", &form).status, 303);
    let page = browser.page(&server, "/account");
    assert!(page.body.contains(LINK) && page.body.contains("There are none yet"), "{}", page.body);
    assert_eq!(browser.follows(&server, LINK, There::IsCalled("perceval")), LINKED);
    says(&browser.page(&server, LINKED), 200, "The account is linked.");
    let page = browser.page(&server, "/account");
    let id = page.body.split("name=\"account\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    // From elsewhere nobody unlinks anything.
    let cookie = browser.cookie(OURS);
    let headers = [
        ("cookie", cookie.as_str()),
        ("sec-fetch-site", "cross-site"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let forged = server.send("POST", "/account/accounts", &headers, format!("account={id}").as_bytes());
    assert_eq!(forged.status, 403);
    for odd in ["account=x", "", "account=%00"] {
        let answer = browser.press(&server, "/account/accounts", odd);
        assert_eq!((answer.status, answer.header("location")), (303, Some("/account")), "{odd}");
    }
    let answer = browser.press(&server, "/account/accounts", &format!("account={id}"));
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account?done=unlinked")), "{}", answer.body);
    let page = browser.page(&server, "/account?done=unlinked");
    assert!(page.body.contains("not linked any more") && page.body.contains(LINK));
    // The mailbox is told of both.
    let mailbox = Visitor::of(&server);
    for subject in ["linked to yours", "unlinked from yours"] {
        let subject = format!("An account at The Round Table was {subject}");
        let mail = mailbox.mailed("percival@camelot.bt", &subject, 1);
        assert!(mail.contains("an account at The Round Table was"), "{mail}");
    }
}

/// Who opens the link where they are signed in is who linked the account; somebody else may be somebody else.
#[test]
fn rc_11_a_confirmed_address_keeps_what_is_linked_in_the_browser_that_linked_it() {
    let folder = Folder::new();
    let server = serve(&folder, &BY_COOKIE);
    for (name, same_browser) in [("lamorak", true), ("dinadan", false)] {
        let email = format!("{name}@camelot.bt");
        assert_eq!(server.register(&email).status, 201);
        let mut browser = Browser::default();
        let form = format!("email={name}%40camelot.bt&password={}", PASSWORD.replace(' ', "+"));
        assert_eq!(browser.press(&server, "/sign-in", &form).status, 303);
        assert_eq!(browser.follows(&server, LINK, There::IsCalled(&format!("{name}.elsewhere"))), LINKED);
        assert_eq!(browser.press(&server, "/request-verify", &format!("email={name}%40camelot.bt")).status, 303);
        let link = Visitor::of(&server).mailed_link(&email, "Confirm your e-mail address", 1);
        let token = link.split_once("?token=").unwrap().1.to_owned();
        let mut opens = if same_browser { browser } else { Browser::default() };
        let answer = opens.press(&server, "/verify", &format!("token={token}"));
        assert_eq!(answer.header("location"), Some("/sign-in?done=verified"), "{}", answer.body);
        let mut again = Browser::default();
        assert_eq!(again.press(&server, "/sign-in", &form).status, 303);
        let page = again.page(&server, "/account").body;
        assert_eq!(page.contains("name=\"account\" value=\""), same_browser, "{page}");
        if same_browser {
            assert_eq!(opens.page(&server, "/account").status, 200, "nobody is signed out");
        }
    }
}

/// The id of the account that the page shows.
fn shown_account(page: &Answer) -> String {
    between(&page.body, "name=\"account\" value=\"", "\"")
}

#[test]
fn oa_14_unlinking_on_the_page_asks_for_a_login_of_a_short_while_ago() {
    let folder = Folder::new();
    let server = serve(&folder, &BY_COOKIE);
    let mut browser = Browser::default();
    assert_eq!(server.register("agravain@camelot.bt").status, 201);
    browser.signs_in(&server, "agravain@camelot.bt");
    assert_eq!(browser.follows(&server, LINK, There::IsCalled("agravaine")), LINKED);
    let account = format!("account={}", shown_account(&browser.page(&server, "/account")));
    age_sessions(&folder, 700);
    sees(&browser.press(&server, "/account/accounts", &account), "/sign-in?done=again");
    assert!(browser.page(&server, "/account").body.contains("name=\"account\""), "it is linked still");
    says(&browser.page(&server, "/sign-in?done=again"), 200, "to show that it is you");
    browser.signs_in(&server, "agravain@camelot.bt");
    sees(&browser.press(&server, "/account/accounts", &account), "/account?done=unlinked");
    assert!(!browser.page(&server, "/account").body.contains("name=\"account\""));
}

#[test]
fn oa_14_in_strict_a_link_leads_to_the_sign_in_page_after_a_login_of_long_ago() {
    let folder = Folder::new();
    let server = serve(&folder, &[&BY_COOKIE[..], &[("AXUM_USERS__PROFILE", "strict")]].concat());
    folder.run_with_input(&["user", "create", "bedivere@camelot.bt", "--verified"], PASSWORD).succeeded();
    let mut browser = Browser::default();
    browser.signs_in(&server, "bedivere@camelot.bt");
    age_sessions(&folder, 700);
    let answer = browser.ours(&server, LINK, None);
    assert_eq!((answer.status, &answer.value()["detail"]), (403, &json!("FRESH_LOGIN_REQUIRED")), "to a program");
    sees(&browser.page(&server, LINK), "/sign-in?done=again");
    says(&browser.page(&server, "/sign-in?done=again"), 200, "to show that it is you");
    browser.signs_in(&server, "bedivere@camelot.bt");
    assert_eq!(browser.follows(&server, LINK, There::IsCalled("bedwyr")), LINKED);
}

#[test]
fn a_link_that_failed_is_told_as_one() {
    let folder = Folder::new();
    let server = serve(&folder, &BY_COOKIE);
    assert_eq!(Browser::default().follows(&server, SIGN_IN, There::IsCalled("tor")), "/account");
    assert_eq!(server.register("pellinore@camelot.bt").status, 201);
    for (there, code, words) in [
        (There::SaysNo, "OAUTH_PROVIDER_ERROR", "Linking that account did not work"),
        (There::IsCalled("tor"), "OAUTH_USER_ALREADY_EXISTS", "belongs to another user here"),
    ] {
        let mut browser = Browser::default();
        browser.signs_in(&server, "pellinore@camelot.bt");
        let back = browser.follows(&server, LINK, there);
        assert_eq!(back, format!("{LINKED}&error={code}"));
        let page = browser.page(&server, &back);
        says(&page, 400, words);
        let others = ["Signing in", "The account is linked.", code];
        assert!(others.iter().all(|other| !page.body.contains(other)), "{}", page.body);
        assert!(page.body.contains(LINK), "a way on");
        // Whoever is signed out by now reads the same.
        says(&Browser::default().page(&server, &back.replace("/account", "/sign-in")), 400, words);
    }
}

#[test]
fn no_browser_is_shown_json_on_the_way_to_a_provider_and_back() {
    let folder = Folder::new();
    let server = serve(&folder, &BY_COOKIE);
    assert_eq!(server.register("ector@camelot.bt").status, 201);
    let mut ector = Browser::default();
    ector.signs_in(&server, "ector@camelot.bt");
    let url = ector.page(&server, LINK).header("location").unwrap().to_owned();
    let of_ector = ector.through(&url, There::IsCalled("ector.elsewhere"));
    let mut spent = Browser::default();
    let url = spent.page(&server, SIGN_IN).header("location").unwrap().to_owned();
    let of_spent = spent.through(&url, There::IsCalled("galeron"));
    sees(&spent.page(&server, &of_spent), "/account");

    let nobody = Browser::default;
    let callback = "/auth/camelot/callback";
    let bad_state = format!("{callback}?code=x&state=zz");
    for (browser, path, leads_to, words, detail) in [
        (
            nobody(),
            &*bad_state,
            "/account?error=ACCESS_TOKEN_DECODE_ERROR",
            "did not work",
            "ACCESS_TOKEN_DECODE_ERROR",
        ),
        (nobody(), callback, "/account?error=OAUTH_PROVIDER_ERROR", "did not work", "Bad Request"),
        (nobody(), &of_spent, "/account?error=OAUTH_INVALID_STATE", "in another browser", "OAUTH_INVALID_STATE"),
        (nobody(), LINK, "/sign-in?done=linked&error=SIGNED_OUT", "You are signed out.", "Unauthorized"),
        (nobody(), &of_ector, "/sign-in?done=linked&error=SIGNED_OUT", "You are signed out.", "Unauthorized"),
        (
            nobody(),
            "/auth/camelot/authorize?redirect_to=//evil.example",
            "/account?error=OAUTH_REDIRECT_NOT_ALLOWED",
            "did not work",
            "OAUTH_REDIRECT_NOT_ALLOWED",
        ),
    ] {
        // Programs and scripts read what the API says.
        for headers in [&[][..], &[("accept", "*/*")], &[("sec-fetch-mode", "cors"), ("accept", "text/html")]] {
            let answer = server.send("GET", path, headers, b"");
            assert_eq!(answer.value()["detail"], detail, "{path} {headers:?}");
        }
        // A browser of today, and one from before Fetch Metadata.
        for headers in [[("sec-fetch-mode", "navigate")], [("accept", "text/html,*/*;q=0.8")]] {
            let answer = server.send("GET", path, &headers, b"");
            sees(&answer, leads_to);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert!(answer.header("content-security-policy").is_some());
        }
        let mut browser = browser;
        let mut page = browser.page(&server, leads_to);
        if page.status == 303 {
            page = browser.page(&server, page.header("location").unwrap());
        }
        says(&page, 400, words);
        assert!(page.body.contains(&format!("href=\"{SIGN_IN}\"")), "a way on: {}", page.body);
    }
    // In its own browser a state counts once.
    sees(&spent.page(&server, &of_spent), "/account?error=OAUTH_INVALID_STATE");
    says(&spent.page(&server, "/account?error=OAUTH_INVALID_STATE"), 400, "in another browser");
    // Another site cannot begin a link.
    let cookie = ector.cookie(OURS);
    let headers = [("cookie", &*cookie), ("sec-fetch-mode", "navigate"), ("sec-fetch-site", "cross-site")];
    says(&server.send("GET", LINK, &headers, b""), 403, "from your account page only");
}

#[test]
fn a_provider_that_is_away_is_told_on_a_page() {
    let folder = Folder::new();
    let away = [
        ("AXUM_USERS__PUBLIC_URL", SITE),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__KIND", "openid"),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__ISSUER", "http://127.0.0.1:9"),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__CLIENT_ID", "id"),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__CLIENT_SECRET", "a secret"),
    ];
    let server = folder.serve_with(&[&away[..], &BY_COOKIE].concat());
    let mut browser = Browser::default();
    refused(&browser.ours(&server, SIGN_IN, None), "OAUTH_PROVIDER_ERROR");
    sees(&browser.page(&server, SIGN_IN), "/account?error=OAUTH_PROVIDER_ERROR");
    sees(&browser.page(&server, "/account?error=OAUTH_PROVIDER_ERROR"), "/sign-in?error=OAUTH_PROVIDER_ERROR");
    says(&browser.page(&server, "/sign-in?error=OAUTH_PROVIDER_ERROR"), 400, "does not answer just now");
    assert_eq!(server.register("arthur@camelot.bt").status, 201);
    browser.signs_in(&server, "arthur@camelot.bt");
    let back = format!("{LINKED}&error=OAUTH_PROVIDER_ERROR");
    sees(&browser.page(&server, LINK), &back);
    says(&browser.page(&server, &back), 400, "Linking that account did not work");
    // Where there are no pages, there is the API.
    let server = folder.serve_with(&[&away[..], &BY_COOKIE, &[("AXUM_USERS__PAGES__ENABLED", "false")]].concat());
    refused(&browser.page(&server, SIGN_IN), "OAUTH_PROVIDER_ERROR");
}

#[test]
fn au_01_too_many_callbacks_are_told_on_a_page_when_to_come_back() {
    let folder = Folder::new();
    let server = serve(&folder, &[&BY_COOKIE[..], &[("AXUM_USERS__THROTTLE__ENABLED", "true")]].concat());
    let mut browser = Browser::default();
    assert_eq!(server.register("lucan@camelot.bt").status, 201);
    browser.signs_in(&server, "lucan@camelot.bt");
    let (sign_in, link) =
        ["", "associate/"].map(|errand| format!("/auth/{errand}camelot/callback?code=x&state=zz")).into();
    let mut tries = 0;
    let page = loop {
        let answer = browser.page(&server, &sign_in);
        if answer.status != 303 {
            break answer;
        }
        tries += 1;
        assert!(tries < 100, "nobody counts");
    };
    says(&page, 429, "Too many attempts. Try again in ");
    assert!(page.header("retry-after").is_some_and(|wait| wait.parse::<u64>().unwrap() > 0), "{}", page.head);
    assert!(page.body.contains("<a href=\"/sign-in\">"), "a way on: {}", page.body);
    let page = browser.page(&server, &link);
    says(&page, 429, "Too many attempts. Try again in ");
    assert!(page.body.contains("<a href=\"/account\">Back to your account</a>"), "{}", page.body);
    let answer = browser.ours(&server, &sign_in, None);
    assert_eq!((answer.status, &answer.value()["detail"]), (429, &json!("Too Many Requests")), "to a program");
}

#[test]
fn who_has_to_confirm_an_address_or_is_inactive_is_told_so() {
    let folder = Folder::new();
    let server = serve(&folder, &[&BY_COOKIE[..], &[("AXUM_USERS__AUTH__REQUIRES_VERIFICATION", "true")]].concat());
    let mut browser = Browser::default();
    assert_eq!(browser.follows(&server, SIGN_IN, There::IsCalled("ywain")), "/account");
    let page = browser.page(&server, "/account");
    says(&page, 200, "You can use your account as soon as your address is confirmed.");
    assert!(!page.body.contains(LINK) && !page.body.contains("/account/set-password"));
    // Whoever goes there nevertheless.
    let back = format!("{LINKED}&error=LOGIN_USER_NOT_VERIFIED");
    sees(&browser.page(&server, LINK), &back);
    says(&browser.page(&server, &back), 400, "Confirm your address first");
    says(&browser.page(&server, "/account?error=OAUTH_PROVIDER_ERROR"), 400, "did not work");

    folder.run_with_input(&["user", "create", "merlin@camelot.bt", "--superuser", "--verified"], PASSWORD).succeeded();
    let merlin = server.token("merlin@camelot.bt", PASSWORD);
    let users = folder.run(&["user", "list", "--json"]).succeeded().json();
    let ywain = users.as_array().unwrap().iter().find(|user| user["email"] == "ywain@camelot.bt").unwrap();
    let path = format!("/users/{}", ywain["id"].as_str().unwrap());
    assert_eq!(server.json("PATCH", &path, Some(&merlin), &json!({ "is_active": false })).status, 200);
    let back = Browser::default().follows(&server, SIGN_IN, There::IsCalled("ywain"));
    assert_eq!(back, "/account?error=LOGIN_BAD_CREDENTIALS");
    sees(&Browser::default().page(&server, &back), "/sign-in?error=LOGIN_BAD_CREDENTIALS");
    says(&Browser::default().page(&server, "/sign-in?error=LOGIN_BAD_CREDENTIALS"), 400, "switched off");
}

#[test]
fn who_has_no_password_is_not_asked_for_one_and_sets_one_by_mail() {
    const FORMS: [&str; 2] = ["action=\"/account/password\"", "action=\"/account/email\""];
    const SET: &str = "action=\"/account/set-password\"";
    let folder = Folder::new();
    let server = serve(&folder, &BY_COOKIE);
    let mut browser = Browser::default();
    assert_eq!(browser.follows(&server, SIGN_IN, There::IsCalled("sagramore")), "/account");
    let page = browser.page(&server, "/account");
    assert!(page.body.contains(SET) && FORMS.iter().all(|form| !page.body.contains(form)), "{}", page.body);
    for path in ["/account/password", "/account/email"] {
        sees(&browser.press(&server, path, "current_password=x&new_password=y&email=a%40b.bt"), "/account");
    }
    sees(&browser.press(&server, "/account/set-password", ""), "/account?done=password-sent");
    says(&browser.page(&server, "/account?done=password-sent"), 200, "It leads to a new password.");
    let link = Visitor::of(&server).mailed_link("sagramore@camelot.bt", "Set a new password", 1);
    let token = link.split_once("?token=").unwrap().1;
    let new = form(&[("token", token), ("new_password", PASSWORD)]);
    sees(&browser.press(&server, "/reset-password", &new), "/sign-in?done=reset");
    browser.signs_in(&server, "sagramore@camelot.bt");
    let page = browser.page(&server, "/account");
    assert!(!page.body.contains(SET) && FORMS.iter().all(|form| page.body.contains(form)), "{}", page.body);
    sees(&browser.press(&server, "/account/set-password", ""), "/account");
    // Without mail there is no such way.
    let folder = Folder::new();
    let server = serve(&folder, &[&BY_COOKIE[..], &[("AXUM_USERS__MAIL__TRANSPORT", "none")]].concat());
    let mut browser = Browser::default();
    assert_eq!(browser.follows(&server, SIGN_IN, There::IsCalled("dodinal")), "/account");
    let page = browser.page(&server, "/account");
    says(&page, 200, "This site sends no mail");
    assert!(!page.body.contains(SET));
}
