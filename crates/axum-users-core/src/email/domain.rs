//! The domain: UTS-46 mapping, IDNA 2008, and the names that are in public use.

use icu_normalizer::uts46::Uts46MapperBorrowed;

use super::{
    idna, literal,
    local::{Space, check_safe},
    unicode::{quote, show_set},
};

/// A domain in both of its forms; they differ when it has characters outside ASCII.
#[derive(Debug)]
pub(super) struct Domain {
    /// The lower-case Unicode form, which is stored.
    pub(super) unicode: String,
    /// The ASCII form of IDNA, as the DNS has it.
    pub(super) ascii: String,
}

/// Checks a domain and gives its two forms.
///
/// # Errors
/// The reason.
pub(super) fn normalise(domain: &str) -> Result<Domain, String> {
    if domain.is_empty() {
        return Err("There must be something after the @-sign.".into());
    }
    if let Some(inside) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Err(literal::refuse(inside));
    }
    if let Some(bad) = show_set(domain.chars().filter(|c| !is_hostname(*c))) {
        return Err(format!("The part after the @-sign contains invalid characters: {bad}."));
    }
    check_safe(domain, Space::Refused)?;
    if let Some(bad) = show_set(domain.chars().filter(|c| expands_to_dot(*c))) {
        return Err(format!("The part after the @-sign contains invalid characters: {bad}."));
    }
    let mapped = map(domain)?;
    if let Some(bad) = show_set(mapped.chars().filter(|c| !is_hostname(*c))) {
        return Err(format!(
            "The part after the @-sign contains invalid characters after Unicode normalization: {bad}."
        ));
    }
    check_dots_and_hyphens(&mapped)?;
    let ascii = if mapped.is_ascii() && !mapped.is_empty() { mapped.clone() } else { to_ascii(&mapped)? };
    check_length(&ascii, domain)?;
    check_public(&ascii)?;
    let unicode = to_unicode(&ascii)?;
    check_safe(&unicode, Space::Refused)?;
    Ok(Domain { unicode, ascii })
}

/// Letters, digits, hyphen and full stop, and what IDNA may turn into them.
fn is_hostname(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || c == '-' || c == '.'
}

/// Characters that stand for a full stop among others, such as `⒈`.
fn expands_to_dot(c: char) -> bool {
    matches!(c, '\u{2024}'..='\u{2026}' | '\u{2488}'..='\u{249b}' | '\u{33c2}' | '\u{33c7}' | '\u{33d8}' | '\u{fe52}' | '\u{1f100}')
}

/// The mapping of UTS-46 without transitional processing, then NFC.
fn map(domain: &str) -> Result<String, String> {
    const MAPPER: Uts46MapperBorrowed<'static> = Uts46MapperBorrowed::new();
    let invalid = |reason: &str| format!("The part after the @-sign contains invalid characters ({reason}).");
    if domain.chars().count() > 1024 {
        return Err(invalid("Domain too long"));
    }
    let mapped: String = MAPPER.map_normalize(domain.chars()).collect();
    if mapped.contains(char::REPLACEMENT_CHARACTER) {
        let bad = |c: char| MAPPER.map_normalize(std::iter::once(c)).eq([char::REPLACEMENT_CHARACTER]);
        let (index, c) = domain.chars().enumerate().find(|(_, c)| bad(*c)).unwrap_or_default();
        let (code, position) = (u32::from(c), index + 1);
        return Err(invalid(&format!(
            "Codepoint U+{code:04X} not allowed at position {position} in {}",
            quote(domain)
        )));
    }
    Ok(mapped)
}

/// RFC 1123, section 2.1, and RFC 5890, section 2.3.1: where full stops and hyphens may not be.
fn check_dots_and_hyphens(domain: &str) -> Result<(), String> {
    for (mark, name) in [('.', "period"), ('-', "hyphen")] {
        if domain.ends_with(mark) {
            return Err(format!("An email address cannot end with a {name}."));
        }
        if domain.starts_with(mark) {
            return Err(format!("An email address cannot have a {name} immediately after the @-sign."));
        }
        if mark == '.' && domain.contains("..") {
            return Err("An email address cannot have two periods in a row.".into());
        }
    }
    if domain.contains(".-") || domain.contains("-.") {
        return Err("An email address cannot have a period and a hyphen next to each other.".into());
    }
    if domain.split('.').any(|label| !label.starts_with("xn") && idna::hyphens_3_4(label)) {
        return Err("An email address cannot have two letters followed by two dashes immediately after the @-sign or \
                    after a period, except Punycode."
            .into());
    }
    Ok(())
}

fn to_ascii(domain: &str) -> Result<String, String> {
    let labels: Result<Vec<String>, String> = domain.split('.').map(idna::to_ascii).collect();
    labels.map(|it| it.join(".")).map_err(|reason| format!("The part after the @-sign is invalid ({reason})."))
}

fn to_unicode(ascii: &str) -> Result<String, String> {
    let labels: Result<Vec<String>, String> = ascii.split('.').map(idna::to_unicode).collect();
    labels.map(|it| it.join(".")).map_err(|reason| format!("The part after the @-sign is not valid IDNA ({reason})."))
}

/// RFC 1035, section 2.3.4: at most 63 bytes between full stops, 253 altogether.
fn check_length(ascii: &str, typed: &str) -> Result<(), String> {
    let excess = ascii.len().saturating_sub(253);
    if excess > 0 && ascii == typed {
        return Err(format!("The email address is too long after the @-sign ({}).", too_many(excess, "character")));
    }
    if excess > 0 {
        return Err(format!(
            "The email address is too long after the @-sign ({} after IDNA encoding).",
            too_many(excess, "byte")
        ));
    }
    match ascii.split('.').map(|label| label.len().saturating_sub(63)).find(|excess| *excess > 0) {
        Some(excess) => Err(format!(
            "After the @-sign, periods cannot be separated by so many characters ({}).",
            too_many(excess, "character")
        )),
        None => Ok(()),
    }
}

/// `1 byte too many`, `2 bytes too many`.
pub(super) fn too_many(excess: usize, what: &str) -> String {
    format!("{excess} {what}{} too many", if excess > 1 { "s" } else { "" })
}

/// A public name has a full stop and ends in a letter, and is none of the special names of RFC 6761.
fn check_public(ascii: &str) -> Result<(), String> {
    if !ascii.contains('.') {
        return Err("The part after the @-sign is not valid. It should have a period.".into());
    }
    if !ascii.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return Err("The part after the @-sign is not valid. It is not within a valid top-level domain.".into());
    }
    match ascii.rsplit('.').next() {
        Some("arpa" | "invalid" | "local" | "localhost" | "onion" | "test") => {
            Err("The part after the @-sign is a special-use or reserved name that cannot be used with email.".into())
        }
        _ => Ok(()),
    }
}
