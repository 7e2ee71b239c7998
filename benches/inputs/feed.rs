//! From the bytes of lists and watches into a pipeline of raw objects, without a socket.
//!
//! Does what the facade's driver does between two reads, with the engine's public parts alone: the
//! driver itself is measured over a scripted transport in `end_to_end`.

use tidings_api::{
    Instant, ResourceVersion,
    frame::{Frame, FrameDecoder},
    limits::Limits,
    page::{PageDecoder, PageEvent},
    scan::{Item, Keep},
    status::Status,
};
use tidings_engine::{
    delta_fifo::Order,
    entry::{Entry, Value},
    fanout::Handler,
    indexer::{Indexer, IndexerConfig, StoreReader},
    pipeline::{Pipeline, PipelineConfig},
    reflector::{Call, Config, Input, ListMode, Output, Received, Reflector},
};

/// Bytes that are fed at once, as the driver does.
const SLICE_BYTES: usize = 256 << 10;
/// Events that are told between two slices, as the driver does.
const EVENTS_BUDGET: usize = 1024;

/// A pipeline of raw objects with one index by namespace, and the decoders before it.
pub struct Feed {
    pipeline: Pipeline<()>,
    reader: StoreReader<()>,
    scratch: String,
    frames: FrameDecoder,
    now: Instant,
    wake_at: Instant,
    asked: Option<Call>,
}

impl Feed {
    /// A pipeline that has asked for its first list.
    ///
    /// # Panics
    ///
    /// If it asks for anything else.
    #[must_use]
    pub fn new(order: Order, handler: impl Handler<()> + 'static) -> Self {
        let mut indexer = Indexer::new(IndexerConfig {
            seed: 0x5eed,
            ..IndexerConfig::default()
        });
        indexer
            .add_index(
                "namespace",
                Box::new(|entry: &Entry<()>, emit: &mut dyn FnMut(&str)| {
                    emit(entry.object.namespace().unwrap_or_default());
                }),
            )
            .expect("its name is new");
        let reader = indexer.reader();
        let reflector = Reflector::new(Config {
            list_mode: ListMode::Whole,
            ..Config::default()
        });
        let config = PipelineConfig {
            order,
            ..PipelineConfig::default()
        };
        let mut pipeline = Pipeline::new(config, reflector, indexer);
        pipeline.add_handler(Instant::ZERO, Box::new(handler), Default::default());
        let mut feed = Self {
            pipeline,
            reader,
            scratch: String::new(),
            frames: FrameDecoder::new(&Limits::default()),
            now: Instant::ZERO,
            wake_at: Instant::FAR_FUTURE,
            asked: None,
        };
        feed.handle(Input::Start);
        feed.work();
        assert!(matches!(feed.asked, Some(Call::List(_))));
        feed
    }

    /// The pipeline.
    #[must_use]
    pub const fn pipeline(&self) -> &Pipeline<()> {
        &self.pipeline
    }

    /// Answers the list that was asked for with this body, and accepts the watch that follows.
    ///
    /// # Panics
    ///
    /// If no list was asked for, or the body is not one.
    pub fn list(&mut self, body: &[u8]) {
        assert!(matches!(self.asked.take(), Some(Call::List(_))));
        self.handle(Input::Accepted);
        let mut page = PageDecoder::new(&Limits::default());
        for slice in body.chunks(SLICE_BYTES) {
            page.feed(slice, &mut |event| {
                if let PageEvent::Item(item) = event {
                    let received = received(&self.reader, &mut self.scratch, &item);
                    self.pipeline.handle(self.now, Input::Item(received));
                }
            })
            .expect("the list is sound");
            self.work();
        }
        let end = page.finish().expect("the list is whole");
        self.handle(Input::PageEnd {
            resource_version: ResourceVersion::parse(&end.resource_version),
            continue_token: end.continue_token,
            remaining: end.remaining_item_count,
        });
        self.work();
        assert!(matches!(self.asked.take(), Some(Call::Watch(_))));
        self.handle(Input::Accepted);
    }

    /// Feeds whole frames of the watch, in slices, and lets the pipeline work after each.
    ///
    /// # Panics
    ///
    /// If the frames are not sound.
    pub fn watch(&mut self, frames: &[u8]) {
        for slice in frames.chunks(SLICE_BYTES) {
            self.frames
                .feed(slice, &mut |frame| {
                    let Frame::Event { kind, item } = frame else {
                        return;
                    };
                    let received = received(&self.reader, &mut self.scratch, &item);
                    self.pipeline.handle(self.now, Input::Event(kind, received));
                })
                .expect("the stream is sound");
            self.work();
        }
    }

    /// Has the server forget the version: the pipeline waits, then asks for another list.
    ///
    /// # Panics
    ///
    /// If it asks for anything else.
    pub fn expire(&mut self) {
        let status = Status::parse(410, br#"{"kind":"Status","code":410,"reason":"Expired"}"#);
        self.handle(Input::ErrorEvent(Box::new(status)));
        self.work();
        self.frames = FrameDecoder::new(&Limits::default());
        if self.asked.is_none() {
            self.now = self.wake_at;
            self.handle(Input::Tick);
            self.work();
        }
        assert!(matches!(self.asked, Some(Call::List(_))));
    }

    fn handle(&mut self, input: Input<()>) {
        self.pipeline.handle(self.now, input);
    }

    fn work(&mut self) {
        while self.pipeline.run(self.now, EVENTS_BUDGET) {}
        loop {
            match self.pipeline.poll_output() {
                Output::Idle { wake_at } => {
                    self.wake_at = wake_at;
                    return;
                }
                Output::Open(call) => self.asked = Some(call),
                Output::Close | Output::Enqueue(_) | Output::Probe | Output::ReloadCredentials => {}
            }
        }
    }
}

/// An item as a raw object, hashed for the store.
///
/// # Panics
///
/// If the item has no key.
#[must_use]
pub fn received(reader: &StoreReader<()>, scratch: &mut String, item: &Item<'_>) -> Received<()> {
    let pod = item.usable().expect("every pod is usable");
    let object = pod.pack(scratch, Keep::Json).expect("it is small");
    let hash = reader.hash_key(object.key_bytes());
    Received::Entry(Entry::new(hash, object, Value::Decoded(())))
}
