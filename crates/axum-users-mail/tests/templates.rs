//! What mails look like, and which folder of templates is taken.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use axum_users_core::{
    Email, Secret,
    mail::{Mail, MailKind},
};
use axum_users_mail::{MailTemplates, MailTemplatesBuilder, RenderedMail};

fn builder() -> MailTemplatesBuilder {
    MailTemplates::builder("noreply@camelot.bt", "https://users.camelot.bt").product_name("Camelot & Söhne <GmbH>")
}

fn kinds() -> Vec<MailKind> {
    let (old, new) = (Email::parse("o'hara&co@camelot.bt").unwrap(), Email::parse("arthur@camelot.bt").unwrap());
    vec![
        MailKind::VerifyAddress,
        MailKind::ResetPassword,
        MailKind::PasswordChanged,
        MailKind::EmailChanged { old: old.clone(), new: new.clone() },
        MailKind::AccountLinked { provider: "Rock & <Roll>".into() },
        MailKind::AccountUnlinked { provider: "Rock & <Roll>".into() },
        MailKind::AlreadyRegistered,
        MailKind::ConfirmEmailChange,
        MailKind::AddressInUse,
        MailKind::EmailChangeRequested { new: new.clone() },
        MailKind::UndoEmailChange { old, new },
    ]
}

fn mail(kind: MailKind, languages: Option<&str>) -> Mail {
    let token = Some(Secret::from("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl".to_owned()));
    let mut mail = Mail::new(kind, Email::parse("o'hara&co@camelot.bt").unwrap(), token, "AAAAAAAAAAAAAAAAAAAAAA");
    mail.languages = languages.map(str::to_owned);
    mail
}

fn render(builder: MailTemplatesBuilder, languages: Option<&str>) -> RenderedMail {
    builder.build().unwrap().render(&mail(MailKind::VerifyAddress, languages)).unwrap()
}

/// `AXUM_USERS_WRITE_GOLDEN=1 cargo test` writes them anew; look at the difference before it is committed.
#[test]
fn all_mails_look_like_this() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let templates = builder().lifetimes(Duration::from_secs(86_400), Duration::from_secs(3600)).build().unwrap();
    assert_eq!(templates.languages(), ["en", "de"]);
    for language in templates.languages() {
        for kind in kinds() {
            let mail = templates.render(&mail(kind, Some(language))).unwrap();
            for (suffix, text) in [
                ("subject", format!("{}\n", mail.subject())),
                ("txt", mail.text().to_owned()),
                ("html", mail.html().to_owned()),
            ] {
                let name = format!("{}.{language}.{suffix}", mail.kind());
                let path = golden.join(&name);
                if env::var_os("AXUM_USERS_WRITE_GOLDEN").is_some() {
                    fs::write(&path, &text).unwrap();
                }
                let kept = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(text, kept, "{name}");
            }
        }
    }
}

#[test]
fn html_can_be_read_without_pictures_and_by_ear() {
    let templates = builder().build().unwrap();
    for kind in kinds() {
        let mail = templates.render(&mail(kind, Some("de"))).unwrap();
        let html = mail.html();
        assert!(html.contains("<html lang=\"de\">") && html.contains("prefers-color-scheme: dark"), "{html}");
        for absent in ["<img", "<table", "url(", "<script", "@import", "src="] {
            assert!(!html.contains(absent), "{absent} in {html}");
        }
        if let Some(link) = mail.link() {
            assert_eq!(mail.text().matches(link).count(), 1, "{}", mail.text());
            assert!(html.contains(&format!("href=\"{link}\"")), "{html}");
        }
    }
}

#[test]
fn rg_05_what_people_chose_is_escaped_in_html_and_only_there() {
    let mail = render(builder(), None);
    assert!(mail.html().contains("o&#39;hara&amp;co@camelot.bt") && !mail.html().contains("<GmbH>"), "{}", mail.html());
    assert!(mail.html().contains("Camelot &amp; Söhne &lt;GmbH&gt;"), "{}", mail.html());
    assert!(mail.text().contains("o'hara&co@camelot.bt is your address at Camelot & Söhne <GmbH>"), "{}", mail.text());
    assert_eq!(mail.subject(), "Confirm your e-mail address for Camelot & Söhne <GmbH>");
    for kind in kinds() {
        let (MailKind::AccountLinked { .. } | MailKind::AccountUnlinked { .. }) = kind else { continue };
        for language in ["en", "de"] {
            let mail = builder().build().unwrap().render(&self::mail(kind.clone(), Some(language))).unwrap();
            assert!(mail.html().contains("<strong>Rock &amp; &lt;Roll&gt;</strong>"), "{}", mail.html());
            assert!(
                mail.text().contains("Rock & <Roll>") && mail.subject().contains("Rock & <Roll>"),
                "{}",
                mail.text()
            );
            assert!(mail.link().is_none(), "nothing to press");
        }
    }
}

#[test]
fn the_language_is_the_readers() {
    for (languages, picked) in [(None, "en"), (Some("de-AT, en;q=0.1"), "de"), (Some("fr"), "en"), (Some("\0"), "en")] {
        assert_eq!(render(builder(), languages).language(), picked, "{languages:?}");
    }
    assert_eq!(render(builder().default_language("de"), Some("fr")).language(), "de");
    let error = builder().default_language("fr").build().unwrap_err();
    assert_eq!(error.to_string(), "there are no mails in \"fr\"; there are de, en");
}

#[test]
fn rc_09_links_come_from_the_configuration() {
    let link = |builder: MailTemplatesBuilder| render(builder, None).link().unwrap().to_owned();
    let token = "token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
    assert_eq!(link(builder()), format!("https://users.camelot.bt/verify?{token}"));
    let app = builder().verify_page("https://app.camelot.bt/#!/x");
    assert!(app.build().unwrap_err().to_string().contains("whole URL"));
    let app = builder().verify_page("https://app.camelot.bt/hello?step=verify");
    assert_eq!(link(app), format!("https://app.camelot.bt/hello?step=verify&{token}"));
    let below = MailTemplates::builder("noreply@camelot.bt", "https://camelot.bt/users/").verify_page("/v");
    assert_eq!(link(below), format!("https://camelot.bt/users/v?{token}"));
    for page in ["verify", "javascript:alert(1)", "/a b", "/a\r\nb", "", "ftp://camelot.bt/"] {
        assert!(builder().verify_page(page).build().is_err(), "{page:?}");
        assert!(builder().reset_password_page(page).build().is_err(), "{page:?}");
    }
    for url in ["users.camelot.bt", "ftp://camelot.bt", "https://u:p@camelot.bt", "https://camelot.bt/?x", ""] {
        assert!(MailTemplates::builder("noreply@camelot.bt", url).build().is_err(), "{url:?}");
    }
    // A token of another issuer is escaped.
    let odd = Mail::new(
        MailKind::VerifyAddress,
        Email::parse("a@camelot.bt").unwrap(),
        Some("&x=\"\n".to_owned().into()),
        "k",
    );
    let odd = builder().build().unwrap().render(&odd).unwrap();
    assert_eq!(odd.link(), Some("https://users.camelot.bt/verify?token=%26x%3D%22%0A"));
}

#[test]
fn what_cannot_be_used_is_an_error_at_the_start() {
    for from in ["", "camelot", "Camelot noreply@camelot.bt>", "a@camelot.bt\r\nBcc: b@camelot.bt", "<>"] {
        assert!(MailTemplates::builder(from, "https://camelot.bt").build().is_err(), "{from:?}");
    }
    for name in ["", " ", "a\nb"] {
        assert!(builder().product_name(name).build().is_err(), "{name:?}");
    }
    let mut without_token = mail(MailKind::ResetPassword, None);
    without_token.token = None;
    let error = builder().build().unwrap().render(&without_token).unwrap_err();
    assert_eq!(error.to_string(), "reset_password: the mail has no token");
}

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("axum-users-mail-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
        }
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_replace_ours_one_by_one() {
    let folder = Folder::of(&[
        ("verify.en.subject", "Welcome, {{ email }}\n"),
        ("layout.html", "<main>{% block content %}{% endblock %}</main>"),
        (".verify.en.txt.swp", "\u{0}"),
    ]);
    let templates = builder().folder(&folder.0).build().unwrap();
    let english = templates.render(&mail(MailKind::VerifyAddress, None)).unwrap();
    assert_eq!(english.subject(), "Welcome, o'hara&co@camelot.bt");
    assert!(english.html().starts_with("<main><p>Hello,"), "{}", english.html());
    assert!(english.text().starts_with("Hello,"), "{}", english.text());
    let german = templates.render(&mail(MailKind::VerifyAddress, Some("de"))).unwrap();
    assert!(german.subject().starts_with("Bestätigen Sie"), "{}", german.subject());
    assert!(german.html().starts_with("<main><p>Guten Tag,"), "{}", german.html());
}

#[test]
fn a_language_of_ones_own_is_whole_or_none() {
    let mut files = Vec::new();
    for kind in [
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
    ] {
        for suffix in ["subject", "txt", "html"] {
            files.push((format!("{kind}.fr.{suffix}"), format!("Bonjour {kind} {suffix}")));
        }
    }
    let all: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let folder = Folder::of(&all);
    let templates = builder().folder(&folder.0).default_language("fr").build().unwrap();
    assert_eq!(templates.languages()[0], "fr");
    assert_eq!(templates.languages().len(), 3);
    let mail = templates.render(&mail(MailKind::AlreadyRegistered, Some("fr-CA"))).unwrap();
    assert_eq!(
        (mail.subject(), mail.html()),
        ("Bonjour already_registered subject", "Bonjour already_registered html\n")
    );
    let folder = Folder::of(&all[1..]);
    let error = builder().folder(&folder.0).build().unwrap_err();
    assert_eq!(error.to_string(), "a language is not whole without verify.fr.subject");
}

#[test]
fn a_template_that_does_not_render_is_an_error_at_the_start() {
    for (name, text) in [
        ("verify.en.txt", "{{ lnk }}"),
        ("verify.de.html", "{% block %}"),
        ("password_changed.en.txt", "{{ link }}"),
        ("email_changed.en.subject", "{{ old_email"),
        ("email_changed.en.txt", "{{ provider }}"),
        ("verify.en.subject", "two\nlines"),
        ("verify.en.subject", "{# nothing #}"),
        ("verify.en.html", "{% extends \"nowhere.html\" %}"),
        ("verify.en.html", "{% include \"/etc/passwd\" %}"),
        ("layout.html", "{{ nothing }}"),
        ("verify.en.tx", ""),
        ("verify.txt", ""),
        ("verify.e_n.txt", ""),
        ("welcome.en.txt", ""),
        ("README.md", ""),
    ] {
        let folder = Folder::of(&[(name, text)]);
        let error = builder().folder(&folder.0).build().err().unwrap_or_else(|| panic!("{name}: {text}"));
        // The layout is found by those that extend it.
        let named = if name == "layout.html" { "html" } else { name };
        assert!(error.to_string().contains(named), "{name}: {text}: {error}");
    }
    let error = builder().folder("/nowhere").build().unwrap_err();
    assert_eq!(error.to_string(), "/nowhere cannot be read");
}
