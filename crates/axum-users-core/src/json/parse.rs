//! The grammar of RFC 8259, with the extensions, messages and offsets of the parser of Python 3.11.

use std::collections::HashMap;

use super::{JsonError, JsonInput};

/// Parses a body: UTF-8, with or without a byte order mark, at most 16 levels deep.
///
/// Beyond RFC 8259, `NaN`, `Infinity` and `-Infinity` are values, and so are strings with lone surrogates; whoever reads the
/// value decides about them.
///
/// # Errors
/// [`JsonError::Invalid`] for what is not JSON, is nested deeper, or looks like UTF-16 or UTF-32; [`JsonError::Unreadable`] for
/// bytes that are not UTF-8, 967 levels or more, and integers of more than 4300 digits.
pub fn parse(body: &[u8]) -> Result<JsonInput, JsonError> {
    read(body, false)
}

/// The same, where of members with one name not the last counts: they are refused (RFC 8259 section 4), so that no two readers of
/// a body can read it differently.
///
/// # Errors
/// As [`parse`], and [`JsonError::Invalid`] at the second name.
pub fn parse_unique(body: &[u8]) -> Result<JsonInput, JsonError> {
    read(body, true)
}

fn read(body: &[u8], unique: bool) -> Result<JsonInput, JsonError> {
    if is_wide(body) {
        return Err(JsonError::Invalid { position: 0, message: VALUE });
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|_| JsonError::Unreadable)?;
    let mut parser = Parser { text, at: 0, depth: 0, unique };
    parser.document().map_err(|stop| match stop {
        Stop::Unreadable => JsonError::Unreadable,
        Stop::Invalid { at, message } => {
            JsonError::Invalid { position: text.get(..at).unwrap_or(text).chars().count(), message }
        }
    })
}

/// Levels that are read.
const DEPTH: usize = 16;
/// Levels at which the body counts as unreadable.
const ABSURD_DEPTH: usize = 967;
/// Digits of an integer that are read.
const DIGITS: usize = 4300;

const VALUE: &str = "Expecting value";
const NAME: &str = "Expecting property name enclosed in double quotes";
const COLON: &str = "Expecting ':' delimiter";
const COMMA: &str = "Expecting ',' delimiter";
const EXTRA: &str = "Extra data";
const UNTERMINATED: &str = "Unterminated string starting at";
const CONTROL: &str = "Invalid control character at";
const ESCAPE: &str = "Invalid \\escape";
const U_ESCAPE: &str = "Invalid \\uXXXX escape";
const DUPLICATE: &str = "Duplicate property name";
const TOO_DEEP: &str = "Nesting is too deep";

/// UTF-16 or UTF-32, by byte order mark or by where the NULs of the first, always ASCII, characters stand.
fn is_wide(body: &[u8]) -> bool {
    match body {
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => true,
        [first, second, rest @ ..] if rest.is_empty() || rest.len() > 1 => *first == 0 || *second == 0,
        _ => false,
    }
}

enum Stop {
    /// `at` is a byte offset.
    Invalid {
        at: usize,
        message: &'static str,
    },
    Unreadable,
}

struct Parser<'a> {
    text: &'a str,
    /// A byte offset, always between characters.
    at: usize,
    depth: usize,
    /// Whether each member of an object needs a name of its own.
    unique: bool,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<JsonInput, Stop> {
        self.skip_blanks();
        let value = self.value()?;
        self.skip_blanks();
        if self.at < self.text.len() { self.fail(self.at, EXTRA) } else { Ok(value) }
    }

    fn value(&mut self) -> Result<JsonInput, Stop> {
        for (word, value) in [
            ("null", JsonInput::Null),
            ("true", JsonInput::Bool(true)),
            ("false", JsonInput::Bool(false)),
            ("NaN", JsonInput::Real(f64::NAN)),
            ("Infinity", JsonInput::Real(f64::INFINITY)),
            ("-Infinity", JsonInput::Real(f64::NEG_INFINITY)),
        ] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        match self.peek() {
            Some(b'"') => Ok(match self.string()? {
                (text, false) => JsonInput::Text(text),
                (text, true) => JsonInput::BrokenText(text),
            }),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.fail(self.at, VALUE),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<JsonInput, Stop>) -> Result<JsonInput, Stop> {
        if self.depth == DEPTH {
            return if is_absurd(self.rest()) { Err(Stop::Unreadable) } else { self.fail(self.at, TOO_DEEP) };
        }
        self.depth += 1;
        self.at += 1;
        self.skip_blanks();
        let value = read(self)?;
        self.at += 1;
        self.depth -= 1;
        Ok(value)
    }

    /// Up to the closing bracket.
    fn array(&mut self) -> Result<JsonInput, Stop> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            return Ok(JsonInput::Array(items));
        }
        loop {
            items.push(self.value()?);
            if self.ends(b']')? {
                return Ok(JsonInput::Array(items));
            }
        }
    }

    /// Up to the closing brace.
    fn object(&mut self) -> Result<JsonInput, Stop> {
        let mut members: Vec<(String, JsonInput)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        if self.peek() == Some(b'}') {
            return Ok(JsonInput::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.fail(self.at, NAME);
            }
            let start = self.at;
            let (name, _) = self.string()?;
            if self.unique && places.contains_key(&name) {
                return self.fail(start, DUPLICATE);
            }
            self.skip_blanks();
            if self.peek() != Some(b':') {
                return self.fail(self.at, COLON);
            }
            self.at += 1;
            self.skip_blanks();
            let value = self.value()?;
            match places.get(&name).and_then(|place| members.get_mut(*place)) {
                Some(member) => member.1 = value,
                None => {
                    places.insert(name.clone(), members.len());
                    members.push((name, value));
                }
            }
            if self.ends(b'}')? {
                return Ok(JsonInput::Object(members));
            }
        }
    }

    /// After an item: at `close`, or past the comma and at the next item.
    fn ends(&mut self, close: u8) -> Result<bool, Stop> {
        self.skip_blanks();
        if self.peek() == Some(close) {
            return Ok(true);
        }
        if self.peek() != Some(b',') {
            return self.fail(self.at, COMMA);
        }
        self.at += 1;
        self.skip_blanks();
        Ok(false)
    }

    fn number(&mut self) -> Result<JsonInput, Stop> {
        let start = self.at;
        let minus = usize::from(self.peek() == Some(b'-'));
        let digits = match self.byte(start + minus) {
            Some(b'0') => 1,
            _ => self.digits(start + minus),
        };
        if digits == 0 {
            return self.fail(start, VALUE);
        }
        self.at += minus + digits;
        let mut real = false;
        if self.peek() == Some(b'.') && self.digits(self.at + 1) > 0 {
            self.at += 1 + self.digits(self.at + 1);
            real = true;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(self.at + 1), Some(b'+' | b'-')));
            let exponent = self.digits(self.at + 1 + sign);
            if exponent > 0 {
                self.at += 1 + sign + exponent;
                real = true;
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        match text {
            _ if real => Ok(JsonInput::Real(text.parse().map_err(|_| Stop::Unreadable)?)),
            _ if digits > DIGITS => Err(Stop::Unreadable),
            "-0" => Ok(JsonInput::Integer("0".to_owned())),
            _ => Ok(JsonInput::Integer(text.to_owned())),
        }
    }

    /// The text, and whether lone surrogates were replaced in it.
    fn string(&mut self) -> Result<(String, bool), Stop> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        let mut broken = false;
        loop {
            let rest = self.rest();
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            text.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => match self.escape(start)? {
                    Some(c) => text.push(c),
                    None => {
                        broken = true;
                        text.push(char::REPLACEMENT_CHARACTER);
                    }
                },
                Some(_) => return self.fail(self.at, CONTROL),
                None => return self.fail(start, UNTERMINATED),
            }
        }
        self.at += 1;
        Ok((text, broken))
    }

    /// The character of an escape sequence; `None` for a lone surrogate.
    fn escape(&mut self, start: usize) -> Result<Option<char>, Stop> {
        let Some(letter) = self.byte(self.at + 1) else { return self.fail(start, UNTERMINATED) };
        let c = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                if (0xd800..0xdc00).contains(&unit) && self.rest().starts_with("\\u") {
                    let before = self.at;
                    let low = self.unit()?;
                    if (0xdc00..0xe000).contains(&low) {
                        return Ok(char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)));
                    }
                    self.at = before;
                }
                return Ok(char::from_u32(unit));
            }
            _ => return self.fail(self.at, ESCAPE),
        };
        self.at += 2;
        Ok(Some(c))
    }

    /// Reads `\uXXXX`, which something must follow.
    fn unit(&mut self) -> Result<u32, Stop> {
        let letter = self.at + 1;
        let digits = self.text.get(letter + 1..letter + 5).filter(|it| it.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|it| u32::from_str_radix(it, 16).ok()) {
            Some(unit) if letter + 5 < self.text.len() => {
                self.at = letter + 5;
                Ok(unit)
            }
            _ => self.fail(letter, U_ESCAPE),
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.byte(self.at)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// How many digits stand at a place.
    fn digits(&self, at: usize) -> usize {
        self.text.as_bytes().get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fail<T>(&self, at: usize, message: &'static str) -> Result<T, Stop> {
        Err(Stop::Invalid { at, message })
    }
}

/// Whether what follows [`DEPTH`] levels reaches [`ABSURD_DEPTH`].
fn is_absurd(rest: &str) -> bool {
    let (mut depth, mut inside, mut escaped) = (DEPTH, false, false);
    for byte in rest.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b'[' | b'{' if !inside => depth += 1,
            b']' | b'}' if !inside => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth >= ABSURD_DEPTH {
            return true;
        }
    }
    false
}
