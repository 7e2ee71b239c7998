//! What goes wrong between a request and the end of its body.
//!
//! Answers of the server are no errors here, whatever their status: they are read by
//! `tidings_api::status`. No variant is by itself a reason to relist (pr 1.7): all but
//! [`TransportError::Request`] may pass by themselves.
//!
//! Source: rules pr-L21, pr-F20..pr-F32, SEC-27.

use std::{io, sync::Arc, time::Duration};

use crate::{
    credentials::CredentialError,
    tls::{TlsConfigError, TlsError},
};

/// Why a request got no answer, or an answer no end.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The head announces both a length and chunks, so that two readers may see two bodies (SEC-31). The
    /// server's fault, or that of a proxy before it; try again on another connection.
    #[error("the answer of {endpoint} has both a length and chunks")]
    Ambiguous {
        /// The endpoint.
        endpoint: String,
    },
    /// A body that was to be short is longer than the caller allows. The server's fault, or the
    /// limit is too small; trying again does not help.
    #[error("the body is longer than {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The connection ended, or broke, before the head of the answer came. Nobody's fault; try
    /// again.
    #[error("the connection to {endpoint} ended before an answer came")]
    Closed {
        /// The endpoint.
        endpoint: String,
        /// What the connection said, if it said something.
        source: Option<Arc<hyper::Error>>,
    },
    /// No address of the server accepts a connection. The server or the network is down; try
    /// again later.
    #[error("cannot connect to {endpoint}")]
    Connect {
        /// The endpoint, or the proxy.
        endpoint: String,
        /// What the last address said.
        source: Arc<io::Error>,
    },
    /// No credential could be got. Its source says whose fault it is.
    #[error("no credential for the request")]
    Credentials(#[from] CredentialError),
    /// The server, or the proxy, answered something that is not HTTP, or a head beyond the limits.
    #[error("the answer of {endpoint} is no valid http")]
    Http {
        /// The endpoint.
        endpoint: String,
        /// What is wrong.
        source: Arc<hyper::Error>,
    },
    /// The proxy did not open a tunnel. The operator of the client corrects `proxy-url`.
    #[error("the proxy {proxy} did not open a tunnel: {answer}")]
    Proxy {
        /// The proxy, without its userinfo.
        proxy: String,
        /// The status line's code, or what is wrong with it.
        answer: &'static str,
    },
    /// The request value cannot be sent as it is. The caller's fault.
    #[error("the {part} of the request cannot be sent")]
    Request {
        /// Which part.
        part: &'static str,
    },
    /// The server's name has no address. The network or the name is at fault; try again later.
    #[error("cannot resolve {host:?}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: Arc<io::Error>,
    },
    /// The body stands still. Nobody's fault; try again on another connection.
    #[error("the body stood still for {idle:?} after {received} bytes")]
    Stalled {
        /// The limit.
        idle: Duration,
        /// The bytes of the body that came.
        received: u64,
    },
    /// Connecting, or the head of the answer, took too long. Nobody's fault; try again.
    #[error("{step} with {endpoint} took longer than {after:?}")]
    Timeout {
        /// What took too long.
        step: Step,
        /// The endpoint.
        endpoint: String,
        /// The limit.
        after: Duration,
    },
    /// TLS did not come about. Its source says whose fault it is.
    #[error("no tls session with {endpoint}")]
    Tls {
        /// The endpoint.
        endpoint: String,
        /// Why.
        source: TlsError,
    },
    /// The body ended before its framing says so: what came is no whole list and no whole watch
    /// (pr-L21). Nobody's fault; try again, and take the bytes so far for what they are.
    #[error("the body was cut after {received} bytes")]
    Truncated {
        /// The bytes of the body that came.
        received: u64,
        /// What the connection said, if it said something.
        source: Option<Arc<hyper::Error>>,
    },
}

/// A step that has a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Reading a short answer to its end.
    Body,
    /// Opening the TCP connection.
    Connect,
    /// Waiting for the status line and the headers.
    Head,
    /// Looking up the server's addresses.
    Resolve,
    /// Opening the tunnel through a proxy.
    Tunnel,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Body => "reading the answer",
            Self::Connect => "connecting",
            Self::Head => "waiting for the head of an answer",
            Self::Resolve => "resolving the name",
            Self::Tunnel => "opening the proxy tunnel",
        })
    }
}

impl TransportError {
    /// Whether the server may have got the request: then a write may have happened, and only a read
    /// can tell. `false` is certain, `true` is not.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Credentials(_)
            | Self::Proxy { .. }
            | Self::Request { .. }
            | Self::Resolve { .. } => false,
            Self::Timeout { step, .. } => match step {
                Step::Body | Step::Head => true,
                Step::Connect | Step::Resolve | Step::Tunnel => false,
            },
            // With TLS 1.3 a session may break after the first request went out.
            Self::Ambiguous { .. }
            | Self::BodyTooLarge { .. }
            | Self::Closed { .. }
            | Self::Http { .. }
            | Self::Stalled { .. }
            | Self::Tls { .. }
            | Self::Truncated { .. } => true,
        }
    }

    /// Reads what hyper says before the head of an answer has come.
    pub(crate) fn before_head(error: hyper::Error, endpoint: &str, server_name: &str) -> Self {
        let endpoint = endpoint.to_owned();
        if let Some(source) = TlsError::from_sources(&error, server_name) {
            return Self::Tls { endpoint, source };
        }
        let protocol = error.is_parse();
        let source = Arc::new(error);
        if protocol {
            Self::Http { endpoint, source }
        } else {
            let source = Some(source);
            Self::Closed { endpoint, source }
        }
    }

    /// A configuration that does not load is a TLS error of this endpoint.
    pub(crate) fn tls_config(error: TlsConfigError, endpoint: &str) -> Self {
        Self::Tls {
            endpoint: endpoint.to_owned(),
            source: TlsError::Config(error),
        }
    }
}
