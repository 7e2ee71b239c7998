//! A watch stream decodes the same however it is cut, and as `serde_json` splits it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, value::RawValue};
use tidings_api::{
    frame::{Frame, FrameDecoder},
    limits::Limits,
};

mod common;

fn lines(stream: &[u8], step: usize, limits: &Limits) -> Vec<String> {
    let mut lines = Vec::new();
    let mut frames = FrameDecoder::new(limits);
    for chunk in stream.chunks(step) {
        let fed = frames.feed(chunk, &mut |frame| {
            lines.push(match frame {
                Frame::Event { kind, item } => format!("{kind:?} {}", common::line(&item)),
                other => format!("{other:?}"),
            });
        });
        if fed.is_err() {
            break;
        }
    }
    lines.push(format!("{:?}", frames.finish()));
    lines
}

fuzz_target!(|data: &[u8]| {
    let Some((step, stream)) = common::cuts(data) else {
        return;
    };
    let limits = Limits::default();
    let whole = lines(stream, usize::MAX, &limits);
    assert_eq!(lines(stream, step, &limits), whole);
    assert_eq!(lines(stream, 1, &limits), whole);
    let small = Limits {
        object_bytes_max: 40,
        envelope_bytes_max: 60,
        depth_max: 4,
        token_bytes_max: 5,
        status_bytes_max: 30,
        ..limits
    };
    assert_eq!(
        lines(stream, step, &small),
        lines(stream, usize::MAX, &small)
    );
    // Where serde_json reads a stream of objects, there are as many frames.
    let values: Result<Vec<&RawValue>, _> = serde_json::Deserializer::from_slice(stream)
        .into_iter()
        .collect();
    if let Ok(values) = values
        && values.iter().all(|value| value.get().starts_with('{'))
        && values
            .iter()
            .all(|value| serde_json::from_str::<Value>(value.get()).is_ok())
    {
        assert_eq!(whole.len(), values.len() + 1, "{whole:?}");
        assert_eq!(whole.last().map(String::as_str), Some("Ok(())"));
    }
});
