//! The facade against the embedded API server, over real sockets on loopback.

mod changes;
mod faults;
mod support;
