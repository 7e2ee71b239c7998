//! Sends a request value to an API server and returns a stream of chunks.
//!
//! The shell around HTTP: kubeconfig, TLS, credentials and connections live here; what the bytes
//! mean is said in `tidings-api`, and what to do about them in `tidings-engine`. Nothing here
//! retries a refusal, follows a redirect or decodes a body.
//!
//! The modules in the order in which a request meets them: the configuration (where it comes from
//! and what it holds), the credential, the connection, the protocol, the answer.
//!
//! # Example
//!
//! ```no_run
//! use tidings_api::request::Request;
//! use tidings_http::{Client, ClientConfig, Purpose};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(ClientConfig::infer()?)?;
//! let request = Request::get("/api/v1/pods?limit=500".to_owned());
//! let mut response = client.open(&request, Purpose::List).await?;
//! while let Some(chunk) = response.chunk().await {
//!     let chunk = chunk?; // A body that was cut is an error, never an end.
//!     # drop(chunk);
//! }
//! # Ok(())
//! # }
//! ```

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
mod dispatch;
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
