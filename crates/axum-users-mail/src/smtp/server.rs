//! The URL of a mail server.

use std::net::IpAddr;

use axum_users_core::Secret;
use url::Url;

use super::SmtpConfigError;

/// A mail server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) scheme: Scheme,
    /// As for a look-up: an IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) login: Option<(String, Secret)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Smtp,
    Smtps,
}

impl Server {
    pub(super) fn parse(text: &str) -> Result<Self, SmtpConfigError> {
        let url = Url::parse(text).map_err(|_| SmtpConfigError::Url("it should be smtp://user:password@host:port"))?;
        let scheme = match url.scheme() {
            "smtp" => Scheme::Smtp,
            "smtps" => Scheme::Smtps,
            _ => return Err(SmtpConfigError::Url("it should begin with smtp:// or smtps://")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(SmtpConfigError::Url("it names no host"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(SmtpConfigError::Url("nothing should follow the port; a password is escaped"));
        }
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let port = url.port().unwrap_or(if scheme == Scheme::Smtps { 465 } else { 587 });
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            ("", Some(_)) | (_, None) => return Err(SmtpConfigError::Url("a login is a user and a password")),
            (user, Some(password)) => Some((unescaped(user)?, Secret::from(unescaped(password)?))),
        };
        Ok(Self { scheme, host, port, login })
    }

    /// RFC 6761 section 6.3.
    pub(super) fn is_loopback(&self) -> bool {
        let name = self.host.trim_end_matches('.').to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }
}

/// RFC 3986 section 2.1.
fn unescaped(text: &str) -> Result<String, SmtpConfigError> {
    let wrong = SmtpConfigError::Url("the login is escaped wrongly");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or_default()).to_digit(16));
        let [Some(high), Some(low)] = digits else { return Err(wrong) };
        bytes.extend(u8::try_from(high * 16 + low));
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => Ok(text),
        _ => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_a_port_and_a_login() {
        for (url, scheme, host, port, login) in [
            ("smtp://localhost", Scheme::Smtp, "localhost", 587, None),
            ("smtps://mail.camelot.bt/", Scheme::Smtps, "mail.camelot.bt", 465, None),
            ("smtp://u:p@[::1]:25", Scheme::Smtp, "::1", 25, Some(("u", "p"))),
            (
                "smtp://arthur%40camelot.bt:p%C3%A4ss%2F%25@10.0.0.1:2525",
                Scheme::Smtp,
                "10.0.0.1",
                2525,
                Some(("arthur@camelot.bt", "päss/%")),
            ),
        ] {
            let server = Server::parse(url).unwrap();
            assert_eq!((server.scheme, server.host.as_str(), server.port), (scheme, host, port), "{url}");
            let found = server.login.as_ref().map(|(user, password)| (user.as_str(), password.expose()));
            assert_eq!(found, login, "{url}");
        }
    }

    #[test]
    fn cr_05_a_url_that_cannot_be_used_is_not_repeated() {
        for url in [
            "canary",
            "http://canary@mail",
            "smtp://",
            "smtp://canary@mail",
            "smtp://:canary@mail",
            "smtp://u:canary%@mail",
            "smtp://u:canary%zz@mail",
            "smtp://u:canary%0d%0a@mail",
            "smtp://u:canary%ff@mail",
            "smtp://u:can/ary@mail",
            "smtp://mail?canary",
            "smtp://mail/canary",
            "smtp://mail#canary",
        ] {
            let error = Server::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{url}: {error}");
        }
        let shown = format!("{:?}", Server::parse("smtp://u:canary@mail").unwrap());
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn cr_07_this_machine_is_recognised() {
        let is_here = |host: &str| Server::parse(&format!("smtp://{host}")).unwrap().is_loopback();
        for host in
            ["localhost", "LOCALHOST.", "mail.localhost", "127.0.0.1", "127.9.8.7", "[::1]", "[::ffff:127.0.0.1]"]
        {
            assert!(is_here(host), "{host}");
        }
        for host in ["mail", "localhost.camelot.bt", "10.0.0.1", "[2001:db8::1]", "0.0.0.0", "127.0.0.1.camelot.bt"] {
            assert!(!is_here(host), "{host}");
        }
    }
}
