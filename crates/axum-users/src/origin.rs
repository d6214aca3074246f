//! Where a browser's request comes from: Fetch Metadata first, then Origin against Host and the allow-list. And who will see the answer.

use http::{HeaderMap, header};

/// Where a request comes from, as far as it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes, no, and not told")]
#[must_use]
pub enum RequestOrigin {
    /// A page of this origin or of an allowed one, or a person (an address typed, a bookmark).
    Own,
    /// A page of another origin.
    Foreign,
    /// It does not tell: no browser, or one from before 2020.
    Untold,
}

impl RequestOrigin {
    /// By the headers of a request.
    pub(crate) fn of(headers: &HeaderMap, allowed: &[String]) -> Self {
        let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or("null"));
        let origin = text(header::ORIGIN.as_str());
        if origin.is_some_and(|origin| allowed.iter().any(|it| it == origin)) {
            return Self::Own;
        }
        match (text("sec-fetch-site"), origin) {
            (Some("same-origin" | "none"), _) => Self::Own,
            (Some(_), _) => Self::Foreign,
            // Browsers from before 2023; the scheme is not compared, a proxy may have taken TLS off.
            (None, Some(origin)) => {
                let host = origin.split_once("://").map(|(_, host)| host);
                if host.is_some() && host == text(header::HOST.as_str()) { Self::Own } else { Self::Foreign }
            }
            (None, None) => Self::Untold,
        }
    }
}

/// Whether a browser on another origin sent this. Clients that send neither header are no browsers.
pub(crate) fn is_foreign(headers: &HeaderMap, allowed: &[String]) -> bool {
    RequestOrigin::of(headers, allowed) == RequestOrigin::Foreign
}

/// Whether a browser asks for a page, to be shown to a person: it follows a link, is sent on, or sends a form (Fetch Metadata). One
/// that is too old to say so asks for HTML. Scripts and programs do neither.
#[must_use]
pub fn is_navigation(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => text("accept").is_some_and(|accept| accept.contains("text/html")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_person_will_see_is_a_navigation() {
        let is = |pairs: &[(&'static str, &'static str)]| {
            is_navigation(&pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect())
        };
        assert!(is(&[("sec-fetch-mode", "navigate")]));
        assert!(is(&[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")]));
        for mode in ["cors", "no-cors", "same-origin", "websocket", ""] {
            assert!(!is(&[("sec-fetch-mode", mode), ("accept", "text/html")]), "{mode}");
        }
        for accept in ["*/*", "application/json", ""] {
            assert!(!is(&[("accept", accept)]), "{accept}");
        }
        assert!(!is(&[]));
    }

    #[test]
    fn ck_04_only_our_own_pages_and_allowed_origins_are_at_home() {
        let case = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
            is_foreign(&headers, &["https://app.example".to_owned()])
        };
        assert!(!case(&[]));
        assert!(!case(&[("sec-fetch-site", "same-origin")]));
        assert!(!case(&[("sec-fetch-site", "none")]));
        assert!(case(&[("sec-fetch-site", "cross-site")]));
        assert!(case(&[("sec-fetch-site", "same-site")]));
        assert!(!case(&[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")]));
        assert!(case(&[("origin", "https://evil.example"), ("host", "users.example")]));
        assert!(!case(&[("origin", "https://users.example"), ("host", "users.example")]));
        assert!(case(&[("origin", "null"), ("host", "users.example")]));
        assert!(case(&[("origin", "https://users.example"), ("host", "users.example:8443")]));
    }

    #[test]
    fn ck_04_who_tells_nothing_is_neither_at_home_nor_foreign() {
        assert_eq!(RequestOrigin::of(&HeaderMap::new(), &[]), RequestOrigin::Untold);
        let headers = HeaderMap::from_iter([(header::HOST, "users.example".parse().unwrap())]);
        assert_eq!(RequestOrigin::of(&headers, &[]), RequestOrigin::Untold);
    }
}
