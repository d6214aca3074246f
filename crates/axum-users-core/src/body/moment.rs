//! Dates and times as clients write them: ISO 8601, RFC 3339, or Unix time.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// A date and time of day, and how far it is from UTC if that was said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) local: PrimitiveDateTime,
    pub(super) offset: Option<UtcOffset>,
}

impl Moment {
    /// The instant; without an offset the time is UTC. `None` beyond the years 1 to 9999.
    pub(super) fn instant(self) -> Option<OffsetDateTime> {
        let instant = self.local.assume_offset(self.offset.unwrap_or(UtcOffset::UTC));
        instant.checked_to_offset(UtcOffset::UTC).filter(|it| (1..=9999).contains(&it.year()))
    }
}

const SHORT: &str = "input is too short";
const EXTRA: &str = "unexpected extra characters at the end of the input";

/// `2026-11-24`.
///
/// # Errors
/// What is wrong.
pub(super) fn date(text: &str) -> Result<Date, &'static str> {
    let (date, rest) = leading_date(text.as_bytes())?;
    if rest.is_empty() { Ok(date) } else { Err(EXTRA) }
}

/// `2026-11-24T10:11:12.5+01:00`: seconds, fraction and offset may be absent, a blank or `_` may stand for the `T`; or Unix time
/// as in [`unix_text`].
///
/// # Errors
/// What is wrong.
pub(super) fn moment(text: &str) -> Result<Moment, &'static str> {
    iso(text.as_bytes()).or_else(|error| unix_text(text).unwrap_or(Err(error)))
}

fn iso(text: &[u8]) -> Result<Moment, &'static str> {
    let (date, rest) = leading_date(text)?;
    let rest = match rest {
        [] => return Err(SHORT),
        [b'T' | b't' | b'_' | b' ', rest @ ..] => rest,
        _ => return Err("invalid datetime separator, expected `T`, `t`, `_` or space"),
    };
    let (time, rest) = leading_time(rest)?;
    Ok(Moment { local: date.with_time(time), offset: offset(rest)? })
}

fn leading_date(text: &[u8]) -> Result<(Date, &[u8]), &'static str> {
    let Some((digits, rest)) = text.split_at_checked(10) else { return Err(SHORT) };
    let [y0, y1, y2, y3, s0, m0, m1, s1, d0, d1] = *digits else { return Err(SHORT) };
    let separator = |byte: u8| if byte == b'-' { Ok(()) } else { Err("invalid date separator, expected `-`") };
    let year = number(&[y0, y1, y2, y3]).ok_or("invalid character in year")?;
    separator(s0)?;
    let month = number(&[m0, m1]).ok_or("invalid character in month")?;
    separator(s1)?;
    let day = number(&[d0, d1]).ok_or("invalid character in day")?;
    let month = u8::try_from(month).ok().and_then(|it| Month::try_from(it).ok());
    let month = month.ok_or("month value is outside expected range of 1-12")?;
    let day = u8::try_from(day).unwrap_or_default();
    let date = Date::from_calendar_date(i32::try_from(year).unwrap_or_default(), month, day);
    Ok((date.map_err(|_| "day value is outside expected range")?, rest))
}

fn leading_time(text: &[u8]) -> Result<(Time, &[u8]), &'static str> {
    let &[h0, h1, colon, m0, m1, ref rest @ ..] = text else { return Err(SHORT) };
    let hour = number(&[h0, h1]).ok_or("invalid character in hour")?;
    if colon != b':' {
        return Err("invalid time separator, expected `:`");
    }
    let minute = number(&[m0, m1]).ok_or("invalid character in minute")?;
    if hour > 23 {
        return Err("hour value is outside expected range of 0-23");
    }
    if minute > 59 {
        return Err("minute value is outside expected range of 0-59");
    }
    let (second, micro, rest) = match rest {
        [b':', rest @ ..] => seconds(rest)?,
        _ => (0, 0, rest),
    };
    let small = |it: u32| u8::try_from(it).unwrap_or(u8::MAX);
    let time = Time::from_hms_micro(small(hour), small(minute), small(second), micro);
    Ok((time.map_err(|_| "second value is outside expected range of 0-59")?, rest))
}

/// Seconds, microseconds, and what follows; further digits are dropped.
fn seconds(text: &[u8]) -> Result<(u32, u32, &[u8]), &'static str> {
    let &[s0, s1, ref rest @ ..] = text else { return Err("invalid character in second") };
    let second = number(&[s0, s1]).ok_or("invalid character in second")?;
    let [b'.' | b',', rest @ ..] = rest else { return Ok((second, 0, rest)) };
    let digits = rest.iter().take_while(|it| it.is_ascii_digit()).count();
    if digits == 0 {
        return Err("second fraction digits missing after `.`");
    }
    let (fraction, rest) = rest.split_at(digits);
    let micro = (0..6).fold(0, |sum, place| sum * 10 + u32::from(fraction.get(place).map_or(0, |it| it - b'0')));
    Ok((second, micro, rest))
}

fn offset(text: &[u8]) -> Result<Option<UtcOffset>, &'static str> {
    let (west, rest) = match text {
        [] => return Ok(None),
        [b'Z' | b'z'] => return Ok(Some(UtcOffset::UTC)),
        [b'Z' | b'z', ..] => return Err(EXTRA),
        [b'+', rest @ ..] => (false, rest),
        [b'-', rest @ ..] | [0xe2, 0x88, 0x92, rest @ ..] => (true, rest),
        _ => return Err("invalid timezone sign"),
    };
    let [h0, h1, rest @ ..] = rest else { return Err("invalid timezone hour") };
    let hours = number(&[*h0, *h1]).ok_or("invalid timezone hour")?;
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let [m0, m1, rest @ ..] = rest else { return Err("invalid timezone minute") };
    let minutes = number(&[*m0, *m1]).ok_or("invalid timezone minute")?;
    if minutes > 59 {
        return Err("timezone minute value is outside expected range of 0-59");
    }
    if hours > 23 {
        return Err("timezone offset must be less than 24 hours");
    }
    if !rest.is_empty() {
        return Err(EXTRA);
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).unwrap_or_default();
    let offset = UtcOffset::from_whole_seconds(if west { -seconds } else { seconds });
    Ok(Some(offset.unwrap_or(UtcOffset::UTC)))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, it| it.is_ascii_digit().then(|| sum * 10 + u32::from(it - b'0')))
}

/// Unix time in a text: `1700000000`, `-1.5`. `None` if it is no such number.
pub(super) fn unix_text(text: &str) -> Option<Result<Moment, &'static str>> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if let Ok(whole) = text.parse::<i64>() {
        return Some(unix_integer(whole));
    }
    let (whole, fraction) = digits.split_once('.')?;
    let decimal = |it: &str| it.bytes().all(|b| b.is_ascii_digit());
    (decimal(whole) && decimal(fraction) && digits.len() > 1).then(|| unix_real(text.parse().unwrap_or(f64::NAN)))
}

/// Unix time in seconds, or in milliseconds beyond 20 000 000 000.
///
/// # Errors
/// What is wrong.
pub(super) fn unix_integer(number: i64) -> Result<Moment, &'static str> {
    let number = i128::from(number);
    micros(if number.abs() > MILLISECONDS_FROM { number * 1_000 } else { number * 1_000_000 })
}

/// The same with a fraction.
///
/// # Errors
/// What is wrong.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the value is rounded; what is out of range saturates and is refused"
)]
pub(super) fn unix_real(number: f64) -> Result<Moment, &'static str> {
    if number.is_nan() {
        return Err("NaN values not permitted");
    }
    let unit = if number.abs() > MILLISECONDS_FROM as f64 { 1_000 } else { 1_000_000 };
    micros((number.trunc() as i128).saturating_mul(unit) + (number.fract() * unit as f64).round() as i128)
}

const MILLISECONDS_FROM: i128 = 20_000_000_000;

fn micros(micros: i128) -> Result<Moment, &'static str> {
    let instant = micros.checked_mul(1_000).and_then(|it| OffsetDateTime::from_unix_timestamp_nanos(it).ok());
    match instant {
        Some(it) if it.year() >= 0 => {
            Ok(Moment { local: PrimitiveDateTime::new(it.date(), it.time()), offset: Some(UtcOffset::UTC) })
        }
        _ if micros > 0 => Err("dates after 9999 are not supported as unix timestamps"),
        _ => Err("dates before 0000 are not supported as unix timestamps"),
    }
}
