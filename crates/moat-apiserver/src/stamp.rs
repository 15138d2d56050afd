//! What comes from outside the request: the time, identities, random words.

use rustls::crypto::ring::default_provider;

/// Letters of generated names: no vowels, so that no words appear (upstream's `rand.String`).
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The time in whole seconds, `2026-01-31T12:00:00Z`.
pub(crate) fn now() -> String {
    second(jiff::Timestamp::now())
}

/// A time so many seconds from now.
pub(crate) fn after_seconds(seconds: i64) -> String {
    let then = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(seconds));
    second(then.unwrap_or(jiff::Timestamp::MAX))
}

fn second(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Random bytes; zeros if the system has none, which the caller's uniqueness check then meets.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // The system's generator fails only before it is seeded at boot.
    let _ = default_provider().secure_random.fill(&mut bytes);
    bytes
}

/// A random UUID (version 4).
pub(crate) fn uid() -> String {
    let mut bytes = random::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

/// What is put behind `generateName`: five letters.
pub(crate) fn suffix() -> String {
    random::<5>().iter().map(|byte| LETTERS[usize::from(*byte) % LETTERS.len()] as char).collect()
}
