//! Sends a request value to an API server and returns a stream of chunks.
//!
//! The shell around HTTP: kubeconfig, TLS, credentials and connections live here; what the bytes
//! mean is said in `tidings-api`, and what to do about them in `tidings-engine`. Nothing here
//! retries a refusal, follows a redirect or decodes a body.
//!
//! The modules in the order in which a request meets them: the configuration (where it comes from
//! and what it holds), the credential, the connection, the protocol, the answer.

mod secret;

mod endpoint;
mod file;
mod proxy;

pub mod config;
pub mod in_cluster;
pub mod kubeconfig;

pub mod credentials;
pub mod tls;

mod client;
mod connect;
mod error;
mod http1;
mod http2;
mod identity;
pub mod metrics;
mod response;

pub use client::{Client, Purpose, SHORT_BODY_BYTES_MAX};
pub use config::{ClientConfig, ConfigError, HttpVersion, Timeouts};
pub use credentials::{CredentialVersion, Credentials};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Step, TransportError};
pub use file::FileError;
pub use identity::Identity;
pub use metrics::RequestMetrics;
pub use proxy::{Proxy, ProxyError};
pub use response::{Answer, Response};
pub use secret::Secret;
