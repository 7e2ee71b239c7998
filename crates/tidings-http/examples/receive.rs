//! Measures what receiving a list costs: bytes for each second of the receiver's own CPU time.
//!
//! Starts a server thread on loopback that writes one large chunked body, reads it through the
//! client on this thread, asserts the length, and prints the rate. Linux tells a thread's CPU time.
//!
//! Usage: `cargo run --release -p tidings-http --example receive [MIB [CHUNK_BYTES [BUFFER_BYTES]]]`;
//! with `TLS=1` in the environment the same through TLS.

use std::{
    error::Error,
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    thread,
    time::Instant,
};

use rustls::{ServerConnection, pki_types::PrivateKeyDer};
use tidings_api::request::Request;
use tidings_http::{Client, ClientConfig, Purpose, tls::Roots};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>());
    let mib = args.next().transpose()?.unwrap_or(256);
    let chunk = args.next().transpose()?.unwrap_or(64 << 10);
    let buffer = args.next().transpose()?;
    let total = (mib << 20) / chunk * chunk;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let tls = std::env::var_os("TLS").map(|_| tls()).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr()?);
    let mut config = ClientConfig::from_server(&url)?;
    config.tls.roots = Roots::Anyone;
    if let Some(buffer) = buffer {
        config.read_buffer_bytes = buffer;
    }
    let server = thread::spawn(move || -> std::io::Result<()> {
        let (stream, _) = listener.accept()?;
        match tls {
            None => serve(stream, total, chunk),
            Some(tls) => serve(rustls::StreamOwned::new(tls, stream), total, chunk),
        }
    });

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let client = Client::new(config)?;
    let (mut received, mut chunks) = (0, 0_u64);
    let (wall, cpu) = (Instant::now(), thread_cpu_nanos()?);
    runtime.block_on(async {
        let request = Request::get("/api/v1/pods".to_owned());
        let mut response = client.open(&request, Purpose::List).await?;
        while let Some(chunk) = response.chunk().await {
            received += chunk?.len();
            chunks += 1;
        }
        Ok::<(), tidings_http::TransportError>(())
    })?;
    let (wall, cpu) = (wall.elapsed(), thread_cpu_nanos()? - cpu);
    assert_eq!(received, total, "the whole body came");
    server.join().map_err(|_| "the server panicked")??;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{mib} MiB in chunks of {chunk}: {:.2} GB/s of receiver CPU, {:.2} GB/s wall, {} bytes a read",
        rate(total, u128::from(cpu)),
        rate(total, wall.as_nanos()),
        total as u64 / chunks.max(1),
    )?;
    Ok(())
}

/// The server's side of a session, with a certificate that it has issued to itself.
fn tls() -> Result<ServerConnection, Box<dyn Error>> {
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der())?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()?
    .with_no_client_auth()
    .with_single_cert(vec![own.cert.der().clone()], key)?;
    Ok(ServerConnection::new(Arc::new(config))?)
}

fn serve(mut stream: impl Read + Write, total: usize, chunk: usize) -> std::io::Result<()> {
    let mut head = [0; 4096];
    let mut len = 0;
    while !head[..len].ends_with(b"\r\n\r\n") {
        len += stream.read(&mut head[len..])?;
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let mut frame = format!("{chunk:x}\r\n").into_bytes();
    frame.resize(frame.len() + chunk, b'x');
    frame.extend_from_slice(b"\r\n");
    for _ in 0..total / chunk {
        stream.write_all(&frame)?;
    }
    stream.write_all(b"0\r\n\r\n")?;
    stream.flush()
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(bytes: usize, nanos: u128) -> f64 {
    bytes as f64 / nanos as f64
}

/// The CPU time of this thread so far.
fn thread_cpu_nanos() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().ok_or("empty schedstat")?;
    Ok(first.parse()?)
}
