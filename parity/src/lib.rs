//! Replays recorded exchanges against a router, and says where an answer differs.
//!
//! Ids and tokens of the recording are not ours: where a recorded answer holds one, the pair is learnt, and later requests are
//! sent with ours.

use std::collections::BTreeMap;

use axum::{Router, body::Body, http::Request, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

/// All suites of `recorded/exchanges.json`.
///
/// # Panics
/// When the file is not what it should be.
#[must_use]
#[expect(clippy::expect_used, reason = "a file of this repository")]
pub fn recorded() -> Vec<Suite> {
    let file: Value = serde_json::from_str(include_str!("../recorded/exchanges.json")).expect("valid JSON");
    let suites = file.get("suites").and_then(Value::as_array).expect("suites");
    suites
        .iter()
        .map(|suite| Suite {
            name: text(suite, "suite"),
            steps: suite.get("steps").and_then(Value::as_array).cloned().unwrap_or_default(),
        })
        .collect()
}

/// A sequence of exchanges on one empty database.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// Requests with the recorded responses, and direct writes to the database.
    pub steps: Vec<Value>,
}

/// An answer, recorded or ours.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Empty when there is none.
    pub body: String,
}

impl Answer {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The answer that was recorded for a step.
    #[must_use]
    pub fn recorded(step: &Value) -> Self {
        let response = step.get("response").cloned().unwrap_or_default();
        Self {
            status: response.get("status").and_then(Value::as_u64).and_then(|it| it.try_into().ok()).unwrap_or(0),
            headers: pairs(&response),
            body: text(&response, "body"),
        }
    }
}

/// Sends the requests of one suite.
#[derive(Debug)]
pub struct Replay {
    router: Router,
    learnt: BTreeMap<String, String>,
}

impl Replay {
    /// Against this router.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self { router, learnt: BTreeMap::new() }
    }

    /// A text of the recording with our ids and tokens.
    #[must_use]
    pub fn ours(&self, recorded: &str) -> String {
        self.learnt.iter().fold(recorded.to_owned(), |text, (theirs, ours)| {
            let upper = (theirs.to_uppercase(), ours.to_uppercase());
            let bare = (theirs.replace('-', ""), ours.replace('-', ""));
            let text = text.replace(theirs, ours);
            if theirs.len() == 36 { text.replace(&upper.0, &upper.1).replace(&bare.0, &bare.1) } else { text }
        })
    }

    /// A text of the recording that is ours too, from now on.
    pub fn forget(&mut self, recorded: &str) {
        self.learnt.remove(recorded);
    }

    /// Sends the request of a step; learns what stands for what.
    ///
    /// # Panics
    /// When the request cannot be built.
    #[expect(clippy::expect_used, reason = "requests of a file of this repository")]
    pub async fn send(&mut self, step: &Value) -> Answer {
        let request = step.get("request").cloned().unwrap_or_default();
        let mut builder =
            Request::builder().method(text(&request, "method").as_str()).uri(self.ours(&text(&request, "path")));
        let body = match request.get("body") {
            Some(Value::String(body)) => self.ours(body).into_bytes(),
            Some(Value::Object(body)) => {
                STANDARD.decode(body.get("base64").and_then(Value::as_str).unwrap_or_default()).expect("base64")
            }
            _ => Vec::new(),
        };
        for (name, value) in pairs(&request).iter().filter(|(name, _)| name != "content-length") {
            builder = builder.header(name, self.ours(value));
        }
        if pairs(&request).iter().any(|(name, _)| name == "content-length") {
            builder = builder.header("content-length", body.len());
        }
        let request = builder.body(Body::from(body)).expect("a request");
        let answer = answer(self.router.clone().oneshot(request).await.expect("infallible")).await;
        self.learn(&Answer::recorded(step), &answer);
        answer
    }

    fn learn(&mut self, recorded: &Answer, ours: &Answer) {
        if recorded.status != ours.status {
            return;
        }
        let (theirs, mine) = (recorded.json(), ours.json());
        let mut pairs: Vec<(String, String)> = ["id", "access_token"]
            .iter()
            .filter_map(|name| Some((theirs.get(name)?.as_str()?.to_owned(), mine.get(name)?.as_str()?.to_owned())))
            .collect();
        let cookie = |answer: &Answer| {
            let value = answer.header("set-cookie")?.split_once('=')?.1.split(';').next()?.to_owned();
            (value != "\"\"").then_some(value)
        };
        pairs.extend(cookie(recorded).zip(cookie(ours)));
        let state = |answer: &Value| {
            let (_, rest) = answer.get("authorization_url")?.as_str()?.split_once("&state=")?;
            rest.split('&').next().map(str::to_owned)
        };
        pairs.extend(state(&theirs).zip(state(&mine)));
        let accounts =
            |answer: &Value| answer.get("oauth_accounts").and_then(Value::as_array).cloned().unwrap_or_default();
        for theirs in accounts(&theirs) {
            let same = |it: &&Value| it.get("account_id") == theirs.get("account_id");
            if let Some(mine) = accounts(&mine).iter().find(same) {
                pairs.push((text(&theirs, "id"), text(mine, "id")));
            }
        }
        self.learnt.extend(pairs);
    }
}

async fn answer(response: Response) -> Answer {
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into()));
    Answer { status: head.status.as_u16(), headers: headers.collect(), body: String::from_utf8_lossy(&bytes).into() }
}

fn text(object: &Value, name: &str) -> String {
    object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn pairs(object: &Value) -> Vec<(String, String)> {
    let headers = object.get("headers").and_then(Value::as_array).cloned().unwrap_or_default();
    let item = |pair: &Value, index: usize| pair.get(index).and_then(Value::as_str).unwrap_or_default().to_owned();
    headers.iter().map(|pair| (item(pair, 0).to_lowercase(), item(pair, 1))).collect()
}
