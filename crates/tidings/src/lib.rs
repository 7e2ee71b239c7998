//! The informer library: the facade that users link.
