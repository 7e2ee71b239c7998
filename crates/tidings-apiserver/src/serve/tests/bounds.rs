//! Clients that mean harm: what they can hold is bounded, and they are told so where that is possible.

use super::*;

/// Reads until the server closes, and says what came.
async fn told(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn ten_thousand_connections_are_turned_away_beyond_the_cap() {
    const CAP: usize = 50;
    let config = Config {
        connections_max: CAP,
        ..Config::default()
    };
    let server = server(config).await;
    let mut held = Vec::new();
    for _ in 0..CAP {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        // It has been taken in when it is answered.
        socket
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut head = [0; 15];
        socket.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        held.push(socket);
    }
    for _ in CAP..10_000 {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        let told = told(&mut socket).await;
        assert!(told.starts_with("HTTP/1.1 429"), "{told}");
        assert!(
            told.ends_with("Too many requests, please try again later.\n"),
            "{told}"
        );
        assert!(server.open_connections().len() <= CAP);
    }
    drop(held);
    while !server.open_connections().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        code(&server, "GET /healthz", "", "").await,
        200,
        "there is room again"
    );
    server.shutdown().await;
}

#[tokio::test]
async fn pr_s8_a_head_that_comes_a_byte_at_a_time_is_not_waited_for() {
    let patience = Duration::from_millis(300);
    let config = Config {
        header_timeout: patience,
        ..Config::default()
    };
    let server = server(config).await;
    for is_second in [false, true] {
        let begun = tokio::time::Instant::now();
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        if is_second {
            let whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
            socket.write_all(whole).await.unwrap();
            let mut head = [0; 15];
            socket.read_exact(&mut head).await.unwrap();
        }
        let (mut reader, mut writer) = socket.into_split();
        let drip = async {
            let mut beat = tokio::time::interval(Duration::from_millis(20));
            let bytes = b"GET /healthz HTTP/1.1\r\nX: ".iter();
            for byte in bytes.chain(std::iter::repeat(&b'a')) {
                beat.tick().await;
                if writer.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
        };
        let closed = async {
            let mut bytes = Vec::new();
            let _ = reader.read_to_end(&mut bytes).await;
        };
        let ended = async {
            tokio::select! {
                () = drip => {}
                () = closed => {}
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
        assert!(ended.is_ok(), "it is waited for");
        assert!(begun.elapsed() >= patience);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let config = Config {
        header_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let server = server(config).await;
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    assert_eq!(told(&mut socket).await, "");
    server.shutdown().await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let config = Config {
        tls: Some(Tls::default()),
        header_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let server = server(config).await;
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    // The beginning of a handshake.
    socket.write_all(&[0x16, 3, 1]).await.unwrap();
    assert_eq!(told(&mut socket).await, "");
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let said = told(&mut socket).await;
    assert!(
        said.ends_with("Client sent an HTTP request to an HTTPS server.\n"),
        "{said}"
    );
    server.shutdown().await;
}

#[tokio::test]
async fn an_endless_head_is_answered_with_431() {
    let server = server(Config::default()).await;
    for line in [
        format!("X: {}\r\n", "a".repeat(1000)),
        "Y: b\r\n".to_owned(),
    ] {
        let (mut reader, mut writer) = TcpStream::connect(server.address())
            .await
            .unwrap()
            .into_split();
        writer
            .write_all(b"GET /healthz HTTP/1.1\r\n")
            .await
            .unwrap();
        let flood = async {
            let mut sent = 0;
            while sent < (64 << 20) && writer.write_all(line.as_bytes()).await.is_ok() {
                sent += line.len();
            }
            sent
        };
        let answered = async {
            let mut head = [0; 12];
            // A reset may overtake the answer; then the flood has ended all the same.
            match reader.read_exact(&mut head).await {
                Ok(_) => String::from_utf8_lossy(&head).into_owned(),
                Err(_) => String::new(),
            }
        };
        let (sent, head) = tokio::join!(flood, answered);
        assert!(sent < 16 << 20, "{sent} bytes of a head were taken");
        assert!(matches!(head.as_str(), "" | "HTTP/1.1 431"), "{head}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn pr_n9_an_endless_body_is_answered_with_413() {
    let server = server(Config::default()).await;
    let (mut reader, mut writer) = TcpStream::connect(server.address())
        .await
        .unwrap()
        .into_split();
    let head = "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\n\
                Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    writer.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let flood = async {
        let mut sent = 0;
        while sent < (256 << 20) && writer.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
        }
        sent
    };
    let answered = async {
        let mut head = [0; 12];
        reader.read_exact(&mut head).await.unwrap();
        // Until the connection is closed, so that the flood ends.
        let mut rest = Vec::new();
        let _ = reader.read_to_end(&mut rest).await;
        String::from_utf8_lossy(&head).into_owned()
    };
    let (sent, head) = tokio::join!(flood, answered);
    assert_eq!(head, "HTTP/1.1 413");
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    server.shutdown().await;
}

#[tokio::test]
async fn pr_l21_a_body_that_does_not_come_is_answered_with_504() {
    let config = Config {
        request_timeout: Duration::from_millis(100),
        ..Config::default()
    };
    let server = server(config).await;
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let head = "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\n\
                Connection: close\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.unwrap();
    let (head, body) = answer(socket).await;
    assert!(head.starts_with("HTTP/1.1 504"), "{head}");
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status["reason"], "Timeout");
    server.shutdown().await;
}

#[tokio::test]
async fn pr_l21_a_list_that_nobody_reads_is_broken_off() {
    let config = Config {
        request_timeout: Duration::from_millis(100),
        ..Config::default()
    };
    let server = server(config).await;
    fill(&server, 8_000);
    let mut socket = send(&server, &format!("GET {PODS}"), "", "").await;
    let mut first = [0; 15];
    socket.read_exact(&mut first).await.unwrap();
    while !server.open_connections().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it did not end well");
    server.shutdown().await;
}
