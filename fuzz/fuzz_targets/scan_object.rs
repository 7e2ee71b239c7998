//! A scanned object says what `serde_json` says, at any cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tidings_api::{
    limits::Limits,
    scan::{Item, Progress, Scan},
};

mod common;

fn scan_in_steps(text: &[u8], step: usize) -> Option<(usize, String)> {
    let mut scan = Scan::new(&Limits::default());
    let mut upto = 0;
    while upto < text.len() {
        upto = text.len().min(upto + step);
        if let Progress::Done(len) = scan.advance(&text[..upto]) {
            return Some((len, common::line(&scan.item(&text[..len], None))));
        }
    }
    None
}

fuzz_target!(|data: &[u8]| {
    let Some((step, text)) = common::cuts(data) else {
        return;
    };
    let whole = scan_in_steps(text, usize::MAX >> 1);
    assert_eq!(scan_in_steps(text, step), whole);
    let Ok(mut value) = serde_json::from_slice::<Value>(text) else {
        return;
    };
    // An object that is sound for serde_json ends where its text ends, white space aside.
    if !value.is_object() || !text.starts_with(b"{") {
        return;
    }
    let mut scan = Scan::new(&Limits::default());
    let Progress::Done(len) = scan.advance(text) else {
        panic!("a whole object has an end");
    };
    assert!(text[len..].iter().all(u8::is_ascii_whitespace));
    let Item::Usable(scanned) = scan.item(&text[..len], None) else {
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        let namespace = value["metadata"]["namespace"].as_str().unwrap_or_default();
        let is_long = [name, namespace, value["kind"].as_str().unwrap_or_default()]
            .iter()
            .any(|text| text.len() > 100);
        let is_bad = name.is_empty() || name.contains('/') || namespace.contains('/');
        assert!(is_bad || is_long || text.len() > 1_000, "{scan:?}");
        return;
    };
    let meta = &value["metadata"];
    assert_eq!(scanned.name(), meta["name"]);
    assert_eq!(
        scanned.namespace(),
        meta["namespace"].as_str().unwrap_or_default()
    );
    assert_eq!(scanned.uid(), meta["uid"].as_str().unwrap_or_default());
    let version = meta["resourceVersion"].as_str().unwrap_or_default();
    assert_eq!(scanned.resource_version(), version);
    assert_eq!(scanned.kind().as_deref(), value["kind"].as_str());
    // Without equal keys, the rest is the document less managedFields.
    let less: Value = serde_json::from_str(&scanned.json_pieces().concat()).expect("still sound");
    if less["metadata"].get("managedFields").is_none()
        && let Some(meta) = value["metadata"].as_object_mut()
    {
        meta.remove("managedFields");
        let count = |key: &[u8]| {
            text.windows(key.len())
                .filter(|found| *found == key)
                .count()
        };
        if count(b"metadata") == 1 && count(b"\\u") == 0 {
            assert_eq!(less, value);
        }
    }
});
