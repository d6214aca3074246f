//! Every client against recorded requests, and against issuers that lie.

mod limits;
mod openid;
mod providers;

use std::sync::{Arc, Mutex};

use axum_users_core::{
    Secret,
    oauth::{OAuthClientError, OAuthCode},
};
use serde_json::Value;

use crate::http::{Answer, Answered, Call, Carrier, Http};

/// Answers calls in the place of a provider, and keeps them.
#[derive(Clone)]
pub(crate) struct Fake {
    calls: Arc<Mutex<Vec<Call>>>,
    answer: Arc<Script>,
}

/// Status and body by what is asked.
type Script = dyn Fn(&Call) -> (u16, Value) + Send + Sync;

impl Fake {
    pub(crate) fn new(answer: impl Fn(&Call) -> (u16, Value) + Send + Sync + 'static) -> Self {
        Self { calls: Arc::default(), answer: Arc::new(answer) }
    }

    pub(crate) fn http(&self) -> Http {
        Http::carried_by(self.clone())
    }

    /// What was called since the last time.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

impl Carrier for Fake {
    fn carry(&self, call: Call) -> Answered<'_> {
        let (status, body) = (self.answer)(&call);
        self.calls.lock().unwrap().push(call);
        Box::pin(async move { Ok(Answer { status, body: body.to_string().into_bytes() }) })
    }
}

pub(crate) fn code() -> OAuthCode {
    let redirect_uri = "https://app.example/cb".to_owned();
    OAuthCode::new(Secret::from("CODE"), redirect_uri, Secret::from("VERIFIER"), "NONCE".to_owned())
}

/// What an error is, for the log.
pub(crate) fn told(error: &OAuthClientError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}")
}
