//! Each page once with little and once with much, so that a template that fails does so at the start.

use std::collections::BTreeMap;

use axum_users::{Error, error_chain};
use http::StatusCode;
use minijinja::Value;

use super::{
    Values,
    form::Form,
    look::{self, Look},
    object,
    texts::Text,
};

impl Look {
    /// Renders every page.
    ///
    /// # Errors
    /// The template and what is wrong with it.
    pub(crate) fn try_all(&self) -> Result<(), String> {
        let empty = Form::new(&self.texts, "");
        let mut wrong = Form::new(&self.texts, "x-");
        wrong.wrong("email", Text::Email, Text::NotEmail);
        wrong.wrong("password", Text::Password, Text::Missing);
        wrong.problem(StatusCode::BAD_REQUEST, Text::Credentials);
        let mut throttled = Form::new(&self.texts, "y-");
        throttled.refused(Error::BadCredentials, ("password", Text::Password));
        for template in Self::templates() {
            for (form, much) in [(&empty, false), (&wrong, true), (&throttled, true)] {
                for (has_password, is_limited) in [(true, false), (false, false), (true, true)] {
                    let mut values = self.sample(form, much);
                    values.insert("has_password", Value::from(has_password));
                    values.insert("is_limited", Value::from(is_limited));
                    self.render(template, &look::nonce(), &values)
                        .map_err(|error| format!("{template}: {}", error_chain(&error)))?;
                }
            }
        }
        Ok(())
    }

    /// Every value of every page.
    fn sample(&self, form: &Form<'_>, much: bool) -> Values {
        let text = |text: &str| Value::from(if much { text } else { "" });
        let flag = Value::from(much);
        let many = |value: Value| Value::from(if much { vec![value.clone(), value] } else { Vec::new() });
        let column = |kind: &str, required: bool, read_only: bool| {
            object([
                ("name", Value::from("profile.name")),
                ("label", Value::from("Name")),
                ("kind", Value::from(kind)),
                ("required", Value::from(required)),
                ("read_only", Value::from(read_only)),
                ("autocomplete", Value::from("name")),
            ])
        };
        let mut columns = Vec::new();
        if much {
            for kind in ["bool", "integer", "real", "text", "uuid", "date", "timestamp", "json"] {
                columns.extend([column(kind, true, false), column(kind, false, false), column(kind, false, true)]);
            }
        }
        let names = ["id", "name", "since", "seen", "from", "end_label"];
        let mut session: BTreeMap<&str, Value> = names.iter().map(|name| (*name, Value::from("value"))).collect();
        session.insert("current", Value::from(false));
        let mail = ["key", "subject", "to", "link", "text"].map(|name| (name, Value::from("value")));
        let provider = object([("url", "/auth/example/authorize"), ("text", "text")]);
        let names = ["id", "name", "email", "unlink_label"];
        let account = object(names.map(|name| (name, Value::from("value"))));
        let linked = object([("accounts", many(account)), ("others", many(provider.clone()))]);
        let forms = ["verify", "profile", "email", "password", "accounts"].map(|name| (name, form.to_value()));
        Values::from([
            ("form", form.to_value()),
            ("forms", object(forms)),
            ("is_wrong", flag.clone()),
            ("notice", text("notice")),
            ("mailbox_url", text("/mailbox")),
            ("verify_url", text("/request-verify")),
            ("has_reset", flag.clone()),
            ("has_registration", flag.clone()),
            ("has_mail", flag.clone()),
            ("has_writable", flag.clone()),
            ("has_others", flag.clone()),
            ("is_verified", Value::from(!much)),
            ("proves_first", flag.clone()),
            ("columns", Value::from(columns)),
            ("password_hint", text("hint")),
            ("words", self.texts.to_value().get_attr("forgot_password").unwrap_or_default()),
            ("action", Value::from("/forgot-password")),
            ("token", Value::from("token")),
            ("title", Value::from("title")),
            ("text", Value::from("text")),
            ("link", Value::from("/")),
            ("link_text", Value::from("link")),
            ("email", Value::from("reader@example.com")),
            ("signed_in_as", Value::from("reader@example.com")),
            ("verify_text", Value::from("text")),
            ("providers", many(provider)),
            ("has_providers", flag.clone()),
            ("linked", linked),
            ("sessions", many(object(session))),
            ("mails", many(object(mail.clone()))),
            ("mail", object(mail)),
        ])
    }
}
