//! `[pages]`.

use std::sync::Arc;

use url::Url;

use super::{
    auth::{BackendSettings, TransportSettings},
    keys::Keys,
    mail::{MailSettings, ServerMailer},
    server::ServerSettings,
};
use crate::pages::{House, Look};

/// `[pages]`.
#[derive(Debug)]
pub(crate) struct PagesSettings {
    pub(crate) look: Arc<Look>,
    /// The backend that people sign in by.
    pub(crate) backend: String,
    /// Whether mails that were not sent are shown.
    pub(crate) mailbox: bool,
}

impl PagesSettings {
    /// `None` when there are no pages, or when they cannot be had.
    pub(super) fn read(
        keys: &mut Keys,
        server: &ServerSettings,
        backends: &[BackendSettings],
        mail: Option<&MailSettings>,
        warnings: &mut Vec<String>,
    ) -> Option<Self> {
        let enabled = keys.get("pages.enabled", true);
        let host = Url::parse(&server.public_url.url).ok().and_then(|url| Some(url.host_str()?.to_owned()));
        let named = mail.map(|mail| mail.product_name.clone()).or(host).unwrap_or_default();
        let house = House {
            product_name: keys.get("pages.product_name", named),
            accent_color: keys.optional("pages.accent_color"),
            logo_file: keys.optional("pages.logo_file"),
            templates: keys.optional("pages.templates"),
            footer: footer(keys),
            base: base(&server.public_url.url),
        };
        let is_development = mail.is_some_and(|mail| matches!(mail.mailer, ServerMailer::Development(_)));
        // Whoever sees it can use its links.
        let is_here = server.public_url.is_loopback && server.listen.ip().is_loopback();
        let mailbox = keys.get("pages.danger_mailbox", is_development && is_here);
        if mailbox && !is_development {
            keys.wrong("pages.danger_mailbox", "it needs mail.transport = \"development\"");
        } else if mailbox && !is_here {
            warnings.push("pages.danger_mailbox: whoever reaches this server can use the links of all mails".into());
        }
        if house.product_name.trim().is_empty() || house.product_name.contains(char::is_control) {
            keys.wrong("pages.product_name", "should be one line");
        }
        let look = match Look::new(&house) {
            Ok(look) => Arc::new(look),
            Err((key, problem)) => {
                keys.wrong(key, problem);
                return None;
            }
        };
        if let Err(problem) = look.try_all() {
            keys.wrong("pages.templates", problem);
            return None;
        }
        if !enabled {
            return None;
        }
        let cookie = backends.iter().find_map(|backend| match &backend.transport {
            TransportSettings::Cookie(cookie) => Some((backend, cookie)),
            TransportSettings::Bearer => None,
        });
        let lacks = match cookie {
            None => "no backend has a cookie".to_owned(),
            Some((backend, cookie)) if cookie.path != "/" => {
                format!("the cookie of {} does not reach them: its cookie_path is not \"/\"", backend.name)
            }
            Some((backend, cookie)) if cookie.secure && !is_trustworthy(server) => {
                format!("public_url is http, so browsers do not send the Secure cookie of {} back", backend.name)
            }
            Some((backend, _)) => return Some(Self { look, backend: backend.name.clone(), mailbox }),
        };
        if keys.is_set("pages.enabled") {
            keys.wrong("pages.enabled", lacks);
        } else {
            warnings
                .push(format!("there are no pages for people: {lacks}; pages.enabled = false says that this is meant"));
        }
        None
    }
}

/// Secure Contexts, section 3.1.
fn is_trustworthy(server: &ServerSettings) -> bool {
    server.public_url.is_https || server.public_url.is_loopback
}

/// What stands before our paths.
fn base(public_url: &str) -> String {
    Url::parse(public_url).map_or(String::new(), |url| url.path().trim_end_matches('/').to_owned())
}

/// `"Privacy https://example.com/privacy"`: what it is called, and behind the last blank where it leads.
fn footer(keys: &mut Keys) -> Vec<(String, String)> {
    let items = keys.get::<Vec<String>>("pages.footer", Vec::new());
    let link = |item: &String| {
        let (label, url) = item.trim().rsplit_once(' ')?;
        let is_path = url.starts_with('/') && !url.starts_with("//") && !url.starts_with("/\\");
        let is_url = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "mailto"));
        (is_path || is_url).then(|| (label.trim().to_owned(), url.to_owned()))
    };
    let links: Option<Vec<_>> = items.iter().map(link).collect();
    links.unwrap_or_else(|| {
        let what = "each is a name and a link, such as \"Privacy https://example.com/privacy\" or \"Help /help\"";
        keys.wrong("pages.footer", what);
        Vec::new()
    })
}
