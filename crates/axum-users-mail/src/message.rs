//! From a mail to the bytes of a message, and to whom it goes.

use axum_users_core::{Email, mail::Undelivered};
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};
use time::OffsetDateTime;

use crate::RenderedMail;

/// One recipient, one message.
pub(crate) struct Outgoing {
    pub(crate) envelope: Envelope,
    pub(crate) bytes: Vec<u8>,
}

impl Outgoing {
    pub(crate) fn new(from: &Mailbox, mail: &RenderedMail, date: OffsetDateTime) -> Result<Self, Undelivered> {
        let to = recipient(mail.to())?;
        let key = mail.key();
        // It becomes part of headers.
        if key.is_empty() || key.len() > 64 || !key.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it))
        {
            return Err(Undelivered::for_good("the key of a mail should be 1 to 64 characters of base64url"));
        }
        let body = MultiPart::alternative()
            .boundary(format!("=_{key}"))
            .singlepart(SinglePart::plain(mail.text().to_owned()))
            .singlepart(SinglePart::html(mail.html().to_owned()));
        let message = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(mail.subject())
            .date(date.into())
            // The same for every attempt: whoever gets it twice has it once.
            .message_id(Some(format!("<{key}@{}>", from.email.domain())))
            .raw_header(header("Idempotency-Key", key))
            // RFC 3834 section 5: nobody's holiday is told to us.
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("Content-Language", mail.language()))
            .multipart(body)
            .map_err(Undelivered::for_good)?;
        let envelope = Envelope::new(Some(from.email.clone()), vec![to]).map_err(Undelivered::for_good)?;
        Ok(Self { envelope, bytes: message.formatted() })
    }
}

/// The address for the server. What is stored was accepted once, perhaps by another system: it is looked at again.
fn recipient(email: &Email) -> Result<Address, Undelivered> {
    let checked = Email::parse(email.as_str()).map_err(Undelivered::for_good)?;
    let domain = checked.ascii_domain().ok_or_else(|| Undelivered::for_good("the address has no domain"))?;
    Address::new(checked.local_part(), domain).map_err(Undelivered::for_good)
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

#[cfg(test)]
mod tests {
    use axum_users_core::{
        Secret,
        mail::{Mail, MailKind},
    };
    use time::macros::datetime;

    use super::*;
    use crate::MailTemplates;

    const DATE: OffsetDateTime = datetime!(2026-11-24 12:34:56 UTC);

    fn outgoing(to: &str, key: &str, languages: Option<&str>) -> Result<Outgoing, Undelivered> {
        let from = "\"Camelot, the castle\" <noreply@camelot.bt>";
        let templates =
            MailTemplates::builder(from, "https://users.camelot.bt").product_name("Camelot").build().unwrap();
        let token = Some(Secret::from("eyJh.eyJz.c2ln".to_owned()));
        let mut mail = Mail::new(MailKind::VerifyAddress, Email::from_stored(to.to_owned()), token, key);
        mail.languages = languages.map(str::to_owned);
        Outgoing::new(templates.from(), &templates.render(&mail).unwrap(), DATE)
    }

    #[test]
    fn a_message_has_its_headers_and_two_parts() {
        let message = outgoing("arthur@camelot.bt", "AAAAAAAAAAAAAAAAAAAAAA", Some("de")).unwrap();
        let text = String::from_utf8(message.bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        for line in [
            "From: =?utf-8?b?Q2FtZWxvdCwgdGhlIGNhc3RsZQ==?= <noreply@camelot.bt>",
            "To: arthur@camelot.bt",
            "Date: Tue, 24 Nov 2026 12:34:56 +0000",
            "Message-ID: <AAAAAAAAAAAAAAAAAAAAAA@camelot.bt>",
            "Idempotency-Key: AAAAAAAAAAAAAAAAAAAAAA",
            "Auto-Submitted: auto-generated",
            "Content-Language: de",
            "MIME-Version: 1.0",
        ] {
            assert_eq!(head.lines().filter(|it| *it == line).count(), 1, "{line} in {head}");
        }
        assert_eq!(head.matches("Content-Type:").count(), 1, "{head}");
        assert!(head.contains("Subject: =?utf-8?b?"), "{head}");
        for part in ["text/plain", "text/html"] {
            assert_eq!(body.matches(&format!("Content-Type: {part}; charset=utf-8\r\n")).count(), 1, "{body}");
        }
        assert_eq!(body.matches("--=_AAAAAAAAAAAAAAAAAAAAAA\r\n").count(), 2, "{body}");
        assert!(body.is_ascii(), "a server without 8BITMIME takes it too");
    }

    #[test]
    fn a_repeated_message_is_the_same() {
        let once = outgoing("arthur@camelot.bt", "abc", None).unwrap();
        assert_eq!(once.bytes, outgoing("arthur@camelot.bt", "abc", None).unwrap().bytes);
    }

    #[test]
    fn rg_05_an_odd_address_is_one_recipient_or_none() {
        for (to, recipient) in [
            ("o'hara+x=y{z}~@camelot.bt", "o'hara+x=y{z}~@camelot.bt"),
            ("a&b*c/d?e^f`g|h#i!j$k%l@camelot.bt", "a&b*c/d?e^f`g|h#i!j$k%l@camelot.bt"),
            ("ünï@camelot.bt", "ünï@camelot.bt"),
            ("arthur@bücher.de", "arthur@xn--bcher-kva.de"),
            ("-@camelot.bt", "-@camelot.bt"),
        ] {
            let message = outgoing(to, "key", None).unwrap();
            assert_eq!(message.envelope.to().iter().map(ToString::to_string).collect::<Vec<_>>(), [recipient]);
            let text = String::from_utf8(message.bytes).unwrap();
            let head = text.split_once("\r\n\r\n").unwrap().0;
            assert_eq!(head.matches("\r\n").count(), head.matches('\n').count());
            assert_eq!(head.lines().filter(|line| line.starts_with("To:")).count(), 1, "{head}");
            let names: Vec<&str> = head.lines().filter_map(|it| Some(it.split_once(": ")?.0)).collect();
            assert_eq!(names.len(), 10, "{head}");
        }
        for to in [
            "a@camelot.bt\r\nBcc: mordred@camelot.bt",
            "a@camelot.bt\nx",
            "\"a\r\nb\"@camelot.bt",
            "\"a b\"@camelot.bt",
            "a@camelot.bt, mordred@camelot.bt",
            "a@b@camelot.bt",
            "a@camelot.bt>\r\nRCPT TO:<b@camelot.bt",
            "a@camelot.bt SIZE=1",
            "a\0@camelot.bt",
            "a",
            "",
        ] {
            let refused = outgoing(to, "key", None).err().unwrap_or_else(|| panic!("{to:?}"));
            assert!(refused.is_permanent(), "{to:?}");
        }
    }

    #[test]
    fn rg_05_a_key_is_no_header() {
        for key in ["", "a\r\nBcc: b@camelot.bt", "a b", "a>", &"a".repeat(65)] {
            assert!(outgoing("arthur@camelot.bt", key, None).err().unwrap().is_permanent(), "{key:?}");
        }
    }
}
