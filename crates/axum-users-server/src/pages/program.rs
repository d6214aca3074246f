//! What a person calls the program that a session was begun with.

/// `Firefox, Linux` for the usual browsers, else the first word of what the program says of itself; `None` if that is nothing.
pub(super) fn name(user_agent: &str) -> Option<String> {
    let first = |marks: &[(&str, &'static str)]| {
        marks.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    // In this order: each also claims to be those below it.
    let program = first(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let Some(program) = program else {
        let word = user_agent.split(['/', ' ', '(']).next().unwrap_or_default();
        let word: String = word.chars().filter(|c| !c.is_control()).take(40).collect();
        return (!word.is_empty()).then_some(word);
    };
    let system = first(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("CrOS", "ChromeOS"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    Some(system.map_or(program.to_owned(), |system| format!("{program}, {system}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_called_what_people_call_them() {
        for (user_agent, called) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge, Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari, iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "Chrome, Android",
            ),
            ("curl/8.5.0", "curl"),
        ] {
            assert_eq!(name(user_agent).as_deref(), Some(called));
        }
        assert_eq!(name(""), None);
    }
}
