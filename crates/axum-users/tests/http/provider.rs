//! A provider that lives in the test, and browsers that go there and come back.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, http::Request};
use axum_users::{
    ExternalIdentity, OAuthClient, OAuthClientError, OAuthKeys, OAuthSettings, OAuthToken, Secret, UserProfile, Users,
    UsersBuilder,
    oauth::{AuthorizationRequest, OAuthCode, code_challenge},
};
use http::HeaderMap;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::Url;

use crate::people::bytes;

pub(crate) const SECRET: &[u8] = b"Yd2Kq7Lw9Xz4Rt6Vb8Nm3Hj5Gf1Cs0Pe";
pub(crate) const PUBLIC: &str = "https://users.example";

/// Who somebody is there: `id|address|flags`. `v`: the address is proved; `r`: with a refresh token; `x`: expires in an hour.
/// A cheap handle.
#[derive(Clone)]
pub(crate) struct Provider(Arc<Inner>);

struct Inner {
    name: &'static str,
    display_name: String,
    scopes: Vec<String>,
    form_post: bool,
    issuer: Option<&'static str>,
    codes: Mutex<HashMap<String, Code>>,
    approved: AtomicUsize,
    exchanges: AtomicUsize,
}

/// What a code was issued for.
struct Code {
    who: String,
    challenge: String,
    redirect_uri: String,
    nonce: String,
}

impl Provider {
    pub(crate) fn new(name: &'static str) -> Self {
        Self::with(name, None, false)
    }

    pub(crate) fn with(name: &'static str, issuer: Option<&'static str>, form_post: bool) -> Self {
        let scopes = vec!["profile".into(), "email".into()];
        Self(Arc::new(Inner {
            name,
            display_name: format!("The {name}"),
            scopes,
            form_post,
            issuer,
            codes: Mutex::default(),
            approved: AtomicUsize::new(0),
            exchanges: AtomicUsize::new(0),
        }))
    }

    /// The code for somebody who came with this address and agreed.
    pub(crate) fn approve(&self, url: &str, who: &str) -> String {
        let query = query(url);
        assert_eq!(query["code_challenge_method"], "S256", "{url}");
        let mut codes = self.0.codes.lock().unwrap();
        let code = format!("code-{}-{}", self.0.name, self.0.approved.fetch_add(1, Ordering::SeqCst));
        let [challenge, redirect_uri, nonce] =
            ["code_challenge", "redirect_uri", "nonce"].map(|name| query[name].clone());
        codes.insert(code.clone(), Code { who: who.into(), challenge, redirect_uri, nonce });
        code
    }

    /// How many codes came in.
    pub(crate) fn exchanges(&self) -> usize {
        self.0.exchanges.load(Ordering::SeqCst)
    }
}

pub(crate) fn query(url: &str) -> BTreeMap<String, String> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

fn refused() -> OAuthClientError {
    OAuthClientError::Refused("canary: what the provider says".into())
}

impl OAuthClient for Provider {
    fn name(&self) -> &str {
        self.0.name
    }
    fn display_name(&self) -> &str {
        &self.0.display_name
    }
    fn scopes(&self) -> &[String] {
        &self.0.scopes
    }
    fn issuer(&self) -> Option<&str> {
        self.0.issuer
    }
    fn uses_form_post(&self) -> bool {
        self.0.form_post
    }
    async fn authorization_url(&self, request: &AuthorizationRequest) -> Result<String, OAuthClientError> {
        Ok(request.url("https://provider.example/authorize", "CLIENT_ID", &[]))
    }
    async fn exchange(&self, code: &OAuthCode) -> Result<OAuthToken, OAuthClientError> {
        self.0.exchanges.fetch_add(1, Ordering::SeqCst);
        if code.code.expose() == "away" {
            return Err(OAuthClientError::Unavailable("canary: no route to host".into()));
        }
        let issued = self.0.codes.lock().unwrap().remove(code.code.expose()).ok_or_else(refused)?;
        let fits = issued.challenge == code_challenge(&code.verifier)
            && issued.redirect_uri == code.redirect_uri
            && issued.nonce == code.nonce;
        if !fits {
            return Err(refused());
        }
        let flags = issued.who.rsplit('|').next().unwrap();
        let mut token = OAuthToken::new(format!("access of {}", issued.who));
        token.refresh_token = flags.contains('r').then(|| Secret::from(format!("refresh of {}", issued.who)));
        token.expires_at = flags.contains('x').then_some(1_800_003_600);
        Ok(token)
    }
    async fn identity(&self, token: &OAuthToken, _code: &OAuthCode) -> Result<ExternalIdentity, OAuthClientError> {
        let who = token.access_token.expose().strip_prefix("access of ").unwrap();
        let [id, email, flags] = who.split('|').collect::<Vec<_>>()[..] else { return Err(refused()) };
        let identity = ExternalIdentity::new(id).claims(json!({ "name": format!("Sir {id}") }));
        Ok(if email == "NONE" { identity } else { identity.email(email, flags.contains('v')) })
    }
    async fn refresh(&self, refresh_token: &Secret) -> Result<OAuthToken, OAuthClientError> {
        let mut token = OAuthToken::new(format!("renewed by {}", refresh_token.expose()));
        token.expires_at = Some(1_800_010_000);
        Ok(token)
    }
    async fn revoke(&self, token: &Secret) -> Result<(), OAuthClientError> {
        if token.expose().starts_with("refresh of ") { Ok(()) } else { Err(OAuthClientError::Unsupported) }
    }
}

/// With this provider, the usual keys and address.
pub(crate) fn with_provider<P: UserProfile>(
    builder: UsersBuilder<P>,
    provider: &Provider,
    settings: OAuthSettings,
) -> UsersBuilder<P> {
    builder.oauth_keys(OAuthKeys::new(SECRET).unwrap()).public_url(PUBLIC).oauth(provider.clone(), settings)
}

/// A browser with its cookies.
#[derive(Clone)]
pub(crate) struct Browser {
    router: Router,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn detail(&self) -> (u16, &str) {
        (self.status, self.body["detail"].as_str().unwrap_or_default())
    }

    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{self:?}");
        self.headers["location"].to_str().unwrap()
    }
}

impl Browser {
    pub(crate) fn new<P: UserProfile>(users: &Users<P>) -> Self {
        Self { router: users.router(), cookies: BTreeMap::new(), headers: Vec::new() }
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !body.is_empty() {
            let json = body.starts_with('{');
            let form = "application/x-www-form-urlencoded";
            request = request.header("content-type", if json { "application/json" } else { form });
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for cookie in headers.get_all("set-cookie") {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.into(), value.into());
        }
        Answer { status, headers, body: serde_json::from_slice(&bytes(response).await).unwrap_or_default() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    /// The address of the provider.
    pub(crate) async fn authorize(&mut self, prefix: &str) -> String {
        let answer = self.get(&format!("{prefix}/authorize")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["authorization_url"].as_str().unwrap().to_owned()
    }

    /// Comes back from there with this code.
    pub(crate) async fn come_back(&mut self, prefix: &str, url: &str, code: &str) -> Answer {
        self.get(&callback(prefix, url, code)).await
    }

    /// There and back.
    pub(crate) async fn go(&mut self, provider: &Provider, prefix: &str, who: &str) -> Answer {
        let url = self.authorize(prefix).await;
        let code = provider.approve(&url, who);
        self.come_back(prefix, &url, &code).await
    }

    /// The same, with a bearer token as the answer, which goes along from now on.
    pub(crate) async fn logged_in(mut self, provider: &Provider, prefix: &str, who: &str) -> Self {
        let answer = self.go(provider, prefix, who).await;
        assert_eq!(answer.status, 200, "{who}: {answer:?}");
        self.bears(answer.body["access_token"].as_str().unwrap());
        self
    }

    pub(crate) fn bears(&mut self, token: &str) {
        self.headers.push(("authorization", format!("Bearer {token}")));
    }
}

/// Where the provider sends the browser: with the state of this address, and this code.
pub(crate) fn callback(prefix: &str, url: &str, code: &str) -> String {
    let mut pairs = Url::parse("http://x/").unwrap();
    pairs.query_pairs_mut().append_pair("code", code).append_pair("state", &query(url)["state"]);
    format!("{prefix}/callback?{}", pairs.query().unwrap())
}
