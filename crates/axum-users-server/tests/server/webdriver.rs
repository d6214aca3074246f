//! A real browser, spoken to by WebDriver (W3C) and, for what that lacks, by Chromium's own commands.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Longer than anything takes on a busy machine; what reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// What WebDriver calls an element (section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What the window is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) width: u32,
    pub(crate) scripts: bool,
}

/// A browser that is gone when the test is over.
pub(crate) struct Browser {
    host: String,
    session: String,
    pub(crate) window: Window,
}

impl Browser {
    pub(crate) fn open(window: Window) -> Self {
        let url = variable("AXUM_USERS_TEST_WEBDRIVER_URL");
        let host = url.strip_prefix("http://").expect("an http URL").trim_end_matches('/').to_owned();
        // The sandbox needs rights that containers withhold; the browser sees nothing but our own server.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--lang=en-GB",
        ];
        let always = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let answer = ask(&host, "POST", "/session", &json!({ "capabilities": { "alwaysMatch": always } }));
        let session = answer["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}")).to_owned();
        let browser = Self { host, session, window };
        let height = if window.width < 600 { 844 } else { 800 };
        let metrics =
            json!({ "width": window.width, "height": height, "deviceScaleFactor": 1, "mobile": window.width < 600 });
        browser.command("Emulation.setDeviceMetricsOverride", &metrics);
        browser.command("Emulation.setScriptExecutionDisabled", &json!({ "value": !window.scripts }));
        browser
    }

    pub(crate) fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// The path and the query of the page.
    pub(crate) fn path(&self) -> String {
        let url = self.get("/url");
        let url = url.as_str().unwrap();
        format!("/{}", url.split_once("://").unwrap().1.split_once('/').unwrap().1)
    }

    /// The page is this one.
    #[track_caller]
    pub(crate) fn is_at(&self, path: &str) {
        assert_eq!(self.path(), path, "{}", self.source());
    }

    pub(crate) fn source(&self) -> String {
        self.get("/source").as_str().unwrap().to_owned()
    }

    pub(crate) fn has(&self, selector: &str) -> bool {
        !self.post("/elements", &css(selector)).as_array().unwrap().is_empty()
    }

    pub(crate) fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/clear"), &json!({}));
        self.post(&format!("/element/{element}/value"), &json!({ "text": text }));
    }

    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Clicks what leads to another page, or to the same one again, and waits until that is there.
    #[track_caller]
    pub(crate) fn follow(&self, selector: &str) {
        let page = self.element("html");
        self.click(selector);
        let began = Instant::now();
        let old = format!("/session/{}/element/{page}/name", self.session);
        let script = format!("/session/{}/execute/sync", self.session);
        let loaded = json!({ "script": "return document.readyState === 'complete'", "args": [] });
        while try_ask(&self.host, "GET", &old, &Value::Null).is_ok()
            || try_ask(&self.host, "POST", &script, &loaded) != Ok(true.into())
        {
            assert!(began.elapsed() < PATIENCE, "{selector} leads nowhere: {}", self.source());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        let element = self.element(selector);
        self.get(&format!("/element/{element}/attribute/{name}")).as_str().map(str::to_owned)
    }

    /// The id of the element that has the focus.
    pub(crate) fn focused(&self) -> String {
        let element = id_of(&self.get("/element/active"));
        self.get(&format!("/element/{element}/attribute/id")).as_str().unwrap_or_default().to_owned()
    }

    /// Runs a script in the page, whatever its policy says; the value that it returns.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Runs a script that calls its last argument with its value.
    pub(crate) fn script_async(&self, script: &str) -> Value {
        self.post("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// What the console says since it was asked last: errors of scripts, of files, and of the policy of the page.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().unwrap().iter();
        entries
            .map(|entry| format!("{} {}", entry["level"].as_str().unwrap(), entry["message"].as_str().unwrap()))
            .collect()
    }

    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.command("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Keeps a picture of the whole page for people, if they say where.
    pub(crate) fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("AXUM_USERS_TEST_PICTURES") else { return };
        let Window { width, scripts } = self.window;
        let file = format!("{name}-{width}{}.png", if scripts { "" } else { "-noscript" });
        let metrics = self.command("Page.getLayoutMetrics", &json!({}));
        let size = &metrics["cssContentSize"];
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let picture = self.command("Page.captureScreenshot", &json!({ "captureBeyondViewport": true, "clip": clip }));
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(PathBuf::from(folder).join(file), bytes).unwrap();
    }

    fn command(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    fn element(&self, selector: &str) -> String {
        id_of(&self.post("/element", &css(selector)))
    }

    fn get(&self, path: &str) -> Value {
        ask(&self.host, "GET", &format!("/session/{}{path}", self.session), &Value::Null)
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        ask(&self.host, "POST", &format!("/session/{}{path}", self.session), body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let path = format!("/session/{}", self.session);
        // A driver that is gone has taken its browsers with it.
        let _ = std::panic::catch_unwind(|| ask(&self.host, "DELETE", &path, &Value::Null));
    }
}

fn css(selector: &str) -> Value {
    json!({ "using": "css selector", "value": selector })
}

fn id_of(element: &Value) -> String {
    element[ELEMENT].as_str().unwrap_or_else(|| panic!("no element: {element}")).to_owned()
}

/// One question to the driver; an error of its ends the test.
fn ask(host: &str, method: &str, path: &str, body: &Value) -> Value {
    try_ask(host, method, path, body).unwrap_or_else(|error| panic!("{method} {path} {body:.300}: {error}"))
}

fn try_ask(host: &str, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(host).unwrap_or_else(|error| panic!("{host} does not answer: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap()
            }
            Some(_) => {}
            None if line.starts_with("HTTP/") => {}
            None => break,
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).unwrap();
    let answer: Value = serde_json::from_slice(&bytes).unwrap();
    let value = answer["value"].clone();
    if value["error"].is_null() { Ok(value) } else { Err(value) }
}

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name}: see CONTRIBUTING.md"))
}
