//! From a request value to the head of its answer: message, connection, deadline, one more try.
//!
//! Does not count requests and reads no body.
//!
//! ```text
//!   request + credential --> message
//!   purpose --> line: kept | shared | fresh      line + message --> head + body
//!                 ^                                   | died before the head, was kept or shared
//!                 '-------- fresh, once --------------'
//! ```
//! I1  A write goes out twice only if not one byte of it went out the first time.
//! I2  A kept connection is used only under the TLS configuration that it was opened with.
//!
//! Source: rules pr-S8, pr-S9, pr-F22, pr-F26, pr-F61.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::Full;
use parking_lot::Mutex;
use tidings_api::request::Request;
use tokio::time::{Instant, timeout};

use crate::{
    client::Purpose,
    config::{ClientConfig, ConfigError, HttpVersion},
    connect::{self, Io},
    credentials::{Authenticator, Current},
    error::{Step, TransportError},
    http1::{self, Failed, Idle},
    http2::{self, Shared, Slot},
    identity::Identity,
    metrics::{Metrics, add},
    response::{Body, Response},
    tls::{Connector, TlsState},
};

/// What clones of a client and their responses share.
#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(crate) config: ClientConfig,
    pub(crate) authenticator: Authenticator,
    tls: Option<TlsState>,
    headers: HeaderMap,
    pub(crate) identity: Identity,
    server_name: String,
    shown: String,
    kept: Mutex<Vec<Idle>>,
    /// Watches and short requests over HTTP/2; locked while connecting, so that streams which
    /// begin together share.
    shared: tokio::sync::Mutex<Vec<Shared>>,
    lists: Mutex<Vec<Shared>>,
    /// Whether the last connection settled on HTTP/2, where the server may choose.
    offers_h2: AtomicBool,
    pub(crate) metrics: Metrics,
}

/// Kept connections of HTTP/1.1 at most; beyond, the oldest is closed.
const KEPT_MAX: usize = 32;

const USER_AGENT: &str = concat!("tidings/", env!("CARGO_PKG_VERSION"));

type Message = http::Request<Full<Bytes>>;

/// Where a request can go out.
enum Line {
    Http1 {
        idle: Idle,
        reused: bool,
    },
    Http2 {
        shared: Shared,
        slot: Slot,
        reused: bool,
    },
}

impl Dispatch {
    /// Reads certificates now; credentials at the first request.
    pub(crate) fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        let alpn: &[&str] = match config.http {
            HttpVersion::Auto => &["h2", "http/1.1"],
            HttpVersion::Http1 => &["http/1.1"],
            HttpVersion::Http2 => &["h2"],
        };
        let tls = if config.endpoint.is_tls() {
            Some(TlsState::new(config.tls.clone(), alpn)?)
        } else {
            None
        };
        let named = tls.as_ref().and_then(TlsState::server_name);
        let server_name = named.unwrap_or_else(|| config.endpoint.host()).to_owned();
        let credentials = config.credentials.clone();
        Ok(Self {
            authenticator: Authenticator::new(credentials, config.exec_policy.clone())?,
            headers: standing_headers(&config)?,
            identity: Identity::of(&config),
            shown: config.endpoint.to_string(),
            server_name,
            tls,
            kept: Mutex::default(),
            shared: tokio::sync::Mutex::default(),
            lists: Mutex::default(),
            offers_h2: AtomicBool::new(true),
            metrics: Metrics::default(),
            config,
        })
    }

    /// Takes a connection whose body has ended for the next request.
    pub(crate) fn keep(&self, idle: Idle) {
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push(idle);
    }

    /// Closes the connections that nobody uses, and forgets the lists' own.
    pub(crate) fn close_kept(&self) {
        self.kept.lock().clear();
        self.lists.lock().clear();
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        request: &Request,
        purpose: Purpose,
    ) -> Result<Response, TransportError> {
        let current = self.authenticator.current(&self.metrics).await?;
        let connector = self.connector(&current)?;
        let message = self.message(request, &current)?;
        let safe = request.method == "GET";
        let line = self.line(purpose, connector.as_ref(), false).await?;
        let reused = line.is_reused();
        let spare = (reused && safe).then(|| message.clone());
        let result = match self.attempt(line, message, purpose).await {
            Err(Attempt::Failed(failed)) if reused => {
                // A write goes out twice only if not one byte of it went out the first time.
                let Some(message) = failed.unsent.or(spare) else {
                    return Err(self.closed(failed.error));
                };
                add(&self.metrics.retries, 1);
                let line = self.line(purpose, connector.as_ref(), true).await?;
                self.attempt(line, message, purpose).await
            }
            other => other,
        };
        let (parts, body) = result.map_err(|attempt| match attempt {
            Attempt::Failed(failed) => self.closed(failed.error),
            Attempt::Late(error) => error,
        })?;
        let framing = &parts.headers;
        if framing.contains_key(header::CONTENT_LENGTH)
            && framing.contains_key(header::TRANSFER_ENCODING)
        {
            return Err(TransportError::Ambiguous {
                endpoint: self.shown.clone(),
            });
        }
        let idle = match purpose {
            Purpose::List => Some(self.config.timeouts.list_idle),
            Purpose::Short => Some(self.config.timeouts.short),
            Purpose::Watch => None,
        };
        let version = current.version;
        Ok(Response::new(parts, body, idle, version, Arc::clone(self)))
    }

    /// Sends a message and waits for the head of its answer, within the deadline.
    async fn attempt(
        &self,
        line: Line,
        mut message: Message,
        purpose: Purpose,
    ) -> Result<(http::response::Parts, Body), Attempt> {
        let after = match purpose {
            Purpose::List | Purpose::Watch => self.config.timeouts.head,
            Purpose::Short => self.config.timeouts.short,
        };
        let retired = match &line {
            Line::Http1 { .. } => None,
            Line::Http2 { shared, .. } => Some(shared.retired()),
        };
        let answer = async {
            match line {
                Line::Http1 { idle, .. } => {
                    let (parts, exchange) = idle.send(message).await?;
                    Ok((parts, Body::Http1(Box::new(exchange))))
                }
                Line::Http2 { shared, slot, .. } => {
                    self.make_absolute(&mut message);
                    let (parts, stream) = shared.send(message, slot).await?;
                    Ok((parts, Body::Http2(Box::new(stream))))
                }
            }
        };
        match timeout(after, answer).await {
            Ok(result) => result.map_err(Attempt::Failed),
            Err(_) => {
                if let Some(retired) = retired {
                    retired.set();
                }
                Err(Attempt::Late(self.late(Step::Head, after)))
            }
        }
    }

    /// A connection for a request: kept, shared or fresh.
    async fn line(
        &self,
        purpose: Purpose,
        tls: Option<&Connector>,
        must_be_fresh: bool,
    ) -> Result<Line, TransportError> {
        let may_share = match self.config.http {
            HttpVersion::Auto => tls.is_some() && self.offers_h2.load(Relaxed),
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
        };
        let generation = tls.map_or(0, |tls| tls.generation);
        match purpose {
            Purpose::Short | Purpose::Watch if may_share => {
                let mut shared = self.shared.lock().await;
                if let Some(line) = from_pool(&mut shared, generation) {
                    add(&self.metrics.reused, 1);
                    return Ok(line);
                }
                let line = self.fresh(tls).await?;
                if let Line::Http2 { shared: new, .. } = &line {
                    shared.push(new.clone());
                }
                return Ok(line);
            }
            Purpose::List if may_share && !must_be_fresh => {
                if let Some(line) = from_pool(&mut self.lists.lock(), generation) {
                    add(&self.metrics.reused, 1);
                    return Ok(line);
                }
            }
            Purpose::List | Purpose::Short if !must_be_fresh => {
                if let Some(idle) = self.take_kept(generation) {
                    add(&self.metrics.reused, 1);
                    return Ok(Line::Http1 { idle, reused: true });
                }
            }
            Purpose::List | Purpose::Short | Purpose::Watch => {}
        }
        let line = self.fresh(tls).await?;
        if let (Line::Http2 { shared, .. }, Purpose::List) = (&line, purpose) {
            self.lists.lock().push(shared.clone().for_one());
        }
        Ok(line)
    }

    async fn fresh(&self, tls: Option<&Connector>) -> Result<Line, TransportError> {
        let io = connect::connect(&self.config, tls, &self.server_name, &self.metrics).await?;
        let generation = tls.map_or(0, |tls| tls.generation);
        let h2 = self.speaks_h2(&io);
        self.offers_h2.store(h2, Relaxed);
        let failed = |error| self.closed(Some(error));
        if h2 {
            let shared = http2::begin(io, &self.config, generation)
                .await
                .map_err(failed)?;
            let slot = shared.reserve_first();
            return Ok(Line::Http2 {
                shared,
                slot,
                reused: false,
            });
        }
        let idle = http1::begin(io, &self.config, generation)
            .await
            .map_err(failed)?;
        Ok(Line::Http1 {
            idle,
            reused: false,
        })
    }

    fn speaks_h2(&self, io: &Io) -> bool {
        match self.config.http {
            HttpVersion::Auto => io.is_h2(),
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
        }
    }

    fn take_kept(&self, generation: u64) -> Option<Idle> {
        let mut kept = self.kept.lock();
        let keep = self.config.timeouts.keep;
        let now = Instant::now();
        kept.retain(|idle| {
            idle.tls_generation == generation && now.saturating_duration_since(idle.since) < keep
        });
        while let Some(mut idle) = kept.pop() {
            if idle.is_alive() {
                return Some(idle);
            }
        }
        None
    }

    fn connector(&self, current: &Current) -> Result<Option<Connector>, TransportError> {
        let Some(tls) = &self.tls else {
            return Ok(None);
        };
        tls.connector(current.certificate.as_ref(), Instant::now())
            .map(Some)
            .map_err(|error| TransportError::tls_config(error, &self.shown))
    }

    fn message(&self, request: &Request, current: &Current) -> Result<Message, TransportError> {
        let part = |part| TransportError::Request { part };
        let path = &request.path_and_query;
        if !path.starts_with('/') {
            return Err(part("path"));
        }
        let path = format!("{}{path}", self.config.endpoint.prefix());
        let body = Full::new(Bytes::from(request.body.clone()));
        let mut message = http::Request::builder()
            .method(request.method)
            .uri(path)
            .body(body)
            .map_err(|_| part("method or path"))?;
        let headers = message.headers_mut();
        headers.clone_from(&self.headers);
        let accept = HeaderValue::from_str(request.accept).map_err(|_| part("accept header"))?;
        headers.insert(header::ACCEPT, accept);
        if !request.content_type.is_empty() {
            let kind = HeaderValue::from_str(request.content_type);
            let kind = kind.map_err(|_| part("content type"))?;
            headers.insert(header::CONTENT_TYPE, kind);
        }
        if let Some(authorization) = &current.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        Ok(message)
    }

    /// HTTP/2 wants the whole URI in place of a `Host` header.
    fn make_absolute(&self, message: &mut Message) {
        message.headers_mut().remove(header::HOST);
        let mut parts = std::mem::take(message.uri_mut()).into_parts();
        let endpoint = &self.config.endpoint;
        parts.scheme = Some(if endpoint.is_tls() {
            http::uri::Scheme::HTTPS
        } else {
            http::uri::Scheme::HTTP
        });
        parts.authority = endpoint.host_and_port().parse().ok();
        // An endpoint is made from a URI, and a path was parsed before: this cannot fail, and if
        // it did, the request would go nowhere.
        *message.uri_mut() = http::Uri::from_parts(parts).unwrap_or_default();
    }

    pub(crate) fn late(&self, step: Step, after: Duration) -> TransportError {
        TransportError::Timeout {
            step,
            endpoint: self.shown.clone(),
            after,
        }
    }

    fn closed(&self, error: Option<hyper::Error>) -> TransportError {
        match error {
            Some(error) => TransportError::before_head(error, &self.shown, &self.server_name),
            None => TransportError::Closed {
                endpoint: self.shown.clone(),
                source: None,
            },
        }
    }
}

impl Line {
    const fn is_reused(&self) -> bool {
        match self {
            Self::Http1 { reused, .. } | Self::Http2 { reused, .. } => *reused,
        }
    }
}

/// Why a message got no head.
enum Attempt {
    Failed(Failed),
    Late(TransportError),
}

fn from_pool(pool: &mut Vec<Shared>, generation: u64) -> Option<Line> {
    // Streams of a connection that leaves the pool go on; it only gets no new ones.
    pool.retain(|shared| shared.tls_generation == generation && shared.is_alive());
    pool.iter().find_map(|shared| {
        Some(Line::Http2 {
            slot: shared.reserve()?,
            shared: shared.clone(),
            reused: true,
        })
    })
}

/// The headers that every request bears.
fn standing_headers(config: &ClientConfig) -> Result<HeaderMap, ConfigError> {
    let mut headers = match &config.impersonation {
        Some(impersonation) => impersonation.headers()?,
        None => HeaderMap::new(),
    };
    if let Some(host) = config.endpoint.host_header() {
        headers.insert(header::HOST, host);
    }
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    let encoding = if config.accept_gzip {
        "gzip"
    } else {
        "identity"
    };
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    Ok(headers)
}
