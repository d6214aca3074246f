//! The local part: what may stand before the `@`.

use icu_properties::props::{GeneralCategory as Category, GeneralCategoryGroup as Group};

use super::{
    split::is_atext,
    unicode::{GRAPHIC, category, is, nfc, show, show_set},
};

/// Checks a local part and gives its normal form (NFC).
///
/// # Errors
/// The reason.
pub(super) fn normalise(local: &str, quoted: bool) -> Result<String, String> {
    check(local, quoted)?;
    let normal = nfc(local);
    if normal != local {
        check(&normal, quoted).map_err(|reason| format!("After Unicode normalization: {reason}"))?;
    }
    if quoted {
        return Err("Quoting the part before the @-sign is not allowed here.".into());
    }
    Ok(normal.into_owned())
}

/// `dot-atom-text` of RFC 5322, section 3.2.3, with the characters that RFC 6531, section 3.3, adds.
fn check(local: &str, quoted: bool) -> Result<(), String> {
    if local.is_empty() {
        return Err("There must be something before the @-sign.".into());
    }
    let bad = || local.chars().filter(|c| !is_atext(*c) && *c != '.' && c.is_ascii());
    if bad().next().is_none() && local.split('.').all(|atom| !atom.is_empty()) {
        return if local.is_ascii() { Ok(()) } else { check_safe(local, Space::Refused) };
    }
    if quoted {
        if let Some(bad) = show_set(local.chars().filter(char::is_ascii_control)) {
            return Err(format!("The email address contains invalid characters in quotes before the @-sign: {bad}."));
        }
        return check_safe(local, Space::Allowed);
    }
    if let Some(bad) = show_set(bad()) {
        return Err(format!("The email address contains invalid characters before the @-sign: {bad}."));
    }
    Err(if local.ends_with('.') {
        "An email address cannot have a period immediately before the @-sign.".into()
    } else if local.starts_with('.') {
        "An email address cannot start with a period.".into()
    } else {
        "An email address cannot have two periods in a row.".into()
    })
}

/// Whether blanks may stand in a text; they may in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Allowed,
    Refused,
}

/// Refuses controls, format characters, private and unassigned ones, separators, and a mark at the start, which would
/// change the character before the address.
pub(super) fn check_safe(text: &str, space: Space) -> Result<(), String> {
    let unsafe_chars: std::collections::BTreeSet<char> = text
        .chars()
        .enumerate()
        .filter(|(index, c)| match category(*c) {
            Category::SpaceSeparator => space == Space::Refused,
            _ if is(*c, Group::Mark) => *index == 0,
            _ => !is(*c, GRAPHIC),
        })
        .map(|(_, c)| c)
        .collect();
    if unsafe_chars.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = unsafe_chars.into_iter().map(show).collect();
    Err(format!("The email address contains unsafe characters: {}.", shown.join(", ")))
}
