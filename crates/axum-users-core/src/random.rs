//! Secure randomness: the one place that asks the operating system for it.

use uuid::Uuid;

/// Fills `buf` with random bytes of the operating system.
///
/// Without randomness the process ends, since nothing that it could answer would be safe.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn fill(buf: &mut [u8]) {
    if getrandom::fill(buf).is_err() {
        std::process::abort();
    }
}

/// A random UUID, version 4 of RFC 9562.
#[must_use]
pub fn uuid_v4() -> Uuid {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
