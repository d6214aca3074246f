//! From what was typed to local part and domain: angle brackets, display names, quotes.

use icu_properties::props::GeneralCategoryGroup as Group;

use super::{
    local::{Space, check_safe},
    unicode::{first_of_nfc, is, is_blank, show, show_set},
};

/// An address, taken apart; neither part is checked yet.
#[derive(Debug)]
pub(super) struct Split {
    /// The local part, without its quotes.
    pub(super) local: String,
    /// The domain.
    pub(super) domain: String,
    /// Whether the local part stood in quotes.
    pub(super) quoted: bool,
    /// Whether angle brackets were left over after [`unwrap`].
    pub(super) named: bool,
}

/// The part in angle brackets if the whole text is `name <address>`, `"name" <address>` or `<address>`; else the text.
pub(super) fn unwrap(text: &str) -> &str {
    inner(text).unwrap_or(text).trim_matches(is_blank)
}

fn inner(text: &str) -> Option<&str> {
    let text = text.trim_matches(is_blank).strip_suffix('>')?;
    if let Some(rest) = text.strip_prefix('"') {
        // Any closing quote will do, the last one first; at least one character stands before it.
        return rest.rmatch_indices('"').filter(|(at, _)| *at > 0).find_map(|(at, _)| bracket(rest.get(at + 1..)?));
    }
    let (name, _) = text.split_once('<')?;
    if !name.chars().all(|c| is_name(c) || is_blank(c)) {
        return None;
    }
    bracket(text.get(name.len()..)?)
}

fn bracket(text: &str) -> Option<&str> {
    text.trim_start_matches(is_blank).strip_prefix('<').filter(|inner| !inner.is_empty())
}

/// A character of a display name without quotes.
fn is_name(c: char) -> bool {
    if c.is_ascii() { is_atext(c) || c == '.' } else { is(c, Group::Letter.union(Group::Number)) }
}

/// `atext` of RFC 5322, section 3.2.3.
pub(super) fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
}

/// Splits at the first `@` outside quotes.
///
/// # Errors
/// The reason, when there is no such `@`, or brackets and quotes do not fit.
pub(super) fn split(text: &str) -> Result<Split, String> {
    let (left, right) = at_special(text, "@<")?;
    if !right.starts_with('<') {
        let (local, quoted) = unquote(left)?;
        return Ok(Split { local, domain: without_at(right), quoted, named: false });
    }
    check_display_name(left.trim_end_matches(is_blank))?;
    if !right.contains('>') {
        return Err("An open angle bracket at the start of the email address has to be followed by a close angle \
                    bracket at the end."
            .into());
    }
    let Some(address) = right.trim_end_matches(' ').strip_suffix('>') else {
        return Err("There can't be anything after the email address.".into());
    };
    let address = address.trim_end_matches('>');
    let (left, right) = at_special(address.strip_prefix('<').unwrap_or(address), "@")?;
    let (local, quoted) = unquote(left)?;
    Ok(Split { local, domain: without_at(right), quoted, named: true })
}

fn without_at(right: &str) -> String {
    right.strip_prefix('@').unwrap_or(right).to_owned()
}

fn check_display_name(text: &str) -> Result<(), String> {
    let (name, quoted) = unquote(text)?;
    if !quoted && let Some(bad) = show_set(name.chars().filter(|c| !is_atext(*c) && *c != ' ')) {
        return Err(format!("The display name contains invalid characters when not quoted: {bad}."));
    }
    check_safe(&name, Space::Allowed)
}

/// Splits before the first of `specials` that is outside quotes and does not combine with what follows: `<` and U+0338
/// are `≮` together.
fn at_special<'a>(text: &'a str, specials: &str) -> Result<(&'a str, &'a str), String> {
    let (mut inside, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        if !matches!(c, '@' | '<' | '"' | '\\') {
            escaped = false;
        } else if text.get(at..).and_then(first_of_nfc) != Some(c) {
            // part of another character
        } else if inside {
            inside = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
        } else if c == '"' {
            (inside, escaped) = (true, false);
        } else if specials.contains(c) {
            return text.split_at_checked(at).ok_or_else(|| NO_AT.to_owned());
        }
    }
    Err(match text {
        _ if text.contains('\u{ff20}') => {
            "The email address has the \"full-width\" at-sign (@) character instead of a regular at-sign.".to_owned()
        }
        _ if text.contains('\u{fe6b}') => {
            "The email address has the \"small commercial at\" character instead of a regular at-sign.".to_owned()
        }
        _ => NO_AT.to_owned(),
    })
}

const NO_AT: &str = "An email address must have an @-sign.";

/// Takes surrounding quotes and the backslashes within them away; says whether there were any.
fn unquote(text: &str) -> Result<(String, bool), String> {
    let Some(inside) = text.strip_prefix('"') else { return Ok((text.to_owned(), false)) };
    let mut value = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => value.extend(chars.next()),
            '"' => {
                let rest: Vec<String> = chars.map(show).collect();
                if !rest.is_empty() {
                    return Err(format!("Extra character(s) found after close quote: {}", rest.join(", ")));
                }
                break;
            }
            _ => value.push(c),
        }
    }
    Ok((value, true))
}
