//! The list phase: pages, or the initial events of a WatchList, until the state is complete.
//!
//! Source: rules cg-R8..R14, cg-R28..R35, pr-L10..L13, pr-E9, pr-E10; INV-S4, INV-S5.

use tidings_api::{
    Instant, ResourceVersion,
    options::{ListOptions, ListVersion, WatchOptions},
    resource_version::ResourceVersionError,
};

use super::{
    Call, Config, ListMode, Next, Output, Phase, Received, Reflector, WakeReason,
    condition::Activity, watchdog::Watchdog, watching::Watching,
};
use crate::delta::{Delta, Replaced};

/// A list, or the initial part of a WatchList, in progress.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) begun: bool,
    pub(super) started: Instant,
    pub(super) last_progress: Instant,
    /// When the present page was asked for.
    page_started: Instant,
    version: ListVersion,
    limit: Option<u32>,
    /// The token that the present page was asked for with.
    token: String,
    /// The version of the first page: the list's version (cg-R11).
    first_page: Option<ResourceVersion>,
    items: u64,
    pages: u32,
    remaining: Option<u64>,
    keyless: bool,
    timeout: std::time::Duration,
}

impl Listing {
    fn new(now: Instant, version: ListVersion, limit: Option<u32>) -> Self {
        Self {
            begun: false,
            started: now,
            last_progress: now,
            page_started: now,
            version,
            limit,
            first_page: None,
            items: 0,
            pages: 0,
            token: String::new(),
            remaining: None,
            keyless: false,
            timeout: std::time::Duration::ZERO,
        }
    }

    /// See `tests/fingerprint.rs`.
    #[cfg(test)]
    pub(super) fn fingerprint(&self) -> String {
        format!(
            "{} {:?} {:?} {:?} {:?} {} {} {}",
            self.begun,
            self.version,
            self.limit,
            self.token,
            self.first_page,
            self.items,
            self.pages,
            self.keyless
        )
    }

    /// Something came that could be any of the stored objects.
    pub(super) const fn proves_no_absence(&mut self) {
        self.keyless = true;
    }

    pub(super) const fn activity(&self, streaming: bool) -> Activity {
        Activity::Listing {
            items: self.items,
            remaining: self.remaining,
            streaming,
        }
    }

    pub(super) fn deadline(&self, config: &Config, streaming: bool) -> Instant {
        if streaming {
            let silence_max = match self.items {
                0 => config.watch_list_first_max,
                _ => config.watch_list_silence_max,
            };
            let silent = self.last_progress + silence_max;
            silent.min(self.started + config.watch_list_deadline)
        } else {
            let silent = self.last_progress + config.list_silence_max;
            // Each item is progress, and yet a page that trickles is to end.
            silent.min(self.page_started + config.list_page_deadline)
        }
    }

    /// What a list that met its deadline is to be blamed for.
    pub(super) fn blame(&self, now: Instant, config: &Config) -> &'static str {
        if self.page_started + config.list_page_deadline <= now {
            "a page of the list took too long"
        } else {
            "the list brought nothing for too long"
        }
    }
}

impl<P> Reflector<P> {
    /// Fetches the whole state anew. Every relist is a consistent read (cg-R8 override): only that
    /// proves a change of epoch, and none can lie in the past of what was already shown (pr-F1).
    pub(super) fn relist(&mut self, now: Instant) {
        self.abort_list();
        if self.fallback_until.is_some_and(|until| until <= now) {
            self.fallback_until = None;
            self.memory.watch_list_failures = 0;
        }
        let streaming = match self.config.list_mode {
            ListMode::Auto => self.fallback_until.is_none() && !self.memory.list_whole,
            ListMode::WatchList => true,
            ListMode::Paged | ListMode::Whole => false,
        };
        if streaming {
            self.open_watch_list(now);
        } else {
            self.open_list(now);
        }
    }

    fn open_watch_list(&mut self, now: Instant) {
        let mut listing = Listing::new(now, ListVersion::Consistent, None);
        listing.timeout = self.watch_timeout();
        self.stats.watch_lists += 1;
        self.outputs
            .push_back(Output::Open(Call::Watch(WatchOptions {
                resource_version: None,
                send_initial_events: true,
                timeout: listing.timeout,
            })));
        self.phase = Phase::WatchListing(listing);
    }

    fn open_list(&mut self, now: Instant) {
        let first = !self.synced && self.config.first_list_from_any_version;
        let version = if first && !self.memory.version_refused {
            ListVersion::Any
        } else {
            ListVersion::Consistent
        };
        let whole = self.config.list_mode == ListMode::Whole || self.memory.list_whole;
        let limit = (!whole).then_some(self.config.page_items);
        self.memory.list_whole = false;
        self.stats.lists += 1;
        self.phase = Phase::Listing(Listing::new(now, version.clone(), limit));
        let options = ListOptions {
            version,
            limit,
            continue_token: None,
        };
        self.outputs.push_back(Output::Open(Call::List(options)));
    }

    pub(super) fn handle_item(&mut self, now: Instant, received: Received<P>) {
        let (Phase::Listing(listing) | Phase::WatchListing(listing)) = &mut self.phase else {
            return;
        };
        // Nothing counts before the answer was accepted: it is not of this request.
        if !listing.begun {
            return;
        }
        listing.last_progress = now;
        listing.items += 1;
        self.stats.items += 1;
        match received {
            Received::Entry(entry) => {
                self.enqueue(Delta::Replaced(Replaced::Item(entry)));
            }
            Received::Keyless => {
                listing.keyless = true;
                self.stats.keyless += 1;
            }
        }
    }

    /// An object went away while the initial events still came (servers before 1.32, cg-V1).
    pub(super) fn handle_initial_removal(&mut self, now: Instant, received: Received<P>) {
        match received {
            Received::Entry(entry) if self.has_list_begun() => {
                self.enqueue(Delta::Replaced(Replaced::Removed(entry)));
            }
            Received::Entry(_) => {}
            Received::Keyless => self.handle_item(now, Received::Keyless),
        }
    }

    pub(super) fn handle_page_end(
        &mut self,
        now: Instant,
        version: Result<ResourceVersion, ResourceVersionError>,
        continue_token: String,
        remaining: Option<u64>,
    ) {
        let Phase::Listing(listing) = &mut self.phase else {
            return;
        };
        // An end without a beginning would sweep the store.
        if !listing.begun {
            return;
        }
        listing.last_progress = now;
        listing.remaining = remaining;
        let version = match version {
            Ok(version) => version,
            Err(error) => {
                let message = format!("the list has no usable version: {error}");
                return self.fail(now, WakeReason::Undecodable, &message);
            }
        };
        let version = listing.first_page.get_or_insert(version).clone();
        listing.pages += 1;
        // pr-L13: only the token says whether there is more, not the number of items.
        if continue_token.is_empty() {
            let keyless = listing.keyless;
            return self.complete_list(now, version, keyless);
        }
        // A server that goes round in a circle, or on for ever, is asked for no page at once.
        if listing.token == continue_token || listing.pages >= self.config.list_pages_max {
            let message = if listing.token == continue_token {
                "the list does not end: its continue token repeats itself".to_owned()
            } else {
                format!(
                    "the list does not end: it has more than {} pages",
                    listing.pages
                )
            };
            return self.fail(now, WakeReason::Undecodable, &message);
        }
        listing.token.clone_from(&continue_token);
        listing.page_started = now;
        let options = ListOptions {
            version: listing.version.clone(),
            limit: listing.limit,
            continue_token: Some(continue_token),
        };
        self.stats.pages += 1;
        self.outputs.push_back(Output::Open(Call::List(options)));
    }

    fn complete_list(&mut self, now: Instant, version: ResourceVersion, keyless: bool) {
        if self.is_other_history(&version) {
            return self.begin_epoch(now);
        }
        self.end_list(version, keyless);
        self.phase = Phase::Draining;
        if self.outstanding == 0 {
            self.rewatch(now);
        }
    }

    /// The end bookmark of a WatchList: the state is complete, and the stream goes on (cg-R31).
    pub(super) fn complete_watch_list(&mut self, now: Instant, version: ResourceVersion) {
        let Phase::WatchListing(listing) = &self.phase else {
            return;
        };
        if !listing.begun {
            return;
        }
        if self.is_other_history(&version) {
            return self.begin_epoch(now);
        }
        let (keyless, timeout, started) = (listing.keyless, listing.timeout, listing.started);
        self.memory.watch_list_failures = 0;
        self.end_list(version, keyless);
        let watchdog = Watchdog::new(now, self.silence_max());
        let mut watching = Watching::new(started, timeout, watchdog);
        watching.accept(now);
        watching.received = 1;
        self.phase = Phase::Watching(watching);
    }

    fn end_list(&mut self, version: ResourceVersion, keyless: bool) {
        self.received = Some(version.clone());
        self.whole = Some(version.clone());
        self.force_diff = false;
        self.synced = true;
        self.memory.too_large_since = None;
        self.memory.undecodable_at = None;
        self.recovered();
        self.enqueue(Delta::Replaced(Replaced::End {
            resource_version: version,
            epoch: self.epoch,
            // INV-S11: an item that could be any of the stored ones proves no absence.
            sweep: !keyless,
        }));
    }

    /// INV-S4: only a consistent read proves a regression. Everything listed here is one, but the
    /// opted-in first list, which has nothing to regress from.
    fn is_other_history(&self, version: &ResourceVersion) -> bool {
        !self.force_diff
            && self
                .received
                .as_ref()
                .is_some_and(|known| version.is_before(known))
    }

    /// The list that proved it has already suppressed objects of equal version, which prove nothing
    /// across histories (pr-F9): it is thrown away and taken again with a forced comparison.
    fn begin_epoch(&mut self, now: Instant) {
        self.epoch += 1;
        self.stats.epochs += 1;
        self.force_diff = true;
        self.count(WakeReason::EpochChanged);
        self.relist(now);
    }

    /// Takes back a list that has begun (F3).
    pub(super) fn abort_list(&mut self) {
        if self.has_list_begun() {
            self.enqueue(Delta::Replaced(Replaced::Abort));
        }
    }

    fn has_list_begun(&self) -> bool {
        matches!(&self.phase, Phase::Listing(listing) | Phase::WatchListing(listing) if listing.begun)
    }

    /// A WatchList failed in a way that another attempt may cure; after a few, lists are used.
    pub(super) fn watch_list_failed(&mut self, now: Instant, why: &str) {
        self.memory.watch_list_failures += 1;
        if self.memory.watch_list_failures >= self.config.watch_list_failures_max {
            return self.give_up_watch_list(now, why);
        }
        let message = format!("the WatchList failed: {why}");
        self.fail(now, WakeReason::WatchListFailed, &message);
    }

    /// Uses lists from now on, and remembers it for a while (cg-R34, cg-R35, pr-S3, pr-S4). With
    /// [`ListMode::WatchList`] there is nothing to fall back to, so it is tried again later.
    pub(super) fn give_up_watch_list(&mut self, now: Instant, why: &str) {
        let message = format!("the WatchList failed: {why}");
        if self.config.list_mode == ListMode::WatchList {
            return self.fail(now, WakeReason::WatchListFailed, &message);
        }
        self.fallback_until = Some(now + self.config.fallback_expiry);
        self.count(WakeReason::WatchListFailed);
        self.outputs.push_back(Output::Close);
        self.relist(now);
    }

    /// A page expired on the way: the whole list at once, from the beginning (cg-R11, pr-L10).
    pub(super) fn list_expired(&mut self, now: Instant) {
        let on_the_way = matches!(
            &self.phase,
            Phase::Listing(listing) if listing.limit.is_some() && listing.first_page.is_some()
        );
        self.memory.list_whole = on_the_way;
        self.memory.version_refused = true;
        self.fail_then(
            now,
            WakeReason::Expired,
            "a page of the list expired",
            Next::Relist,
        );
    }
}
