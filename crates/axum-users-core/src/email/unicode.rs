//! Characters: what they are, and how a reason shows them.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData,
    props::{GeneralCategory, GeneralCategoryGroup as Group},
};

const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();

/// Normalization Form C of `text`.
pub(super) fn nfc(text: &str) -> Cow<'_, str> {
    NFC.normalize(text)
}

/// The first character of `text` once it is in Normalization Form C; reads no further than it must.
pub(super) fn first_of_nfc(text: &str) -> Option<char> {
    NFC.normalize_iter(text.chars()).next()
}

/// Whether the category of `c` is one of `groups`.
pub(super) fn is(c: char, groups: Group) -> bool {
    groups.contains(category(c))
}

/// The general category of `c`.
pub(super) fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// Letters, numbers, punctuation and symbols: what shows as itself.
pub(super) const GRAPHIC: Group = Group::Letter.union(Group::Number).union(Group::Punctuation).union(Group::Symbol);

/// A blank as Python's `str.strip` and `\s` see it.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// How a reason shows one character: itself in quotes, or its name, or its number.
pub(super) fn show(c: char) -> String {
    match c {
        '\\' => "\"\\\"".to_owned(),
        '\'' => "\"'\"".to_owned(),
        _ if is(c, GRAPHIC) => format!("'{c}'"),
        _ => name(c).unwrap_or_else(|| match u32::from(c) {
            code @ ..0xFFFF => format!("U+{code:04X}"),
            code => format!("U+{code:08X}"),
        }),
    }
}

/// Shows those of `chars`, each once, in the order of what is shown.
pub(super) fn show_set(chars: impl Iterator<Item = char>) -> Option<String> {
    let shown: std::collections::BTreeSet<String> = chars.map(show).collect();
    (!shown.is_empty()).then(|| shown.into_iter().collect::<Vec<_>>().join(", "))
}

/// A text in quotes as Python's `repr` writes it.
pub(super) fn quote(text: &str) -> String {
    use std::fmt::Write as _;
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(mark);
    for c in text.chars() {
        let _ = match c {
            '\\' => out.write_str("\\\\"),
            '\t' => out.write_str("\\t"),
            _ if c == mark => write!(out, "\\{c}"),
            ' ' => out.write_char(c),
            _ if is(c, GRAPHIC.union(Group::Mark)) => out.write_char(c),
            _ => match u32::from(c) {
                code @ ..0x100 => write!(out, "\\x{code:02x}"),
                code @ ..0x1_0000 => write!(out, "\\u{code:04x}"),
                code => write!(out, "\\U{code:08x}"),
            },
        };
    }
    out.push(mark);
    out
}

/// The Unicode name of a character that does not show: blanks, format characters, and the combining marks of general use.
///
/// Marks of single scripts have no entry and are shown by number.
fn name(c: char) -> Option<String> {
    let code = u32::from(c);
    match code {
        0xFE00..=0xFE0F => Some(format!("VARIATION SELECTOR-{}", code - 0xFE00 + 1)),
        0xE0100..=0xE01EF => Some(format!("VARIATION SELECTOR-{}", code - 0xE0100 + 17)),
        _ => NAMES
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(number, _)| u32::from_str_radix(number, 16) == Ok(code))
            .map(|(_, name)| name.to_owned()),
    }
}

/// `<code point> <name>` a line, from the Unicode Character Database.
const NAMES: &str = include_str!("names.txt");
