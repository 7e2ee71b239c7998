//! Reads a case as it is printed.
//!
//! Does not guess: a word that is not known, or one that is missing, is an error with its line.

use std::{error, fmt, str::FromStr};

use tidings_api::Instant;
use tidings_engine::{delta_fifo::Order, reflector::ListMode};

use crate::{
    fault::{CLASSES, Fault},
    knobs::{InformerKnobs, Knobs},
    ops::{Case, Content, Kind, Op, Slot, Timed, WatchLists},
};

/// A case that cannot be read: whoever wrote it is to look at the line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl error::Error for ParseError {}

impl FromStr for Case {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut knobs = None;
        let mut informers = Vec::new();
        let mut ops = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let error = |what: String| ParseError {
                line: number + 1,
                what,
            };
            let line = line.trim();
            let words = Words(line);
            match words.first() {
                "" | "#" => {}
                "world" => knobs = Some(world(&words).map_err(error)?),
                "informer" => informers.push(informer(&words).map_err(error)?),
                _ => ops.push(timed(&words).map_err(error)?),
            }
        }
        let missing = || ParseError {
            line: 1,
            what: "there is no line that begins with world".to_owned(),
        };
        let mut knobs: Knobs = knobs.ok_or_else(missing)?;
        knobs.informers = informers;
        Ok(Self { knobs, ops })
    }
}

/// The words of a line, some of them `name=value`.
struct Words<'a>(&'a str);

type Read<T> = Result<T, String>;

// === impl Words ===

impl<'a> Words<'a> {
    fn first(&self) -> &'a str {
        self.0.split(' ').next().unwrap_or_default()
    }

    fn at(&self, index: usize) -> Read<&'a str> {
        let word = self.0.split(' ').nth(index);
        word.ok_or_else(|| format!("there is no word {}", index + 1))
    }

    fn has(&self, flag: &str) -> bool {
        self.0.split(' ').any(|word| word == flag)
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        let mut words = self.0.split(' ').filter_map(|word| word.split_once('='));
        words.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn number<T: FromStr>(&self, name: &str) -> Read<T> {
        let value = self
            .value(name)
            .ok_or_else(|| format!("there is no {name}="))?;
        value
            .parse()
            .map_err(|_| format!("{name}={value} is no number"))
    }

    fn optional<T: FromStr>(&self, name: &str) -> Read<Option<T>> {
        self.value(name).map(|_| self.number(name)).transpose()
    }

    /// A word such as `i3`: a letter and a number.
    fn numbered(&self, index: usize, letter: char) -> Read<u8> {
        let word = self.at(index)?;
        let number = word.strip_prefix(letter).and_then(|it| it.parse().ok());
        number.ok_or_else(|| format!("{word} is not {letter} and a number"))
    }
}

fn world(words: &Words<'_>) -> Read<Knobs> {
    Ok(Knobs {
        seed: words.number("seed")?,
        replicas: words.number("replicas")?,
        ring: words.number("ring")?,
        chunk: words.number("chunk")?,
        latency: words.number("latency")?,
        bookmarks: words.number("bookmarks")?,
        gzip: words.number::<u8>("gzip")? > 0,
        mute: words.number::<u8>("mute")? > 0,
        hash_bits: words.number("hash-bits")?,
        informers: Vec::new(),
        workers: words.number("workers")?,
        failures: words.number("failures")?,
        candidates: words.number("candidates")?,
    })
}

fn informer(words: &Words<'_>) -> Read<InformerKnobs> {
    Ok(InformerKnobs {
        kind: kind(words.value("kind").unwrap_or_default())?,
        namespace: words.optional("namespace")?,
        app: words.optional("app")?,
        node: words.optional("node")?,
        list: match words.value("list") {
            Some("auto") => ListMode::Auto,
            Some("paged") => ListMode::Paged,
            Some("watchlist") => ListMode::WatchList,
            Some("whole") => ListMode::Whole,
            other => return Err(format!("list={other:?} is no way to list")),
        },
        order: match words.value("order") {
            Some("arrival") => Order::Arrival,
            Some("per-key") => Order::PerKey,
            other => return Err(format!("order={other:?} is no order")),
        },
        page: words.number("page")?,
        batch: words.number("batch")?,
        depth: words.number("depth")?,
        budget: words.number("budget")?,
        any: words.number::<u8>("any")? > 0,
        slow: words.number("slow")?,
    })
}

fn timed(words: &Words<'_>) -> Read<Timed> {
    let time = words.value("t").and_then(|time| time.strip_suffix('s'));
    let at = time
        .and_then(instant)
        .ok_or("it does not begin with a time")?;
    let (_, rest) = words.0.split_once(' ').ok_or("there is no op")?;
    let op = op(&Words(rest))?;
    Ok(Timed { at, op })
}

/// Seconds with at most nine decimals.
fn instant(text: &str) -> Option<Instant> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let nanos: u64 = format!("{part:0<9}").get(..9)?.parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    Some(Instant::from_nanos(
        whole.checked_mul(1_000_000_000)?.checked_add(nanos)?,
    ))
}

fn op(words: &Words<'_>) -> Read<Op> {
    Ok(match words.first() {
        "put" => Op::Put(slot(words)?, content(words)?),
        "delete" => Op::Delete(slot(words)?),
        "finalize" => Op::Finalize(slot(words)?),
        "recreate" => Op::Recreate(slot(words)?, content(words)?),
        "compact" => Op::Compact,
        "checkpoint" => Op::Checkpoint,
        "restore" => Op::Restore {
            writes: words.number("writes")?,
        },
        "crd-delete" => Op::CrdDelete,
        "crd-create" => Op::CrdCreate,
        "lag" | "stick" | "watchlists" => return server_op(words),
        "fault" => Op::Fault {
            informer: words.numbered(1, 'i')?,
            fault: fault(words)?,
            late: words.has("late"),
        },
        "pause" | "fall" | "step-back" | "cut-off" => return candidate_op(words),
        _ => return informer_op(words),
    })
}

fn server_op(words: &Words<'_>) -> Read<Op> {
    let replica = words.numbered(1, 'r')?;
    Ok(match words.first() {
        "lag" => Op::Lag {
            replica,
            millis: words.number("ms")?,
        },
        "stick" => Op::Stick {
            replica,
            millis: words.number("ms")?,
        },
        _ => Op::WatchLists {
            replica,
            mode: match words.value("mode") {
                Some("on") => WatchLists::On,
                Some("refused") => WatchLists::Refused,
                Some("ignored") => WatchLists::Ignored,
                Some("endless") => WatchLists::Endless,
                other => return Err(format!("mode={other:?} is none")),
            },
        },
    })
}

fn candidate_op(words: &Words<'_>) -> Read<Op> {
    let candidate = words.numbered(1, 'c')?;
    Ok(match words.first() {
        "pause" => Op::Pause {
            candidate,
            millis: words.number("ms")?,
        },
        "fall" => Op::Fall { candidate },
        "step-back" => Op::StepBack { candidate },
        _ => Op::CutOff {
            candidate,
            millis: words.number("ms")?,
        },
    })
}

fn informer_op(words: &Words<'_>) -> Read<Op> {
    let informer = words.numbered(1, 'i')?;
    Ok(match words.first() {
        "add-handler" => Op::AddHandler {
            informer,
            panics: words.number("panics")?,
            resync: words.number("resync")?,
        },
        "remove-handler" => Op::RemoveHandler {
            informer,
            drain: words.has("drain"),
        },
        "resync" => Op::Resync { informer },
        "hold" => Op::Hold {
            informer,
            millis: words.number("ms")?,
        },
        "jump" => Op::Jump {
            informer,
            seconds: words.number("s")?,
        },
        "crash" => Op::Crash { informer },
        other => return Err(format!("{other} is no op")),
    })
}

fn fault(words: &Words<'_>) -> Read<Fault> {
    let class = words.at(2)?;
    Ok(match class {
        "refuse" => Fault::Refuse {
            code: words.number("code")?,
            after: words.optional("after")?,
            plain: words.has("plain"),
        },
        "too-large" => Fault::TooLarge {
            millis: words.number("ms")?,
        },
        "html" => Fault::Html,
        "no-answer" => Fault::NoAnswer,
        "no-connect" => Fault::NoConnect,
        "loop-pages" => Fault::LoopPages,
        "expire-tokens" => Fault::ExpireTokens,
        "close-at-once" => Fault::CloseAtOnce {
            millis: words.number("ms")?,
        },
        "error-event" => Fault::ErrorEvent {
            code: words.number("code")?,
        },
        "eof" => Fault::Eof,
        "reset" => Fault::Reset,
        "lose-tail" => Fault::LoseTail,
        "truncate" => Fault::Truncate {
            clean: words.has("clean"),
        },
        "half-open" => Fault::HalfOpen,
        "stall" => Fault::Stall {
            millis: words.number("ms")?,
        },
        "drip" => Fault::Drip {
            millis: words.number("ms")?,
        },
        "twice" => Fault::Twice,
        "garbage" => Fault::Garbage,
        "wrong-kind" => Fault::WrongKind,
        "unknown-type" => Fault::UnknownType,
        "nameless" => Fault::Nameless,
        "no-version" => Fault::NoVersion,
        "bad-bookmark" => Fault::BadBookmark,
        "low-bookmark" => Fault::LowBookmark,
        "overload" => Fault::Overload {
            code: words.number("code")?,
            after: words.optional("after")?,
            millis: words.number("ms")?,
        },
        _ => return Err(format!("{class} is none of {CLASSES:?}")),
    })
}

fn slot(words: &Words<'_>) -> Read<Slot> {
    let key = words.at(2)?;
    let parts = key.split_once("/k");
    let parts = parts.and_then(|(namespace, name)| {
        let letter = namespace.bytes().next()?;
        Some((letter.checked_sub(b'a')?, name.parse().ok()?))
    });
    let (namespace, name) = parts.ok_or_else(|| format!("{key} is no key"))?;
    Ok(Slot {
        kind: kind(words.at(1)?)?,
        namespace,
        name,
    })
}

fn content(words: &Words<'_>) -> Read<Content> {
    Ok(Content {
        app: words.number("app")?,
        node: words.number("node")?,
        poison: words.has("poison"),
        finalizer: words.has("finalizer"),
    })
}

fn kind(text: &str) -> Read<Kind> {
    let all = [Kind::Pod, Kind::ConfigMap, Kind::Widget];
    let found = all.into_iter().find(|kind| kind.to_string() == text);
    found.ok_or_else(|| format!("{text} is no kind"))
}
