//! Where a browser may be sent: a path of our own, or exactly what the application put on a list (ASVS 3.7.2).

/// Whether a browser may be sent there.
pub(crate) fn is_allowed(target: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|it| it == target) || is_path(target)
}

/// A target with the code of an error in its query.
pub(crate) fn with_error(target: &str, code: &str) -> String {
    let (before, fragment) =
        target.split_once('#').map_or((target, ""), |(before, _)| (before, &target[before.len()..]));
    let separator = if before.contains('?') { '&' } else { '?' };
    format!("{before}{separator}error={code}{fragment}")
}

/// A path, perhaps with query and fragment, that every browser resolves to one on the same origin. What is not plain is refused:
/// nothing here is repaired, so that nothing can be repaired in another way elsewhere.
fn is_path(target: &str) -> bool {
    let (path, rest) = target.find(['?', '#']).map_or((target, ""), |at| target.split_at(at));
    target.len() <= MOST_BYTES
        && target.bytes().all(is_plain)
        && path.starts_with('/')
        && !path.contains("//")
        && !path.split('/').any(|segment| matches!(segment, "." | ".."))
        // No octet of a path is written in another way: neither slashes nor dots.
        && !path.contains('%')
        && escapes_are_harmless(rest)
}

const MOST_BYTES: usize = 512;

/// RFC 3986 without what browsers treat in ways of their own: backslashes, quotes, brackets of every kind, blanks, controls.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/?#&=%+:@,;!$()*".contains(&byte)
}

/// Whether `%` is followed by two digits that stand for no control character.
fn escapes_are_harmless(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let byte = after.get(..2).filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()));
        byte.and_then(|it| u8::from_str_radix(it, 16).ok()).is_some_and(|byte| !byte.is_ascii_control())
    })
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    const OURS: &str = "https://users.example/auth/google/callback";

    /// Tricks that made other systems send browsers elsewhere.
    fn corpus() -> Vec<String> {
        let prefixes = [
            "",
            "/",
            "//",
            "///",
            "////",
            "\\",
            "\\\\",
            "/\\",
            "\\/",
            "/\\/",
            "//\\",
            "\\/\\/",
            "/\t/",
            "/\n/",
            "/\r\n/",
            "\t//",
            " //",
            "/ /",
            "/.",
            "/./",
            "/.//",
            "/..//",
            "/../",
            "/%2e%2e//",
            "/%2F",
            "/%2f%2f",
            "/%5C",
            "/%5c%5c",
            "/%09/",
            "/%0a/",
            "/%0d%0a",
            "/;@",
            "/@",
            "/.evil.example/..//",
            "http:",
            "http:/",
            "http://",
            "https:",
            "https:/",
            "https:///",
            "https:\\\\",
            "HTTPS://",
            "hTtPs:/\\",
            "ftp://",
            "javascript:",
            "JavaScript:",
            "java\tscript:",
            "data:text/html,",
            "vbscript:",
            "blob:",
            "file:///",
            "view-source:",
            "mailto:",
            "https://users.example@",
            "https://users.example:x@",
            "https://users.example.",
            "https://users.example%40",
            "https://users.example%2f@",
            "https://users.example\\@",
            "https://users.example#@",
            "https://users.example?@",
            "https://users.example;@",
            "https://users.example&@",
            "//users.example@",
            "/\u{3002}",
            "//\u{ff0f}",
            "/\u{2215}/",
            "\u{ff0f}\u{ff0f}",
            "\u{2044}/",
            "/\u{200b}/",
            "\u{feff}//",
            "/\u{0}/",
            "\u{0}//",
            "/\u{b}/",
            "/\u{c}/",
            "?//",
            "#//",
        ];
        let hosts = ["evil.example", "evil\u{3002}example", "evil.example:443", "users.example.evil.example", "[::1]"];
        let mut corpus: Vec<_> =
            prefixes.iter().flat_map(|prefix| hosts.iter().map(move |host| format!("{prefix}{host}"))).collect();
        for odd in [
            "/a\"b",
            "/a<b>",
            "/a b",
            "/a'b",
            "/a`b",
            "/a{b}",
            "/a|b",
            "/a^b",
            "/ü",
            "/a?x=%0d%0aSet-Cookie:x",
            "/a?x=%",
            "/a?x=%g0",
            "/a?x=%1",
            "/a#%00",
            "",
            "a",
            "?x",
            "#x",
            ".",
            "..",
            "/..",
            "/a/..",
            "/a/../b",
            "/./a",
            "/a/.",
            "/%41",
        ] {
            corpus.push(odd.to_owned());
        }
        corpus.push(format!("/{}", "a".repeat(512)));
        corpus
    }

    #[test]
    fn ck_09_whatever_is_let_through_stays_on_our_origin() {
        let corpus = corpus();
        assert!(corpus.len() >= 300, "{}", corpus.len());
        let base = Url::parse(OURS).unwrap();
        for target in &corpus {
            if is_path(target) {
                // The parser of browsers (WHATWG) has the last word: same origin, and the very text.
                let parsed = base.join(target).unwrap();
                assert_eq!(parsed.origin(), base.origin(), "{target:?}");
                assert_eq!(&parsed.as_str()[base.origin().ascii_serialization().len()..], target);
            }
        }
        let let_through: Vec<_> = corpus.iter().filter(|target| is_path(target)).collect();
        assert!(
            let_through.iter().all(|it| it.starts_with("/evil")
                || it.starts_with("/users")
                || it.starts_with("/.")
                || it.starts_with("/@")
                || it.starts_with("/;@")),
            "{let_through:?}"
        );
    }

    #[test]
    fn ck_09_paths_and_listed_targets_are_let_through() {
        let listed = ["https://app.example/done".to_owned()];
        for fine in [
            "/",
            "/account",
            "/a/b.c/~d",
            "/a?x=1&y=%C3%BC+z",
            "/a#top",
            "/a?next=%2Fb",
            "/a/:id/@me",
            "https://app.example/done",
        ] {
            assert!(is_allowed(fine, &listed), "{fine}");
        }
        for other in [
            "https://app.example/done/",
            "https://app.example/done?x",
            "https://app.example",
            "HTTPS://app.example/done",
        ] {
            assert!(!is_allowed(other, &listed), "{other}");
        }
        for target in corpus().iter().filter(|target| !is_path(target)) {
            assert!(!is_allowed(target, &listed), "{target:?}");
        }
    }

    #[test]
    fn an_error_goes_into_the_query() {
        assert_eq!(with_error("/a", "X"), "/a?error=X");
        assert_eq!(with_error("/a?b=1#c?d", "X"), "/a?b=1&error=X#c?d");
        assert_eq!(with_error("https://app.example/#/login", "X"), "https://app.example/?error=X#/login");
    }
}
