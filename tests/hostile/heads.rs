//! Heads and framing that break HTTP, or stretch it.

use std::time::Duration;

use tidings::WakeReason::{Rejected, ServerTrouble, Transport, Undecodable};

use crate::{
    front::{Exchange, Place},
    runner::{KIB, MIB, Row},
    words::{self, list, object, status, with_head},
};

/// An answer of these bytes to a list; the connection stays open.
fn answers(of: impl Fn(u64) -> String + Send + Sync + 'static) -> Row {
    let of = std::sync::Arc::new(of);
    Row::new(Place::List, move |mut to: Exchange| {
        let of = std::sync::Arc::clone(&of);
        async move {
            to.send(of(to.version)).await;
            to.hold().await;
        }
    })
}

/// The same, and the connection is closed.
fn answers_and_closes(of: impl Fn(u64) -> String + Send + Sync + 'static) -> Row {
    let of = std::sync::Arc::new(of);
    Row::new(Place::List, move |mut to: Exchange| {
        let of = std::sync::Arc::clone(&of);
        async move {
            to.send(of(to.version)).await;
        }
    })
}

fn whole(version: u64) -> String {
    list(&[object("a", 9)], version)
}

#[test]
fn pr_l21_a_length_that_is_too_long() {
    answers_and_closes(|version| {
        let body = whole(version);
        with_head(&format!("Content-Length: {}\r\n", body.len() + 1), &body)
    })
    .troubles(Transport, "the body was cut after ")
    .run();
}

#[test]
fn pr_l21_a_length_that_is_too_short() {
    answers(|version| {
        let body = whole(version);
        with_head(&format!("Content-Length: {}\r\n", body.len() - 1), &body)
    })
    .troubles(Transport, "the list ended too early, at byte ")
    .run();
}

#[test]
fn sec_31_lengths_that_are_none() {
    for length in [
        "-1",
        "+5",
        "0x10",
        "5 5",
        "99999999999999999999999",
        "1, 2",
        "",
    ] {
        answers(move |version| {
            with_head(&format!("Content-Length: {length}\r\n"), &whole(version))
        })
        .troubles(Transport, "is no valid http")
        .run();
    }
}

#[test]
fn sec_31_two_lengths() {
    answers(|version| {
        let body = whole(version);
        let lengths = format!("Content-Length: {}\r\nContent-Length: 5\r\n", body.len());
        with_head(&lengths, &body)
    })
    .troubles(Transport, "is no valid http")
    .run();
}

#[test]
fn sec_31_a_length_and_chunks() {
    answers(|version| {
        let body = String::from_utf8(words::chunk(whole(version).as_bytes())).unwrap();
        let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
        with_head(both, &format!("{body}0\r\n\r\n"))
    })
    .troubles(Transport, "both a length and chunks")
    .run();
}

#[test]
fn sec_31_an_answer_that_nobody_asked_for() {
    // It comes behind a whole list, for the next request to take it for its own.
    let script = |mut to: Exchange| async move {
        let body = list(&[object("a", 9)], to.version);
        let head = format!("Content-Length: {}\r\n", body.len());
        let smuggled = status("403 Forbidden", r#"{"kind":"Status","message":"smuggled"}"#);
        to.send(with_head(&head, &body) + &smuggled).await;
        to.hold().await;
    };
    Row::new(Place::List, script)
        .until(|state| state.objects == 1)
        .rounds(6)
        .believed()
        .run();
}

#[test]
fn answers_that_are_no_http() {
    for junk in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "<html>HTTP/0.9</html>\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
        "HTTP/1.1 OK 200\r\n\r\n",
        "HTTP/1.1 99999 Huge\r\n\r\n",
        "HTTP/1.1 200 \u{1}\u{2}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type : application/json\r\n\r\n",
        "HTTP/1.1 200 OK\r\nFolded: a\r\n b\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "{\"kind\":\"Status\"}\r\n\r\n",
    ] {
        answers(move |_| junk.to_owned())
            .troubles(Transport, "is no valid http")
            .run();
    }
}

#[test]
fn sec_14_a_status_line_without_end() {
    endless(b"HTTP/1.1 200 OK", b"x");
}

#[test]
fn sec_14_a_header_without_end() {
    endless(b"HTTP/1.1 200 OK\r\nX: ", b"x");
}

#[test]
fn sec_14_headers_without_end() {
    endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n");
}

fn endless(start: &'static [u8], more: &'static [u8]) {
    let script = move |mut to: Exchange| async move {
        to.send(start).await;
        to.send_for_ever(&more.repeat(8 * KIB)).await;
    };
    Row::new(Place::List, script)
        .troubles(Transport, "is no valid http")
        .peak(MIB)
        .run();
}

#[test]
fn sec_14_ten_thousand_headers() {
    answers(|version| {
        let headers: String = (0..10_000)
            .map(|number| format!("X-{number}: y\r\n"))
            .collect();
        with_head(&headers, &whole(version))
    })
    .troubles(Transport, "is no valid http")
    .peak(2 * MIB)
    .run();
}

#[test]
fn sec_14_informational_answers_without_end() {
    for line in [
        "100 Continue",
        "102 Processing",
        "103 Early Hints\r\nLink: </x>",
    ] {
        let more = format!("HTTP/1.1 {line}\r\n\r\n").repeat(2 * KIB);
        let script = move |mut to: Exchange| {
            let more = more.clone();
            async move { to.send_for_ever(more.as_bytes()).await }
        };
        Row::new(Place::List, script)
            .troubles(Transport, "waiting for the head of an answer")
            .with(|setup| setup.hurry())
            .rounds(3)
            .peak(MIB)
            .run();
    }
}

#[test]
fn sec_15_a_switch_of_protocols() {
    answers(|_| {
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n".to_owned()
    })
    .until(|state| state.condition.trouble.is_some())
    .rounds(3)
    .run();
}

#[test]
fn answers_that_have_no_list() {
    for line in [
        "204 No Content",
        "205 Reset Content",
        "201 Created",
        "299 Odd",
    ] {
        answers_and_closes(move |_| format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n"))
            .troubles(ServerTrouble, "the server said 2")
            .run();
    }
}

#[test]
fn answers_without_a_body_that_bring_one() {
    for line in ["204 No Content", "206 Partial Content", "304 Not Modified"] {
        let row = answers_and_closes(move |version| status(line, &whole(version)));
        if line.starts_with('3') {
            row.troubles(Rejected, "the server said 304").run();
        } else {
            row.troubles(ServerTrouble, "the server said 20").run();
        }
    }
}

#[test]
fn chunks_that_are_none() {
    for size in [
        "g",
        "-1",
        "fffffffffffffffff",
        "ffffffffffffffff1",
        "",
        " 5",
        "5 5",
    ] {
        answers(move |version| format!("{}{size}\r\n{}", words::OK, whole(version)))
            .troubles(Transport, "the body was cut after 0 bytes")
            .run();
    }
}

#[test]
fn a_chunk_that_is_longer_than_memory() {
    let script = |mut to: Exchange| async move {
        to.send(format!("{}7fffffffffffffff\r\n{{", words::OK))
            .await;
        to.send_for_ever(&[b' '; 64 * KIB]).await;
    };
    Row::new(Place::List, script)
        .troubles(Undecodable, "too long, at byte ")
        .with(|setup| setup.limits.list_bytes_max = 4 * MIB as u64)
        .run();
}

#[test]
fn sec_31_a_chunk_extension_of_a_megabyte() {
    answers(|version| {
        let body = whole(version);
        let extension = "x".repeat(MIB);
        format!(
            "{}{:x};{extension}\r\n{body}\r\n0\r\n\r\n",
            words::OK,
            body.len()
        )
    })
    .troubles(Transport, "the body was cut after 0 bytes")
    .peak(8 * MIB)
    .run();
}

#[test]
fn trailers_without_end() {
    let script = |mut to: Exchange| async move {
        let body = list(&[object("a", 9)], to.version);
        to.begin().await;
        to.chunk(body).await;
        to.send("0\r\n").await;
        to.send_for_ever(&b"X: y\r\n".repeat(KIB)).await;
    };
    Row::new(Place::List, script)
        .troubles(Transport, "the body was cut after ")
        .peak(MIB)
        .run();
}

#[test]
fn a_connection_that_is_never_answered() {
    Row::new(
        Place::List,
        |mut to: Exchange| async move { to.hold().await },
    )
    .troubles(Transport, "waiting for the head of an answer")
    .with(|setup| setup.hurry())
    .run();
}

#[test]
fn a_head_that_drips() {
    let script = |mut to: Exchange| async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for byte in words::OK.bytes() {
            ticks.tick().await;
            to.send([byte]).await;
        }
        to.hold().await;
    };
    Row::new(Place::Watch, script)
        .troubles(Transport, "waiting for the head of an answer")
        .with(|setup| setup.hurry())
        .run();
}

#[test]
fn pr_f28_a_connection_that_is_reset() {
    let script = |to: Exchange| async move {
        // Unread or not: no farewell, no end of the body.
        to.io.set_zero_linger().unwrap();
    };
    Row::new(Place::List, script)
        .troubles(Transport, "ended before an answer came")
        .run();
}
