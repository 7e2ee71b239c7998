//! From a socket that was accepted to HTTP: limits, TLS, and the two protocols.
//!
//! Does not answer requests. HTTP/2 is spoken over TLS alone, as there, where ALPN chooses it.
//!
//! C1  A connection beyond `connections_max` is closed at once; without TLS it is told 429 before.
//! C2  A handshake has `header_timeout`, and so have the first head after it and, over HTTP/1.1, the wait for
//!     each further one; then the connection is closed. One of HTTP/2 that has begun may be idle.
//! C3  Heads are bounded by hyper's buffer (some 400 KiB, 100 headers) and for HTTP/2 by `H2_HEAD_BYTES_MAX`:
//!     what is larger is answered with 431.
//!
//! Source: apiserver pkg/server/secure_serving.go @v0.36.3; rules pr-S8, pr-S9.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    Shared, collect,
    gate::Gate,
    open::{Connection, Open},
    route,
};

/// Serves until the server stops, and ends with everything that it began.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut stop = shared.stop.clone();
    let mut connections = JoinSet::new();
    connections.spawn(collect(Arc::clone(&shared)));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.changed() => break,
        };
        let Ok((socket, peer)) = accepted else {
            // Without descriptors there is nothing to accept for a while; other failures concern nobody.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let is_silent = shared.faults.lock().half_open;
        let Some(admitted) = Open::connection(&shared, peer, is_silent) else {
            turn_away(&socket, shared.is_tls());
            continue;
        };
        let _ = socket.set_nodelay(true);
        connections.spawn(async move {
            let connection = Arc::clone(&admitted.0);
            let mut stop = connection.shared.stop.clone();
            tokio::select! {
                () = converse(socket, &connection) => {}
                _ = stop.changed() => {}
            }
            drop(admitted);
        });
    }
    connections.shutdown().await;
}

/// Says no to one more connection, as far as that takes no waiting.
fn turn_away(socket: &TcpStream, is_tls: bool) {
    if !is_tls {
        // Who cannot be told now finds the connection closed.
        let _ = socket.try_write(FULL);
    }
}

async fn converse(socket: TcpStream, connection: &Arc<Connection>) {
    let patience = connection.shared.config.header_timeout;
    let silence = Arc::clone(&connection.silence);
    // Whoever is silent from the beginning stands outside of all limits of time.
    silence.over().await;
    #[cfg(feature = "tls")]
    if let Some(authority) = &connection.shared.authority {
        let shaken = tokio::time::timeout(patience, handshake(socket, authority, connection));
        let Ok(Some(stream)) = shaken.await else {
            return;
        };
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(super::tls::H2);
        if is_h2 {
            speak_h2(stream, connection).await;
        } else {
            speak_h1(stream, connection, patience).await;
        }
        return;
    }
    speak_h1(Gate::new(socket, silence), connection, patience).await;
}

#[cfg(feature = "tls")]
async fn handshake(
    socket: TcpStream,
    authority: &super::tls::Authority,
    connection: &Connection,
) -> Option<tokio_rustls::server::TlsStream<Gate>> {
    let mut first = [0];
    let peeked = socket.peek(&mut first).await.ok()?;
    // No handshake begins with a letter, and all methods do.
    if peeked > 0 && first[0].is_ascii_uppercase() {
        let _ = socket.try_write(NO_TLS);
        return None;
    }
    let gate = Gate::new(socket, Arc::clone(&connection.silence));
    let acceptor = tokio_rustls::TlsAcceptor::from(authority.config());
    acceptor.accept(gate).await.ok()
}

async fn speak_h1<S>(stream: S, connection: &Arc<Connection>, patience: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    connection.speaks("http/1.1");
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(patience);
    let service = service_fn(|request| route::answer(Arc::clone(connection), request));
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    drive(connection, serving, |it| it.graceful_shutdown()).await;
}

#[cfg(feature = "tls")]
async fn speak_h2<S>(stream: S, connection: &Arc<Connection>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    connection.speaks("h2");
    let executor = hyper_util::rt::TokioExecutor::new();
    let mut builder = hyper::server::conn::http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(H2_HEAD_BYTES_MAX)
        .max_frame_size(H2_WINDOW_BYTES)
        .initial_stream_window_size(H2_WINDOW_BYTES)
        .initial_connection_window_size(H2_WINDOW_BYTES * H2_STREAMS_MAX);
    let service = service_fn(|request| route::answer(Arc::clone(connection), request));
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    drive(connection, serving, |it| it.graceful_shutdown()).await;
}

/// Runs a connection to its end, or to that which others make of it.
async fn drive<C: Future>(connection: &Connection, serving: C, retire: impl Fn(Pin<&mut C>)) {
    let mut serving = std::pin::pin!(serving);
    let patience = tokio::time::sleep(connection.shared.config.header_timeout);
    let mut patience = std::pin::pin!(patience);
    let mut is_begun = false;
    loop {
        tokio::select! {
            _ = &mut serving => break,
            () = connection.kill.notified() => break,
            () = connection.retire.notified() => retire(serving.as_mut()),
            () = &mut patience, if !is_begun => {
                is_begun = connection.is_begun();
                if !is_begun {
                    break;
                }
            }
        }
    }
    // A silent one is not even closed: its socket goes with `serving`, after this.
    connection.silence.over().await;
}

/// The whole of the refusal, as the request filters of a real server write it (pr-S5).
const FULL: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Retry-After: 1\r\nConnection: close\r\nContent-Length: 43\r\n\r\n\
    Too many requests, please try again later.\n";

#[cfg(feature = "tls")]
const NO_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// pr-S8: what Go's server is configured with.
#[cfg(feature = "tls")]
const H2_STREAMS_MAX: u32 = 100;
#[cfg(feature = "tls")]
const H2_WINDOW_BYTES: u32 = 256 << 10;
/// A sixteenth of what the real server takes, for each of a hundred streams may send one.
#[cfg(feature = "tls")]
const H2_HEAD_BYTES_MAX: u32 = 64 << 10;
