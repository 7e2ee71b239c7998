//! Rules: what the server does wrong, to which requests, and how often.
//!
//! Does not do it: the front asks here, at each request and at each step of a watch.

use std::time::Duration;

use crate::{refusal::Refusal, seed::Seed};

/// Which requests, watches or connections are meant: all that fit everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "criteria that tests set with struct update syntax"
)]
pub struct Which {
    /// The number of the connection.
    pub connection: Option<u64>,
    /// The resource: `plural`, or `plural.group`.
    pub resource: Option<String>,
    /// The name of the user.
    pub user: Option<String>,
    /// A part of the user agent.
    pub user_agent: Option<String>,
    /// The verb, as authorization knows it: get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: Option<String>,
    /// The number of the watch.
    pub watch: Option<u64>,
}

/// What is known of a request when a rule is tried on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) connection: u64,
    /// The resource, `plural` or `plural.group`.
    pub(super) resource: String,
    pub(super) user: String,
    pub(super) user_agent: String,
    pub(super) verb: &'static str,
    /// 0 for what is no watch.
    pub(super) watch: u64,
}

/// Something that goes wrong until the rule is taken away.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rule {
    /// To which requests.
    pub which: Which,
    /// How often, from 0 to 1. What happens to the frames of a watch always happens.
    pub chance: f64,
    /// What.
    pub effect: Effect,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// The answer waits.
    Delay(Duration),
    /// The bodies of lists and watches come in drops of so many bytes, one each period (pr-F31).
    Drip {
        /// The bytes of a drop.
        bytes: usize,
        /// The time between two drops.
        period: Duration,
    },
    /// A watch sends no bookmarks but the one that ends initial events (pr-E11b).
    DropBookmarks,
    /// A watch sends every frame twice (pr-F45).
    Duplicate,
    /// The connection is given up after the answer: GOAWAY, or `Connection: close` (pr-S9).
    GoAway,
    /// There is no answer at all.
    Hang,
    /// The request is refused.
    Refuse(Refusal),
    /// A watch stands, and sends nothing.
    Stall,
}

/// What one request is met with.
#[derive(Debug, Default)]
pub(super) struct Met {
    pub(super) delay: Duration,
    pub(super) drip: Option<(usize, Duration)>,
    pub(super) go_away: bool,
    pub(super) hang: bool,
    pub(super) refusal: Option<Refusal>,
}

/// What the frames of one watch are met with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FramesMet {
    pub(super) no_bookmarks: bool,
    pub(super) doubled: bool,
    pub(super) stalled: bool,
}

// === impl Which ===

impl Which {
    /// Those of one resource.
    #[must_use]
    pub fn resource(name: &str) -> Self {
        Self {
            resource: Some(name.to_owned()),
            ..Self::default()
        }
    }

    pub(super) fn selects(&self, asked: &Asked) -> bool {
        let fits =
            |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        let bare = asked.resource.split('.').next().unwrap_or_default();
        let agent = self.user_agent.as_ref();
        self.connection.is_none_or(|it| it == asked.connection)
            && self.watch.is_none_or(|it| it == asked.watch)
            && (fits(&self.resource, &asked.resource) || fits(&self.resource, bare))
            && fits(&self.user, &asked.user)
            && fits(&self.verb, asked.verb)
            && agent.is_none_or(|part| asked.user_agent.contains(part))
    }
}

// === impl Rule ===

impl Rule {
    /// A rule for all, always.
    #[must_use]
    pub fn new(effect: Effect) -> Self {
        Self {
            which: Which::default(),
            chance: 1.0,
            effect,
        }
    }

    /// The same for some.
    #[must_use]
    pub fn on(mut self, which: Which) -> Self {
        self.which = which;
        self
    }

    /// The same now and then.
    #[must_use]
    pub const fn at(mut self, chance: f64) -> Self {
        self.chance = chance;
        self
    }
}

/// What the rules have for one request.
pub(super) fn meet(rules: &[Rule], asked: &Asked, seed: &mut Seed) -> Met {
    let mut met = Met::default();
    for rule in rules.iter().filter(|rule| rule.which.selects(asked)) {
        let thrown = u32::try_from(seed.below(1_000_000)).unwrap_or(u32::MAX);
        if f64::from(thrown) / 1_000_000.0 >= rule.chance {
            continue;
        }
        match &rule.effect {
            Effect::Delay(delay) => met.delay = met.delay.saturating_add(*delay),
            Effect::Drip { bytes, period } => met.drip = Some((*bytes, *period)),
            Effect::GoAway => met.go_away = true,
            Effect::Hang => met.hang = true,
            // The first one says it.
            Effect::Refuse(refusal) => {
                met.refusal.get_or_insert_with(|| refusal.clone());
            }
            Effect::DropBookmarks | Effect::Duplicate | Effect::Stall => {}
        }
    }
    met
}

/// What the rules have for the frames of one watch.
pub(super) fn meet_frames(rules: &[Rule], asked: &Asked) -> FramesMet {
    let mut met = FramesMet::default();
    for rule in rules.iter().filter(|rule| rule.which.selects(asked)) {
        match rule.effect {
            Effect::DropBookmarks => met.no_bookmarks = true,
            Effect::Duplicate => met.doubled = true,
            Effect::Stall => met.stalled = true,
            Effect::Delay(_)
            | Effect::Drip { .. }
            | Effect::GoAway
            | Effect::Hang
            | Effect::Refuse(_) => {}
        }
    }
    met
}
