//! Which language a reader wants, by the header `Accept-Language`.

/// More wishes than anybody has; the rest of a longer header is not read.
const WISHES: usize = 32;

/// The first of these languages that the header asks for: by weight, then by place (RFC 9110 section 12.5.4); `de-AT` is content
/// with `de` (RFC 4647 section 3.4).
pub(crate) fn pick<'a>(header: &str, available: &'a [String]) -> Option<&'a str> {
    let mut wishes: Vec<(u16, &str)> = header.split(',').take(WISHES).filter_map(wish).collect();
    wishes.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    wishes.iter().find_map(|(_, range)| look_up(range, available))
}

fn look_up<'a>(range: &str, available: &'a [String]) -> Option<&'a str> {
    let mut range = range;
    loop {
        if let Some(found) = available.iter().find(|it| it.eq_ignore_ascii_case(range)) {
            return Some(found);
        }
        range = range.rsplit_once('-')?.0;
    }
}

/// Weight in thousandths, and the language; `None` for what is refused or makes no sense.
fn wish(item: &str) -> Option<(u16, &str)> {
    let (range, parameters) = item.split_once(';').unwrap_or((item, ""));
    let parameters = parameters.trim();
    let weight = if parameters.is_empty() {
        1000
    } else {
        let (name, value) = parameters.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("q") {
            return None;
        }
        thousandths(value.trim())?
    };
    (weight > 0).then_some((weight, range.trim()))
}

/// `0.8` is 800.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_wanted_most() {
        let available = ["en".to_owned(), "de".to_owned(), "pt-BR".to_owned()];
        for (header, picked) in [
            ("de", Some("de")),
            ("DE-at", Some("de")),
            ("fr, de;q=0.5, en;q=0.8", Some("en")),
            ("de;q=0.8,en;q=0.8", Some("de")),
            ("pt-br", Some("pt-BR")),
            ("pt-BR-x-old;q=1.0, de", Some("pt-BR")),
            ("pt, fr", None),
            ("de;q=0, en;q=0.001", Some("en")),
            ("de;q=2, en;q=0.1", Some("en")),
            ("de;q=0.1234, de;level=1", None),
            ("*", None),
            ("", None),
            (",;=,;q,-,--", None),
            ("é;q=0.é, de ; q = 0.3", Some("de")),
        ] {
            assert_eq!(pick(header, &available), picked, "{header}");
        }
        let long = format!("{}de", "x,".repeat(100_000));
        assert_eq!(pick(&long, &available), None);
    }
}
