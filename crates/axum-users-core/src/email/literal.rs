//! Addresses in brackets in place of a domain: always refused, with the reason that fits.

use super::unicode::{quote, show_set};

/// The reason why `[inside]` is refused.
pub(super) fn refuse(inside: &str) -> String {
    if !inside.is_empty() && inside.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return match ipv4(inside) {
            Ok(()) => NOT_HERE.into(),
            Err(error) => format!(
                "The address in brackets after the @-sign is not valid: It is not an IPv4 address ({error}) or is \
                 missing an address literal tag."
            ),
        };
    }
    if let Some(address) = inside.strip_prefix("IPv6:") {
        return match ipv6(address) {
            Ok(()) => NOT_HERE.into(),
            Err(error) => format!("The IPv6 address in brackets after the @-sign is not valid ({error})."),
        };
    }
    if !inside.contains(':') {
        return "The part after the @-sign in brackets is not an IPv4 address and has no address literal tag.".into();
    }
    match show_set(inside.chars().filter(|c| !('\u{21}'..='\u{fa}').contains(c))) {
        Some(bad) => format!("The part after the @-sign contains invalid characters in brackets: {bad}."),
        None => "The part after the @-sign contains an invalid address literal tag in brackets.".into(),
    }
}

const NOT_HERE: &str = "A bracketed IP address after the @-sign is not allowed here.";

/// Four numbers up to 255 without leading zeros.
fn ipv4(text: &str) -> Result<(), String> {
    let octets: Vec<&str> = text.split('.').collect();
    if octets.len() != 4 {
        return Err(format!("Expected 4 octets in {}", quote(text)));
    }
    octets.into_iter().try_for_each(octet).map_err(|error| format!("{error} in {}", quote(text)))
}

fn octet(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("Empty octet not permitted".into())
    } else if !text.chars().all(|c| c.is_ascii_digit()) {
        Err(format!("Only decimal digits permitted in {}", quote(text)))
    } else if text.len() > 3 {
        Err(format!("At most 3 characters permitted in {}", quote(text)))
    } else if text.len() > 1 && text.starts_with('0') {
        Err(format!("Leading zeros are not permitted in {}", quote(text)))
    } else if text.parse::<u8>().is_err() {
        Err(format!("Octet {text} (> 255) not permitted"))
    } else {
        Ok(())
    }
}

/// RFC 4291, section 2.2, with an optional zone.
fn ipv6(text: &str) -> Result<(), String> {
    if text.contains('/') {
        return Err(format!("Unexpected '/' in {}", quote(text)));
    }
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    if zone.is_some_and(|zone| zone.is_empty() || zone.contains('%')) {
        return Err(format!("Invalid IPv6 address: \"{}\"", quote(text)));
    }
    if address.is_empty() {
        return Err("Address cannot be empty".into());
    }
    let shown = quote(address);
    let mut parts: Vec<&str> = address.split(':').collect();
    if parts.len() < 3 {
        return Err(format!("At least 3 parts expected in {shown}"));
    }
    if let Some(last) = parts.pop_if(|last| last.contains('.')) {
        ipv4(last).map_err(|error| format!("{error} in {shown}"))?;
        parts.extend(["0", "0"]);
    }
    if parts.len() > 9 {
        return Err(format!("At most 8 colons permitted in {shown}"));
    }
    check_gap(&parts, &shown)?;
    parts.into_iter().filter(|part| !part.is_empty()).try_for_each(|part| {
        if !part.chars().all(|c| c.is_ascii_hexdigit()) {
            Err(format!("Only hex digits permitted in {} in {shown}", quote(part)))
        } else if part.len() > 4 {
            Err(format!("At most 4 characters permitted in {} in {shown}", quote(part)))
        } else {
            Ok(())
        }
    })
}

/// Eight parts, or fewer with one `::`.
fn check_gap(parts: &[&str], shown: &str) -> Result<(), String> {
    let last = parts.len().saturating_sub(1);
    let starts_empty = parts.first().is_some_and(|it| it.is_empty());
    let ends_empty = parts.last().is_some_and(|it| it.is_empty());
    let mut gaps = (1..last).filter(|index| parts.get(*index).is_some_and(|it| it.is_empty()));
    let leading = || Err(format!("Leading ':' only permitted as part of '::' in {shown}"));
    let trailing = || Err(format!("Trailing ':' only permitted as part of '::' in {shown}"));
    let Some(gap) = gaps.next() else {
        return match () {
            () if parts.len() != 8 => Err(format!("Exactly 8 parts expected without '::' in {shown}")),
            () if starts_empty => leading(),
            () if ends_empty => trailing(),
            () => Ok(()),
        };
    };
    let before = gap - usize::from(starts_empty);
    let after = last - gap - usize::from(ends_empty);
    match () {
        () if gaps.next().is_some() => Err(format!("At most one '::' permitted in {shown}")),
        () if starts_empty && before > 0 => leading(),
        () if ends_empty && after > 0 => trailing(),
        () if before + after > 7 => Err(format!("Expected at most 7 other parts with '::' in {shown}")),
        () => Ok(()),
    }
}
