//! Where a browser's request comes from: Fetch Metadata first, then Origin against Host and the allow-list.

use http::{HeaderMap, header};

/// Whether a browser on another origin sent this. Clients that send neither header are no browsers.
pub(crate) fn is_foreign(headers: &HeaderMap, allowed: &[String]) -> bool {
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or("null"));
    let origin = text(header::ORIGIN.as_str());
    if origin.is_some_and(|origin| allowed.iter().any(|it| it == origin)) {
        return false;
    }
    match text("sec-fetch-site") {
        Some("same-origin" | "none") => false,
        Some(_) => true,
        // Browsers from before 2023; the scheme is not compared, a proxy may have taken TLS off.
        None => origin.is_some_and(|origin| {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_none() || host != text(header::HOST.as_str())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
