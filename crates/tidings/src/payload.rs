//! What an informer keeps of an object; it stands in the engine.

pub use tidings_engine::payload::{DecodeError, Keep, Payload, Raw};
