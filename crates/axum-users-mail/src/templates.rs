//! From a fact to a mail that can be read.

use std::{collections::BTreeMap, fmt, fmt::Write as _, fs, io, path::Path, path::PathBuf, sync::Arc, time::Duration};

use axum_users_core::{
    Email, Secret,
    mail::{Mail, MailKind},
};
use lettre::message::Mailbox;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, escape_formatter};
use url::Url;

use crate::language;

/// What mails look like: templates, languages, links. A cheap handle.
#[derive(Clone)]
pub struct MailTemplates(Arc<Inner>);

struct Inner {
    from: Mailbox,
    site: String,
    product_name: String,
    verify: Link,
    reset_password: Link,
    /// The default first.
    languages: Vec<String>,
    environment: Environment<'static>,
}

/// Where a token leads.
#[derive(Clone)]
struct Link {
    path: String,
    lifetime: Duration,
}

/// One mail, ready to be sent. It holds the link: whoever sees it can use it, so it is not printed by `Debug`.
#[derive(Clone)]
pub struct RenderedMail {
    kind: &'static str,
    to: Email,
    key: String,
    language: String,
    link: Option<Secret>,
    subject: String,
    text: Secret,
    html: Secret,
}

impl MailTemplates {
    /// Mails from this sender, `noreply@camelot.bt` or `Camelot <noreply@camelot.bt>`, for people who reach the application at this
    /// URL, `https://users.camelot.bt`.
    pub fn builder(from: impl Into<String>, public_url: impl Into<String>) -> MailTemplatesBuilder {
        MailTemplatesBuilder {
            from: from.into(),
            public_url: public_url.into(),
            product_name: None,
            verify: Link { path: "/verify".into(), lifetime: HOUR },
            reset_password: Link { path: "/reset-password".into(), lifetime: HOUR },
            default_language: "en".into(),
            folder: None,
        }
    }

    /// The mail as its reader will see it.
    ///
    /// # Errors
    /// [`TemplateError`] when a mail has no token and needs one, or when a template of yours fails with these values.
    pub fn render(&self, mail: &Mail) -> Result<RenderedMail, TemplateError> {
        let wanted = mail.languages.as_deref().and_then(|header| language::pick(header, &self.0.languages));
        let language = wanted.or_else(|| self.0.languages.first().map(String::as_str)).unwrap_or_default();
        self.render_in(mail, language)
    }

    /// The languages that there are; the default first.
    #[must_use]
    pub fn languages(&self) -> &[String] {
        &self.0.languages
    }

    /// What the application is called.
    #[must_use]
    pub fn product_name(&self) -> &str {
        &self.0.product_name
    }

    pub(crate) fn from(&self) -> &Mailbox {
        &self.0.from
    }

    fn render_in(&self, mail: &Mail, language: &str) -> Result<RenderedMail, TemplateError> {
        let inner = &*self.0;
        let undo = Link { lifetime: UNDO, ..inner.verify.clone() };
        let (kind, link) = match &mail.kind {
            MailKind::VerifyAddress => ("verify", Some(&inner.verify)),
            MailKind::ResetPassword => ("reset_password", Some(&inner.reset_password)),
            MailKind::PasswordChanged => ("password_changed", None),
            MailKind::EmailChanged { .. } => ("email_changed", None),
            MailKind::AccountLinked { .. } => ("account_linked", None),
            MailKind::AccountUnlinked { .. } => ("account_unlinked", None),
            MailKind::AlreadyRegistered => ("already_registered", None),
            MailKind::ConfirmEmailChange => ("confirm_email_change", Some(&inner.verify)),
            MailKind::AddressInUse => ("address_in_use", None),
            MailKind::EmailChangeRequested { .. } => ("email_change_requested", None),
            MailKind::UndoEmailChange { .. } => ("undo_email_change", Some(&undo)),
            other => return Err(TemplateError::of(format!("there is no template for {other:?}"))),
        };
        let mut values = BTreeMap::from([
            ("product_name", Value::from(inner.product_name.as_str())),
            ("site", Value::from(inner.site.as_str())),
            ("email", Value::from(mail.to.as_str())),
            ("language", Value::from(language)),
            ("hours", Value::from(())),
        ]);
        let mut url = None;
        if let Some(link) = link {
            let token =
                mail.token.as_ref().ok_or_else(|| TemplateError::of(format!("{kind}: the mail has no token")))?;
            let full = link.to(&inner.site, token);
            let minutes = link.lifetime.as_secs().div_ceil(60);
            values.insert("minutes", Value::from(minutes));
            if minutes >= 120 && minutes % 60 == 0 {
                values.insert("hours", Value::from(minutes / 60));
            }
            values.insert("days", Value::from(minutes / (24 * 60)));
            values.insert("link", Value::from(full.as_str()));
            url = Some(Secret::from(full));
        }
        if let MailKind::EmailChanged { old, .. } | MailKind::UndoEmailChange { old, .. } = &mail.kind {
            values.insert("old_email", Value::from(old.as_str()));
        }
        if let MailKind::EmailChanged { new, .. }
        | MailKind::UndoEmailChange { new, .. }
        | MailKind::EmailChangeRequested { new } = &mail.kind
        {
            values.insert("new_email", Value::from(new.as_str()));
        }
        if let MailKind::AccountLinked { provider } | MailKind::AccountUnlinked { provider } = &mail.kind {
            values.insert("provider", Value::from(provider.as_str()));
        }
        let subject = self.part(kind, language, "subject", &values)?;
        let subject = subject.trim();
        if subject.is_empty() || subject.contains(char::is_control) {
            return Err(TemplateError::of(format!("{kind}.{language}.subject: it should be one line")));
        }
        values.insert("subject", Value::from(subject));
        Ok(RenderedMail {
            kind,
            to: mail.to.clone(),
            key: mail.key.clone(),
            language: language.to_owned(),
            link: url,
            text: Secret::from(self.part(kind, language, "txt", &values)?),
            html: Secret::from(self.part(kind, language, "html", &values)?),
            subject: subject.to_owned(),
        })
    }

    fn part(
        &self,
        kind: &str,
        language: &str,
        suffix: &str,
        values: &BTreeMap<&'static str, Value>,
    ) -> Result<String, TemplateError> {
        let name = format!("{kind}.{language}.{suffix}");
        let rendered = self.0.environment.get_template(&name).and_then(|template| template.render(values.clone()));
        let mut text = rendered.map_err(|error| TemplateError { what: name, source: Some(error.into()) })?;
        text.push('\n');
        Ok(text)
    }
}

impl fmt::Debug for MailTemplates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailTemplates").field("site", &self.0.site).field("languages", &self.0.languages).finish()
    }
}

impl Link {
    /// A JWT is made of letters that mean nothing in a URL; any other token is escaped.
    fn to(&self, site: &str, token: &Secret) -> String {
        let base = if self.path.starts_with('/') { format!("{site}{}", self.path) } else { self.path.clone() };
        let separator = if base.contains('?') { '&' } else { '?' };
        let token: String = url::form_urlencoded::byte_serialize(token.expose().as_bytes()).collect();
        format!("{base}{separator}token={token}")
    }
}

/// Builds [`MailTemplates`].
#[must_use]
pub struct MailTemplatesBuilder {
    from: String,
    public_url: String,
    product_name: Option<String>,
    verify: Link,
    reset_password: Link,
    default_language: String,
    folder: Option<PathBuf>,
}

impl MailTemplatesBuilder {
    /// What the application is called. Default: the host of its URL.
    pub fn product_name(mut self, name: impl Into<String>) -> Self {
        self.product_name = Some(name.into());
        self
    }

    /// The page that verifies an address, below the public URL or as a whole URL; the token is added as the parameter `token`.
    /// Default: `/verify`.
    pub fn verify_page(mut self, path: impl Into<String>) -> Self {
        self.verify.path = path.into();
        self
    }

    /// The page that sets another password, as [`verify_page`](Self::verify_page). Default: `/reset-password`.
    pub fn reset_password_page(mut self, path: impl Into<String>) -> Self {
        self.reset_password.path = path.into();
        self
    }

    /// How long the tokens work, for the reader; the same as in their settings. Default: an hour each.
    pub fn lifetimes(mut self, verify: Duration, reset_password: Duration) -> Self {
        self.verify.lifetime = verify;
        self.reset_password.lifetime = reset_password;
        self
    }

    /// For readers whose language is not known, or not there. Default: `en`.
    pub fn default_language(mut self, language: impl Into<String>) -> Self {
        self.default_language = language.into();
        self
    }

    /// Templates of your own, which replace ours file by file; see the [crate](crate).
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Reads all templates and tries each.
    ///
    /// # Errors
    /// [`TemplateError`] for a sender, a URL, a page or a file that cannot be used.
    pub fn build(self) -> Result<MailTemplates, TemplateError> {
        let from = sender(&self.from)?;
        let url = public_url(&self.public_url)?;
        let site = self.public_url.trim_end_matches('/').to_owned();
        for link in [&self.verify, &self.reset_password] {
            link.check(&site)?;
        }
        let product_name = self.product_name.unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned());
        if product_name.trim().is_empty() || product_name.contains(char::is_control) {
            return Err(TemplateError::of("the name of the product should be one line"));
        }
        let mut sources: BTreeMap<String, String> =
            BUILT_IN.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        if let Some(folder) = &self.folder {
            sources.extend(read(folder)?);
        }
        let languages = languages(&sources, &self.default_language)?;
        let mut environment = environment();
        for (name, text) in sources {
            let added = environment.add_template_owned(name.clone(), text);
            added.map_err(|error| TemplateError { what: name, source: Some(error.into()) })?;
        }
        let templates = MailTemplates(Arc::new(Inner {
            from,
            site,
            product_name,
            verify: self.verify,
            reset_password: self.reset_password,
            languages,
            environment,
        }));
        templates.try_all()?;
        Ok(templates)
    }
}

impl MailTemplates {
    fn try_all(&self) -> Result<(), TemplateError> {
        let email = |text: &str| Email::from_stored(text.to_owned());
        let (old, new) = (|| email("old@example.com"), || email("new@example.com"));
        for language in &self.0.languages {
            for kind in [
                MailKind::VerifyAddress,
                MailKind::ResetPassword,
                MailKind::PasswordChanged,
                MailKind::EmailChanged { old: old(), new: new() },
                MailKind::AccountLinked { provider: "Example".into() },
                MailKind::AccountUnlinked { provider: "Example".into() },
                MailKind::AlreadyRegistered,
                MailKind::ConfirmEmailChange,
                MailKind::AddressInUse,
                MailKind::EmailChangeRequested { new: new() },
                MailKind::UndoEmailChange { old: old(), new: new() },
            ] {
                let token = Some(Secret::from("token".to_owned()));
                self.render_in(&Mail::new(kind, email("reader@example.com"), token, "key"), language)?;
            }
        }
        Ok(())
    }
}

impl Link {
    fn check(&self, site: &str) -> Result<(), TemplateError> {
        let url = if self.path.starts_with('/') { format!("{site}{}", self.path) } else { self.path.clone() };
        let is_page = Url::parse(&url)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none() && url.has_host());
        let is_plain = !url.contains(|c: char| c.is_whitespace() || c.is_control());
        if is_page && is_plain {
            return Ok(());
        }
        Err(TemplateError::of(format!("{:?} should be a path such as /verify, or a whole URL", self.path)))
    }
}

fn sender(text: &str) -> Result<Mailbox, TemplateError> {
    let refused = || {
        TemplateError::of(format!("the sender {text:?} should be noreply@camelot.bt or Camelot <noreply@camelot.bt>"))
    };
    if text.contains(char::is_control) {
        return Err(refused());
    }
    text.parse().map_err(|_| refused())
}

fn public_url(text: &str) -> Result<Url, TemplateError> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    url.ok_or_else(|| TemplateError::of("the public URL should be one such as https://users.camelot.bt"))
}

/// A value that is missing is an error, not a blank; HTML is escaped by the name of the file.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let is_html = |name: &str| name.ends_with(".html");
    environment.set_auto_escape_callback(move |name| if is_html(name) { AutoEscape::Html } else { AutoEscape::None });
    // As Jinja does it: the engine's own formatter escapes `/` too, which makes links hard to read.
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if *state.auto_escape() == AutoEscape::Html && !value.is_safe() => Ok(escape(out, text)?),
        _ => escape_formatter(out, state, value),
    });
    environment
}

fn escape(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    for c in text.chars() {
        match c {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '"' => out.write_str("&#34;")?,
            '\'' => out.write_str("&#39;")?,
            c => out.write_char(c)?,
        }
    }
    Ok(())
}

/// All templates of a folder. What does not look like one is a mistake in a name, but for hidden files.
fn read(folder: &Path) -> Result<Vec<(String, String)>, TemplateError> {
    let problem = |path: &Path, error: io::Error| TemplateError {
        what: format!("{} cannot be read", path.display()),
        source: Some(error.into()),
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| problem(folder, error))? {
        let entry = entry.map_err(|error| problem(folder, error))?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if name != LAYOUT && part_of(&name).is_none() {
            let what = format!("{}: <kind>.<language>.subject, .txt or .html, or {LAYOUT}", path.display());
            return Err(TemplateError::of(format!("{what}; the kinds are {}", KINDS.join(", "))));
        }
        found.push((name, fs::read_to_string(&path).map_err(|error| problem(&path, error))?));
    }
    Ok(found)
}

/// Kind, language and suffix of a file.
fn part_of(name: &str) -> Option<(&str, &str, &str)> {
    let mut parts = name.split('.');
    let (kind, language, suffix) = (parts.next()?, parts.next()?, parts.next()?);
    let is_language = language.starts_with(|c: char| c.is_ascii_alphabetic())
        && language.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_part = parts.next().is_none() && KINDS.contains(&kind) && SUFFIXES.contains(&suffix) && is_language;
    is_part.then_some((kind, language, suffix))
}

/// The languages of these templates, each whole, the default first.
fn languages(sources: &BTreeMap<String, String>, default: &str) -> Result<Vec<String>, TemplateError> {
    let mut languages: Vec<String> =
        sources.keys().filter_map(|name| part_of(name)).map(|(_, language, _)| language.to_owned()).collect();
    languages.sort();
    languages.dedup();
    let mut missing = String::new();
    for language in &languages {
        for (kind, suffix) in KINDS.iter().flat_map(|kind| SUFFIXES.map(|suffix| (kind, suffix))) {
            let name = format!("{kind}.{language}.{suffix}");
            if !sources.contains_key(&name) {
                let _ = write!(missing, " {name}");
            }
        }
    }
    if !missing.is_empty() {
        return Err(TemplateError::of(format!("a language is not whole without{missing}")));
    }
    let Some(place) = languages.iter().position(|language| language == default) else {
        return Err(TemplateError::of(format!(
            "there are no mails in {default:?}; there are {}",
            languages.join(", ")
        )));
    };
    languages.swap(0, place);
    Ok(languages)
}

impl RenderedMail {
    /// What it is about: the name of its templates.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// For whom.
    #[must_use]
    pub fn to(&self) -> &Email {
        &self.to
    }

    /// The same for every attempt; see [`Mail::key`].
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// In which language.
    #[must_use]
    pub fn language(&self) -> &str {
        &self.language
    }

    /// The link with the token, where there is one.
    #[must_use]
    pub fn link(&self) -> Option<&str> {
        self.link.as_ref().map(Secret::expose)
    }

    /// One line.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The mail as text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.expose()
    }

    /// The mail as HTML.
    #[must_use]
    pub fn html(&self) -> &str {
        self.html.expose()
    }

    /// All of it, with the link, for a page of the developer's own machine.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "kind": self.kind,
            "to": self.to.as_str(),
            "key": self.key,
            "language": self.language,
            "link": self.link(),
            "subject": self.subject,
            "text": self.text(),
            "html": self.html(),
        })
    }
}

impl fmt::Debug for RenderedMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RenderedMail");
        shown
            .field("kind", &self.kind)
            .field("key", &self.key)
            .field("language", &self.language)
            .finish_non_exhaustive()
    }
}

/// A template, or a setting of mails, that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct TemplateError {
    what: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl TemplateError {
    fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }
}

const HOUR: Duration = Duration::from_secs(3600);
/// As the manager has it.
const UNDO: Duration = Duration::from_secs(axum_users_core::outbox::UNDO.unsigned_abs());

const LAYOUT: &str = "layout.html";
const KINDS: [&str; 11] = [
    "verify",
    "reset_password",
    "password_changed",
    "email_changed",
    "account_linked",
    "account_unlinked",
    "already_registered",
    "confirm_email_change",
    "address_in_use",
    "email_change_requested",
    "undo_email_change",
];
const SUFFIXES: [&str; 3] = ["subject", "txt", "html"];

macro_rules! built_in {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../templates/", $name)))),*] };
}

const BUILT_IN: &[(&str, &str)] = built_in![
    "layout.html",
    "verify.en.subject",
    "verify.en.txt",
    "verify.en.html",
    "verify.de.subject",
    "verify.de.txt",
    "verify.de.html",
    "reset_password.en.subject",
    "reset_password.en.txt",
    "reset_password.en.html",
    "reset_password.de.subject",
    "reset_password.de.txt",
    "reset_password.de.html",
    "password_changed.en.subject",
    "password_changed.en.txt",
    "password_changed.en.html",
    "password_changed.de.subject",
    "password_changed.de.txt",
    "password_changed.de.html",
    "email_changed.en.subject",
    "email_changed.en.txt",
    "email_changed.en.html",
    "email_changed.de.subject",
    "email_changed.de.txt",
    "email_changed.de.html",
    "account_linked.en.subject",
    "account_linked.en.txt",
    "account_linked.en.html",
    "account_linked.de.subject",
    "account_linked.de.txt",
    "account_linked.de.html",
    "account_unlinked.en.subject",
    "account_unlinked.en.txt",
    "account_unlinked.en.html",
    "account_unlinked.de.subject",
    "account_unlinked.de.txt",
    "account_unlinked.de.html",
    "already_registered.en.subject",
    "already_registered.en.txt",
    "already_registered.en.html",
    "already_registered.de.subject",
    "already_registered.de.txt",
    "already_registered.de.html",
    "confirm_email_change.en.subject",
    "confirm_email_change.en.txt",
    "confirm_email_change.en.html",
    "confirm_email_change.de.subject",
    "confirm_email_change.de.txt",
    "confirm_email_change.de.html",
    "address_in_use.en.subject",
    "address_in_use.en.txt",
    "address_in_use.en.html",
    "address_in_use.de.subject",
    "address_in_use.de.txt",
    "address_in_use.de.html",
    "email_change_requested.en.subject",
    "email_change_requested.en.txt",
    "email_change_requested.en.html",
    "email_change_requested.de.subject",
    "email_change_requested.de.txt",
    "email_change_requested.de.html",
    "undo_email_change.en.subject",
    "undo_email_change.en.txt",
    "undo_email_change.en.html",
    "undo_email_change.de.subject",
    "undo_email_change.de.txt",
    "undo_email_change.de.html",
];
