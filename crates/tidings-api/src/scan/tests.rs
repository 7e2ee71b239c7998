//! The scan against `serde_json::Value`, at every cut, and rule by rule.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

mod generate;
mod rules;

/// Everything that an item says, in one line.
pub(crate) fn line(item: &Item<'_>) -> String {
    match item {
        Item::Usable(scanned) => format!(
            "ok {}/{} uid={} rv={} kind={:?} apiVersion={:?} labels={} annotations={} json={}",
            scanned.namespace(),
            scanned.name(),
            scanned.uid(),
            scanned.resource_version(),
            scanned.kind(),
            scanned.api_version(),
            scanned.labels(),
            scanned.annotations(),
            scanned.json_pieces().concat(),
        ),
        Item::Unusable(unusable) => format!("{unusable:?}"),
    }
}

/// Scans all at once; the object must end with the text.
fn scan_whole(scan: &mut Scan, text: &[u8]) {
    scan.reset();
    assert_eq!(scan.advance(text), Progress::Done(text.len()));
}

fn line_of(text: &[u8], limits: &Limits) -> String {
    let mut scan = Scan::new(limits);
    scan_whole(&mut scan, text);
    line(&scan.item(text, None))
}

fn with_usable<T>(text: &str, read: impl FnOnce(&Scanned<'_>) -> T) -> T {
    let mut scan = Scan::new(&Limits::default());
    scan_whole(&mut scan, text.as_bytes());
    let item = scan.item(text.as_bytes(), None);
    read(item.usable().expect("the object is sound"))
}

fn problem_of(text: &[u8]) -> Unusable<'static> {
    let mut scan = Scan::new(&Limits::default());
    scan_whole(&mut scan, text);
    match scan.item(text, None) {
        Item::Unusable(unusable) => unusable.into_owned(),
        Item::Usable(scanned) => panic!("{scanned:?} should not be usable"),
    }
}

/// Scans in steps that end at `cuts`, as an assembler would.
fn line_in_steps(text: &[u8], cuts: impl Iterator<Item = usize>, limits: &Limits) -> String {
    let mut scan = Scan::new(limits);
    let mut before = 0;
    for cut in cuts.chain([text.len()]) {
        let progress = if scan.is_skimming() {
            scan.skim(&text[before..cut])
        } else {
            scan.advance(&text[..cut])
        };
        assert_eq!(progress != Progress::More, cut == text.len(), "at {cut}");
        before = cut;
    }
    line(&scan.item(text, None))
}

/// What `serde_json` makes of the metadata.
fn oracle(value: &Value) -> [String; 6] {
    let meta = &value["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    [
        text(&meta["namespace"]),
        text(&meta["name"]),
        text(&meta["uid"]),
        text(&meta["resourceVersion"]),
        text(&value["kind"]),
        text(&value["apiVersion"]),
    ]
}

proptest! {
    #[test]
    fn says_what_serde_json_says(text in generate::object()) {
        let mut value: Value = serde_json::from_str(&text).unwrap();
        let expected = oracle(&value);
        let mut scan = Scan::new(&Limits::default());
        scan_whole(&mut scan, text.as_bytes());
        match scan.item(text.as_bytes(), None) {
            Item::Unusable(unusable) => {
                let [namespace, name, ..] = &expected;
                let is_bad = name.is_empty() || name.contains('/') || namespace.contains('/');
                prop_assert!(is_bad, "{:?}", unusable);
            }
            Item::Usable(scanned) => {
                let found = [
                    scanned.namespace(),
                    scanned.name(),
                    scanned.uid(),
                    scanned.resource_version(),
                    &scanned.kind().unwrap_or_default(),
                    &scanned.api_version().unwrap_or_default(),
                ];
                prop_assert_eq!(found, expected.each_ref().map(String::as_str));
                let meta = &value["metadata"];
                for (found, expected) in [
                    (scanned.labels(), &meta["labels"]),
                    (scanned.annotations(), &meta["annotations"]),
                ] {
                    let found: Value = serde_json::from_str(found).unwrap_or_default();
                    let expected = if expected.is_object() { expected.clone() } else { Value::Null };
                    prop_assert_eq!(found, expected);
                }
                if let Some(meta) = value["metadata"].as_object_mut() {
                    meta.remove("managedFields");
                }
                let less = scanned.json_pieces().concat();
                prop_assert_eq!(serde_json::from_str::<Value>(&less).unwrap(), value);
            }
        }
    }

    #[test]
    fn never_panics_on_any_bytes(bytes in generate::soup(), cut in 0_usize..300) {
        let mut scan = Scan::new(&Limits::default());
        let first = &bytes[..cut.min(bytes.len())];
        let progress = match scan.advance(first) {
            Progress::More => scan.advance(&bytes),
            done => done,
        };
        if let Progress::Done(len) = progress {
            let _ = line(&scan.item(&bytes[..len], None));
        }
    }
}

proptest! {
    // Each case tries every cut.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pr_f24_says_the_same_at_every_cut(text in generate::object()) {
        let limits = Limits::default();
        let whole = line_of(text.as_bytes(), &limits);
        for cut in 1..text.len() {
            prop_assert_eq!(&line_in_steps(text.as_bytes(), [cut].into_iter(), &limits), &whole);
        }
        prop_assert_eq!(&line_in_steps(text.as_bytes(), 1..text.len(), &limits), &whole);
    }

    #[test]
    fn an_outgrown_object_says_the_same_at_every_cut(
        text in generate::object(),
        object_bytes_max in 1_usize..400,
    ) {
        let limits = Limits { object_bytes_max, ..Limits::default() };
        let whole = line_of(text.as_bytes(), &limits);
        for cut in 1..text.len() {
            prop_assert_eq!(&line_in_steps(text.as_bytes(), [cut].into_iter(), &limits), &whole);
        }
        prop_assert_eq!(&line_in_steps(text.as_bytes(), 1..text.len(), &limits), &whole);
    }
}
