//! `[mail]`, `[verification]` and `[reset_password]`.

use std::time::Duration;

use axum_users::{
    DevelopmentMailer, MailTemplates, SmtpConfigError, SmtpMailer, error_chain,
    mail::{Mail, Mailer, Undelivered},
};

use super::{
    Profile,
    keys::{Keys, words},
    server::PublicUrl,
};

/// `[mail]`.
#[derive(Debug)]
pub(crate) struct MailSettings {
    pub(crate) mailer: ServerMailer,
    pub(crate) notices: bool,
    pub(crate) product_name: String,
}

/// What sends.
#[derive(Clone, Debug)]
pub(crate) enum ServerMailer {
    Development(DevelopmentMailer),
    Smtp(SmtpMailer),
}

/// `[verification]`, `[reset_password]`.
#[derive(Debug)]
pub(crate) struct TokenLifetime {
    pub(crate) lifetime: Duration,
    pub(crate) audience: String,
}

words! {
    enum Transport {
        Development = "development",
        Smtp = "smtp",
        None = "none",
    }
}

impl MailSettings {
    /// `None` when nothing is sent, or when it cannot be used.
    pub(super) fn read(
        keys: &mut Keys,
        profile: Profile,
        public_url: &PublicUrl,
        lifetimes: (Duration, Duration),
        warnings: &mut Vec<String>,
    ) -> Option<Self> {
        // Printed mails are for those who look at the terminal.
        let usual = if public_url.is_loopback { Transport::Development } else { Transport::None };
        let transport = keys.get("mail.transport", usual);
        let from = keys.optional::<String>("mail.from");
        let url = keys.secret("mail.smtp_url");
        let ca_file = keys.optional::<String>("mail.ca_file");
        let danger_plaintext = keys.get("mail.danger_plaintext", false);
        let notices = keys.get("mail.notices", true);
        let templates = templates(keys, public_url, from.as_deref(), lifetimes);
        let product_name = templates.as_ref().map(|it| it.product_name().to_owned()).unwrap_or_default();
        if transport != Transport::Smtp && url.is_some() {
            warnings.push("mail.smtp_url has no effect without mail.transport = \"smtp\"".into());
        }
        let mailer = match transport {
            Transport::None => {
                warnings.push(
                    "mail.transport = \"none\": nobody can prove an address or replace a forgotten password, and there are no \
                     routes for it"
                        .into(),
                );
                return None;
            }
            Transport::Development if public_url.is_loopback => {
                ServerMailer::Development(DevelopmentMailer::new(templates?))
            }
            Transport::Development => {
                let what = "mails are printed and reach nobody; whoever reads the output can use their links";
                if profile == Profile::Strict {
                    keys.wrong("mail.transport", format!("public_url is not on this machine: {what}"));
                } else {
                    warnings.push(format!("mail.transport = \"development\": {what}"));
                }
                ServerMailer::Development(DevelopmentMailer::new(templates?))
            }
            Transport::Smtp => {
                if from.is_none() {
                    keys.wrong("mail.transport", "mail.from is missing: who mails are from");
                }
                let Some(url) = url else {
                    keys.wrong(
                        "mail.transport",
                        "mail.smtp_url is missing, such as smtp://user:password@mail.example.com:587",
                    );
                    return None;
                };
                let mut builder = SmtpMailer::builder(url.expose(), templates?).danger_plaintext(danger_plaintext);
                if let Some(path) = ca_file {
                    builder = builder.ca_file(path);
                }
                match builder.build() {
                    Ok(mailer) => {
                        if danger_plaintext {
                            warnings.push("mail.danger_plaintext: links and the login travel unencrypted".into());
                        }
                        ServerMailer::Smtp(mailer)
                    }
                    Err(error) => {
                        let key = match error {
                            SmtpConfigError::CaFile { .. } | SmtpConfigError::CaWithoutTls => "mail.ca_file",
                            _ => "mail.smtp_url",
                        };
                        keys.wrong(key, error_chain(&error));
                        return None;
                    }
                }
            }
        };
        Some(Self { mailer, notices, product_name })
    }
}

fn templates(
    keys: &mut Keys,
    public_url: &PublicUrl,
    from: Option<&str>,
    (verify, reset): (Duration, Duration),
) -> Option<MailTemplates> {
    let mut builder = MailTemplates::builder(from.unwrap_or("noreply@localhost"), &public_url.url)
        .lifetimes(verify, reset)
        .verify_page(keys.get("mail.verify_page", "/verify".to_owned()))
        .reset_password_page(keys.get("mail.reset_password_page", "/reset-password".to_owned()))
        .default_language(keys.get("mail.language", "en".to_owned()));
    if let Some(name) = keys.optional::<String>("mail.product_name") {
        builder = builder.product_name(name);
    }
    if let Some(folder) = keys.optional::<String>("mail.templates") {
        builder = builder.folder(folder);
    }
    match builder.build() {
        Ok(templates) => Some(templates),
        Err(error) => {
            keys.problem(format!("mail: {}", error_chain(&error)));
            None
        }
    }
}

impl TokenLifetime {
    pub(super) fn read(keys: &mut Keys, table: &str, audience: &str) -> Self {
        let key = format!("{table}.lifetime_seconds");
        let seconds = keys.get(&key, 3600);
        if !(60..=MAX_LIFETIME).contains(&seconds) {
            keys.wrong(&key, format!("between 60 and {MAX_LIFETIME} seconds"));
        }
        let audience = keys.get(&format!("{table}.audience"), audience.to_owned());
        Self { lifetime: Duration::from_secs(seconds), audience }
    }
}

/// A week: a link that works for longer lies in a mailbox for somebody else.
const MAX_LIFETIME: u64 = 604_800;

impl Mailer for ServerMailer {
    async fn send(&self, mail: &Mail) -> Result<(), Undelivered> {
        match self {
            Self::Development(mailer) => mailer.send(mail).await,
            Self::Smtp(mailer) => mailer.send(mail).await,
        }
    }
}
