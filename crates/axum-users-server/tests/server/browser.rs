//! Pages in a real browser: on a phone's width and on a desktop's, with and without scripts, in light and in dark.

use crate::{
    harness::{Door, Folder, PASSWORD, Server},
    oauth::{client_of, provider},
    webdriver::{Browser, Window, variable},
};

const NEW_PASSWORD: &str = "plum tomato engine";
const ARTHUR: &str = "arthur@camelot.bt";

#[test]
fn ck_08_on_a_phone_with_scripts() {
    goes_all_ways(Window { width: 390, scripts: true });
}

#[test]
fn ck_08_on_a_phone_without_scripts() {
    goes_all_ways(Window { width: 390, scripts: false });
}

#[test]
fn ck_08_on_a_desktop_with_scripts() {
    goes_all_ways(Window { width: 1280, scripts: true });
}

#[test]
fn ck_08_on_a_desktop_without_scripts() {
    goes_all_ways(Window { width: 1280, scripts: false });
}

/// From nothing to a verified account, and from a forgotten password to a new one.
fn goes_all_ways(window: Window) {
    let folder = Folder::new();
    folder.write(
        "axum-users.toml",
        "[users.profile.first_name]\nrequired = true\n[users.profile.age]\ntype = \"integer\"\n\
         [users.profile.newsletter]\ntype = \"bool\"\nrequired = true\n[users.profile.about]\ntype = \"json\"\n\
         [users.profile.pets]\ntype = \"bool\"\n[users.profile.plan]\nread_only = true\n\
         [pages]\nproduct_name = \"Camelot\"\nfooter = [\"Privacy https://camelot.bt/privacy\", \"Help /docs\"]",
    );
    let server = folder.serve();
    let person = Person::at(&server, window);
    let browser = &person.browser;

    person.go("/");
    browser.is_at("/sign-in");
    person.looks("sign-in");
    browser.follow("a[href='/sign-up']");
    browser.is_at("/sign-up");
    person.looks("sign-up");

    // What is wrong is said beside the field, and the first of it has the focus.
    browser.fill("#email", "arthur");
    person.press("main button.primary");
    person.says("This is no e-mail address");
    assert_eq!(browser.focused(), "email");
    assert_eq!(browser.attribute("#email", "value").as_deref(), Some("arthur"));
    person.looks("sign-up-wrong");
    browser.fill("#email", ARTHUR);
    browser.fill("#password", PASSWORD);
    browser.fill("[id='profile.first_name']", "Arthur");
    browser.click("[id='profile.newsletter']");
    person.press("main button.primary");
    browser.is_at("/account?done=welcome-sent");
    person.looks("account-unverified");

    let verify = person.opens_mail(0);
    assert_eq!(verify, "/verify", "the token has left the address");
    person.looks("verify");
    person.press("main button.primary");
    browser.is_at("/account?done=verified");
    person.looks("account-verified");
    assert_eq!(browser.attribute("[id='profile.first_name']", "value").as_deref(), Some("Arthur"));

    browser.fill("#password-current_password", "wrong");
    browser.fill("#password-new_password", NEW_PASSWORD);
    person.press("form[action='/account/password'] button.secondary");
    person.says("This is not your current password.");
    assert_eq!(browser.focused(), "password-current_password");
    person.looks("account-wrong");
    browser.fill("[id='profile.first_name']", "Arthur the king");
    person.press("form[action='/account/profile'] button.secondary");
    browser.is_at("/account?done=profile");

    // Another browser of the same person is signed out from here.
    let elsewhere = Person::at(&server, window);
    elsewhere.go("/sign-in");
    elsewhere.signs_in(PASSWORD);
    elsewhere.browser.is_at("/account");
    person.go("/account");
    person.looks("account-sessions");
    person.press("form[action='/account/sessions'] button.quiet");
    browser.is_at("/account?done=session");
    elsewhere.go("/account");
    elsewhere.browser.is_at("/sign-in");
    drop(elsewhere);

    person.press("form[action='/sign-out'] button");
    browser.is_at("/sign-in?done=signed-out");
    person.looks("signed-out");
    person.signs_in("wrong");
    person.says("The address or the password is wrong.");
    assert_eq!(browser.focused(), "problem", "where no field is wrong, the summary has the focus");
    person.looks("sign-in-wrong");
    browser.follow("a[href='/forgot-password']");
    browser.is_at("/forgot-password");
    person.looks("forgot-password");
    browser.fill("#email", ARTHUR);
    person.press("main button.primary");
    browser.is_at("/forgot-password?done=sent");
    person.looks("forgot-password-sent");
    assert_eq!(person.opens_mail(1), "/reset-password");
    person.looks("reset-password");
    browser.fill("#new_password", NEW_PASSWORD);
    if window.scripts {
        assert_eq!(browser.attribute("#new_password", "type").as_deref(), Some("password"));
        browser.click("button.toggle");
        assert_eq!(browser.attribute("#new_password", "type").as_deref(), Some("text"));
        assert_eq!(browser.attribute("button.toggle", "aria-label").as_deref(), Some("Hide the password"));
        person.looks("reset-password-shown");
    } else {
        assert!(browser.has("button.toggle[hidden]"), "a button that does nothing is not shown");
    }
    person.press("main button.primary");
    browser.is_at("/sign-in?done=reset");
    person.looks("sign-in-after-reset");
    person.signs_in(NEW_PASSWORD);
    browser.is_at("/account");
    person.go("/reset-password");
    person.says("This link does not work");
    person.looks("broken-link");
}

#[test]
fn ck_08_by_a_provider_on_a_phone() {
    goes_by_a_provider(Window { width: 390, scripts: false }, "gareth");
}

#[test]
fn ck_08_by_a_provider_on_a_desktop() {
    goes_by_a_provider(Window { width: 1280, scripts: true }, "gaheris");
}

/// From the sign-in page through the provider's own pages to the account, and a provider that is told no.
fn goes_by_a_provider(window: Window, name: &str) {
    let folder = Folder::new();
    // Where browsers come back to has to be known before.
    let door = Door::new();
    // Cookies do not look at ports: the provider has the other name of this machine.
    let site = format!("http://localhost:{}", door.port());
    let ((id, secret), issuer) = (client_of(&site), provider());
    let server = folder.serve_with(&[
        ("AXUM_USERS__PUBLIC_URL", &site),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__KIND", "openid"),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__ISSUER", &issuer),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__CLIENT_ID", &id),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__CLIENT_SECRET", &secret),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__BACKEND", "cookie"),
        ("AXUM_USERS__OAUTH__PROVIDER__CAMELOT__DISPLAY_NAME", "The Round Table"),
    ]);
    door.leads_to(&server);
    let person = Person { browser: Browser::open(window), site };
    let browser = &person.browser;

    person.go("/sign-in");
    person.looks("sign-in-providers");
    person.press(".providers a");
    person.press("#cancel");
    browser.is_at("/sign-in?error=OAUTH_PROVIDER_ERROR");
    person.looks("sign-in-provider-refused");
    assert_eq!(browser.focused(), "problem");
    person.press(".providers a");
    browser.fill("#name", name);
    person.press("#go");
    person.press("#go");
    browser.is_at("/account");
    person.says(&format!("{name}@camelot.bt"));
    person.looks("account-linked");
    person.press("form[action='/account/accounts'] button");
    person.says("only way to sign in");
    person.looks("account-last-way");
    person.go("/account");
    person.press("form[action='/sign-out'] button");
    browser.is_at("/sign-in?done=signed-out");
    // The provider remembers who that is, and what was allowed.
    person.press(".providers a");
    browser.is_at("/account");

    // Whoever has no password is not asked for one. It comes by mail; the address was not confirmed, so nothing stays linked.
    assert!(!browser.has("#password-current_password"));
    person.press("form[action='/account/set-password'] button");
    browser.is_at("/account?done=password-sent");
    person.looks("account-password-sent");
    assert_eq!(person.opens_mail(0), "/reset-password");
    browser.fill("#new_password", NEW_PASSWORD);
    person.press("main button.primary");
    browser.is_at("/sign-in?done=reset");
    person.signs_in_as(&format!("{name}@camelot.bt"), NEW_PASSWORD);
    browser.is_at("/account");
    assert!(browser.has("#password-current_password") && !browser.has("form[action='/account/accounts']"));

    person.press(".providers a");
    browser.is_at("/account?done=linked");
    person.says("The account is linked.");
    person.looks("account-linked-again");
    person.press("form[action='/account/accounts'] button");
    browser.is_at("/account?done=unlinked");
    person.looks("account-unlinked");
    assert!(!browser.has("form[action='/account/accounts']"));
    // As if the address had been copied from a provider's answer to another browser.
    person.go("/auth/camelot/callback?code=x&state=y");
    browser.is_at("/account?error=ACCESS_TOKEN_DECODE_ERROR");
    person.says("did not work");
    person.looks("account-callback-failed");
}

struct Person {
    browser: Browser,
    site: String,
}

impl Person {
    fn at(server: &Server, window: Window) -> Self {
        // A name that the browser trusts without TLS.
        Self { browser: Browser::open(window), site: format!("http://127.0.0.1:{}", server.address.port()) }
    }

    fn go(&self, path: &str) {
        self.browser.go(&format!("{}{path}", self.site));
    }

    fn press(&self, button: &str) {
        self.browser.follow(button);
    }

    fn signs_in(&self, password: &str) {
        self.signs_in_as(ARTHUR, password);
    }

    fn signs_in_as(&self, email: &str, password: &str) {
        self.browser.fill("#email", email);
        self.browser.fill("#password", password);
        self.press("main button.primary");
    }

    #[track_caller]
    fn says(&self, words: &str) {
        let source = self.browser.source();
        assert!(source.contains(words), "{words:?} is missing in {source}");
    }

    /// Opens the link in the newest mail, once there are more than `before`; where that leads.
    fn opens_mail(&self, before: usize) -> String {
        let browser = &self.browser;
        let newest = format!(".mails li:nth-child({})", before + 1);
        let mut patience = 600;
        self.go("/mailbox");
        while !browser.has(&newest) {
            patience -= 1;
            assert!(patience > 0, "no mail: {}", browser.source());
            std::thread::sleep(std::time::Duration::from_millis(100));
            self.go("/mailbox");
        }
        self.looks("mailbox");
        browser.follow(".mails li a");
        self.looks("mail");
        // It may name the port that was asked for, which is any.
        let link = browser.attribute("a.primary", "href").unwrap();
        self.go(&format!("/{}", link.split_once("://").unwrap().1.split_once('/').unwrap().1));
        browser.path()
    }

    /// There is nothing wrong with this page.
    #[track_caller]
    fn looks(&self, name: &str) {
        let browser = &self.browser;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            browser.picture(&format!("{name}-{scheme}"));
            if browser.window.scripts {
                let violations = violations(browser);
                assert!(violations.is_empty(), "{name} {scheme}: {violations:#?}");
            }
        }
        browser.prefer("light");
        let widths = browser.script("return [document.documentElement.scrollWidth, window.innerWidth]");
        assert!(widths[0].as_u64() <= widths[1].as_u64(), "{name} is wider than its window: {widths}");
        if browser.window.scripts {
            let shift = browser.script_async(LAYOUT_SHIFT).as_f64().unwrap();
            assert!(shift < 0.01, "{name} moves while it loads: {shift}");
        }
        // Warnings and errors; but that a page was answered with 4xx is no complaint about the page.
        let is_complaint = |line: &&String| {
            (line.starts_with("WARNING") || line.starts_with("SEVERE"))
                && !line.contains("responded with a status of 4")
        };
        let complaints: Vec<String> = browser.console().iter().filter(is_complaint).cloned().collect();
        assert!(complaints.is_empty(), "{name}: {complaints:#?}");
    }
}

/// All that moved without anybody having done anything, as a share of the window.
const LAYOUT_SHIFT: &str = "const done = arguments[arguments.length - 1]; let sum = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
    requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));";

/// What axe-core finds by the rules of WCAG 2.2 AA and its own of good practice.
fn violations(browser: &Browser) -> Vec<String> {
    let source = std::fs::read_to_string(variable("AXUM_USERS_TEST_AXE_FILE")).unwrap();
    browser.script(&source);
    let run = "const done = arguments[arguments.length - 1];
        const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
        axe.run(document, { runOnly: { type: 'tag', values: tags }, iframes: false }).then(
            (result) => done(result.violations.map((it) => it.id + ': ' + it.nodes.map((node) =>
                node.html + ' ' + node.failureSummary).join(' | '))),
            (error) => done(['axe failed: ' + error]));";
    let found = browser.script_async(run);
    found.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

#[test]
fn ck_08_what_looks_for_violations_finds_them() {
    let folder = Folder::new();
    let server = folder.serve();
    let person = Person::at(&server, Window { width: 1280, scripts: true });
    let browser = &person.browser;
    person.go("/sign-in");
    assert!(browser.console().is_empty());
    assert!(violations(browser).is_empty());
    browser.script("document.querySelector('label').remove()");
    assert!(violations(browser).iter().any(|it| it.starts_with("label: ")));
    browser.script(
        "const script = document.createElement('script'); script.src = '/pages/pages.js'; document.body.append(script);
         document.querySelector('h1').setAttribute('style', 'color: #eee');",
    );
    let console = browser.console();
    let refused = console.iter().filter(|line| line.contains("Content Security Policy")).count();
    assert_eq!(refused, 2, "a script and a style without the nonce: {console:#?}");
}
