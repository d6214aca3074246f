//! One label of a domain, by IDNA 2008: RFC 5890 to 5893.
//!
//! The tables are those of the Unicode version that `icu_properties` has, the derivation is that of RFC 5892.

use icu_normalizer::uts46::Uts46MapperBorrowed;
use icu_properties::{
    CodePointMapData,
    props::{BidiClass, GeneralCategoryGroup as Group, HangulSyllableType, JoiningType, Script},
};
use idna::punycode;

use super::unicode::{is, nfc, quote};

/// The A-label of a label, which may be one.
///
/// # Errors
/// What is wrong with it.
pub(super) fn to_ascii(label: &str) -> Result<String, String> {
    if label.is_ascii() {
        to_unicode(label)?;
    } else {
        check(label)?;
    }
    let ascii = if label.is_ascii() {
        label.to_owned()
    } else {
        format!("xn--{}", punycode::encode_str(label).ok_or(TOO_LONG)?)
    };
    if ascii.len() > 63 { Err(TOO_LONG.into()) } else { Ok(ascii) }
}

/// The U-label of a label in ASCII.
///
/// # Errors
/// What is wrong with it.
pub(super) fn to_unicode(label: &str) -> Result<String, String> {
    let Some(encoded) = label.strip_prefix("xn--") else {
        check(label)?;
        return Ok(label.to_owned());
    };
    if encoded.is_empty() {
        return Err("Malformed A-label, no Punycode eligible content found".into());
    }
    if encoded.ends_with('-') {
        return Err("A-label must not end with a hyphen".into());
    }
    // A leading hyphen only ends an empty list of plain characters: RFC 3492, section 6.2.
    let digits = encoded.strip_prefix('-').filter(|rest| !rest.contains('-')).unwrap_or(encoded);
    let decoded = punycode::decode_to_string(digits).ok_or("Invalid A-label")?;
    if punycode::encode_str(&decoded).as_deref() != Some(encoded) {
        return Err("A-label is not the canonical Punycode encoding of its U-label".into());
    }
    check(&decoded)?;
    Ok(decoded)
}

const TOO_LONG: &str = "Label too long";

/// Hyphens as third and fourth character.
pub(super) fn hyphens_3_4(label: &str) -> bool {
    label.chars().skip(2).take(2).eq("--".chars())
}

/// RFC 5891, section 4.2, and RFC 5893.
fn check(label: &str) -> Result<(), String> {
    let chars: Vec<char> = label.chars().collect();
    let Some(first) = chars.first().copied() else { return Err("Empty Label".into()) };
    if chars.len() > 254 {
        return Err(TOO_LONG.into());
    }
    if nfc(label) != label {
        return Err("Label must be in Normalization Form C".into());
    }
    if hyphens_3_4(label) {
        return Err("Label has disallowed hyphens in 3rd and 4th position".into());
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("Label must not start or end with a hyphen".into());
    }
    if is(first, Group::Mark) {
        return Err("Label begins with an illegal combining character".into());
    }
    for (index, c) in chars.iter().enumerate() {
        let (code, position, shown) = (u32::from(*c), index + 1, || quote(label));
        match class(*c) {
            Class::Valid => {}
            Class::Joiner if joiner_fits(&chars, index) => {}
            Class::Joiner => {
                return Err(format!("Joiner U+{code:04X} not allowed at position {position} in {}", shown()));
            }
            Class::Context if context_fits(&chars, index) => {}
            Class::Context => {
                return Err(format!("Codepoint U+{code:04X} not allowed at position {position} in {}", shown()));
            }
            Class::Disallowed => {
                return Err(format!("Codepoint U+{code:04X} at position {position} of {} not allowed", shown()));
            }
        }
    }
    check_direction(&chars, label)
}

/// The derived property of RFC 5892, section 3; unassigned is disallowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Valid,
    Joiner,
    Context,
    Disallowed,
}

fn class(c: char) -> Class {
    const MAPPER: Uts46MapperBorrowed<'static> = Uts46MapperBorrowed::new();
    match c {
        'a'..='z' | '0'..='9' | '-' => Class::Valid,
        // Section 2.6, exceptions.
        'ß' | 'ς' | '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}' => Class::Valid,
        '·' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{30fb}' | '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}' => {
            Class::Context
        }
        '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => Class::Disallowed,
        '\u{200c}' | '\u{200d}' => Class::Joiner,
        // Section 2.4, blocks of combining marks for symbols and of musical symbols.
        '\u{20d0}'..='\u{20ff}' | '\u{1d100}'..='\u{1d24f}' => Class::Disallowed,
        // Section 2.2, unstable: what mapping changes.
        _ if !MAPPER.map_normalize(std::iter::once(c)).eq([c]) => Class::Disallowed,
        // Section 2.9, conjoining jamo.
        _ if matches!(
            CodePointMapData::<HangulSyllableType>::new().get(c),
            HangulSyllableType::LeadingJamo | HangulSyllableType::VowelJamo | HangulSyllableType::TrailingJamo
        ) =>
        {
            Class::Disallowed
        }
        // Section 2.1, letters and digits.
        _ if is(c, LETTER_DIGIT) => Class::Valid,
        _ => Class::Disallowed,
    }
}

const LETTER_DIGIT: Group = Group::UppercaseLetter
    .union(Group::LowercaseLetter)
    .union(Group::OtherLetter)
    .union(Group::ModifierLetter)
    .union(Group::DecimalNumber)
    .union(Group::NonspacingMark)
    .union(Group::SpacingMark);

/// RFC 5892, appendices A.1 and A.2.
fn joiner_fits(label: &[char], index: usize) -> bool {
    let before = label.get(..index).unwrap_or_default();
    let after = label.get(index + 1..).unwrap_or_default();
    if before.last().is_some_and(|c| Uts46MapperBorrowed::new().is_virama(*c)) {
        return true;
    }
    let joining = |c: &char| CodePointMapData::<JoiningType>::new().get(*c);
    let visible = |kind: &JoiningType| *kind != JoiningType::Transparent;
    label.get(index) == Some(&'\u{200c}')
        && matches!(
            before.iter().rev().map(joining).find(visible),
            Some(JoiningType::LeftJoining | JoiningType::DualJoining)
        )
        && matches!(after.iter().map(joining).find(visible), Some(JoiningType::RightJoining | JoiningType::DualJoining))
}

/// RFC 5892, appendices A.3 to A.9.
fn context_fits(label: &[char], index: usize) -> bool {
    let script = |c: &char| CodePointMapData::<Script>::new().get(*c);
    let before = index.checked_sub(1).and_then(|it| label.get(it));
    let after = label.get(index + 1);
    match label.get(index) {
        Some('·') => before == Some(&'l') && after == Some(&'l'),
        Some('\u{375}') => after.map(script) == Some(Script::Greek),
        Some('\u{5f3}' | '\u{5f4}') => before.map(script) == Some(Script::Hebrew),
        Some('\u{30fb}') => label
            .iter()
            .any(|c| *c != '\u{30fb}' && matches!(script(c), Script::Hiragana | Script::Katakana | Script::Han)),
        Some('\u{660}'..='\u{669}') => !label.iter().any(|c| ('\u{6f0}'..='\u{6f9}').contains(c)),
        Some('\u{6f0}'..='\u{6f9}') => !label.iter().any(|c| ('\u{660}'..='\u{669}').contains(c)),
        _ => false,
    }
}

/// RFC 5893, section 2, for labels that have a right-to-left character.
fn check_direction(label: &[char], text: &str) -> Result<(), String> {
    use BidiClass as B;
    let directions: Vec<BidiClass> = label.iter().map(|c| CodePointMapData::<BidiClass>::new().get(*c)).collect();
    if !directions.iter().any(|it| matches!(*it, B::RightToLeft | B::ArabicLetter | B::ArabicNumber)) {
        return Ok(());
    }
    let right_to_left = match directions.first() {
        Some(&(B::RightToLeft | B::ArabicLetter)) => true,
        Some(&B::LeftToRight) => false,
        _ => return Err(format!("First codepoint in label {} must be directionality L, R or AL", quote(text))),
    };
    let (mut number, mut ends_well) = (None, false);
    for (index, direction) in directions.into_iter().enumerate() {
        let (position, side) = (index + 1, if right_to_left { "right-to-left" } else { "left-to-right" });
        let neutral = matches!(
            direction,
            B::EuropeanNumber
                | B::EuropeanSeparator
                | B::CommonSeparator
                | B::EuropeanTerminator
                | B::OtherNeutral
                | B::BoundaryNeutral
                | B::NonspacingMark
        );
        let own = if right_to_left {
            matches!(direction, B::RightToLeft | B::ArabicLetter | B::ArabicNumber)
        } else {
            direction == B::LeftToRight
        };
        if !neutral && !own {
            return Err(format!("Invalid direction for codepoint at position {position} in a {side} label"));
        }
        if direction != B::NonspacingMark {
            ends_well = own || direction == B::EuropeanNumber;
        }
        if right_to_left && matches!(direction, B::ArabicNumber | B::EuropeanNumber) {
            if number.is_some_and(|it| it != direction) {
                return Err("Can not mix numeral types in a right-to-left label".into());
            }
            number = Some(direction);
        }
    }
    if ends_well { Ok(()) } else { Err("Label ends with illegal codepoint directionality".into()) }
}
