//! A person with a browser without scripts: it keeps cookies, follows no redirect, and says where it comes from.

use std::{cell::RefCell, collections::BTreeMap, thread, time::Duration};

use crate::harness::{Answer, Server};

pub(crate) struct Visitor<'a> {
    server: &'a Server,
    cookies: RefCell<BTreeMap<String, String>>,
}

impl<'a> Visitor<'a> {
    pub(crate) fn of(server: &'a Server) -> Self {
        Self { server, cookies: RefCell::default() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    /// Sends a form of our own pages.
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send("POST", path, &[("sec-fetch-site", "same-origin")], &form(fields))
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let cookies: Vec<String> =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = headers.to_vec();
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        if method == "POST" {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
            if body.is_empty() {
                headers.push(("content-length", "0"));
            }
        }
        let answer = self.server.send(method, path, &headers, body.as_bytes());
        for cookie in answer.headers("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.borrow_mut().remove(name);
            } else {
                self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).cloned()
    }

    pub(crate) fn sign_up(&self, email: &str, password: &str) -> Answer {
        self.post("/sign-up", &[("email", email), ("password", password)])
    }

    pub(crate) fn sign_in(&self, email: &str, password: &str) -> Answer {
        self.post("/sign-in", &[("email", email), ("password", password)])
    }

    pub(crate) fn is_signed_in(&self) -> bool {
        self.get("/account").status == 200
    }

    /// The path and query of the link in the newest mail to this address with this subject, once there are `count` of them.
    pub(crate) fn mailed_link(&self, to: &str, subject: &str, count: usize) -> String {
        let mail = self.mailed(to, subject, count);
        let link = between(&mail, "<a class=\"primary button\" href=\"", "\"");
        let (_, path) = link.split_once("://").unwrap().1.split_once('/').unwrap();
        format!("/{path}")
    }

    /// The page of the newest mail to this address with this subject, out of the mailbox of the development transport, once
    /// there are `count` of them.
    pub(crate) fn mailed(&self, to: &str, subject: &str, count: usize) -> String {
        for _ in 0..600 {
            let mailbox = self.get("/mailbox").body;
            let item = |line: &&str| line.contains(subject) && line.contains(&format!(">{to}<"));
            let found: Vec<&str> = mailbox.lines().filter(item).collect();
            if found.len() >= count {
                return self.get(&between(found[0], "href=\"", "\"")).body;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("no mail {subject:?} to {to}: {}", self.get("/mailbox").body)
    }
}

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        let byte = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        text.bytes().map(byte).collect()
    };
    fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
}

/// What stands between these two, unescaped.
pub(crate) fn between(text: &str, before: &str, after: &str) -> String {
    let start = text.find(before).unwrap_or_else(|| panic!("{before:?} is missing in {text}")) + before.len();
    let end = text[start..].find(after).unwrap() + start;
    text[start..end].replace("&#x2f;", "/").replace("&#39;", "'").replace("&amp;", "&")
}

/// 303 to this path.
#[track_caller]
pub(crate) fn sees(answer: &Answer, path: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, Some(path)), "{}", answer.body);
}

/// A page with this status that says this.
#[track_caller]
pub(crate) fn says(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(answer.body.contains(words), "{words:?} is missing in {}", answer.body);
}

/// Beside the field of this id stands this error, and the field says so to those who do not see it.
#[track_caller]
pub(crate) fn is_wrong(answer: &Answer, id: &str, words: &str) {
    let field = answer.body.split('<').find(|tag| tag.contains(&format!(" id=\"{id}\"")));
    let field = field.unwrap_or_else(|| panic!("no field {id} in {}", answer.body));
    assert!(field.contains("aria-invalid=\"true\""), "{field}");
    assert!(field.contains(&format!("aria-describedby=\"{id}-error")), "{field}");
    assert!(answer.body.contains(&format!("<p class=\"error\" id=\"{id}-error\">{words}</p>")), "{}", answer.body);
    assert!(answer.body.contains(&format!("<a href=\"#{id}\">")), "the summary does not lead there: {}", answer.body);
    assert_eq!(answer.body.matches(" autofocus").count(), 1);
    assert!(answer.body.contains("role=\"alert\""));
    assert!(answer.body.contains("<title>Error: "));
}
