//! Secrets that can be guessed (RFC 7518, 3.2; RFC 8725, 3.5).
//!
//! An estimate, made to catch what people type: it cannot prove that a secret is random. It takes the secret apart into known
//! words, runs such as `1234` and pronounceable pieces, and counts for each as little as a guesser needs.

use std::collections::HashSet;

/// The least length, in bytes: that of the hash (RFC 7518, 3.2).
const MIN_BYTES: usize = 32;
/// The least estimate, in bits. Of random secrets of 32 hexadecimal digits, or of 32 letters of both cases and digits, fewer
/// than one in ten thousand came out below it; none of `openssl rand -hex 32`. Of 32 lower-case letters, many do.
const MIN_BITS: f64 = 92.0;
/// What choosing a known word adds, in bits.
const WORD_BITS: f64 = 6.0;
/// What a letter of a pronounceable piece adds, in bits; English has less.
const LETTER_BITS: f64 = 2.0;
/// What a separator adds that occurs again and again, in bits.
const SEPARATOR_BITS: f64 = 1.0;

/// Why a secret is refused. Says nothing of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum WeakSecret {
    /// There is none.
    #[error("the secret is empty")]
    Missing,
    /// A PEM, SSH or JWK key: its public half would be the secret.
    #[error("this is a key of a key pair, not a secret")]
    AsymmetricKey,
    /// From documentation or an example.
    #[error("the secret is a published sample; make one with `openssl rand -hex 32`")]
    Published,
    /// Under 32 bytes.
    #[error("the secret is shorter than 32 bytes; make one with `openssl rand -hex 32`")]
    TooShort,
    /// At most 32 bytes, several times.
    #[error("the secret repeats itself; make one with `openssl rand -hex 32`")]
    Repeated,
    /// Words, runs, or too few different characters.
    #[error("the secret can be guessed; make one with `openssl rand -hex 32`")]
    Guessable,
}

impl WeakSecret {
    /// Whether it is no secret at all, so that nobody can need it to take over a live system.
    #[must_use]
    pub fn is_unusable(self) -> bool {
        matches!(self, Self::Missing | Self::AsymmetricKey)
    }
}

/// Whether a secret is strong enough to sign with: at least 32 bytes, no published sample, not repeated, not guessable.
///
/// # Errors
/// [`WeakSecret`], the first that applies.
pub fn check_secret(secret: &[u8]) -> Result<(), WeakSecret> {
    if secret.trim_ascii().is_empty() {
        Err(WeakSecret::Missing)
    } else if is_asymmetric_key(secret) {
        Err(WeakSecret::AsymmetricKey)
    } else if is_published(secret) {
        Err(WeakSecret::Published)
    } else if secret.len() < MIN_BYTES {
        Err(WeakSecret::TooShort)
    } else if is_repeated(secret) {
        Err(WeakSecret::Repeated)
    } else if estimated_bits(secret) < MIN_BITS {
        Err(WeakSecret::Guessable)
    } else {
        Ok(())
    }
}

fn is_asymmetric_key(secret: &[u8]) -> bool {
    let text = secret.trim_ascii_start();
    let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    let ssh = [&b"ssh-"[..], b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-"];
    has(b"-----BEGIN ")
        || (text.starts_with(b"{") && has(b"\"kty\""))
        // The blank and the base64 of a short length follow the type; a random secret may begin like one.
        || (has(b" AAAA") && ssh.iter().any(|start| text.starts_with(start)))
}

/// Letters and digits decide: `Change-Me!` is `changeme`.
fn is_published(secret: &[u8]) -> bool {
    let letters = |text: &[u8]| -> Vec<u8> {
        text.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
    };
    let secret = letters(secret);
    PUBLISHED.iter().any(|sample| letters(sample.as_bytes()) == secret)
}

/// Whether it is at most 32 bytes and then the same again, for eight bytes at least (fewer could be chance).
fn is_repeated(secret: &[u8]) -> bool {
    (1..=MIN_BYTES).any(|period| {
        let overlap = secret.len().saturating_sub(period);
        overlap >= 8 && secret.get(period..) == secret.get(..overlap)
    })
}

fn estimated_bits(secret: &[u8]) -> f64 {
    let folded = secret.to_ascii_lowercase();
    let symbol_bits = symbol_bits(secret);
    let (mut bits, mut at) = (0.0, 0);
    while let (Some(rest), Some(rest_folded)) = (secret.get(at..), folded.get(at..))
        && let Some(first) = rest.first()
    {
        let (length, piece_bits) = if let Some(length) = word(rest_folded) {
            (length, WORD_BITS)
        } else if let Some(length) = run(rest_folded) {
            (length, symbol_bits + 2.0)
        } else if let Some(length) = pronounceable(rest) {
            (length, LETTER_BITS * f64::from(u16::try_from(length).unwrap_or(u16::MAX)))
        } else if (first.is_ascii_punctuation() || *first == b' ')
            && secret.iter().filter(|byte| *byte == first).count() > 3
        {
            (1, SEPARATOR_BITS.min(symbol_bits))
        } else {
            (1, symbol_bits)
        };
        bits += piece_bits;
        at += length;
    }
    bits
}

/// What any other character adds: as if those that occur were all there are, or the sixteen hexadecimal digits.
fn symbol_bits(secret: &[u8]) -> f64 {
    let distinct = secret.iter().collect::<HashSet<_>>().len();
    let hexadecimal = secret.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        || secret.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    // Ten digits alone are decimal; 32 random hexadecimal ones nearly always have more.
    let symbols = if hexadecimal && distinct > 10 { 16 } else { distinct };
    f64::from(u16::try_from(symbols).unwrap_or(256)).log2()
}

/// The longest known word here.
fn word(folded: &[u8]) -> Option<usize> {
    WORDS.iter().filter(|word| folded.starts_with(word.as_bytes())).map(|word| word.len()).max()
}

/// Four or more bytes that stay, climb or fall by one: `aaaa`, `1234`, `dcba`.
fn run(folded: &[u8]) -> Option<usize> {
    (-1..=1)
        .filter_map(|step| {
            let steps = folded
                .iter()
                .zip(folded.iter().skip(1))
                .take_while(|(byte, next)| i16::from(**next) - i16::from(**byte) == step)
                .count();
            (steps >= 3).then_some(steps + 1)
        })
        .max()
}

/// Five or more letters in the case of a word, with vowels among them and never four consonants in a row.
fn pronounceable(rest: &[u8]) -> Option<usize> {
    let upper = rest.iter().take(2).all(u8::is_ascii_uppercase);
    let (mut length, mut vowels, mut consonants) = (0, 0, 0);
    for byte in rest {
        let fits = if upper { byte.is_ascii_uppercase() } else { byte.is_ascii_lowercase() };
        let capital = length == 0 && byte.is_ascii_alphabetic();
        if !(fits || capital) {
            break;
        }
        if b"aeiouyAEIOUY".contains(byte) {
            (vowels, consonants) = (vowels + 1, 0);
        } else {
            consonants += 1;
        }
        if consonants == 4 {
            break;
        }
        length += 1;
    }
    (length >= 5 && vowels * 7 >= length * 2).then_some(length)
}

/// Samples that documentation, tools and examples print.
const PUBLISHED: &[&str] = &[
    "SECRET",
    "SECRETKEY",
    "SECRET_KEY_HERE",
    "supersecret",
    "supersecretkey",
    "mysecret",
    "mysecretkey",
    "mysupersecretkey",
    "topsecret",
    "jwtsecret",
    "your-secret",
    "your-secret-key",
    "your-secret-key-here",
    "your-secret-here",
    "your-jwt-secret",
    "your-256-bit-secret",
    "your-384-bit-secret",
    "your-512-bit-secret",
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    "changeme",
    "changethis",
    "changeit",
    "changemeplease",
    "please-change-me",
    "replaceme",
    "insecure",
    "notsecret",
    "password",
    "test",
    "testing",
    "dev",
    "development",
    "secret123",
    "keyboard cat",
    "shhhhh",
    "s3cr3t",
    // FastAPI's tutorial on JWT.
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    // RFC 7515, A.1.
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    // RFC 7520, 3.5.
    "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
];

/// What people build secrets from. Nothing under three letters: chance makes those.
const WORDS: &[&str] = &[
    "secret",
    "secrets",
    "s3cr3t",
    "secure",
    "insecure",
    "security",
    "super",
    "very",
    "top",
    "strong",
    "random",
    "long",
    "enough",
    "string",
    "password",
    "passwd",
    "passphrase",
    "pass",
    "word",
    "key",
    "keys",
    "token",
    "jwt",
    "auth",
    "access",
    "refresh",
    "reset",
    "verify",
    "verification",
    "sign",
    "signing",
    "signature",
    "hash",
    "salt",
    "hmac",
    "bearer",
    "cookie",
    "session",
    "change",
    "changed",
    "changeme",
    "replace",
    "please",
    "this",
    "that",
    "the",
    "and",
    "for",
    "not",
    "dont",
    "must",
    "should",
    "with",
    "your",
    "here",
    "insert",
    "put",
    "use",
    "used",
    "only",
    "value",
    "default",
    "sample",
    "example",
    "demo",
    "dummy",
    "fake",
    "test",
    "tests",
    "testing",
    "tester",
    "local",
    "localhost",
    "dev",
    "develop",
    "development",
    "prod",
    "production",
    "staging",
    "environment",
    "app",
    "application",
    "api",
    "server",
    "service",
    "backend",
    "frontend",
    "admin",
    "root",
    "user",
    "users",
    "axum",
    "fastapi",
    "django",
    "flask",
    "rust",
    "python",
    "project",
    "company",
    "master",
    "private",
    "public",
    "hello",
    "world",
    "welcome",
    "letmein",
    "login",
    "foo",
    "bar",
    "baz",
    "lorem",
    "ipsum",
    "dolor",
    "amet",
    "abc",
    "xyz",
    "qwerty",
    "qwertyuiop",
    "qwertz",
    "asdf",
    "asdfgh",
    "asdfghjkl",
    "zxcvbn",
    "zxcvbnm",
    "azerty",
    "1q2w3e4r",
    "deadbeef",
    "cafebabe",
    "least",
    "bytes",
    "bits",
    "characters",
    "chars",
    "minimum",
    "size",
    "length",
    "least32",
    "256",
    "2023",
    "2024",
    "2025",
    "2026",
];
