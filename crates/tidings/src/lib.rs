//! Tidings: live, indexed, consistent copies of Kubernetes resources.
//!
//! An [`Informer`] follows one resource of an API server and keeps a copy of it. Readers never
//! wait: [`Store::get`] and its kin do not block on a writer, whatever it does, and a [`Snapshot`]
//! is a consistent view of the store and its indexes at one resourceVersion. Handlers are told
//! every change in the informer's own task, after the store has it; a [`Subscription`] is told
//! what changed since it last looked, in any task, however slow.
//!
//! [`Api`] reads and writes single objects, and tells a [`WriteObserver`] of each write; [`Finalizer`],
//! [`OwnerReference`] and [`EventRecorder`] are what controllers need beside it.
//!
//! What it does with faults is written down: the decision table and the invariants in `docs/`.

pub mod controller;
pub mod metrics;
pub mod payload;
pub mod transport;

mod api;
mod driver;
mod error;
mod events;
mod factory;
mod informer;
mod leader;
mod state;
mod store;
mod subscription;
mod sync;
mod together;
mod view;
mod wiring;
mod workqueue;

pub use tidings_api::{
    Instant, Object, ObjectKey, Resource, ResourceVersion,
    limits::Limits,
    options::Scope,
    selector::LabelSelector,
    status::Refusal,
    write::{DeleteOptions, FieldValidation, Propagation, WriteOptions},
};
pub use tidings_engine::{
    delta_fifo::Order,
    entry::{Entry, Poison, Value},
    fanout::{
        Event, FanoutLimits, Handler, HandlerId, HandlerOptions, HandlerState, HandlerStatus,
        Removal,
    },
    indexer::Snapshot,
    ingest::BadInput,
    lease::{Config as ElectionConfig, ConfigError as ElectionConfigError, StopReason},
    pipeline::{Dropped, PipelineConfig},
    reflector::{
        Activity, BackoffConfig, Condition, Config as ReflectorConfig, ListMode, Trouble,
        WakeReason,
    },
    workqueue::{
        Added, Delayed, Dirty, Durations, KeyStatus, Priority, Reason, Stats as WorkQueueStats,
        TenantFn, WorkQueueConfig, rate_limit,
    },
};

pub use self::{
    api::{
        Api, ApiError, Deletion, Finalized, Finalizer, FinalizerError, ObjectReference, OwnerError,
        OwnerReference, Patch, ResourceApi, RetryPolicy, Unreadable, Verb, WriteObserver,
        WriteOutcome, WriteTarget, Written, retry_if, retry_on_conflict,
    },
    error::{BuildError, Stopped, SyncError},
    events::{
        EventLimits, EventRecorder, EventReport, EventSender, EventSource, EventStats, Severity,
    },
    factory::{Factory, SharedInformer},
    informer::{Informer, InformerBuilder, InformerHandle},
    leader::{
        ElectionError, LeaderElection, LeaderElectionBuilder, LeaderHandle, Leadership, NotRenewed,
    },
    payload::{Payload, Raw},
    state::{Progress, State},
    store::{Lookup, Store, WaitOutcome},
    subscription::{Lag, Subscription, SubscriptionEvent},
    together::{Behind, Together, TogetherOutcome},
    view::{View, ViewBuilder},
    workqueue::{Get, Item, WorkQueue},
};
