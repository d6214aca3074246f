//! Mail that stays here.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use axum_users_core::mail::{Mail, Mailer, Undelivered};

use crate::{MailTemplates, RenderedMail};

/// How many mails are kept.
const KEPT: usize = 100;

/// Prints mails on standard output and keeps the last 100 in memory. For development: whoever sees them can use their links.
/// A cheap handle; clones share the mails.
#[derive(Clone)]
pub struct DevelopmentMailer {
    templates: MailTemplates,
    mails: Arc<Mutex<VecDeque<RenderedMail>>>,
}

impl DevelopmentMailer {
    /// Mails of these templates.
    #[must_use]
    pub fn new(templates: MailTemplates) -> Self {
        Self { templates, mails: Arc::default() }
    }

    /// The last mails, the newest first.
    #[must_use]
    pub fn mails(&self) -> Vec<RenderedMail> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn keep(&self, mail: RenderedMail) {
        let mut mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        // A repeated mail is the same mail.
        mails.retain(|kept| kept.key() != mail.key() || kept.to() != mail.to());
        mails.push_front(mail);
        mails.truncate(KEPT);
    }
}

impl Mailer for DevelopmentMailer {
    async fn send(&self, mail: &Mail) -> Result<(), Undelivered> {
        let mail = self.templates.render(mail).map_err(Undelivered::for_good)?;
        // Whoever closed it does not want to see it.
        let _ = write!(io::stdout().lock(), "{}", Printed(&mail));
        self.keep(mail);
        Ok(())
    }
}

impl fmt::Debug for DevelopmentMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevelopmentMailer").field("templates", &self.templates).finish_non_exhaustive()
    }
}

/// With a bar at the left, so that a mail is told from what is printed around it. Nothing of it moves the cursor.
struct Printed<'a>(&'a RenderedMail);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mail = self.0;
        writeln!(f, "\n┃ To:      {}", shown(mail.to().as_str()))?;
        writeln!(f, "┃ Subject: {}\n┃", shown(mail.subject()))?;
        mail.text().lines().try_for_each(|line| writeln!(f, "┃ {}", shown(line)))?;
        writeln!(f)
    }
}

fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use axum_users_core::{Email, Secret, mail::MailKind};

    use super::*;

    fn mail(to: &str, key: &str) -> Mail {
        let token = Some(Secret::from("canary".to_owned()));
        Mail::new(MailKind::ResetPassword, Email::from_stored(to.into()), token, key)
    }

    fn mailer() -> DevelopmentMailer {
        let templates = MailTemplates::builder("noreply@camelot.bt", "http://localhost:8000").build().unwrap();
        DevelopmentMailer::new(templates)
    }

    #[tokio::test]
    async fn the_last_mails_are_kept_each_once() {
        let mailer = mailer();
        for index in 0..150 {
            mailer.send(&mail("arthur@camelot.bt", &format!("key{index}"))).await.unwrap();
        }
        mailer.clone().send(&mail("arthur@camelot.bt", "key149")).await.unwrap();
        let keys: Vec<String> = mailer.mails().iter().map(|mail| mail.key().to_owned()).collect();
        assert_eq!((keys.len(), keys[0].as_str(), keys[99].as_str()), (KEPT, "key149", "key50"));
        let json = mailer.mails()[0].to_json();
        assert_eq!(json["link"], "http://localhost:8000/reset-password?token=canary");
        assert_eq!(json["to"], "arthur@camelot.bt");
    }

    #[tokio::test]
    async fn lg_01_a_mail_does_not_show_its_link() {
        let mailer = mailer();
        mailer.send(&mail("arthur@camelot.bt", "key")).await.unwrap();
        let shown = format!("{:?} {mailer:?}", mailer.mails());
        assert!(!shown.contains("canary") && !shown.contains("arthur"), "{shown}");
    }

    #[test]
    fn what_is_printed_moves_no_cursor() {
        let mailer = mailer();
        let mail = mailer.templates.render(&mail("a\u{1b}[2J\r\nb@camelot.bt", "key")).unwrap();
        let printed = Printed(&mail).to_string();
        assert!(printed.contains("/reset-password?token=canary"), "{printed}");
        assert!(printed.lines().all(|line| line.is_empty() || line.starts_with('┃')), "{printed}");
        assert!(!printed.contains(['\u{1b}', '\r']), "{printed}");
    }
}
