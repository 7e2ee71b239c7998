//! One informer: the shipped ingest and pipeline, and what the world knows of it.
//!
//! Does not drive it: `client` does, as the driver drives the shipped one, and `reading` feeds it.
//!
//! I1  `is_doubtful` if its store may lack something that it cannot know of: then it is compared less
//!     strictly, until a whole list has mended it.
//! I2  `is_deceived` if it follows another history without having noticed: then contents are not
//!     compared, for nobody could tell (DESIGN 4.5).

use std::{collections::VecDeque, sync::PoisonError, time::Duration};

use tidings_api::{Instant, options::Scope, resource::Resource};
use tidings_engine::{
    indexer::{Indexer, IndexerConfig},
    ingest::Ingest,
    pipeline::{Pipeline, PipelineConfig},
    reflector::{Activity, Config, Reflector},
};

use crate::{
    asking::Asking,
    cluster::path_of,
    fault::Fault,
    handlers::{Payload, Seat},
    knobs::{InformerKnobs, Knobs},
    model::{Cursor, Held, Selected},
};

/// One informer, and what the world knows of it.
pub(crate) struct Informer {
    pub(crate) knobs: InformerKnobs,
    pub(crate) scope: Scope,
    pub(crate) pipeline: Pipeline<Payload>,
    pub(crate) ingest: Ingest<Payload>,
    pub(crate) stream: Option<u32>,
    pub(crate) probe: Option<u32>,
    /// When the next wake is planned, on the world's clock.
    pub(crate) alarm: Instant,
    /// How far its clock is ahead of the world's.
    pub(crate) ahead: Duration,
    /// Its handlers are at work until then.
    pub(crate) busy_until: Instant,
    pub(crate) held_until: Instant,
    /// What is to go wrong next.
    pub(crate) armed: VecDeque<Fault>,
    pub(crate) close_until: Instant,
    /// Until when its requests are refused, and how; until when each version lies in the future.
    pub(crate) overload: Option<(Instant, Fault)>,
    pub(crate) future_until: Instant,
    pub(crate) seats: Vec<Seat>,
    pub(crate) told: u64,
    /// The epochs of the server that its store may be of: of its last list, and of the one under way.
    pub(crate) base_epoch: Option<usize>,
    pub(crate) list_epoch: Option<usize>,
    /// Whether the list under way is whole and of one epoch.
    pub(crate) is_list_clean: bool,
    /// Whether something is missing that it cannot know of.
    pub(crate) is_doubtful: bool,
    /// Whether it follows another history without having noticed: equal versions may have other contents.
    pub(crate) is_deceived: bool,
    /// Whether it learned that something is missing, so that it has to mend it by itself.
    is_seen: bool,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) generation: u64,
    /// Epoch and version of the last publication.
    pub(crate) published: Option<(u64, u64)>,
    /// When it asked for what, on its own clock.
    pub(crate) opened: VecDeque<Instant>,
    pub(crate) asking: Asking,
}

// === impl Informer ===

impl Informer {
    pub(crate) fn new(index: usize, knobs: &Knobs) -> Self {
        let own = knobs.informers[index];
        let (group, plural) = path_of(own.kind);
        // The names are those of the table above.
        let resource = Resource::new(group, "v1", plural);
        let mut scope = match resource {
            Ok(resource) => Scope::all(resource),
            Err(error) => unreachable!("{error}"),
        };
        let letter = |namespace: u8| char::from(b'a' + namespace % 26).to_string();
        scope.namespace = own.namespace.map(letter);
        scope.label_selector = own.app.map(|app| format!("app=a{app}")).unwrap_or_default();
        let node = own.node.map(|node| format!("spec.nodeName=n{node}"));
        scope.field_selector = node.unwrap_or_default();
        let pipeline = new_pipeline(index, knobs);
        Self {
            ingest: Ingest::new(pipeline.indexer().reader()),
            pipeline,
            knobs: own,
            scope,
            stream: None,
            probe: None,
            alarm: Instant::FAR_FUTURE,
            ahead: Duration::ZERO,
            busy_until: Instant::ZERO,
            held_until: Instant::ZERO,
            armed: VecDeque::new(),
            close_until: Instant::ZERO,
            overload: None,
            future_until: Instant::ZERO,
            seats: Vec::new(),
            told: 0,
            base_epoch: None,
            list_epoch: None,
            is_list_clean: false,
            is_doubtful: false,
            is_deceived: false,
            is_seen: false,
            cursor: None,
            generation: 0,
            published: None,
            opened: VecDeque::new(),
            asking: Asking::default(),
        }
    }

    pub(crate) const fn is_doubtful(&self) -> bool {
        self.is_doubtful && !self.is_seen
    }

    /// Whether a store is what it should be: incarnations, versions and contents.
    pub(crate) fn is_equal(&self, is: &Selected, should: &Selected) -> bool {
        if !self.is_deceived {
            return is == should;
        }
        let pairs = is.iter().zip(should);
        let is_same = |one: &Held, other: &Held| one.uid == other.uid && one.rv == other.rv;
        is.len() == should.len()
            && pairs
                .into_iter()
                .all(|((key, one), (wanted, other))| key == wanted && is_same(one, other))
    }

    /// Bytes were maimed in a way that leaves a gap; `is_seen` if it learns that there is one.
    pub(crate) const fn is_blemished(&mut self, is_seen: bool) {
        self.is_doubtful = true;
        self.is_list_clean = false;
        self.is_seen = is_seen;
    }

    pub(crate) fn is_served_list(&mut self, epoch: usize, is_further_page: bool) {
        if !is_further_page {
            self.is_list_clean = true;
            self.list_epoch = Some(epoch);
        } else if self.list_epoch != Some(epoch) {
            // Pages of two histories.
            self.is_blemished(false);
        }
    }

    pub(crate) fn is_served_watch(&mut self, epoch: usize, has_initial_events: bool) {
        if has_initial_events {
            self.is_served_list(epoch, false);
        } else if self.base_epoch != Some(epoch) {
            // The server does not see that the version is of another history (DESIGN 4.5).
            self.is_doubtful = true;
            self.is_deceived = true;
            self.is_seen = false;
            self.list_epoch = None;
        }
    }

    pub(crate) fn note_restore(&self) {
        for seat in &self.seats {
            seat.log
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .restored = true;
        }
    }

    pub(crate) fn calm(&mut self, now: Instant) {
        self.armed.clear();
        self.knobs.slow = 0;
        self.close_until = now;
        self.overload = None;
        self.future_until = now;
        for seat in &self.seats {
            seat.log
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_calm = true;
        }
    }

    /// Whether it waits before it asks for anything.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.pipeline.condition().activity, Activity::Waiting { .. })
    }

    /// Until when it is held up, or its handlers are at work.
    pub(crate) fn busy_until(&self) -> Instant {
        self.busy_until.max(self.held_until)
    }

    /// Whether its handlers are at work, or were a moment ago.
    pub(crate) fn was_busy(&self, now: Instant) -> bool {
        self.busy_until + A_MOMENT > now
    }

    /// The time on its own clock.
    pub(crate) fn local(&self, now: Instant) -> Instant {
        now + self.ahead
    }
}

fn new_pipeline(index: usize, knobs: &Knobs) -> Pipeline<Payload> {
    let own = knobs.informers[index];
    let seed = knobs.seed.wrapping_mul(31).wrapping_add(index as u64);
    let reflector = Reflector::new(Config {
        list_mode: own.list,
        page_items: own.page.max(1),
        first_list_from_any_version: own.any,
        seed,
        ..Config::default()
    });
    let indexer = Indexer::new(IndexerConfig {
        seed,
        hash_bits: knobs.hash_bits,
    });
    let to_usize = |number: u32| usize::try_from(number.max(1)).unwrap_or(usize::MAX);
    let config = PipelineConfig {
        order: own.order,
        depth_max: to_usize(own.depth),
        batch_max: to_usize(own.batch),
        ..PipelineConfig::default()
    };
    let mut pipeline = Pipeline::new(config, reflector, indexer);
    let by_app = |entry: &tidings_engine::entry::Entry<Payload>, emit: &mut dyn FnMut(&str)| {
        if let Some(document) = entry.effective() {
            emit(document.app());
        }
    };
    // There is no other of this name.
    let _ = pipeline.add_index("app", Box::new(by_app));
    pipeline
}

const A_MOMENT: Duration = Duration::from_secs(1);
