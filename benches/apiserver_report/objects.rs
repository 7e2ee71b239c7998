//! Config maps of 1 KB, with the time of their write in them.

use std::time::Instant;

/// The collection that they are in.
pub(crate) const COLLECTION: &str = "/api/v1/namespaces/default/configmaps";

const STAMP: &str = "\"stamp\":\"";
const DIGITS: usize = 20;

/// A body of 1 KB.
pub(crate) fn config_map(number: usize, stamp: u128) -> Vec<u8> {
    let mut body = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{}\",\
         \"labels\":{{\"app\":\"shop\",\"team\":\"team-{:02}\"}}}},\"data\":{{{STAMP}{stamp:020}\"",
        name(number),
        number % 16
    );
    for key in 0..8 {
        body += &format!(",\"key-{key}\":\"{}\"", "0123456789abcdef".repeat(6));
    }
    body += "}}";
    body.into_bytes()
}

/// The name of one.
pub(crate) fn name(number: usize) -> String {
    format!("map-{number:06}")
}

/// The path of one.
pub(crate) fn path(number: usize) -> String {
    format!("{COLLECTION}/{}", name(number))
}

/// Nanoseconds since `start`.
pub(crate) fn stamp(start: Instant) -> u128 {
    start.elapsed().as_nanos()
}

/// Calls `each` with every stamp in `bytes`, and says how many bytes are done with.
pub(crate) fn stamps(bytes: &[u8], mut each: impl FnMut(u128)) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&bytes[at..], STAMP.as_bytes()) {
        let digits = at + found + STAMP.len();
        let Some(digits) = bytes.get(digits..digits + DIGITS) else {
            return at + found;
        };
        each(
            digits
                .iter()
                .fold(0, |sum, digit| sum * 10 + u128::from(digit - b'0')),
        );
        at += found + STAMP.len() + DIGITS;
    }
    at.max(bytes.len().saturating_sub(STAMP.len()))
}
