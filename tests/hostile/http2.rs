//! HTTP/2 written by hand: frames that no server should send, or not so many of them (SEC-30).
//!
//! Source: RFC 9113 section 6; the floods are those of RUSTSEC-2023-0034, -2024-0003 and -2024-0332.

use std::time::Duration;

use tidings::WakeReason::{Silent, Transport, Undecodable};
use tokio::io::AsyncReadExt as _;

use crate::{
    front::{Exchange, Place, Speech},
    log::CONTENT,
    runner::{KIB, MIB, Row},
    words::{list_head, object},
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0xbe;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:status: 200` and `content-type: application/json`, in HPACK.
const OK: &[u8] = b"\x88\x0f\x10\x10application/json";
/// `:status: 103`.
const EARLY_HINTS: &[u8] = b"\x08\x03103";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// Reads what a client says up to its request. Returns the request's stream.
async fn request(to: &mut Exchange) -> Option<u32> {
    let mut preface = [0; 24];
    to.io.read_exact(&mut preface).await.ok()?;
    to.send(frame(SETTINGS, 0, 0, b"")).await;
    loop {
        let mut head = [0; 9];
        to.io.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, _, w, x, y, z] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        to.io.read_exact(&mut payload).await.ok()?;
        if kind == HEADERS {
            to.send(frame(SETTINGS, 1, 0, b"")).await;
            return Some(u32::from_be_bytes([w, x, y, z]));
        }
    }
}

/// A server that answers each request with some frames, and then with others for ever. Meanwhile it
/// reads and forgets what the client says, so that no full buffer holds the client up.
fn row(
    first: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
    then: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
) -> Row {
    let (first, then) = (std::sync::Arc::new(first), std::sync::Arc::new(then));
    Row::new(Place::Connection, move |mut to: Exchange| {
        let (first, then) = (std::sync::Arc::clone(&first), std::sync::Arc::clone(&then));
        async move {
            let Some(stream) = request(&mut to).await else {
                return;
            };
            to.send(first(stream)).await;
            let more = then(stream);
            if more.is_empty() {
                return to.hold().await;
            }
            let mut many = more.clone();
            while many.len() < 32 * KIB {
                many.extend_from_slice(&more);
            }
            let (mut reader, mut writer) = to.io.split();
            let flood = async {
                while tokio::io::AsyncWriteExt::write_all(&mut writer, &many)
                    .await
                    .is_ok()
                {}
            };
            let mut heard = [0; 4 * KIB];
            let listen =
                async { while reader.read(&mut heard).await.is_ok_and(|count| count > 0) {} };
            tokio::join!(flood, listen);
        }
    })
    .speech(Speech::Http2)
    .with(|setup| setup.hurry())
    .peak(MIB)
}

fn nothing(_: u32) -> Vec<u8> {
    Vec::new()
}

fn accepted(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, OK)
}

#[test]
fn sec_30_pr_f26_goaway_for_each_request() {
    row(|_| frame(GOAWAY, 0, 0, &[0; 8]), nothing)
        .troubles(Transport, "ended before an answer came")
        .rounds(6)
        .run();
}

#[test]
fn sec_30_goaway_without_end() {
    row(nothing, |_| {
        frame(GOAWAY, 0, 0, b"\x7f\xff\xff\xff\0\0\0\0")
    })
    .troubles(Transport, "waiting for the head of an answer")
    .run();
}

#[test]
fn sec_29_sec_30_goaway_with_long_reasons() {
    // They are repeated in one line, as far as it goes.
    let reason = [[0; 8].as_slice(), &[b'x'; 16_000]].concat();
    row(move |_| frame(GOAWAY, 0, 0, &reason), nothing)
        .until(|state| {
            let trouble = state.condition.trouble.as_ref();
            trouble.is_some_and(|it| it.message.contains("xxx") && it.message.len() < 1000)
        })
        .rounds(4)
        .run();
}

#[test]
fn sec_30_each_stream_is_reset() {
    for reason in [0, 2, 7, 8, 11, 0xdead_beef_u32] {
        row(
            move |stream| frame(RST_STREAM, 0, stream, &reason.to_be_bytes()),
            nothing,
        )
        .troubles(Transport, "ended before an answer came")
        .rounds(6)
        .run();
    }
}

#[test]
fn sec_30_each_body_is_reset() {
    row(
        |stream| [accepted(stream), frame(RST_STREAM, 0, stream, &[0; 4])].concat(),
        nothing,
    )
    .troubles(Transport, "the body was cut after 0 bytes")
    .rounds(6)
    .run();
}

#[test]
fn sec_30_resets_without_end() {
    row(accepted, |stream| {
        frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])
    })
    .troubles(Transport, "the body was cut after 0 bytes")
    .run();
}

#[test]
fn sec_30_settings_without_end() {
    row(nothing, |_| frame(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64"))
        .troubles(Transport, "waiting for the head of an answer")
        .run();
}

#[test]
fn sec_30_pings_without_end() {
    row(nothing, |_| frame(PING, 0, 0, b"hunter2!"))
        .troubles(Transport, "waiting for the head of an answer")
        .run();
}

#[test]
fn sec_30_priorities_and_unknown_frames_without_end() {
    for kind in [PRIORITY, UNKNOWN] {
        row(nothing, move |stream| {
            frame(kind, 0, stream, &[0, 0, 0, 0, 1])
        })
        .troubles(Transport, "waiting for the head of an answer")
        .run();
    }
}

#[test]
fn sec_30_continuations_without_end() {
    row(
        |stream| frame(HEADERS, 0, stream, OK),
        |stream| frame(CONTINUATION, 0, stream, b"\0\x01a\x01b"),
    )
    .troubles(Transport, "ended before an answer came")
    .run();
}

#[test]
fn sec_30_empty_continuations_without_end() {
    row(
        |stream| frame(HEADERS, 0, stream, OK),
        |stream| frame(CONTINUATION, 0, stream, b""),
    )
    .troubles(Transport, "ended before an answer came")
    .run();
}

#[test]
fn sec_14_headers_beyond_their_bound() {
    row(
        |stream| {
            let header = [b"\0\x01a\x7f\x81\x07".as_slice(), &[b'x'; 1024]].concat();
            let mut frames = frame(HEADERS, 0, stream, OK);
            for number in 0..200 {
                let flags = if number == 199 { END_HEADERS } else { 0 };
                frames.extend(frame(CONTINUATION, flags, stream, &header));
            }
            frames
        },
        nothing,
    )
    .troubles(Transport, "ended before an answer came")
    .peak(2 * MIB)
    .run();
}

#[test]
fn sec_14_a_bomb_of_headers() {
    // One long entry in the table, named again and again by a byte each.
    row(
        |stream| {
            let entry = [b"\x40\x01a\x7f\x81\x1e".as_slice(), &[b'x'; 4000]].concat();
            let block = [OK, &entry, &[0xbe; 10_000]].concat();
            frame(HEADERS, END_HEADERS, stream, &block)
        },
        nothing,
    )
    .troubles(Transport, "ended before an answer came")
    .run();
}

#[test]
fn sec_14_early_hints_without_end() {
    // The reader forgets them, but what comes between two of its turns is held: it does not grow with
    // the time that the flood lasts, nor does it shrink below what the connection's task may read.
    row(nothing, |stream| {
        frame(HEADERS, END_HEADERS, stream, EARLY_HINTS)
    })
    .with(|setup| {
        setup.reflector.silence_max = Duration::from_secs(60);
        setup.client.timeouts.head = Duration::from_millis(500);
    })
    .troubles(Transport, "waiting for the head of an answer")
    .peak(96 * MIB)
    .run();
}

#[test]
fn a_body_before_its_head() {
    for before in [b"".as_slice(), EARLY_HINTS] {
        row(
            move |stream| {
                let mut frames = Vec::new();
                if !before.is_empty() {
                    frames = frame(HEADERS, END_HEADERS, stream, before);
                }
                frames.extend(frame(DATA, 0, stream, b"{}"));
                frames.extend(accepted(stream));
                frames
            },
            nothing,
        )
        .troubles(Transport, "ended before an answer came")
        .run();
    }
}

#[test]
fn sec_30_empty_data_without_end() {
    row(accepted, |stream| frame(DATA, 0, stream, b""))
        .until(|state| state.condition.trouble.is_some())
        .rounds(3)
        .peak(4 * MIB)
        .run();
}

#[test]
fn sec_16_a_list_without_end_over_http2() {
    row(
        |stream| {
            let start = list_head(r#""resourceVersion":"9""#) + &object("a", 9);
            let (start, _) = start.split_once(CONTENT).unwrap();
            [accepted(stream), frame(DATA, 0, stream, start.as_bytes())].concat()
        },
        nothing,
    )
    .until(|state| state.condition.trouble.is_some())
    .rounds(3)
    .run();
}

#[test]
fn sec_30_data_beyond_the_window() {
    // Whoever does not mind the window is hung up on, and what he sent is not kept.
    row(accepted, |stream| frame(DATA, 0, stream, &[b'{'; 16 * KIB]))
        .until(|state| state.condition.trouble.is_some())
        .rounds(3)
        .peak(8 * MIB)
        .run();
}

#[test]
fn sec_30_windows_beyond_their_bound() {
    row(nothing, |_| frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"))
        .troubles(Transport, "ended before an answer came")
        .run();
}

#[test]
fn sec_15_pushes_that_nobody_wants() {
    let block = b"\0\0\0\x02\x82\x86\x84\x41\x01a";
    row(
        |stream| frame(PUSH_PROMISE, END_HEADERS, stream, block),
        nothing,
    )
    .troubles(Transport, "ended before an answer came")
    .run();
}

#[test]
fn sec_30_frames_of_sixteen_megabytes() {
    row(
        |stream| [b"\xff\xff\xff\0\0".as_slice(), &stream.to_be_bytes(), b"x"].concat(),
        nothing,
    )
    .troubles(Transport, "ended before an answer came")
    .run();
}

#[test]
fn http1_where_http2_should_be() {
    Row::new(Place::Connection, |mut to: Exchange| async move {
        to.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            .await;
        to.hold().await;
    })
    .speech(Speech::Http2)
    .troubles(Transport, "ended before an answer came")
    .run();
}

#[test]
fn pr_l21_trailers_in_place_of_an_end() {
    row(
        |stream| {
            let trailers = frame(HEADERS, END_HEADERS, stream, b"\0\x01a\x01b");
            [accepted(stream), trailers].concat()
        },
        nothing,
    )
    .until(|state| state.condition.trouble.is_some())
    .rounds(3)
    .run();
}

#[test]
fn pr_f32_a_page_of_html_over_http2() {
    let html = b"\x88\x0f\x10\x09text/html";
    row(
        move |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, html),
        nothing,
    )
    .troubles(Undecodable, "\"text/html\" and not application/json")
    .run();
}

#[test]
fn pr_f21_a_watch_that_says_nothing_over_http2() {
    row(accepted, nothing)
        .troubles(Silent, "a probe was not answered")
        .run();
}
