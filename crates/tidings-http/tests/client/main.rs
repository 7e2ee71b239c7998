//! The client against real sockets on loopback: a server that does what its script says.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bodies;
mod canary;
mod connections;
mod credentials;
mod http2;
mod server;
mod tls;
