//! What happens to a world, as data: a case is knobs and a list of ops, each with its time.
//!
//! Does not draw anything: the generator does. A run follows from its case alone, so that a case can be
//! printed, shortened, and run again.
//!
//! ```text
//!  world seed=7 replicas=2 ring=50 ..
//!  informer kind=pod list=auto ..
//!  t=1.25s put pod a/k3 app=1 node=0
//!  t=2s fault i0 refuse 429 after=3
//! ```

use std::fmt;

use tidings_api::Instant;

use crate::{fault::Fault, knobs::Knobs};

/// A run, before it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Case {
    /// What does not change in the run.
    pub knobs: Knobs,
    /// What happens, in the order of time.
    pub ops: Vec<Timed>,
}

/// An op and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Timed {
    /// When, on the world's clock.
    pub at: Instant,
    /// What.
    pub op: Op,
}

/// The kinds that the world has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the world has these")]
pub enum Kind {
    /// `v1/pods`, a typed list.
    Pod,
    /// `v1/configmaps`.
    ConfigMap,
    /// `example.com/v1/widgets`, a custom resource whose definition comes and goes.
    Widget,
}

/// One of the objects that a world may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Slot {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace: `a`, `b` and so on.
    pub namespace: u8,
    /// The number of its name.
    pub name: u8,
}

/// What is written into an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Content {
    /// The label `app`.
    pub app: u8,
    /// The field `spec.nodeName`.
    pub node: u8,
    /// Whether it cannot be decoded.
    pub poison: bool,
    /// Whether a finalizer keeps it when it is deleted.
    pub finalizer: bool,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the runner executes every kind")]
pub enum Op {
    /// A write: creates the object or replaces it.
    Put(Slot, Content),
    /// Deletes it, or marks it as being deleted.
    Delete(Slot),
    /// Takes its finalizer away.
    Finalize(Slot),
    /// Deletes it and creates another one under its name at once.
    Recreate(Slot, Content),
    /// Etcd forgets its history, and every API server with it (pr-L10, pr-W11).
    Compact,
    /// A copy of etcd, to be restored.
    Checkpoint,
    /// Etcd goes back to the last copy; all streams end (pr-F9).
    Restore {
        /// How many writes the new history has before anybody comes back.
        writes: u8,
    },
    /// The definition of the custom kind goes (pr-N8).
    CrdDelete,
    /// It comes, if it is not there.
    CrdCreate,
    /// An API server follows etcd so far behind from now on (pr-F1).
    Lag {
        /// Which.
        replica: u8,
        /// How far.
        millis: u32,
    },
    /// An API server hears nothing of etcd for so long.
    Stick {
        /// Which.
        replica: u8,
        /// For how long.
        millis: u32,
    },
    /// How an API server treats WatchLists from now on (pr-S3, pr-F15).
    WatchLists {
        /// Which.
        replica: u8,
        /// How.
        mode: WatchLists,
    },
    /// Something goes wrong for an informer.
    Fault {
        /// Which.
        informer: u8,
        /// What.
        fault: Fault,
        /// Whether it waits for the next bytes, where it would act at once.
        late: bool,
    },
    /// A handler is added.
    AddHandler {
        /// To which informer.
        informer: u8,
        /// Of so many calls one panics; 0 for none.
        panics: u8,
        /// With a resync every so many seconds; 0 for none.
        resync: u8,
    },
    /// The informer's last handler is removed.
    RemoveHandler {
        /// From which informer.
        informer: u8,
        /// Whether it is told first what is queued.
        drain: bool,
    },
    /// All handlers are told everything again.
    Resync {
        /// Of which informer.
        informer: u8,
    },
    /// The informer does not apply what comes for so long.
    Hold {
        /// Which.
        informer: u8,
        /// How long.
        millis: u32,
    },
    /// The informer's monotonic clock leaps (pr-F63, pr-F64).
    Jump {
        /// Which.
        informer: u8,
        /// How far.
        seconds: u32,
    },
    /// The informer's process ends and another begins with nothing (pr-F67).
    Crash {
        /// Which.
        informer: u8,
    },
    /// A candidate's process stands still for so long.
    Pause {
        /// Which.
        candidate: u8,
        /// How long.
        millis: u32,
    },
    /// A candidate's process ends without a word, and another begins.
    Fall {
        /// Which.
        candidate: u8,
    },
    /// A candidate steps back.
    StepBack {
        /// Which.
        candidate: u8,
    },
    /// A candidate is cut off from the server for so long.
    CutOff {
        /// Which.
        candidate: u8,
        /// How long.
        millis: u32,
    },
}

/// How a server treats `sendInitialEvents`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "servers do one of these")]
pub enum WatchLists {
    /// As servers since 1.34 do.
    On,
    /// 422.
    Refused,
    /// The parameter is not seen.
    Ignored,
    /// The end bookmark never comes.
    Endless,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pod => "pod",
            Self::ConfigMap => "configmap",
            Self::Widget => "widget",
        })
    }
}

impl fmt::Display for WatchLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Refused => "refused",
            Self::Ignored => "ignored",
            Self::Endless => "endless",
        })
    }
}

// === impl Slot ===

impl Slot {
    /// The namespace's name.
    #[must_use]
    pub fn namespace_name(self) -> String {
        char::from(b'a' + self.namespace % 26).to_string()
    }

    /// The key.
    #[must_use]
    pub fn key(self) -> String {
        format!("{}/k{}", self.namespace_name(), self.name)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key())
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "app={} node={}", self.app, self.node)?;
        f.write_str(if self.poison { " poison" } else { "" })?;
        f.write_str(if self.finalizer { " finalizer" } else { "" })
    }
}

// === impl Op ===

impl Op {
    /// The informer that it concerns, if it is one.
    #[must_use]
    pub const fn informer(&self) -> Option<u8> {
        match self {
            Self::AddHandler { informer, .. }
            | Self::Crash { informer }
            | Self::Fault { informer, .. }
            | Self::Hold { informer, .. }
            | Self::Jump { informer, .. }
            | Self::RemoveHandler { informer, .. }
            | Self::Resync { informer } => Some(*informer),
            _ => None,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(slot, content) => write!(f, "put {slot} {content}"),
            Self::Delete(slot) => write!(f, "delete {slot}"),
            Self::Finalize(slot) => write!(f, "finalize {slot}"),
            Self::Recreate(slot, content) => write!(f, "recreate {slot} {content}"),
            Self::Compact => f.write_str("compact"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Restore { writes } => write!(f, "restore writes={writes}"),
            Self::CrdDelete => f.write_str("crd-delete"),
            Self::CrdCreate => f.write_str("crd-create"),
            Self::Lag { replica, millis } => write!(f, "lag r{replica} ms={millis}"),
            Self::Stick { replica, millis } => write!(f, "stick r{replica} ms={millis}"),
            Self::WatchLists { replica, mode } => write!(f, "watchlists r{replica} mode={mode}"),
            Self::Fault {
                informer,
                fault,
                late,
            } => {
                let when = if *late { " late" } else { "" };
                write!(f, "fault i{informer} {fault}{when}")
            }
            Self::AddHandler {
                informer,
                panics,
                resync,
            } => write!(f, "add-handler i{informer} panics={panics} resync={resync}"),
            Self::RemoveHandler { informer, drain } => {
                let how = if *drain { " drain" } else { "" };
                write!(f, "remove-handler i{informer}{how}")
            }
            Self::Resync { informer } => write!(f, "resync i{informer}"),
            Self::Hold { informer, millis } => write!(f, "hold i{informer} ms={millis}"),
            Self::Jump { informer, seconds } => write!(f, "jump i{informer} s={seconds}"),
            Self::Crash { informer } => write!(f, "crash i{informer}"),
            Self::Pause { candidate, millis } => write!(f, "pause c{candidate} ms={millis}"),
            Self::Fall { candidate } => write!(f, "fall c{candidate}"),
            Self::StepBack { candidate } => write!(f, "step-back c{candidate}"),
            Self::CutOff { candidate, millis } => write!(f, "cut-off c{candidate} ms={millis}"),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.knobs)?;
        for timed in &self.ops {
            writeln!(f, "t={} {}", timed.at, timed.op)?;
        }
        Ok(())
    }
}
