//! From bytes to inputs: objects are packed, and decoded where the payload wants it, exactly once
//! (cg-R32).
//!
//! Does not open anything, and does not know where the bytes come from: the driver and the simulator
//! feed the same ingest, cut wherever the network cut them.
//!
//! ```text
//!  head --> Body::open --> slices --> gzip --> frames or items --> Input --> pipeline
//! ```
//!
//! I1  An object that cannot be decoded becomes an entry with a poisoned value; one without a key
//!     becomes a keyless item. Neither stops the stream (DESIGN 4.7).
//! I2  An object of another kind than the others is not stored (`kinds`).
//! I3  Once the pipeline leaves the stream, nothing of it is fed any more.
//! I4  What waits to be reported is at most one report of each complaint a minute.

mod body;
mod complaints;
mod kinds;

use std::{collections::VecDeque, sync::Arc};

use tidings_api::{
    Instant, Object,
    frame::Frame,
    object::Parts,
    page::PageEvent,
    scan::{Item, Scanned, Unusable},
};

pub use self::body::{Body, Form, ProbeBody};
use self::{
    body::Decoder,
    complaints::{Complaint, Complaints},
    kinds::Kinds,
};
use crate::{
    entry::{Entry, Poison, Value},
    indexer::StoreReader,
    payload::Payload,
    pipeline::Pipeline,
    reflector::{Failure, Input, Received, Unfit},
};

/// An object or a frame that could not be used: what is wrong with it, and where. It hurts its own
/// key alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadInput {
    /// How many there were so far, this one included.
    pub count: u64,
    /// When it came, on the informer's clock.
    pub at: Instant,
    /// The key, `namespace/name` or `name`, if it is certain.
    pub key: Option<String>,
    /// What is wrong and where, in one sentence without content.
    pub problem: String,
}

/// Bad input that is worth a line in a log, for most of it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The key, if it is certain.
    pub key: Option<String>,
    /// What is wrong and where.
    pub problem: String,
    /// How many like it were left out since the last report.
    pub left_out: u64,
}

/// Reads the bodies of one informer, one after the other.
pub struct Ingest<P> {
    reader: StoreReader<P>,
    scratch: String,
    text: String,
    kinds: Kinds,
    complaints: Complaints,
    /// What the decoder at hand reads, for the sentence that says where something is wrong.
    place: &'static str,
    bad_input: Option<BadInput>,
    reports: VecDeque<Report>,
    bytes_received: u64,
    list_bytes: u64,
    poisoned: u64,
}

impl<P: Payload> Ingest<P> {
    /// An ingest for a pipeline; `reader` is one of its store.
    #[must_use]
    pub fn new(reader: StoreReader<P>) -> Self {
        Self {
            reader,
            scratch: String::new(),
            text: String::new(),
            kinds: Kinds::default(),
            complaints: Complaints::default(),
            place: "",
            bad_input: None,
            reports: VecDeque::new(),
            bytes_received: 0,
            list_bytes: 0,
            poisoned: 0,
        }
    }

    /// A new body begins; it may be a further page of the list at hand.
    pub fn begin(&mut self, is_further_page: bool) {
        self.kinds.begin(is_further_page);
    }

    /// Feeds a slice of the body, of at most [`Body::slice_bytes_max`].
    ///
    /// # Errors
    ///
    /// A sentence: the stream is not to be read further.
    pub fn feed(
        &mut self,
        now: Instant,
        slice: &[u8],
        body: &mut Body,
        pipeline: &mut Pipeline<P>,
    ) -> Result<(), String> {
        self.bytes_received += slice.len() as u64;
        let decoder = &mut body.decoder;
        let Some(gzip) = &mut body.gzip else {
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

    /// The body ended: what that means.
    ///
    /// # Errors
    ///
    /// Why it should not have ended there, or is not to be believed.
    pub fn finish(&mut self, body: Body) -> Result<Input<P>, Failure> {
        match body.finish()? {
            None => Ok(Input::Ended),
            Some(end) => {
                self.kinds.handle_end().map_err(body::undecodable)?;
                Ok(body::page_end(end))
            }
        }
    }

    /// The next piece of bad input that is worth a line in a log.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// The last object or frame that could not be used, so far.
    #[must_use]
    pub const fn bad_input(&self) -> Option<&BadInput> {
        self.bad_input.as_ref()
    }

    /// Bytes of bodies, as they came.
    #[must_use]
    pub const fn bytes_received(&self) -> u64 {
        self.bytes_received
    }

    /// Bytes of lists among them, after decompression.
    #[must_use]
    pub const fn list_bytes(&self) -> u64 {
        self.list_bytes
    }

    /// Objects that could not be decoded.
    #[must_use]
    pub const fn poisoned(&self) -> u64 {
        self.poisoned
    }

    fn decode(
        &mut self,
        now: Instant,
        plain: &[u8],
        decoder: &mut Decoder,
        pipeline: &mut Pipeline<P>,
    ) -> Result<(), String> {
        let mut kind_error = None;
        let fed = match decoder {
            Decoder::Page(page) => {
                self.place = "list";
                self.list_bytes += plain.len() as u64;
                let fed = page.feed(plain, &mut |event| {
                    if kind_error.is_none() {
                        kind_error = self.page_event(now, event, pipeline).err();
                    }
                });
                fed.map_err(|error| error.to_string())
            }
            Decoder::Frames(frames) => {
                self.place = "watch";
                if pipeline.reflector().is_listing() {
                    self.list_bytes += plain.len() as u64;
                }
                let fed = frames.feed(plain, &mut |frame| {
                    // I3: the machine may have given up this stream in the middle of a slice.
                    if kind_error.is_none() && !pipeline.leaves_stream() {
                        let listing = pipeline.reflector().is_listing();
                        match self.input(now, frame, listing) {
                            Ok(input) => pipeline.handle(now, input),
                            Err(error) => kind_error = Some(error),
                        }
                    }
                });
                fed.map_err(|error| error.to_string())
            }
        };
        kind_error.map_or(fed, Err)
    }

    fn page_event(
        &mut self,
        now: Instant,
        event: PageEvent<'_>,
        pipeline: &mut Pipeline<P>,
    ) -> Result<(), String> {
        match event {
            PageEvent::Item(item) => {
                let input = if self.is_other_kind(now, &item) {
                    Input::Unfit(Unfit::WrongKind)
                } else {
                    Input::Item(self.received(now, item))
                };
                pipeline.handle(now, input);
            }
            // A plain `List` leaves it to its items.
            PageEvent::Head { kind, .. } => match kind.strip_suffix("List") {
                None | Some("") => {}
                Some(kind) => self.kinds.handle_word(kind)?,
            },
        }
        Ok(())
    }

    fn input(&mut self, now: Instant, frame: Frame<'_>, listing: bool) -> Result<Input<P>, String> {
        Ok(match frame {
            Frame::Event { kind, item } => {
                if self.is_other_kind(now, &item) {
                    Input::Unfit(Unfit::WrongKind)
                } else {
                    Input::Event(kind, self.received(now, item))
                }
            }
            Frame::Bookmark {
                resource_version,
                initial_events_end,
                kind,
                ..
            } => {
                if listing && initial_events_end {
                    if !kind.is_empty() {
                        self.kinds.handle_word(&kind)?;
                    }
                    self.kinds.handle_end()?;
                }
                Input::Bookmark {
                    resource_version,
                    initial_events_end,
                }
            }
            Frame::Error(status) => Input::ErrorEvent(Box::new(status)),
            Frame::Unknown { type_name, offset } => {
                let problem = format!(
                    "an event of the unknown type {type_name:?}, at byte {offset} of the watch"
                );
                self.note_bad(now, Complaint::UnknownType, None, problem);
                Input::Unfit(Unfit::UnknownType)
            }
        })
    }

    /// Whether a usable object is of another kind than the others.
    fn is_other_kind(&mut self, now: Instant, item: &Item<'_>) -> bool {
        let Some(scanned) = item.usable() else {
            return false;
        };
        let kind = scanned.kind();
        if !self.kinds.is_other(kind.as_deref()) {
            return false;
        }
        let problem = self.kinds.problem(kind.as_deref().unwrap_or_default());
        let (namespace, name) = (scanned.namespace(), scanned.name());
        let key = if namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{namespace}/{name}")
        };
        self.note_bad(now, Complaint::WrongKind, Some(key), problem);
        true
    }

    fn received(&mut self, now: Instant, item: Item<'_>) -> Received<P> {
        match item {
            Item::Usable(scanned) => self.usable(now, &scanned),
            Item::Unusable(unusable) => self.unusable(now, &unusable),
        }
    }

    fn usable(&mut self, now: Instant, scanned: &Scanned<'_>) -> Received<P> {
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
            Err(error) => self.poison(now, Complaint::Undecodable, &object, error.to_string()),
        };
        self.entry(object, value)
    }

    fn unusable(&mut self, now: Instant, unusable: &Unusable<'_>) -> Received<P> {
        let Unusable {
            problem,
            bytes,
            offset,
            ..
        } = unusable;
        let problem = format!(
            "{problem}; it has {bytes} bytes, at byte {offset} of the {}",
            self.place
        );
        let Some((namespace, name)) = &unusable.key else {
            self.note_bad(now, Complaint::Unusable, None, problem);
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
        let value = self.poison(now, Complaint::Unusable, &object, problem);
        self.entry(object, value)
    }

    fn poison(
        &mut self,
        now: Instant,
        complaint: Complaint,
        object: &Object,
        problem: String,
    ) -> Value<P> {
        self.poisoned += 1;
        let key = Some(object.key().to_owned());
        self.note_bad(now, complaint, key, problem.clone());
        Value::Poisoned(Arc::new(Poison::new(problem, None)))
    }

    fn note_bad(
        &mut self,
        now: Instant,
        complaint: Complaint,
        key: Option<String>,
        problem: String,
    ) {
        if let Some(left_out) = self.complaints.admit(now, complaint) {
            self.reports.push_back(Report {
                key: key.clone(),
                problem: problem.clone(),
                left_out,
            });
        }
        let count = self.bad_input.as_ref().map_or(0, |bad| bad.count) + 1;
        self.bad_input = Some(BadInput {
            count,
            at: now,
            key,
            problem,
        });
    }

    fn entry(&self, object: Object, value: Value<P>) -> Received<P> {
        let hash = self.reader.hash_key(object.key_bytes());
        Received::Entry(Entry::new(hash, object, value))
    }
}
