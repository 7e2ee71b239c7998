//! A watch stream decodes the same at any cut, and its frames say what `serde_json` finds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tidings_api::{
    ResourceVersion,
    frame::{EventKind, Frame, FrameDecoder, INITIAL_EVENTS_END},
    limits::Limits,
    status::Status,
};

use self::common::{Expected, check_item, fields, last, text_of};

mod common;

fn decode(chunks: &[&[u8]], limits: &Limits, sink: &mut impl FnMut(&Frame<'_>)) -> String {
    let mut frames = FrameDecoder::new(limits);
    for chunk in chunks {
        if frames.feed(chunk, &mut |frame| sink(&frame)).is_err() {
            break;
        }
    }
    format!("{:?}", frames.finish())
}

fn lines(chunks: &[&[u8]], limits: &Limits) -> Vec<String> {
    let mut lines = Vec::new();
    let end = decode(chunks, limits, &mut |frame| {
        lines.push(match frame {
            Frame::Event { kind, item } => format!("{kind:?} {}", common::line(item)),
            other => format!("{other:?}"),
        });
    });
    lines.push(end);
    lines
}

/// Asserts that the frame says what `text` says, which starts at `offset` of the stream.
fn check(frame: &Frame<'_>, text: &str, offset: usize) {
    let own = fields(text).expect("a frame is an object");
    let type_name = text_of(last(&own, "type")).unwrap_or_default();
    let object = last(&own, "object").filter(|text| text.starts_with('{'));
    let kind = match &*type_name {
        "ADDED" => EventKind::Added,
        "MODIFIED" => EventKind::Modified,
        "DELETED" => EventKind::Deleted,
        _ => return assert_eq!(format!("{frame:?}"), other(&type_name, object, offset)),
    };
    let Frame::Event { kind: found, item } = frame else {
        panic!("{frame:?} is no event: {text}");
    };
    assert_eq!(*found, kind);
    match object {
        Some(object) => check_item(item, object, None, offset),
        None => assert!(item.usable().is_none(), "{text}"),
    }
}

/// How a frame prints that is no event.
fn other(type_name: &str, object: Option<&str>, offset: usize) -> String {
    let expected = Expected::of(object.unwrap_or("{}")).expect("an object");
    let frame = match type_name {
        "BOOKMARK" => {
            let annotations = fields(expected.object("annotations")).unwrap_or_default();
            let end = text_of(last(&annotations, INITIAL_EVENTS_END));
            let version = expected.meta("resourceVersion").unwrap_or_default();
            Frame::Bookmark {
                resource_version: ResourceVersion::parse(&version),
                initial_events_end: end.as_deref() == Some("true"),
                kind: expected.top("kind"),
                api_version: expected.top("apiVersion"),
            }
        }
        "ERROR" => Frame::Error(Status::parse(200, object.unwrap_or_default().as_bytes())),
        _ => {
            let short = type_name.chars().take(64);
            let printable = short.map(|it| if it.is_ascii_graphic() { it } else { '?' });
            let type_name: String = printable.collect();
            let (type_name, offset) = (&*type_name, offset as u64);
            return format!("{:?}", Frame::Unknown { type_name, offset });
        }
    };
    format!("{frame:?}")
}

/// The objects of a stream, each with its place. `None` if `serde_json` reads anything else in it.
fn objects(stream: &[u8]) -> Option<Vec<(usize, &str)>> {
    let values = serde_json::Deserializer::from_slice(stream).into_iter::<&RawValue>();
    let values = values.collect::<Result<Vec<_>, _>>().ok()?;
    let place = |value: &&'_ RawValue| value.get().as_ptr() as usize - stream.as_ptr() as usize;
    let values = values.into_iter().map(|value| (place(&value), value.get()));
    let values: Vec<_> = values.collect();
    let is_sound = |text: &str| text.starts_with('{') && common::is_document(text);
    values
        .iter()
        .all(|(_, text)| is_sound(text))
        .then_some(values)
}

fuzz_target!(|data: &[u8]| {
    let Some((step, stream)) = common::cuts(data) else {
        return;
    };
    let limits = Limits::default();
    common::same_at_any_cut(stream, step, |chunks| lines(chunks, &limits));
    let small = Limits {
        object_bytes_max: 40,
        envelope_bytes_max: 60,
        depth_max: 4,
        token_bytes_max: 5,
        status_bytes_max: 30,
        ..limits
    };
    common::same_at_any_cut(stream, step, |chunks| lines(chunks, &small));
    // At once the objects are found in their chunk, byte by byte they are carried over.
    let Some(objects) = objects(stream) else {
        return;
    };
    for step in [stream.len().max(1), 1] {
        let mut left = objects.iter();
        let chunks: Vec<_> = stream.chunks(step).collect();
        let end = decode(&chunks, &limits, &mut |frame| {
            let (offset, text) = left.next().expect("no more frames than objects");
            check(frame, text, *offset);
        });
        assert_eq!((end.as_str(), left.len()), ("Ok(())", 0));
    }
});
