//! A list body decodes the same however it is cut, and has the items that `serde_json` finds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tidings_api::{
    limits::Limits,
    page::{PageDecoder, PageEnd, PageError, PageEvent},
};

mod common;

fn decode(body: &[u8], step: usize, limits: &Limits) -> (Vec<String>, Result<PageEnd, PageError>) {
    let mut lines = Vec::new();
    let mut page = PageDecoder::new(limits);
    for chunk in body.chunks(step) {
        let fed = page.feed(chunk, &mut |event| {
            lines.push(match event {
                PageEvent::Head { kind, api_version } => format!("{kind} {api_version}"),
                PageEvent::Item(item) => common::line(&item),
            });
        });
        if fed.is_err() {
            break;
        }
    }
    (lines, page.finish())
}

fuzz_target!(|data: &[u8]| {
    let Some((step, body)) = common::cuts(data) else {
        return;
    };
    let limits = Limits::default();
    let whole = decode(body, usize::MAX, &limits);
    assert_eq!(decode(body, step, &limits), whole);
    assert_eq!(decode(body, 1, &limits), whole);
    let small = Limits {
        object_bytes_max: 40,
        list_bytes_max: 300,
        list_items_max: 3,
        envelope_bytes_max: 100,
        depth_max: 4,
        token_bytes_max: 5,
        ..limits
    };
    assert_eq!(decode(body, step, &small), decode(body, usize::MAX, &small));
    let (Ok(end), Ok(value)) = (&whole.1, serde_json::from_slice::<Value>(body)) else {
        return;
    };
    let items = value["items"].as_array().map_or(0, Vec::len);
    assert_eq!(end.items, items as u64);
    assert_eq!(end.kind, value["kind"].as_str().unwrap_or_default());
    let version = value["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default();
    assert_eq!(end.resource_version, version);
});
