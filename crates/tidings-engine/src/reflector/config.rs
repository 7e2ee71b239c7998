//! The reflector's choices and bounds, with the source of each number.

use std::time::Duration;

use super::backoff::BackoffConfig;

/// How the state of the collection is fetched before it is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a choice of the user")]
pub enum ListMode {
    /// A WatchList; where the server cannot, a paged list, and that is remembered (cg-R28, cg-R34).
    #[default]
    Auto,
    /// Pages of `page_items` items (cg-R9).
    Paged,
    /// A WatchList only.
    WatchList,
    /// One list without a limit.
    Whole,
}

/// The reflector's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct Config {
    /// How the state is fetched.
    pub list_mode: ListMode,
    /// Items of one page. 500 (cg-R9).
    pub page_items: u32,
    /// Most pages of one list. 100 000: the 50 million items that a list may have, 500 a page.
    pub list_pages_max: u32,
    /// Whether the very first list may be served from any replica's cache, however old
    /// (`resourceVersion=0`, pr-L2). Off: such a list may lie in this client's past (pr-F1).
    pub first_list_from_any_version: bool,
    /// The shortest time that a watch asks for; each asks for a random time up to twice this.
    /// 5 min; shorter ones are raised to it (cg-R1).
    pub watch_timeout_min: Duration,
    /// How long a server may overrun that time before the stream counts as dead. 30 s.
    pub watch_overrun: Duration,
    /// How long a list body may bring nothing. 60 s, the server's own request timeout (pr-L21).
    pub list_silence_max: Duration,
    /// How long one page of a list, or a whole list, may take in all. 10 min, ten times what a server
    /// gives a request (pr-L21); by then the versions that a continue token stands for are compacted.
    pub list_page_deadline: Duration,
    /// How long a WatchList may bring no new object before its end bookmark. 10 s: the bookmark
    /// follows the last object at once, on old servers within 1.25 s (cg-V1, cg-R35).
    pub watch_list_silence_max: Duration,
    /// The same before its first object. 30 s: the server may first have to fill its cache (pr-L6).
    pub watch_list_first_max: Duration,
    /// How long a WatchList may take in all. 10 min.
    pub watch_list_deadline: Duration,
    /// WatchLists that may fail in a row before lists are used instead. 3 (pr 1.7).
    pub watch_list_failures_max: u32,
    /// How long a fallback to lists is remembered. 1 h.
    pub fallback_expiry: Duration,
    /// The delays after failures.
    pub backoff: BackoffConfig,
    /// The most that is waited before a stream that ended well is opened again. 100 ms (pr 1.7).
    pub reopen_jitter_max: Duration,
    /// A stream that ended sooner than this counts as short: after it was asked for, or after the answer
    /// came, if that took no more than ten times as long. 1 s (cg-R19).
    pub short_stream: Duration,
    /// Short streams without any event, in a row, that lead to a relist. 4 (pr 1.7: 3 to 5).
    pub short_streams_max: u32,
    /// The wait after a 403 or 404. 60 s, doubled by jitter.
    pub slow_retry: Duration,
    /// How long a version may stay in the server's future before a consistent list is taken to
    /// compare with. 30 s (pr 1.7).
    pub too_large_max: Duration,
    /// Silence after which a watch is probed. 130 s: two bookmark periods and a bit (pr 1.7).
    pub silence_max: Duration,
    /// Silence after which a watch is probed again once a probe found it healthy. 10 min (G13).
    pub silence_max_healthy: Duration,
    /// How long a probe may take. 15 s.
    pub probe_timeout: Duration,
    /// How long after a probe a healthy stream must show the probed version. 70 s (pr-E11c).
    pub probe_verdict: Duration,
    /// Unfit events (unknown type, wrong kind, no version) in one stream that lead to a relist.
    /// 3 (pr 1.7).
    pub unfit_events_max: u32,
    /// Whether events of this kind may share a version, so that a broken stream may have brought only
    /// some of them (pr-F8). Off; the informer's builder sets it for objects of the kind Event, the
    /// only ones that Kubernetes deletes in groups.
    pub shared_versions: bool,
    /// The seed of the jitter; the informer's builder draws one in place of 0.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            list_mode: ListMode::Auto,
            page_items: 500,
            list_pages_max: 100_000,
            first_list_from_any_version: false,
            watch_timeout_min: Duration::from_secs(300),
            watch_overrun: Duration::from_secs(30),
            list_silence_max: Duration::from_secs(60),
            list_page_deadline: Duration::from_secs(600),
            watch_list_silence_max: Duration::from_secs(10),
            watch_list_first_max: Duration::from_secs(30),
            watch_list_deadline: Duration::from_secs(600),
            watch_list_failures_max: 3,
            fallback_expiry: Duration::from_secs(3600),
            backoff: BackoffConfig::default(),
            reopen_jitter_max: Duration::from_millis(100),
            short_stream: Duration::from_secs(1),
            short_streams_max: 4,
            slow_retry: Duration::from_secs(60),
            too_large_max: Duration::from_secs(30),
            silence_max: Duration::from_secs(130),
            silence_max_healthy: Duration::from_secs(600),
            probe_timeout: Duration::from_secs(15),
            probe_verdict: Duration::from_secs(70),
            unfit_events_max: 3,
            shared_versions: false,
            seed: 0,
        }
    }
}
