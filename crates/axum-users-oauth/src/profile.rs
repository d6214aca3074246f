//! Who somebody is, by a provider's own calls.

use std::sync::Arc;

use axum_users_core::oauth::{ExternalIdentity, OAuthClientError};
use http::{HeaderName, header::AUTHORIZATION};
use serde_json::Value;

use crate::http::{Call, Http, unusable};

/// How a provider is asked for the owner of an access token.
#[derive(Clone)]
pub(crate) enum Profile {
    Google,
    GitHub,
    Facebook,
    Discord,
    FranceConnect(&'static str),
    Kakao,
    LinkedIn,
    Microsoft,
    Naver,
    Reddit,
    Shopify(String),
    Custom(String, Arc<Reader>),
}

type Reader = dyn Fn(&Value) -> Option<ExternalIdentity> + Send + Sync;

impl Profile {
    pub(crate) fn custom(
        url: String,
        identity: impl Fn(&Value) -> Option<ExternalIdentity> + Send + Sync + 'static,
    ) -> Self {
        Self::Custom(url, Arc::new(identity))
    }

    /// Naver deletes a token in the place of revoking it.
    pub(crate) fn revokes_by_deletion(&self) -> bool {
        matches!(self, Self::Naver)
    }

    /// The id as FastAPI Users stores it, the address, and whether the provider says that it proved it: one that does not say
    /// has not.
    pub(crate) async fn read(&self, http: &Http, token: &str) -> Result<ExternalIdentity, OAuthClientError> {
        let get = |url: &str| Call::get(url).bearer(token);
        match self {
            Self::Google => {
                let profile = http.json(get("https://people.googleapis.com/v1/people/me?personFields=emailAddresses"));
                google(profile.await?)
            }
            Self::GitHub => github(http, token).await,
            Self::Facebook => {
                let query = form_urlencoded::Serializer::new(String::new())
                    .append_pair("fields", "id,email")
                    .append_pair("access_token", token)
                    .finish();
                let profile = http.json(Call::get(format!("https://graph.facebook.com/v5.0/me?{query}"))).await?;
                identity(profile, "/id", Some("/email"), |_| false)
            }
            Self::Discord => {
                let profile = http.json(get("https://discord.com/api/users/@me")).await?;
                let is_verified = is_true(&profile, "/verified");
                identity(profile, "/id", is_verified.then_some("/email"), |_| true)
            }
            Self::FranceConnect(base) => {
                let profile = http.json(get(&format!("{base}/userinfo"))).await?;
                identity(profile, "/sub", Some("/email"), |profile| is_true(profile, "/email_verified"))
            }
            Self::Kakao => {
                let url = "https://kapi.kakao.com/v2/user/me?property_keys=%5B%22kakao_account.email%22%5D";
                let profile = http.json(Call::post(url).bearer(token)).await?;
                identity(profile, "/id", Some("/kakao_account/email"), |profile| {
                    ["/kakao_account/is_email_valid", "/kakao_account/is_email_verified"]
                        .iter()
                        .all(|flag| is_true(profile, flag))
                })
            }
            Self::LinkedIn => {
                let profile = http.json(get("https://api.linkedin.com/v2/me?projection=%28id%29")).await?;
                let url =
                    "https://api.linkedin.com/v2/emailAddress?q=members&projection=%28elements%2A%28handle~%29%29";
                let addresses = http.json(get(url)).await?;
                let email = addresses.pointer("/elements/0/handle~/emailAddress").and_then(Value::as_str);
                let mut who = identity(profile, "/id", None, |_| false)?;
                who.email = email.map(str::to_owned);
                Ok(who)
            }
            // A name to log in with, which an administrator of any tenant chooses: no proof.
            Self::Microsoft => {
                let profile = http.json(get("https://graph.microsoft.com/v1.0/me")).await?;
                identity(profile, "/id", Some("/userPrincipalName"), |_| false)
            }
            Self::Naver => {
                let profile = http.json(Call::post("https://openapi.naver.com/v1/nid/me").bearer(token)).await?;
                identity(profile, "/response/id", Some("/response/email"), |_| false)
            }
            Self::Reddit => {
                identity(http.json(get("https://oauth.reddit.com/api/v1/me")).await?, "/name", None, |_| false)
            }
            Self::Shopify(shop) => {
                let url = format!("https://{shop}.myshopify.com/admin/api/2023-04/shop.json");
                let call = Call::get(url).header(HeaderName::from_static("x-shopify-access-token"), token);
                identity(http.json(call).await?, "/shop/id", Some("/shop/email"), |_| false)
            }
            Self::Custom(url, reader) => {
                let profile = http.json(get(url)).await?;
                reader(&profile).ok_or_else(|| unusable("a profile that names nobody"))
            }
        }
    }
}

/// The id, a number or a text, and the address, by JSON pointers.
fn identity(
    profile: Value,
    id: &str,
    email: Option<&str>,
    is_verified: impl Fn(&Value) -> bool,
) -> Result<ExternalIdentity, OAuthClientError> {
    let id = match profile.pointer(id) {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) if id.is_u64() || id.is_i64() => id.to_string(),
        _ => return Err(unusable("a profile without an id")),
    };
    let mut who = ExternalIdentity::new(id);
    if let Some(email) = email.and_then(|email| profile.pointer(email)?.as_str()) {
        who = who.email(email, is_verified(&profile));
    }
    Ok(who.claims(profile))
}

/// A flag, which some write as text.
pub(crate) fn is_true(profile: &Value, flag: &str) -> bool {
    profile.pointer(flag).is_some_and(|flag| flag == true || flag == "true")
}

/// The primary address; its entry says whether it was proved.
fn google(profile: Value) -> Result<ExternalIdentity, OAuthClientError> {
    let addresses = profile.get("emailAddresses").and_then(Value::as_array);
    let primary = addresses.and_then(|all| all.iter().find(|it| is_true(it, "/metadata/primary")));
    let email = primary.and_then(|it| Some((it.get("value")?.as_str()?.to_owned(), is_true(it, "/metadata/verified"))));
    let who = identity(profile, "/resourceName", None, |_| false)?;
    Ok(match email {
        Some((email, is_verified)) => who.email(email, is_verified),
        None => who,
    })
}

/// The public address, else the primary one, else the first; the list of addresses tells which were proved.
async fn github(http: &Http, token: &str) -> Result<ExternalIdentity, OAuthClientError> {
    let get = |url: &str| Call::get(url).header(AUTHORIZATION, format!("token {token}"));
    let profile = http.json(get("https://api.github.com/user")).await?;
    let public = profile.get("email").and_then(Value::as_str).filter(|email| !email.is_empty()).map(str::to_owned);
    let listed = http.json(get("https://api.github.com/user/emails")).await;
    let listed = match (listed, &public) {
        (Ok(listed), _) => listed,
        // It may not be asked for; then nothing is proved.
        (Err(_), Some(_)) => Value::Null,
        (Err(error), None) => return Err(error),
    };
    let address = |entry: &Value| Some(entry.get("email")?.as_str()?.to_owned());
    let entries = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    let chosen = match &public {
        Some(public) => entries.iter().find(|it| address(it).as_ref() == Some(public)),
        None => entries.iter().find(|it| is_true(it, "/primary")).or(entries.first()),
    };
    let is_verified = chosen.is_some_and(|it| is_true(it, "/verified"));
    let email = public.or_else(|| chosen.and_then(address));
    let who = identity(profile, "/id", None, |_| false)?;
    Ok(match email {
        Some(email) => who.email(email, is_verified),
        None => who,
    })
}
