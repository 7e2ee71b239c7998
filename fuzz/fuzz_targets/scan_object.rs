//! A scanned object says what `serde_json` says, at any cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidings_api::{
    limits::Limits,
    scan::{Progress, Scan},
};

mod common;

/// Scans the text as it grows by one chunk after the other.
fn scan(text: &[u8], chunks: &[&[u8]]) -> Option<(usize, String)> {
    let mut scan = Scan::new(&Limits::default());
    let mut upto = 0;
    for chunk in chunks {
        upto += chunk.len();
        if let Progress::Done(len) = scan.advance(&text[..upto]) {
            return Some((len, common::line(&scan.item(&text[..len], None))));
        }
    }
    None
}

fuzz_target!(|data: &[u8]| {
    let Some((step, bytes)) = common::cuts(data) else {
        return;
    };
    common::same_at_any_cut(bytes, step, |chunks| scan(bytes, chunks));
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if !text.starts_with('{') || !common::is_document(text) {
        return;
    }
    // An object that is sound for serde_json ends where its text ends, white space aside.
    let mut scan = Scan::new(&Limits::default());
    let Progress::Done(len) = scan.advance(bytes) else {
        panic!("a whole object has an end");
    };
    assert!(bytes[len..].iter().all(u8::is_ascii_whitespace));
    common::check_item(&scan.item(&bytes[..len], None), &text[..len], None, 0);
});
