//! Measures what receiving a list costs: bytes for each second of the receiver's own CPU time.
//!
//! Starts a server thread on loopback that writes one large chunked body, reads it through the
//! client on this thread, asserts the length, and prints the rate. Linux tells a thread's CPU time.
//!
//! Usage: `cargo run --release -p tidings-http --example receive [MIB [CHUNK_BYTES [BUFFER_BYTES]]]`

use std::{
    error::Error,
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Instant,
};

use tidings_api::request::Request;
use tidings_http::{Client, ClientConfig, Purpose};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>());
    let mib = args.next().transpose()?.unwrap_or(256);
    let chunk = args.next().transpose()?.unwrap_or(64 << 10);
    let buffer = args.next().transpose()?;
    let total = (mib << 20) / chunk * chunk;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut config = ClientConfig::from_server(&format!("http://{}", listener.local_addr()?))?;
    if let Some(buffer) = buffer {
        config.read_buffer_bytes = buffer;
    }
    let server = thread::spawn(move || -> std::io::Result<()> {
        let (stream, _) = listener.accept()?;
        serve(stream, total, chunk)
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

fn serve(mut stream: TcpStream, total: usize, chunk: usize) -> std::io::Result<()> {
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
    stream.write_all(b"0\r\n\r\n")
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
