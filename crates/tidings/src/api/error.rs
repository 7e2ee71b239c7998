//! Why a request about one object did not come to its end.
//!
//! Does not hold bodies. What the server said is kept as one bounded line, and of Secrets not even
//! that: its sentences quote values.
//!
//! Source: rules SEC-27, SEC-29, pr-S1, pr-S6.

use std::{error, fmt, time::Duration};

use tidings_api::{
    key::KeyError,
    resource::PathError,
    status::{Refusal, Status, StatusMeta},
};
use tidings_http::TransportError;

use super::observer::{Verb, WriteOutcome, WriteTarget};

/// A request about one object failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ApiError {
    /// The server did what was asked, and its answer cannot be read. The type's fault, or the
    /// server's; a write has happened.
    Answer {
        /// What was asked.
        target: Box<WriteTarget>,
        /// What is wrong with the answer.
        source: Unreadable,
    },
    /// The object cannot be written as JSON. The type's fault; nothing was sent.
    Body {
        /// What was asked.
        target: Box<WriteTarget>,
    },
    /// The object to create has no name that can be a key. The caller's fault; nothing was sent.
    Key {
        /// What was asked.
        target: Box<WriteTarget>,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The observer did not let it go out, such as a controller that does not lead any more. Nothing was
    /// sent.
    NotPermitted {
        /// What was asked.
        target: Box<WriteTarget>,
        /// What the observer said.
        why: &'static str,
    },
    /// A namespace or name cannot stand in a URL. The caller's fault; nothing was sent.
    Path {
        /// What was asked.
        target: Box<WriteTarget>,
        /// Which part.
        source: PathError,
    },
    /// The server refused. The refusal says whose fault it is.
    Refused {
        /// What was asked.
        target: Box<WriteTarget>,
        /// What it means.
        refusal: Refusal,
        /// What the server said, its sentences bounded.
        status: Box<Status>,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// No answer came. Nobody's fault; whether a write happened says
    /// [`is_outcome_unknown`](Self::is_outcome_unknown).
    Transport {
        /// What was asked.
        target: Box<WriteTarget>,
        /// What happened.
        source: TransportError,
    },
}

/// What is wrong with an answer. It says where, and not what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is compressed, and broken.
    Compressed,
    /// It has no metadata with a name, a version and a uid.
    Metadata,
    /// It does not fit the type, or is no JSON.
    Value {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
}

impl ApiError {
    /// What was asked.
    #[must_use]
    pub fn target(&self) -> &WriteTarget {
        match self {
            Self::Answer { target, .. }
            | Self::Body { target }
            | Self::Key { target, .. }
            | Self::NotPermitted { target, .. }
            | Self::Path { target, .. }
            | Self::Refused { target, .. }
            | Self::Transport { target, .. } => target,
        }
    }

    /// What the server's refusal means, if it is one.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            Self::Answer { .. }
            | Self::Body { .. }
            | Self::Key { .. }
            | Self::NotPermitted { .. }
            | Self::Path { .. }
            | Self::Transport { .. } => None,
        }
    }

    /// Whether the object has changed since it was read: read again, then write.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.refusal() == Some(Refusal::Conflict)
    }

    /// Whether a create found the name taken.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.refusal() == Some(Refusal::AlreadyExists)
    }

    /// Whether there is no such object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.refusal() == Some(Refusal::NotFound)
    }

    /// Whether the same request may succeed later, without a change. A write whose outcome is unknown
    /// is among them: if it did happen, the next one meets a conflict, an existing object or none.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => refusal.is_retriable(),
            Self::Transport { source, .. } => !matches!(
                source,
                TransportError::Request { .. } | TransportError::BodyTooLarge { .. }
            ),
            Self::Answer { .. }
            | Self::Body { .. }
            | Self::Key { .. }
            | Self::NotPermitted { .. }
            | Self::Path { .. } => false,
        }
    }

    /// How long the server asks to wait before the next request.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Answer { .. }
            | Self::Body { .. }
            | Self::Key { .. }
            | Self::NotPermitted { .. }
            | Self::Path { .. }
            | Self::Transport { .. } => None,
        }
    }

    /// Whether a write may have happened, or may yet happen, although nobody said so.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        if self.target().verb == Verb::Get {
            return false;
        }
        match self {
            Self::Refused { refusal, .. } => refusal.may_have_acted(),
            Self::Transport { source, .. } => source.may_have_arrived(),
            Self::Answer { .. }
            | Self::Body { .. }
            | Self::Key { .. }
            | Self::NotPermitted { .. }
            | Self::Path { .. } => false,
        }
    }

    /// How a write ended that ended so.
    pub(super) fn outcome(&self) -> WriteOutcome {
        if self.is_outcome_unknown() || matches!(self, Self::Answer { .. }) {
            WriteOutcome::Unknown
        } else {
            WriteOutcome::Refused
        }
    }

    pub(super) fn answer(target: &WriteTarget, source: Unreadable) -> Self {
        let target = Box::new(target.clone());
        Self::Answer { target, source }
    }

    pub(super) fn transport(target: &WriteTarget, source: TransportError) -> Self {
        let target = Box::new(target.clone());
        Self::Transport { target, source }
    }

    pub(super) fn refused(
        target: &WriteTarget,
        refusal: Refusal,
        mut status: Status,
        retry_after: Option<Duration>,
    ) -> Self {
        let is_secret = target.resource.group().is_empty() && target.resource.plural() == "secrets";
        status.details.causes.truncate(CAUSES_MAX);
        let causes = status.details.causes.iter_mut();
        let fields = causes.flat_map(|cause| [&mut cause.message, &mut cause.field]);
        for text in fields.chain([&mut status.message]) {
            *text = if is_secret {
                String::new()
            } else {
                one_line(text)
            };
        }
        status.reason = one_line(&status.reason);
        status.metadata = StatusMeta::default();
        Self::Refused {
            target: Box::new(target.clone()),
            refusal,
            status: Box::new(status),
            retry_after,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { target, .. } => {
                write!(
                    f,
                    "{target}: the server has done it, but its answer cannot be read"
                )
            }
            Self::Body { target } => write!(f, "{target}: the object cannot be written as json"),
            Self::Key { target, .. } => write!(f, "{target}: the object has no usable name"),
            Self::NotPermitted { target, why } => write!(f, "{target}: not sent: {why}"),
            Self::Path { target, .. } => write!(f, "{target}: the request cannot be made"),
            Self::Refused { target, status, .. } => {
                write!(f, "{target}: the server said {}", status.code)?;
                for part in [&status.reason, &status.message] {
                    if !part.is_empty() {
                        write!(f, ": {part}")?;
                    }
                }
                Ok(())
            }
            Self::Transport { target, .. } if self.is_outcome_unknown() => {
                write!(
                    f,
                    "{target}: no answer came, and it is unknown whether the server has acted"
                )
            }
            Self::Transport { target, .. } => write!(f, "{target}: no answer came"),
        }
    }
}

impl error::Error for ApiError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Answer { source, .. } => Some(source),
            Self::Key { source, .. } => Some(source),
            Self::Path { source, .. } => Some(source),
            Self::Transport { source, .. } => Some(source),
            Self::Body { .. } | Self::NotPermitted { .. } | Self::Refused { .. } => None,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compressed => f.write_str("the answer's compression is broken"),
            Self::Metadata => f.write_str("the answer has no name, version and uid"),
            Self::Value { line, column } => {
                write!(
                    f,
                    "the answer does not fit the type at line {line}, column {column}"
                )
            }
        }
    }
}

impl error::Error for Unreadable {}

fn one_line(text: &str) -> String {
    let shown = text.chars().filter(|letter| !letter.is_control());
    shown.take(MESSAGE_CHARS_MAX).collect()
}

/// Most characters of a server's sentence that are kept.
const MESSAGE_CHARS_MAX: usize = 300;

/// Most causes of a refusal that are kept.
const CAUSES_MAX: usize = 32;
