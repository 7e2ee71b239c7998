//! Bodies that do not end, do not come, or are not what their head says.

use std::{io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use tidings::WakeReason::{ShortStreams, Silent, Transport, Undecodable, UnfitEvents};

use crate::{
    front::{Exchange, Place},
    log::CONTENT,
    runner::{KIB, MIB, Row},
    words::{self, event, list, list_head, object},
};

#[test]
fn sec_16_items_without_end() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        to.chunk(list_head(r#""resourceVersion":"9""#)).await;
        let mut number = 0;
        let mut more = true;
        while more {
            let items = (number..number + 50).map(|n| object(&format!("o{n}"), 9) + ",");
            more = to.chunk(items.collect::<String>()).await;
            number += 50;
        }
    };
    Row::new(Place::List, script)
        .troubles(Undecodable, "too many items")
        .with(|setup| setup.limits.list_items_max = 20_000)
        .peak(12 * MIB)
        .run();
}

#[test]
fn sec_16_items_without_end_beyond_the_stores_budget() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        to.chunk(list_head(r#""resourceVersion":"9""#)).await;
        let filler = "x".repeat(4 * KIB);
        for number in 0.. {
            let item = object(&format!("o{number}"), 9);
            if !to.chunk(item.replace(CONTENT, &filler) + ",").await {
                return;
            }
        }
    };
    Row::new(Place::List, script)
        .troubles(Undecodable, "too many items")
        .with(|setup| {
            setup.limits.list_items_max = 10_000;
            setup.pipeline.store_bytes_max = MIB;
        })
        .peak(8 * MIB)
        .run();
}

#[test]
fn sec_16_one_item_without_end() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        let item = object("a", 9);
        let (start, _) = item.split_once(CONTENT).unwrap();
        to.chunk(list_head(r#""resourceVersion":"9""#) + start)
            .await;
        let line = words::chunk(&[b'x'; 64 * KIB]);
        to.send_for_ever(&line).await;
    };
    Row::new(Place::List, script)
        .troubles(Undecodable, "too long")
        .with(|setup| {
            setup.limits.list_bytes_max = 8 * MIB as u64;
            setup.limits.object_bytes_max = MIB;
        })
        .peak(4 * MIB)
        .run();
}

#[test]
fn sec_16_pr_w15_one_frame_without_end() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        let frame = event("MODIFIED", &object("a", to.version + 1));
        to.chunk(frame.split_once(CONTENT).unwrap().0).await;
        let line = words::chunk(&[b'x'; 64 * KIB]);
        to.send_for_ever(&line).await;
    };
    Row::new(Place::Watch, script)
        .troubles(Silent, "does not follow the server")
        .with(|setup| {
            setup.hurry();
            setup.limits.frame_bytes_max = MIB;
            setup.limits.object_bytes_max = MIB;
        })
        .peak(4 * MIB)
        .run();
}

#[test]
fn sec_16_white_space_without_end() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        let blank = words::chunk(&[b'\n'; 64 * KIB]);
        to.send_for_ever(&blank).await;
    };
    Row::new(Place::Watch, script)
        .troubles(Silent, "does not follow the server")
        .with(|setup| setup.hurry())
        .run();
}

#[test]
fn sec_18_a_million_levels_in_a_list() {
    let script = |mut to: Exchange| async move {
        let body = list(&[object("a", 9), object("deep", 9)], to.version);
        let (before, after) = body.rsplit_once(&format!("\"{CONTENT}\"")).unwrap();
        to.begin().await;
        to.chunk(before).await;
        nest(&mut to, "[", "]").await;
        to.chunk(after).await;
        to.send("0\r\n\r\n").await;
    };
    Row::new(Place::List, script)
        .spoils("nested too deep")
        .believed()
        .peak(4 * MIB)
        .run();
}

#[test]
fn sec_18_a_million_levels_in_a_frame() {
    let script = |mut to: Exchange| async move {
        let frame = event("MODIFIED", &object("a", to.version + 1));
        let (before, after) = frame.split_once(&format!("\"{CONTENT}\"")).unwrap();
        to.begin().await;
        to.chunk(before.to_owned() + r#"{"a":"#).await;
        nest(&mut to, "[", "]").await;
        to.chunk("}".to_owned() + after).await;
        to.hold().await;
    };
    Row::new(Place::Watch, script)
        .spoils("nested too deep")
        .rounds(1)
        .believed()
        .peak(4 * MIB)
        .run();
}

/// A million levels, a thousand at a time.
async fn nest(to: &mut Exchange, open: &str, close: &str) {
    for bracket in [open, close] {
        let chunk = words::chunk(bracket.repeat(1000).as_bytes());
        for _ in 0..1000 {
            to.send(&chunk).await;
        }
    }
}

#[test]
fn sec_18_a_million_levels_around_the_items() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        nest(&mut to, "[", "]").await;
        to.hold().await;
    };
    Row::new(Place::List, script)
        .troubles(Undecodable, "at byte 0")
        .run();
}

#[test]
fn a_hundred_thousand_chunks_of_one_byte() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        let mut sent = 0;
        let mut version = to.version;
        while sent < 100_000 {
            version += 1;
            let frame = event("MODIFIED", &object("a", version));
            let bytes = frame.as_bytes().iter();
            to.send(
                bytes
                    .flat_map(|byte| words::chunk(&[*byte]))
                    .collect::<Vec<u8>>(),
            )
            .await;
            sent += frame.len();
        }
        to.hold().await;
    };
    Row::new(Place::Watch, script)
        .until(|state| state.bytes_received > 100_000 && state.stats.events > 400)
        .believed()
        .peak(MIB)
        .run();
}

#[test]
fn pr_f31_a_list_that_drips() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        let body = list(&[object("a", 9)], 9);
        drip(&mut to, &words::chunk(body.as_bytes())).await;
    };
    Row::new(Place::List, script)
        .troubles(Silent, "a page of the list took too long")
        .with(|setup| setup.hurry())
        .run();
}

#[test]
fn pr_f31_a_watch_that_drips() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        let frame = event("MODIFIED", &object("a", to.version + 1));
        drip(&mut to, &words::chunk(frame.as_bytes())).await;
    };
    Row::new(Place::Watch, script)
        .troubles(Silent, "does not follow the server")
        .with(|setup| setup.hurry())
        .run();
}

/// A byte at a time, so slowly that a deadline is met first.
async fn drip(to: &mut Exchange, bytes: &[u8]) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for byte in bytes {
        ticks.tick().await;
        if !to.send([*byte]).await {
            return;
        }
    }
    to.hold().await;
}

#[test]
fn pr_f21_half_a_frame_and_nothing_more() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        let frame = event("MODIFIED", &object("a", to.version + 1));
        to.chunk(&frame[..frame.len() / 2]).await;
        to.hold().await;
    };
    Row::new(Place::Watch, script)
        .troubles(Silent, "does not follow the server")
        .with(|setup| setup.hurry())
        .run();
}

#[test]
fn pr_w5_half_a_frame_and_an_orderly_end() {
    let script = |mut to: Exchange| async move {
        let frame = event("MODIFIED", &object("a", to.version + 1));
        to.answer(&frame[..frame.len() / 2]).await;
    };
    Row::new(Place::Watch, script)
        .troubles(
            Transport,
            "the watch stream ended inside the frame, at byte 0",
        )
        .run();
}

#[test]
fn pr_l21_a_list_whose_body_does_not_come() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        to.hold().await;
    };
    Row::new(Place::List, script)
        .troubles(Transport, "stood still")
        .with(|setup| setup.hurry())
        .run();
}

#[test]
fn pr_w12_a_watch_that_ends_at_once() {
    let script = |mut to: Exchange| async move { to.answer("").await };
    Row::new(Place::Watch, script)
        .troubles(ShortStreams, "ended the watch at once")
        .rounds(8)
        .run();
}

#[test]
fn pr_f32_a_page_of_html_with_a_200() {
    let script = |mut to: Exchange| async move {
        let page = format!("<html>{CONTENT}</html>");
        let answer = words::status("200 OK", &page).replace("application/json", "text/html");
        to.send(answer).await;
    };
    Row::new(Place::List, script)
        .troubles(Undecodable, r#""text/html" and not application/json"#)
        .run();
}

#[test]
fn an_endless_answer_of_a_type_that_is_not_read() {
    let script = |mut to: Exchange| async move {
        to.send(words::OK.replace("application/json", "video/mp4"))
            .await;
        to.send_for_ever(&words::chunk(&[b'x'; 64 * KIB])).await;
    };
    Row::new(Place::Watch, script)
        .troubles(Undecodable, r#""video/mp4""#)
        .run();
}

#[test]
fn events_without_end_that_cannot_be_acted_upon() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        let frame = event("PAINTED", &object("a", to.version + 1));
        to.send_for_ever(&words::chunk(&frame.repeat(100).into_bytes()))
            .await;
    };
    Row::new(Place::Watch, script)
        .troubles(UnfitEvents, "unknown type")
        .run();
}

// Compressed.

/// So many mebibytes of blanks, never held whole.
fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..mebibytes * 16 {
        encoder.write_all(&[b' '; 64 * KIB]).unwrap();
    }
    encoder.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A list, with its body in gzip as it is given.
fn compressed(place: Place, body: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static) -> Row {
    let body = std::sync::Arc::new(body);
    Row::new(place, move |mut to: Exchange| {
        let body = std::sync::Arc::clone(&body);
        async move {
            to.send(words::OK.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n"))
                .await;
            to.chunk(body(to.version)).await;
            to.send("0\r\n\r\n").await;
        }
    })
    .with(|setup| setup.client.accept_gzip = true)
}

#[test]
fn sec_17_a_gzip_bomb() {
    // A million to a thousand: what goes beyond the ratio is found before it is handed on.
    let bomb = bomb(64);
    compressed(Place::List, move |_| bomb.clone())
        .troubles(Undecodable, "expands beyond its limit, at byte ")
        .peak(MIB)
        .run();
}

#[test]
fn sec_17_a_gzip_bomb_in_members() {
    let member = gzip(&[b' '; 64 * KIB]);
    compressed(Place::Watch, move |_| member.repeat(1000))
        .troubles(Undecodable, "expands beyond its limit")
        .peak(MIB)
        .run();
}

#[test]
fn sec_17_gzip_within_gzip() {
    let bomb = gzip(&bomb(64));
    compressed(Place::List, move |_| bomb.clone())
        .troubles(Undecodable, "at byte 0")
        .run();
}

#[test]
fn pr_w8_gzip_that_is_cut() {
    compressed(Place::List, |version| {
        let whole = gzip(list(&[object("a", 9)], version).as_bytes());
        whole[..whole.len() - 5].to_vec()
    })
    .troubles(Transport, "the gzip data ended too early, at byte ")
    .run();
}

#[test]
fn pr_w8_gzip_with_something_behind_it() {
    compressed(Place::List, |version| {
        let mut whole = gzip(list(&[object("a", 9)], version).as_bytes());
        whole.extend_from_slice(CONTENT.as_bytes());
        whole
    })
    .troubles(Undecodable, "something follows the gzip data, at byte ")
    .run();
}

#[test]
fn pr_w8_gzip_with_a_wrong_checksum() {
    compressed(Place::List, |version| {
        let mut whole = gzip(list(&[object("a", 9)], version).as_bytes());
        let at = whole.len() - 6;
        whole[at] ^= 1;
        whole
    })
    .troubles(Undecodable, "checksum does not match, at byte ")
    .run();
}

#[test]
fn pr_w7_empty_members_without_end() {
    let member = gzip(b"");
    let script = move |mut to: Exchange| {
        let members = words::chunk(&member.repeat(1000));
        async move {
            to.send(words::OK.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n"))
                .await;
            to.send_for_ever(&members).await;
        }
    };
    Row::new(Place::List, script)
        .troubles(Silent, "a page of the list took too long")
        .with(|setup| setup.hurry())
        .run();
}

#[test]
fn a_plain_body_that_is_said_to_be_gzip() {
    compressed(Place::List, |version| {
        list(&[object("a", 9)], version).into_bytes()
    })
    .troubles(Undecodable, "not a gzip header, at byte ")
    .run();
}

#[test]
fn gzip_that_is_said_to_be_plain() {
    let script = |mut to: Exchange| async move {
        let body = gzip(list(&[object("a", 9)], to.version).as_bytes());
        to.answer(body).await;
    };
    Row::new(Place::List, script)
        .troubles(Undecodable, "at byte 0")
        .run();
}

#[test]
fn sec_17_encodings_that_were_not_asked_for() {
    for encoding in ["br", "zstd", "gzip, gzip", "deflate", "x-gzip; q=1"] {
        let script = move |mut to: Exchange| async move {
            let more = format!("\r\nContent-Encoding: {encoding}\r\n\r\n");
            to.send(words::OK.replace("\r\n\r\n", &more)).await;
            to.chunk(b"\x28\xb5\x2f\xfd").await;
            to.hold().await;
        };
        Row::new(Place::List, script)
            .troubles(Undecodable, "an encoding that was not asked for")
            .run();
    }
}
