//! The log: structured events on standard error, with nothing in it that could pass for another line.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use tracing_subscriber::{
    EnvFilter,
    fmt::MakeWriter,
    fmt::{format::FmtSpan, time::UtcTime},
};

use crate::config::LogFormat;

/// Starts the log of this process. Only the first call of a process counts.
pub(crate) fn start(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let writer = EscapingWriter { json: format == LogFormat::Json };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(UtcTime::rfc_3339())
        .with_span_events(FmtSpan::NONE)
        .with_ansi(false)
        .with_writer(writer);
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    };
}

/// Writes to standard error what cannot be mistaken: one event is one line, without control and bidirectional characters
/// (ASVS 16.4.1). It stands at the end, so that it holds for every field, whoever logged it.
#[derive(Clone, Copy)]
struct EscapingWriter {
    json: bool,
}

impl<'a> MakeWriter<'a> for EscapingWriter {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for EscapingWriter {
    /// The subscriber hands over one whole event at a time.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = escape(text.trim_end_matches('\n'), self.json);
        line.push('\n');
        io::stderr().lock().write_all(line.as_bytes())?;
        Ok(event.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Text without characters that change how the text around them looks, as JSON or Rust would escape them.
pub(crate) fn escape(text: &str, json: bool) -> String {
    let mut escaped = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if !is_deceptive(character) {
            escaped.push(character);
        } else if json {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.extend(character.escape_unicode());
        }
    }
    escaped
}

/// Controls, line and paragraph separators, bidirectional and invisible formatting characters.
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lg_03_nothing_that_deceives_is_left() {
        let corpus = "a\r\nb\u{1b}[31mc\u{202e}d\u{2066}e\u{2028}f\u{7f}g\u{85}h\u{e0041}";
        for json in [false, true] {
            let escaped = escape(corpus, json);
            assert!(!escaped.chars().any(is_deceptive), "{escaped:?}");
        }
        assert_eq!(escape("\u{202e}", false), "\\u{202e}");
        assert_eq!(escape("\u{202e}\u{e0041}", true), "\\u202e\\udb40\\udc41");
        assert_eq!(escape("née 日本", true), "née 日本");
    }
}
