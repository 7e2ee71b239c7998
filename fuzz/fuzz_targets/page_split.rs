//! A list body decodes the same at any cut, and is the list that `serde_json` finds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, value::RawValue};
use tidings_api::{
    limits::Limits,
    page::{CONTINUE_BYTES_MAX, PageDecoder, PageEnd, PageError, PageEvent},
};

use self::common::{check_item, fields, last, text_of};

mod common;

type End = Result<PageEnd, PageError>;

/// What `serde_json` makes of a body.
#[derive(Default)]
struct List<'a> {
    kind: String,
    api_version: Option<String>,
    /// Kind and apiVersion, once both were there.
    head: Option<(String, String)>,
    /// The kind and apiVersion of the items, known before they come.
    of_items: Option<(String, String)>,
    items: Vec<&'a str>,
    version: String,
    token: String,
    remaining: Option<u64>,
}

impl<'a> List<'a> {
    /// `None` if the document is no list.
    fn of(body: &'a str) -> Option<Self> {
        let own = fields(body)?;
        let mut list = Self::default();
        let mut has_items = false;
        for (key, value) in &own {
            match &**key {
                "kind" => list.kind = text_of(Some(value)).filter(|it| it.ends_with("List"))?,
                "apiVersion" => list.api_version = text_of(Some(value)),
                "metadata" => list.take_metadata(value)?,
                "items" if has_items => return None,
                "items" => {
                    has_items = true;
                    list.take_items(value)?;
                }
                _ => {}
            }
            if let (false, Some(version), None) =
                (list.kind.is_empty(), &list.api_version, &list.head)
            {
                list.head = Some((list.kind.clone(), version.clone()));
            }
        }
        (!list.kind.is_empty()).then_some(list)
    }

    fn take_metadata(&mut self, text: &str) -> Option<()> {
        let meta = match text {
            "null" => Vec::new(),
            text => fields(text)?,
        };
        let string = |key| text_of(last(&meta, key)).unwrap_or_default();
        (self.version, self.token) = (string("resourceVersion"), string("continue"));
        let remaining = last(&meta, "remainingItemCount");
        self.remaining = remaining.and_then(|raw| raw.parse().ok());
        (self.token.len() <= CONTINUE_BYTES_MAX).then_some(())
    }

    fn take_items(&mut self, text: &'a str) -> Option<()> {
        let items: Option<Vec<&RawValue>> = serde_json::from_str(text).ok()?;
        self.items = items.into_iter().flatten().map(RawValue::get).collect();
        if let Some((kind, version)) = &self.head
            && let Some(kind) = kind.strip_suffix("List").filter(|kind| !kind.is_empty())
            && !version.is_empty()
        {
            self.of_items = Some((kind.to_owned(), version.clone()));
        }
        self.items
            .iter()
            .all(|item| item.starts_with('{'))
            .then_some(())
    }

    fn check_end(&self, end: &PageEnd) {
        assert_eq!(end.kind, self.kind);
        assert_eq!(
            end.api_version,
            self.api_version.as_deref().unwrap_or_default()
        );
        assert_eq!(end.resource_version, self.version);
        assert_eq!(end.continue_token, self.token);
        assert_eq!(end.remaining_item_count, self.remaining);
        assert_eq!(end.items, self.items.len() as u64);
    }
}

fn decode(chunks: &[&[u8]], limits: &Limits, sink: &mut impl FnMut(&PageEvent<'_>)) -> End {
    let mut page = PageDecoder::new(limits);
    for chunk in chunks {
        if page.feed(chunk, &mut |event| sink(&event)).is_err() {
            break;
        }
    }
    page.finish()
}

fn lines(chunks: &[&[u8]], limits: &Limits) -> (Vec<String>, End) {
    let mut lines = Vec::new();
    let end = decode(chunks, limits, &mut |event| {
        lines.push(match event {
            PageEvent::Head { kind, api_version } => format!("{kind} {api_version}"),
            PageEvent::Item(item) => common::line(item),
        });
    });
    (lines, end)
}

fn check(body: &[u8], list: &List<'_>, step: usize) {
    let chunks: Vec<_> = body.chunks(step).collect();
    let (mut heads, mut left) = (Vec::new(), list.items.iter());
    let end = decode(&chunks, &Limits::default(), &mut |event| match event {
        PageEvent::Head { kind, api_version } => {
            heads.push(((*kind).to_owned(), (*api_version).to_owned()));
        }
        PageEvent::Item(item) => {
            let text = left.next().expect("no more items than serde_json finds");
            let offset = text.as_ptr() as usize - body.as_ptr() as usize;
            check_item(item, text, list.of_items.as_ref(), offset);
        }
    });
    assert_eq!(left.len(), 0);
    assert_eq!(heads, Vec::from_iter(list.head.clone()));
    list.check_end(&end.expect("a list is taken"));
}

fuzz_target!(|data: &[u8]| {
    let Some((step, body)) = common::cuts(data) else {
        return;
    };
    let limits = Limits::default();
    let (_, end) = common::same_at_any_cut(body, step, |chunks| lines(chunks, &limits));
    let small = Limits {
        object_bytes_max: 40,
        list_bytes_max: 300,
        list_items_max: 3,
        envelope_bytes_max: 100,
        depth_max: 4,
        token_bytes_max: 5,
        ..limits
    };
    let _ = common::same_at_any_cut(body, step, |chunks| lines(chunks, &small));
    if serde_json::from_slice::<Value>(body).is_err() {
        return;
    }
    let text = std::str::from_utf8(body).expect("serde_json reads UTF-8");
    let Some(list) = List::of(text) else {
        assert!(end.is_err(), "{text} is no list");
        return;
    };
    // At once the items are found in their chunk, byte by byte they are carried over.
    for step in [body.len(), 1] {
        check(body, &list, step);
    }
});
