//! What people read, all of it from one file.

use std::collections::BTreeMap;

use minijinja::Value;

use super::object;

/// Ours.
const BUILT_IN: &str = include_str!("templates/texts.toml");
/// The table that may hold other names than ours.
const COLUMNS: &str = "columns";

/// The words of the pages, by table and name.
#[derive(Clone, Debug)]
pub(super) struct Texts(BTreeMap<String, BTreeMap<String, String>>);

macro_rules! texts {
    ($($variant:ident = $table:literal . $name:literal,)*) => {
        /// A text that is chosen by the program; templates take theirs by themselves.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Text { $($variant,)* }

        impl Text {
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$variant),*];

            const fn place(self) -> (&'static str, &'static str) {
                match self { $(Self::$variant => ($table, $name),)* }
            }
        }
    };
}

texts! {
    Email = "common"."email",
    Password = "common"."password",
    CurrentPassword = "common"."current_password",
    NewPassword = "common"."new_password",
    PasswordHint = "common"."password_hint",
    Home = "common"."home",
    SignUpSentTitle = "sign_up"."sent_title",
    SignUpSent = "sign_up"."sent",
    RequestVerifySentTitle = "request_verify"."sent_title",
    RequestVerifySent = "request_verify"."sent",
    VerifyBrokenTitle = "verify"."broken_title",
    VerifyBroken = "verify"."broken",
    VerifyAgain = "verify"."again",
    ForgotBack = "forgot_password"."back",
    ForgotSentTitle = "forgot_password"."sent_title",
    ForgotSent = "forgot_password"."sent",
    ResetBrokenTitle = "reset_password"."broken_title",
    ResetBroken = "reset_password"."broken",
    ResetAgain = "reset_password"."again",
    NewEmail = "account"."email_new",
    SignedInAs = "account"."signed_in_as",
    VerifyWhy = "account"."verify_text",
    ProviderContinue = "sign_in"."provider",
    ProviderLink = "account"."provider_link",
    ProviderUnlinkLabel = "account"."provider_unlink_label",
    AccountBack = "account"."back",
    SessionSince = "account"."session_since",
    SessionSeen = "account"."session_seen",
    SessionFrom = "account"."session_from",
    SessionUnknown = "account"."session_unknown",
    SessionEndLabel = "account"."session_end_label",
    DoneSignedOut = "done"."signed_out",
    DoneRegistered = "done"."registered",
    DoneVerified = "done"."verified",
    DoneReset = "done"."reset",
    DoneAgain = "done"."again",
    DoneWelcome = "done"."welcome",
    DoneWelcomeSent = "done"."welcome_sent",
    DoneVerifySent = "done"."verify_sent",
    DoneProfile = "done"."profile",
    DoneEmail = "done"."email",
    DoneEmailSent = "done"."email_sent",
    DonePassword = "done"."password",
    DoneSession = "done"."session",
    DoneSessions = "done"."sessions",
    DoneLinked = "done"."linked",
    DoneUnlinked = "done"."unlinked",
    DonePasswordSent = "done"."password_sent",
    ProviderTaken = "problem"."provider_taken",
    ProviderNoEmail = "problem"."provider_no_email",
    ProviderTooLate = "problem"."provider_too_late",
    ProviderFailed = "problem"."provider_failed",
    ProviderInactive = "problem"."provider_inactive",
    ProviderLast = "problem"."provider_last",
    LinkTaken = "problem"."link_taken",
    LinkNoEmail = "problem"."link_no_email",
    LinkFailed = "problem"."link_failed",
    LinkSignedOut = "problem"."link_signed_out",
    ForeignLink = "problem"."foreign_link",
    Credentials = "problem"."credentials",
    NotVerified = "problem"."not_verified",
    Throttled = "problem"."throttled",
    Busy = "problem"."busy",
    ForeignTitle = "problem"."foreign_title",
    Foreign = "problem"."foreign",
    FailedTitle = "problem"."failed_title",
    Failed = "problem"."failed",
    MediaType = "problem"."media_type",
    OutOfRange = "problem"."out_of_range",
    LastSuperuser = "problem"."last_superuser",
    Refused = "problem"."refused",
    Missing = "problem"."missing",
    NotEmail = "problem"."email",
    EmailTaken = "problem"."email_taken",
    WrongPassword = "problem"."current_password",
    Taken = "problem"."taken",
    NotInteger = "problem"."integer",
    NotReal = "problem"."real",
    NotBool = "problem"."bool",
    NotUuid = "problem"."uuid",
    NotDate = "problem"."date",
    NotTimestamp = "problem"."timestamp",
    NotJson = "problem"."json",
    NotWords = "problem"."text",
}

impl Texts {
    /// Ours, and over them those of a file.
    ///
    /// # Errors
    /// In words, with the name that is wrong.
    pub(super) fn read(own: Option<&str>) -> Result<Self, String> {
        let mut texts = Self(BTreeMap::new());
        texts.put(BUILT_IN, |_, _| true)?;
        let known = texts.clone();
        if let Some(own) = own {
            texts.put(own, |table, name| table == COLUMNS || known.find(table, name).is_some())?;
        }
        Ok(texts)
    }

    fn put(&mut self, toml: &str, is_known: impl Fn(&str, &str) -> bool) -> Result<(), String> {
        let file: toml::Table = toml.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
        for (table, value) in file {
            let values = match value {
                toml::Value::Table(values) => (table, values),
                // Those above the first table.
                value => (String::new(), toml::Table::from_iter([(table, value)])),
            };
            for (name, value) in values.1 {
                let full = format!("{}.{name}", values.0);
                let full = full.trim_start_matches('.');
                let toml::Value::String(text) = value else { return Err(format!("{full} should be text")) };
                if !is_known(&values.0, &name) {
                    return Err(format!("{full}: there is no such text"));
                }
                self.0.entry(values.0.clone()).or_default().insert(name, text);
            }
        }
        Ok(())
    }

    fn find(&self, table: &str, name: &str) -> Option<&str> {
        self.0.get(table)?.get(name).map(String::as_str)
    }

    /// A text.
    pub(super) fn get(&self, text: Text) -> &str {
        let (table, name) = text.place();
        self.find(table, name).unwrap_or(name)
    }

    /// A text with values in the place of their names in braces.
    pub(super) fn fill(&self, text: Text, values: &[(&str, &str)]) -> String {
        let mut rest = self.get(text);
        let mut filled = String::new();
        // In one pass: a value may hold braces.
        while let Some((before, (name, after))) = rest.split_once('{').and_then(|(b, a)| Some((b, a.split_once('}')?)))
        {
            filled.push_str(before);
            filled.push_str(values.iter().find(|(it, _)| *it == name).map_or("", |(_, value)| value));
            rest = after;
        }
        filled + rest
    }

    /// What an own column is called: by the file, else by its name, `first_name` as `First name`.
    pub(super) fn column(&self, field: &str) -> String {
        if let Some(text) = self.find(COLUMNS, field) {
            return text.to_owned();
        }
        let words = field.replace('_', " ");
        let mut letters = words.chars();
        letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
    }

    /// For templates: `t.sign_in.title`, and `t.language`.
    pub(super) fn to_value(&self) -> Value {
        let table = |values: &BTreeMap<String, String>| {
            object(values.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))))
        };
        let mut all: BTreeMap<String, Value> = self
            .0
            .iter()
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, values)| (name.clone(), table(values)))
            .collect();
        for (name, text) in self.0.get("").into_iter().flatten() {
            all.insert(name.clone(), Value::from(text.as_str()));
        }
        object(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_there() {
        let texts = Texts::read(None).unwrap();
        for text in Text::ALL {
            let (table, name) = text.place();
            assert!(texts.find(table, name).is_some(), "{table}.{name}");
        }
    }

    #[test]
    fn a_file_replaces_what_it_names() {
        let texts =
            Texts::read(Some("language = \"de\"\n[common]\nhome = \"Anfang\"\n[columns]\nnick = \"Spitzname\""));
        let texts = texts.unwrap();
        assert_eq!(texts.get(Text::Home), "Anfang");
        assert_eq!(texts.get(Text::Email), "E-mail address");
        assert_eq!((texts.column("nick").as_str(), texts.column("first_name").as_str()), ("Spitzname", "First name"));
        for (wrong, word) in [
            ("[sign_in]\ntitel = \"Anmelden\"", "sign_in.titel"),
            ("[sign_in]\ntitle = 1", "sign_in.title"),
            ("titel = \"x\"", "titel"),
            ("= 1", ""),
        ] {
            let problem = Texts::read(Some(wrong)).unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
    }

    #[test]
    fn values_are_filled_in_once() {
        let texts = Texts::read(None).unwrap();
        assert_eq!(texts.fill(Text::SignedInAs, &[("email", "{email}@{x")]), "Signed in as {email}@{x");
        assert_eq!(texts.fill(Text::Home, &[]), "Start");
    }

    #[test]
    fn templates_get_all_of_them() {
        let value = Texts::read(None).unwrap().to_value();
        assert_eq!(value.get_attr("language").unwrap().as_str(), Some("en"), "{value:?}");
        let title = value.get_attr("sign_in").unwrap().get_attr("title").unwrap();
        assert_eq!(title.as_str(), Some("Sign in"));
    }
}
