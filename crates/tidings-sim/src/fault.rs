//! What can go wrong between an informer and its server.
//!
//! Does not do it: the link does, at the first place that fits.

use std::fmt;

/// A fault, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the link does every kind")]
pub enum Fault {
    /// The next request is refused.
    Refuse {
        /// The HTTP code.
        code: u16,
        /// `Retry-After` in seconds, if it says so.
        after: Option<u32>,
        /// Whether the body is text and no Status (pr-S5).
        plain: bool,
    },
    /// The next request's version lies in the server's future, and any version for so long (pr-L6).
    TooLarge {
        /// How long.
        millis: u32,
    },
    /// The next answer is a proxy's page with a 200 (pr-F32).
    Html,
    /// The next request is never answered.
    NoAnswer,
    /// The next connection cannot be made.
    NoConnect,
    /// The next page that is not the last says that it goes on where it began.
    LoopPages,
    /// The continue tokens given so far expire (pr-L10).
    ExpireTokens,
    /// The next watches are closed as soon as they are open, for so long (pr-W12, pr-F28).
    CloseAtOnce {
        /// How long.
        millis: u32,
    },
    /// An ERROR event ends the stream (pr-W11).
    ErrorEvent {
        /// Its code.
        code: u16,
    },
    /// The stream ends as it may.
    Eof,
    /// The stream breaks.
    Reset,
    /// The stream breaks, and what was on its way is lost.
    LoseTail,
    /// What the server sends next ends in its middle, and the stream with it.
    Truncate {
        /// Whether it ends as it may, or breaks.
        clean: bool,
    },
    /// Nothing comes any more, and nobody says so (pr-F20).
    HalfOpen,
    /// Nothing comes for so long.
    Stall {
        /// How long.
        millis: u32,
    },
    /// From now on a byte comes at a time, with so much between (pr-F31).
    Drip {
        /// How much.
        millis: u32,
    },
    /// What the server sends next comes twice.
    Twice,
    /// What the server sends next begins with bytes that are nothing.
    Garbage,
    /// Objects of another kind come (the next that the server sends).
    WrongKind,
    /// Events of an unknown type come (pr-E7).
    UnknownType,
    /// Objects without a name come (pr-F41).
    Nameless,
    /// Objects without a version come.
    NoVersion,
    /// Bookmarks without a version come (pr-F14).
    BadBookmark,
    /// A bookmark with a lower version comes.
    LowBookmark,
    /// Every request is refused for so long (pr-F54).
    Overload {
        /// The HTTP code.
        code: u16,
        /// `Retry-After` in seconds, if it says so.
        after: Option<u32>,
        /// How long.
        millis: u32,
    },
}

/// How often each class of fault acted, and in which state: see `coverage`.
pub const CLASSES: [&str; 25] = [
    "refuse",
    "too-large",
    "html",
    "no-answer",
    "no-connect",
    "loop-pages",
    "expire-tokens",
    "close-at-once",
    "error-event",
    "eof",
    "reset",
    "lose-tail",
    "truncate",
    "half-open",
    "stall",
    "drip",
    "twice",
    "garbage",
    "wrong-kind",
    "unknown-type",
    "nameless",
    "no-version",
    "bad-bookmark",
    "low-bookmark",
    "overload",
];

// === impl Fault ===

impl Fault {
    /// Its class: an index into [`CLASSES`].
    #[must_use]
    pub const fn class(self) -> usize {
        match self {
            Self::Refuse { .. } => 0,
            Self::TooLarge { .. } => 1,
            Self::Html => 2,
            Self::NoAnswer => 3,
            Self::NoConnect => 4,
            Self::LoopPages => 5,
            Self::ExpireTokens => 6,
            Self::CloseAtOnce { .. } => 7,
            Self::ErrorEvent { .. } => 8,
            Self::Eof => 9,
            Self::Reset => 10,
            Self::LoseTail => 11,
            Self::Truncate { .. } => 12,
            Self::HalfOpen => 13,
            Self::Stall { .. } => 14,
            Self::Drip { .. } => 15,
            Self::Twice => 16,
            Self::Garbage => 17,
            Self::WrongKind => 18,
            Self::UnknownType => 19,
            Self::Nameless => 20,
            Self::NoVersion => 21,
            Self::BadBookmark => 22,
            Self::LowBookmark => 23,
            Self::Overload { .. } => 24,
        }
    }

    /// Whether it acts on the next request, in place of the server or before it.
    #[must_use]
    pub const fn meets_request(self) -> bool {
        self.class() <= 5
    }

    /// Whether it acts on the stream as it is.
    #[must_use]
    pub const fn meets_stream(self) -> bool {
        !self.meets_request() && !self.meets_bytes() && self.class() >= 8 && self.class() <= 15
    }

    /// Whether it acts on what the server sends next.
    #[must_use]
    pub const fn meets_bytes(self) -> bool {
        matches!(self, Self::Truncate { .. }) || (self.class() >= 16 && self.class() <= 23)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLASSES[self.class()])?;
        match self {
            Self::Refuse { code, after, plain } => {
                write!(f, " code={code}")?;
                write_after(f, *after)?;
                f.write_str(if *plain { " plain" } else { "" })
            }
            Self::Overload {
                code,
                after,
                millis,
            } => {
                write!(f, " code={code} ms={millis}")?;
                write_after(f, *after)
            }
            Self::ErrorEvent { code } => write!(f, " code={code}"),
            Self::Truncate { clean: true } => f.write_str(" clean"),
            Self::CloseAtOnce { millis }
            | Self::Drip { millis }
            | Self::Stall { millis }
            | Self::TooLarge { millis } => {
                write!(f, " ms={millis}")
            }
            Self::Html
            | Self::NoAnswer
            | Self::NoConnect
            | Self::LoopPages
            | Self::ExpireTokens
            | Self::Eof
            | Self::Reset
            | Self::LoseTail
            | Self::Truncate { clean: false }
            | Self::HalfOpen
            | Self::Twice
            | Self::Garbage
            | Self::WrongKind
            | Self::UnknownType
            | Self::Nameless
            | Self::NoVersion
            | Self::BadBookmark
            | Self::LowBookmark => Ok(()),
        }
    }
}

fn write_after(f: &mut fmt::Formatter<'_>, after: Option<u32>) -> fmt::Result {
    after.map_or(Ok(()), |after| write!(f, " after={after}"))
}
