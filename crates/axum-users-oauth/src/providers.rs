//! Well-known providers: endpoints and scopes as FastAPI Users has them, so that registrations with them and linked accounts go on.

use axum_users_core::Secret;

use crate::{
    OAuthConfigError,
    oauth2::{Credentials, OAuth2, OAuth2Endpoints},
    profile::Profile,
};

/// A constructor of each, all of one form.
macro_rules! providers {
    ($($(#[$doc:meta])* $name:ident, $display_name:literal, $endpoints:expr, $scopes:expr, $profile:expr;)*) => {
        impl OAuth2 {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`OAuthConfigError::Client`].
                pub fn $name(
                    client_id: impl Into<String>,
                    client_secret: impl Into<Secret>,
                ) -> Result<Self, OAuthConfigError> {
                    let names = (stringify!($name), $display_name);
                    Self::known(names, $endpoints, client_id, client_secret, $scopes, $profile)
                }
            )*
        }
    };
}

providers! {
    /// Google. The id is the `resourceName` of the People API, the address its primary one.
    google, "Google",
        OAuth2Endpoints::new("https://accounts.google.com/o/oauth2/v2/auth", "https://oauth2.googleapis.com/token")
            .revoke("https://accounts.google.com/o/oauth2/revoke"),
        &["https://www.googleapis.com/auth/userinfo.profile", "https://www.googleapis.com/auth/userinfo.email"],
        Profile::Google;
    /// GitHub.
    github, "GitHub",
        OAuth2Endpoints::new(
            "https://github.com/login/oauth/authorize",
            "https://github.com/login/oauth/access_token",
        ),
        &["user", "user:email"], Profile::GitHub;
    /// Facebook. It does not say whether it proved an address.
    facebook, "Facebook",
        OAuth2Endpoints::new(
            "https://www.facebook.com/v5.0/dialog/oauth",
            "https://graph.facebook.com/v5.0/oauth/access_token",
        ).without_refresh(),
        &["email", "public_profile"], Profile::Facebook;
    /// Discord. Only an address that it proved is taken.
    discord, "Discord",
        OAuth2Endpoints::new("https://discord.com/api/oauth2/authorize", "https://discord.com/api/oauth2/token")
            .revoke("https://discord.com/api/oauth2/token/revoke").basic(),
        &["identify", "email"], Profile::Discord;
    /// FranceConnect, in production.
    franceconnect, "FranceConnect", france_connect(FRANCE_CONNECT), FRANCE_CONNECT_SCOPES,
        Profile::FranceConnect(FRANCE_CONNECT);
    /// Kakao.
    kakao, "Kakao",
        OAuth2Endpoints::new("https://kauth.kakao.com/oauth/authorize", "https://kauth.kakao.com/oauth/token")
            .revoke("https://kapi.kakao.com/v1/user/unlink"),
        &["profile_nickname", "account_email"], Profile::Kakao;
    /// LinkedIn. It does not say whether it proved an address.
    linkedin, "LinkedIn",
        OAuth2Endpoints::new(
            "https://www.linkedin.com/oauth/v2/authorization",
            "https://www.linkedin.com/oauth/v2/accessToken",
        ),
        &["r_emailaddress", "r_liteprofile", "r_basicprofile"], Profile::LinkedIn;
    /// Naver. It does not say whether it proved an address.
    naver, "Naver",
        OAuth2Endpoints::new("https://nid.naver.com/oauth2.0/authorize", "https://nid.naver.com/oauth2.0/token"),
        &[], Profile::Naver;
    /// Reddit. It tells no address, so that nobody can register by it: only link it.
    reddit, "Reddit",
        OAuth2Endpoints::new("https://www.reddit.com/api/v1/authorize", "https://www.reddit.com/api/v1/access_token")
            .revoke("https://www.reddit.com/api/v1/revoke_token").basic(),
        &["identity"], Profile::Reddit;
}

const FRANCE_CONNECT: &str = "https://app.franceconnect.gouv.fr/api/v1";
const FRANCE_CONNECT_INTEGRATION: &str = "https://fcp.integ01.dev-franceconnect.fr/api/v1";
const FRANCE_CONNECT_SCOPES: &[&str] = &["openid", "email"];

fn france_connect(base: &str) -> OAuth2Endpoints {
    OAuth2Endpoints::new(format!("{base}/authorize"), format!("{base}/token")).without_refresh()
}

impl OAuth2 {
    /// FranceConnect, to try things out.
    ///
    /// # Errors
    /// [`OAuthConfigError::Client`].
    pub fn franceconnect_integration(
        client_id: impl Into<String>,
        client_secret: impl Into<Secret>,
    ) -> Result<Self, OAuthConfigError> {
        let base = FRANCE_CONNECT_INTEGRATION;
        let (endpoints, profile) = (france_connect(base), Profile::FranceConnect(base));
        let names = ("franceconnect", "FranceConnect");
        Self::known(names, endpoints, client_id, client_secret, FRANCE_CONNECT_SCOPES, profile)
    }

    /// Microsoft by its Graph; `tenant` is `common`, `organizations`, `consumers`, or the id or domain of one. The address is the
    /// name that people log in with, and proves nothing.
    ///
    /// # Errors
    /// [`OAuthConfigError::Name`] when that is no tenant, [`OAuthConfigError::Client`].
    pub fn microsoft(
        tenant: &str,
        client_id: impl Into<String>,
        client_secret: impl Into<Secret>,
    ) -> Result<Self, OAuthConfigError> {
        let base = format!("https://login.microsoftonline.com/{}/oauth2/v2.0", domain(tenant)?);
        let endpoints = OAuth2Endpoints::new(format!("{base}/authorize"), format!("{base}/token"));
        let names = ("microsoft", "Microsoft");
        let client = Self::known(names, endpoints, client_id, client_secret, &["User.Read"], Profile::Microsoft)?;
        Ok(client.extra(&[("response_mode", "query")]))
    }

    /// One shop at Shopify; `shop` is what stands before `.myshopify.com`.
    ///
    /// # Errors
    /// [`OAuthConfigError::Name`] when that is no shop, [`OAuthConfigError::Client`].
    pub fn shopify(
        shop: &str,
        client_id: impl Into<String>,
        client_secret: impl Into<Secret>,
    ) -> Result<Self, OAuthConfigError> {
        let shop = domain(shop)?;
        let base = format!("https://{shop}.myshopify.com/admin/oauth");
        let endpoints = OAuth2Endpoints::new(format!("{base}/authorize"), format!("{base}/access_token"));
        let (names, profile) = (("shopify", "Shopify"), Profile::Shopify(shop));
        Self::known(names, endpoints.without_refresh(), client_id, client_secret, &["read_orders"], profile)
    }

    fn known(
        (name, display_name): (&str, &str),
        endpoints: OAuth2Endpoints,
        client_id: impl Into<String>,
        client_secret: impl Into<Secret>,
        scopes: &[&str],
        profile: Profile,
    ) -> Result<Self, OAuthConfigError> {
        let credentials = Credentials { id: client_id.into(), secret: client_secret.into() };
        Self::with_profile((name.to_owned(), display_name.to_owned()), endpoints, credentials, scopes, profile)
    }
}

/// A name that may stand in a host name: letters, digits, hyphens and dots.
pub(crate) fn domain(text: &str) -> Result<String, OAuthConfigError> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = text.len() <= 253 && text.split('.').all(is_label);
    if is_name { Ok(text.to_ascii_lowercase()) } else { Err(OAuthConfigError::Name(text.to_owned())) }
}
