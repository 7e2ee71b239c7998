//! The fault catalogue: for each fault that is known what shows it here, or what does elsewhere.
//!
//! Does not inject: the knobs and faults that it names do. Its table in the book is made of it, and each
//! seed is run and must show what its row says.
//!
//! Source: pr section 2.

use std::fmt::Write as _;

use crate::{generate, ops::Case, run::Outcome};

/// One fault of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a row of a table")]
pub struct Row {
    /// Its number in the catalogue.
    pub fault: &'static str,
    /// What happens, in a few words.
    pub what: &'static str,
    /// What shows it.
    pub shown: Shown,
}

/// What shows a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a row has one of these")]
pub enum Shown {
    /// A world: what its case says, and a seed that has it.
    Here(&'static [&'static str], u64),
    /// A test elsewhere, by name.
    Elsewhere(&'static str),
    /// Nothing, and why.
    Nowhere(&'static str),
}

use Shown::{Elsewhere, Here, Nowhere};

const fn row(fault: &'static str, what: &'static str, shown: Shown) -> Row {
    Row { fault, what, shown }
}

/// All rows, in the order of the catalogue.
pub const CATALOGUE: [Row; 51] = [
    row(
        "F1",
        "an API server that lags another: time travel",
        Here(&["lag"], 6),
    ),
    row(
        "F2",
        "what happened while away is never seen",
        Here(&["recreate", "half-open"], 0),
    ),
    row(
        "F3",
        "a reconciler's process ends between its writes",
        Here(&["crash"], 2),
    ),
    row(
        "F4",
        "how many such defects others have",
        Nowhere("a count of others' defects, no fault"),
    ),
    row(
        "F5",
        "a server's cache loses events",
        Elsewhere("pr_f5_what_a_servers_cache_lost_is_mended_by_the_next_list"),
    ),
    row(
        "F6",
        "events that come twice or late",
        Here(&["twice", "low-bookmark"], 22),
    ),
    row(
        "F7",
        "a deletion that does not say of what",
        Here(&["nameless"], 2),
    ),
    row(
        "F8",
        "several events with one version, cut",
        Elsewhere("pr_f8_a_group_of_events_that_was_cut_comes_again"),
    ),
    row(
        "F9",
        "etcd restored: versions go back",
        Here(&["checkpoint", "restore writes=0"], 3),
    ),
    row(
        "F10",
        "another cluster behind the same name",
        Here(&["restore writes=20"], 3),
    ),
    row(
        "F11",
        "API servers that can do different things",
        Here(&["watchlists", "replicas=2", "mode=refused"], 9),
    ),
    row(
        "F12",
        "the version lies in the server's future",
        Here(&["too-large"], 5),
    ),
    row(
        "F13",
        "410 again and again: a short history",
        Here(&["compact", "ring=2"], 18),
    ),
    row(
        "F14",
        "odd or missing versions",
        Here(&["bad-bookmark", "no-version"], 1),
    ),
    row(
        "F15",
        "a WatchList that never ends",
        Here(&["watchlists", "mode=endless"], 0),
    ),
    row("F20", "a half-open connection", Here(&["half-open"], 0)),
    row(
        "F21",
        "a proxy that answers while the server is dead",
        Here(&["half-open", "bookmarks=0"], 25),
    ),
    row(
        "F22",
        "streams that starve each other in one connection",
        Elsewhere("pr_s8_pr_f22_streams_beyond_the_limit_get_another_connection"),
    ),
    row("F23", "a truncated list or frame", Here(&["truncate"], 2)),
    row(
        "F24",
        "bytes cut anywhere, within characters too",
        Here(&["chunk=1 "], 0),
    ),
    row("F25", "gzip in many members", Here(&["gzip=1"], 1)),
    row("F26", "GOAWAY and ends at any time", Here(&["eof"], 4)),
    row(
        "F27",
        "names and addresses that change",
        Elsewhere("pr_f27_a_name_with_several_addresses_tries_them"),
    ),
    row(
        "F28",
        "watches that are closed at once, in a loop",
        Here(&["close-at-once", "mute=1"], 24),
    ),
    row(
        "F29",
        "quiet streams that are cut",
        Here(&["eof", "bookmarks=600"], 18),
    ),
    row(
        "F30",
        "a server that shuts down",
        Here(&["reset", "refuse code=503"], 126),
    ),
    row("F31", "a byte at a time", Here(&["drip"], 0)),
    row(
        "F32",
        "a proxy's page, and bytes that are nothing",
        Here(&["html", "garbage"], 5),
    ),
    row(
        "F40",
        "an object that cannot be decoded",
        Here(&["put", "poison"], 0),
    ),
    row("F41", "an object without a name", Here(&["nameless"], 2)),
    row(
        "F42",
        "giant objects and lists",
        Elsewhere("pr_w5_sec_16_a_frame_beyond_its_limit_is_skimmed_and_the_stream_goes_on"),
    ),
    row(
        "F43",
        "deep nesting, odd numbers, odd text",
        Elsewhere("pr_n13_sec_18_pr_f43_depth_ten_thousand_is_served_and_one_more_is_poison"),
    ),
    row(
        "F44",
        "unknown events, errors without a Status",
        Here(&["unknown-type", "plain"], 53),
    ),
    row(
        "F45",
        "additions and deletions that repeat",
        Here(&["twice"], 10),
    ),
    row(
        "F46",
        "another object under the same name",
        Here(&["recreate", "expire-tokens"], 1),
    ),
    row(
        "F47",
        "a deletion that waits in the queue at a relist",
        Here(&["hold", "delete", "compact", "order=per-key"], 4),
    ),
    row(
        "F48",
        "a test server that is wrong",
        Nowhere(
            "the state is the embedded server's, which is compared with a real one in tests/real",
        ),
    ),
    row(
        "F50",
        "a herd of lists after a restart",
        Elsewhere("pr_f30_pr_f50_a_restart_of_the_server_leads_to_no_list_and_to_no_herd"),
    ),
    row(
        "F51",
        "a server that lists bring down",
        Elsewhere("pr_f51_lists_are_streamed_or_paged_unless_asked_for_whole"),
    ),
    row(
        "F52",
        "handlers that are slow, a queue that is full",
        Here(&["hold", "slow=1000000"], 6),
    ),
    row(
        "F53",
        "streams that share a fate",
        Here(&["refuse", "fault i1"], 10),
    ),
    row("F54", "429", Here(&["refuse code=429", "overload"], 222)),
    row("F55", "500", Here(&["refuse code=500"], 52)),
    row(
        "F60",
        "credentials that are refused",
        Here(&["refuse code=401"], 17),
    ),
    row(
        "F61",
        "authorities that change",
        Elsewhere("sec_7_pr_f61_an_authority_that_changes_on_disk_is_read_again"),
    ),
    row(
        "F62",
        "credential plugins that hang or print garbage",
        Elsewhere("pr_f62_garbage_is_an_error_that_shows_nothing_of_it"),
    ),
    row(
        "F63",
        "clocks that leap, and run at different rates",
        Here(&["jump", "candidates=2"], 5),
    ),
    row(
        "F64",
        "a process that stands still",
        Here(&["jump", "s=3600"], 2),
    ),
    row(
        "F65",
        "rights that are taken away and given back",
        Here(&["refuse code=403"], 42),
    ),
    row(
        "F66",
        "a handler that panics",
        Here(&["add-handler", "panics=2"], 1),
    ),
    row(
        "F67",
        "a process that ends at any time",
        Here(&["crash"], 2),
    ),
];

// === impl Row ===

impl Row {
    /// Whether a case has the words of this row, and its run did what they say.
    #[must_use]
    pub fn is_shown_by(&self, case: &Case, outcome: &Outcome) -> bool {
        let Here(words, _) = self.shown else {
            return false;
        };
        let text = case.to_string();
        words.iter().all(|word| {
            let first = word.split(' ').next().unwrap_or_default();
            text.contains(word) && outcome.coverage.has_acted(first).unwrap_or(true)
        })
    }
}

/// The first seed that shows a row, of so many.
#[must_use]
pub fn find_seed(row: &Row, seeds: u64) -> Option<u64> {
    (0..seeds).find(|seed| {
        let case = generate::case(*seed);
        let outcome = crate::run::run(case.clone());
        row.is_shown_by(&case, &outcome)
    })
}

/// The table of the book.
#[must_use]
pub fn table() -> String {
    let mut text = String::from("| fault | what happens | shown by |\n|---|---|---|\n");
    for row in CATALOGUE {
        let shown = match row.shown {
            Here(words, seed) => {
                let words: Vec<_> = words
                    .iter()
                    .map(|word| format!("`{}`", word.trim()))
                    .collect();
                format!("{}: `tidings sim --seed {seed} --trace`", words.join(", "))
            }
            Elsewhere(test) => format!("the test `{test}`"),
            Nowhere(why) => format!("not simulated: {why}"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {} | {shown} |", row.fault, row.what);
    }
    text
}
