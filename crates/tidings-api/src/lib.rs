//! Words and wire of the Kubernetes list/watch protocol.
//!
//! Everything here is a value or an incremental decoder: no sockets, no clocks, no threads, no
//! locks. The modules stand in the order in which a watch event meets them: first the words
//! (time, resources, keys, versions, objects), then the requests that are sent, then the decoders
//! that turn a response's bytes into items and frames, then the reading of a refusal.

pub mod time;

pub mod key;
pub mod limits;
pub mod object;
pub mod resource;
pub mod resource_version;

pub mod options;
pub mod request;
pub mod selector;
pub mod write;

pub mod frame;
pub mod gzip;
pub mod page;
pub mod scan;

pub mod status;

pub use key::ObjectKey;
pub use object::Object;
pub use resource::Resource;
pub use resource_version::ResourceVersion;
pub use time::Instant;
