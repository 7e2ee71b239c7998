//! From bytes to inputs: objects are packed, and decoded where the payload wants it, exactly once
//! (cg-R32).
//!
//! I1  An object that cannot be decoded becomes an entry with a poisoned value; one without a key
//!     becomes a keyless item. Neither stops the stream (DESIGN 4.7).

use std::sync::Arc;

use tidings_api::{
    Instant, Object, ResourceVersion,
    frame::Frame,
    object::Parts,
    page::PageEvent,
    scan::{Item, Scanned, Unusable},
};
use tidings_engine::{
    entry::{Entry, Poison, Value},
    indexer::StoreReader,
    pipeline::Pipeline,
    reflector::{Input, Received, Unfit},
};

use super::link::{Decoder, Link};
use crate::payload::Payload;

pub(super) struct Ingest<P> {
    reader: StoreReader<P>,
    scratch: String,
    text: String,
    /// The kind of the objects, learned from the first one.
    kind: Option<String>,
    pub(super) bytes_received: u64,
    pub(super) list_bytes: u64,
    pub(super) poisoned: u64,
}

impl<P: Payload> Ingest<P> {
    pub(super) const fn new(reader: StoreReader<P>) -> Self {
        Self {
            reader,
            scratch: String::new(),
            text: String::new(),
            kind: None,
            bytes_received: 0,
            list_bytes: 0,
            poisoned: 0,
        }
    }

    /// Feeds a slice of the body. The error is a sentence: the stream is not to be read further.
    pub(super) fn feed(
        &mut self,
        now: Instant,
        slice: &[u8],
        link: &mut Link,
        pipeline: &mut Pipeline<P>,
    ) -> Result<(), String> {
        let Link::Open(stream) = link else {
            return Ok(());
        };
        self.bytes_received += slice.len() as u64;
        let decoder = &mut stream.decoder;
        let Some(gzip) = &mut stream.gzip else {
            return self.decode(now, slice, decoder, pipeline);
        };
        let mut decoded = Ok(());
        let inflated = gzip.feed(slice, &mut |plain: &[u8]| {
            if decoded.is_ok() {
                decoded = self.decode(now, plain, decoder, pipeline);
            }
        });
        decoded?;
        inflated.map_err(|error| error.to_string())
    }

    /// The body ended: what that means, or the sentence that says why it should not have.
    pub(super) fn finish(link: Link) -> Result<Input<P>, String> {
        let Link::Open(stream) = link else {
            return Ok(Input::Ended);
        };
        if let Some(gzip) = stream.gzip {
            gzip.finish().map_err(|error| error.to_string())?;
        }
        match stream.decoder {
            Decoder::Frames(frames) => frames
                .finish()
                .map(|()| Input::Ended)
                .map_err(|error| error.to_string()),
            Decoder::Page(page) => {
                let end = page.finish().map_err(|error| error.to_string())?;
                Ok(Input::PageEnd {
                    resource_version: ResourceVersion::parse(&end.resource_version),
                    continue_token: end.continue_token,
                    remaining: end.remaining_item_count,
                })
            }
        }
    }

    fn decode(
        &mut self,
        now: Instant,
        plain: &[u8],
        decoder: &mut Decoder,
        pipeline: &mut Pipeline<P>,
    ) -> Result<(), String> {
        match decoder {
            Decoder::Page(page) => {
                self.list_bytes += plain.len() as u64;
                let fed = page.feed(plain, &mut |event| match event {
                    PageEvent::Item(item) => {
                        let input = Input::Item(self.received(item));
                        pipeline.handle(now, input);
                    }
                    PageEvent::Head { .. } => {}
                });
                fed.map_err(|error| error.to_string())
            }
            Decoder::Frames(frames) => {
                if pipeline.reflector().is_listing() {
                    self.list_bytes += plain.len() as u64;
                }
                let fed = frames.feed(plain, &mut |frame| {
                    // D3: the machine may have given up this stream in the middle of a slice.
                    if !pipeline.leaves_stream() {
                        let input = self.input(frame);
                        pipeline.handle(now, input);
                    }
                });
                fed.map_err(|error| error.to_string())
            }
        }
    }

    fn input(&mut self, frame: Frame<'_>) -> Input<P> {
        match frame {
            Frame::Event { kind, item } => {
                if self.is_other_kind(&item) {
                    return Input::Unfit(Unfit::WrongKind);
                }
                Input::Event(kind, self.received(item))
            }
            Frame::Bookmark {
                resource_version,
                initial_events_end,
                ..
            } => Input::Bookmark {
                resource_version,
                initial_events_end,
            },
            Frame::Error(status) => Input::ErrorEvent(Box::new(status)),
            Frame::Unknown { type_name } => {
                tracing::warn!(r#type = type_name, "an event of an unknown type");
                Input::Unfit(Unfit::UnknownType)
            }
        }
    }

    fn is_other_kind(&mut self, item: &Item<'_>) -> bool {
        let Some(kind) = item.usable().and_then(Scanned::kind) else {
            return false;
        };
        match &self.kind {
            Some(known) => *known != kind,
            None => {
                self.kind = Some(kind.into_owned());
                false
            }
        }
    }

    fn received(&mut self, item: Item<'_>) -> Received<P> {
        match item {
            Item::Usable(scanned) => self.usable(&scanned),
            Item::Unusable(unusable) => self.unusable(&unusable),
        }
    }

    fn usable(&mut self, scanned: &Scanned<'_>) -> Received<P> {
        let Ok(object) = scanned.pack(&mut self.scratch, P::KEEP) else {
            return Received::Keyless;
        };
        let decoded = if P::DECODES {
            self.text.clear();
            for piece in scanned.json_pieces() {
                self.text.push_str(piece);
            }
            P::decode(&self.text)
        } else {
            P::decode("")
        };
        let value = match decoded {
            Ok(payload) => Value::Decoded(payload),
            Err(error) => self.poison(&object, error.to_string()),
        };
        self.entry(object, value)
    }

    fn unusable(&mut self, unusable: &Unusable<'_>) -> Received<P> {
        let problem = unusable.problem.to_string();
        let Some((namespace, name)) = &unusable.key else {
            tracing::warn!(problem, "an object without a usable key");
            return Received::Keyless;
        };
        let parts = Parts {
            namespace,
            name,
            uid: &unusable.uid,
            resource_version: &unusable.resource_version,
            ..Parts::default()
        };
        let Ok(object) = Object::pack(&mut self.scratch, &parts) else {
            return Received::Keyless;
        };
        let value = self.poison(&object, problem);
        self.entry(object, value)
    }

    fn poison(&mut self, object: &Object, problem: String) -> Value<P> {
        self.poisoned += 1;
        tracing::warn!(object = ?object, problem, "an object cannot be decoded");
        Value::Poisoned(Arc::new(Poison::new(problem, None)))
    }

    fn entry(&self, object: Object, value: Value<P>) -> Received<P> {
        let hash = self.reader.hash_key(object.key_bytes());
        Received::Entry(Entry::new(hash, object, value))
    }
}
