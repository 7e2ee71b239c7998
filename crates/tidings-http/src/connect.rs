//! From an endpoint to a byte stream: resolve, connect, tunnel, handshake.
//!
//! Does not speak HTTP and keeps nothing: each call resolves the name anew (pr-F27).
//!
//! In: a client's configuration and TLS settings. Out: an [`Io`] that is ready for a request.
//! I1  All addresses are tried, a new one whenever the last has failed or has kept us waiting for
//!     [`NEXT_ADDRESS_AFTER`]; the first that accepts wins.
//! I2  Each step has a deadline and an error that names it.
//!
//! Source: RFC 8305; rules pr-F20, pr-F27, SEC-8, SEC-15.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    config::{ClientConfig, HttpVersion, Timeouts},
    endpoint::Endpoint,
    error::{Step, TransportError},
    metrics::{Metrics, add},
    tls::{Connector, TlsError},
};

/// A connected byte stream.
#[derive(Debug)]
pub(crate) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The next address is tried when the last has not answered for this long (RFC 8305).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Opens a connection to the configured endpoint.
pub(crate) async fn connect(
    config: &ClientConfig,
    tls: Option<&Connector>,
    server_name: &str,
    metrics: &Metrics,
) -> Result<Io, TransportError> {
    let result = attempt(config, tls, server_name, metrics).await;
    let counter = match result {
        Ok(_) => &metrics.connects,
        Err(_) => &metrics.connect_failures,
    };
    add(counter, 1);
    result
}

async fn attempt(
    config: &ClientConfig,
    tls: Option<&Connector>,
    server_name: &str,
    metrics: &Metrics,
) -> Result<Io, TransportError> {
    let timeouts = &config.timeouts;
    let first_hop = match &config.proxy {
        Some(proxy) => proxy.endpoint(),
        None => &config.endpoint,
    };
    let deadline = Instant::now() + timeouts.connect;
    let late = |step| TransportError::Timeout {
        step,
        endpoint: first_hop.to_string(),
        after: timeouts.connect,
    };
    let addresses = timeout_at(deadline, resolve(first_hop))
        .await
        .map_err(|_| late(Step::Resolve))??;
    let mut stream = timeout_at(deadline, first_to_accept(&addresses))
        .await
        .map_err(|_| late(Step::Connect))?
        .map_err(|source| TransportError::Connect {
            endpoint: first_hop.to_string(),
            source: Arc::new(source),
        })?;
    prepare(&stream, timeouts);
    if let Some(proxy) = &config.proxy {
        let target = config.endpoint.host_and_port();
        timeout_at(deadline, proxy.tunnel(&mut stream, &target))
            .await
            .map_err(|_| late(Step::Tunnel))??;
    }
    let Some(tls) = tls else {
        return Ok(Io::Plain(stream));
    };
    let stream = handshake(stream, config, tls, server_name)
        .await
        .map_err(|source| TransportError::Tls {
            endpoint: config.endpoint.to_string(),
            source,
        })?;
    add(&metrics.tls_handshakes, 1);
    Ok(Io::Tls(Box::new(stream)))
}

async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, TransportError> {
    let host = endpoint.host();
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, endpoint.port())]);
    }
    let failed = |error: io::Error| TransportError::Resolve {
        host: host.to_owned(),
        source: Arc::new(error),
    };
    let found = tokio::net::lookup_host((host, endpoint.port())).await;
    let mut addresses: Vec<_> = found.map_err(failed)?.collect();
    if addresses.is_empty() {
        let error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        return Err(failed(error));
    }
    alternate_families(&mut addresses);
    Ok(addresses)
}

/// Puts the families in turn, beginning with the one that the resolver prefers, so that one broken
/// family costs one attempt.
fn alternate_families(addresses: &mut Vec<SocketAddr>) {
    let Some(prefers_v6) = addresses.first().map(SocketAddr::is_ipv6) else {
        return;
    };
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .drain(..)
        .partition(|address| address.is_ipv6() == prefers_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        match (first.next(), second.next()) {
            (None, None) => break,
            (one, other) => addresses.extend(one.into_iter().chain(other)),
        }
    }
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

async fn first_to_accept(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut running: Vec<Attempt> = Vec::with_capacity(addresses.len());
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut waiting = addresses.iter();
    loop {
        match waiting.next() {
            Some(address) => running.push(Box::pin(TcpStream::connect(*address))),
            None if running.is_empty() => return Err(last_error),
            None => {}
        }
        let patience = if waiting.len() == 0 {
            None
        } else {
            Some(sleep_until(Instant::now() + NEXT_ADDRESS_AFTER))
        };
        let mut patience = std::pin::pin!(patience);
        let outcome = poll_fn(|cx| {
            let finished = poll_attempts(&mut running, cx, &mut last_error);
            if finished.is_ready() {
                return finished;
            }
            match patience.as_mut().as_pin_mut() {
                Some(sleep) => sleep.poll(cx).map(|()| None),
                None => Poll::Pending,
            }
        });
        if let Some(stream) = outcome.await {
            return Ok(stream);
        }
    }
}

/// Ready with a stream when one has come, and without when one has failed and it is the next
/// address's turn; in the end, when all have failed.
fn poll_attempts(
    running: &mut Vec<Attempt>,
    cx: &mut Context<'_>,
    last_error: &mut io::Error,
) -> Poll<Option<TcpStream>> {
    let mut failed = false;
    let mut index = 0;
    while let Some(attempt) = running.get_mut(index) {
        match attempt.as_mut().poll(cx) {
            Poll::Ready(Ok(stream)) => return Poll::Ready(Some(stream)),
            Poll::Ready(Err(error)) => {
                *last_error = error;
                failed = true;
                drop(running.swap_remove(index));
            }
            Poll::Pending => index += 1,
        }
    }
    if failed || running.is_empty() {
        Poll::Ready(None)
    } else {
        Poll::Pending
    }
}

/// Sets what the system allows; none of it is worth failing a connection for.
fn prepare(stream: &TcpStream, timeouts: &Timeouts) {
    const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(timeouts.tcp_keepalive)
        .with_interval(KEEPALIVE_INTERVAL);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let _ = socket.set_tcp_user_timeout(Some(timeouts.tcp_user));
}

async fn handshake(
    stream: TcpStream,
    config: &ClientConfig,
    tls: &Connector,
    server_name: &str,
) -> Result<TlsStream<TcpStream>, TlsError> {
    let name = ServerName::try_from(server_name.to_owned()).map_err(|_| TlsError::ServerName {
        name: server_name.to_owned(),
    })?;
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    let after = config.timeouts.tls_handshake;
    let stream = timeout(after, connector.connect(name, stream))
        .await
        .map_err(|_| TlsError::Timeout { after })?
        .map_err(|error| TlsError::from_handshake(error, server_name))?;
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if config.http == HttpVersion::Http2 && !h2 {
        return Err(TlsError::NoHttp2);
    }
    Ok(stream)
}

// === impl Io ===

impl Io {
    /// Whether TLS has settled on HTTP/2.
    pub(crate) fn is_h2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
