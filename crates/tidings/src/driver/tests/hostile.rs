//! Peers that say anything, or nothing, at any time: no panic, no loop without a delay, no stop that
//! takes time, no death that leaves more than a fresh start.

use super::{script::*, *};
use crate::{Event, ListMode, Raw, WakeReason};

type Informed = (crate::InformerHandle<Raw>, tokio::task::JoinHandle<()>);

fn running(builder: crate::InformerBuilder<Raw>) -> Informed {
    let informer = builder.build().unwrap();
    let handle = informer.handle();
    (handle, tokio::spawn(informer.run()))
}

/// A seeded source of numbers, good enough to be odd.
struct Odd(u64);

impl Odd {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    /// Bytes that were a sound answer before something happened to them.
    fn bytes(&mut self, is_list: bool) -> Vec<u8> {
        let (one, other) = (pod("a", 7), pod_with("b", 8, r#","x":"\u00fc\\\"""#));
        let mut bytes = if is_list {
            list(&[one, other], 10).into_bytes()
        } else {
            [
                event("ADDED", &one),
                end_bookmark(10),
                event("MODIFIED", &other),
                event("ERROR", r#"{"code":410}"#),
            ]
            .concat()
            .into_bytes()
        };
        for _ in 0..self.below(4) {
            let (at, to) = (self.below(bytes.len()), self.below(bytes.len()));
            match self.below(7) {
                0 => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                1 => bytes.truncate(at.max(1)),
                2 => bytes.extend_from_within(at.min(to)..at.max(to)),
                3 => drop(bytes.drain(at.min(to)..at.max(to))),
                4 => bytes.splice(at..at, b"[".repeat(20_000)).for_each(drop),
                5 => bytes
                    .splice(at..at, b"\xff\x00\"\\{".to_vec())
                    .for_each(drop),
                _ => bytes.swap(at, to),
            }
            if bytes.is_empty() {
                bytes.push(b'{');
            }
        }
        bytes
    }
}

/// Answers of any bytes, cut anywhere, with any code and encoding: nothing panics, and requests keep
/// their distance.
#[tokio::test(start_paused = true)]
async fn inv_s14_no_bytes_lead_to_a_panic_or_to_a_loop_without_delay() {
    const REQUESTS: u32 = 20;
    for seed in 0..120 {
        let mut odd = Odd(seed);
        let mut script = Script::new();
        let mode = [ListMode::Auto, ListMode::Paged, ListMode::WatchList][odd.below(3)];
        let (handle, informer) = running(script.builder::<Raw>().list_mode(mode));
        let began = tokio::time::Instant::now();
        let mut conns = Vec::new();
        let mut requests = 0;
        while requests < REQUESTS {
            let mut conn = script.accept().await;
            // A page that goes on is no loop of its own: it comes from a list that was counted.
            requests += u32::from(!conn.path.contains("continue="));
            let is_list = conn.purpose != Purpose::Watch;
            match odd.below(8) {
                0 => conn.answer([400, 401, 410, 422, 429, 500][odd.below(6)], "text/plain"),
                1 => conn.answer_encoded("gzip"),
                _ => conn.ok(),
            };
            let bytes = odd.bytes(is_list);
            let step = 1 + odd.below(bytes.len());
            for chunk in bytes.chunks(step) {
                conn.send(chunk.to_vec());
            }
            // Half of the peers never keep a stream open, so that only delays keep requests apart.
            let ends = if seed % 2 == 0 { 2 } else { 3 };
            match odd.below(ends) {
                0 => conn.fail("reset"),
                1 => conn.end(),
                // It stays open and silent: a deadline has to end it.
                _ => {}
            }
            conns.push(conn);
        }
        let seconds = began.elapsed().as_secs_f64();
        assert!(
            seconds >= f64::from(REQUESTS) * 2.0,
            "seed {seed}: {REQUESTS} requests in {seconds} s"
        );
        handle.stop();
        informer.await.expect("no panic");
    }
}

/// The peer is dead and nothing says so (pr-S10): no byte, no answer to a probe. The watch is reopened at its
/// version within the silence, the probe's time and one delay; and a proxy that keeps the connection
/// up does not hide it.
#[tokio::test(start_paused = true)]
async fn inv_l2_pr_f21_a_dead_stream_is_found_in_bounded_time() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut dead = script.accept().await;
    dead.watch_list(&[pod("a", 7)], 10);
    shows(&handle, "default/a@7").await;
    let began = tokio::time::Instant::now();
    let probe = script.accept().await;
    assert_eq!(probe.purpose, Purpose::Probe);
    let mut next = script.accept().await;
    assert!(next.path.ends_with("&resourceVersion=10"), "{}", next.path);
    let found = began.elapsed().as_secs();
    assert!((145..=147).contains(&found), "found after {found} s");
    dead.dropped().await;
    let state = handle.state();
    assert_eq!(state.stats.reasons[&WakeReason::Silent], 1);
    assert!(state.condition.stale_since.is_some());
    next.ok().send(event("MODIFIED", &pod("a", 11)));
    shows(&handle, "default/a@11").await;
    until(&handle, |state| state.condition.stale_since.is_none()).await;
}

/// Whatever the peer does, a stop takes no time.
#[tokio::test(start_paused = true)]
async fn inv_l7_cg_i9_a_stop_takes_no_time_whatever_the_peer_does() {
    for peer in 0..9 {
        let mut script = Script::new();
        let panics = move |_: Event<'_, Raw>| assert!(peer != 8, "the handler's own bug");
        let mode = if peer == 2 {
            ListMode::Whole
        } else {
            ListMode::Auto
        };
        let builder = script.builder::<Raw>().list_mode(mode).handler(panics);
        let (handle, informer) = running(builder);
        let mut conn = script.accept().await;
        match peer {
            // It does not answer at all.
            0 => {}
            // It refuses, in a body without end.
            1 => drop(conn.answer(500, "text/plain").send("never en")),
            // It stops in the middle of a list.
            2 => drop(conn.ok().send(r#"{"kind":"PodList","items":[{"meta"#)),
            // It never ends the initial events.
            3 => drop(conn.ok().send(event("ADDED", &pod("a", 7)))),
            // It is silent.
            4 => drop(conn.watch_list(&[pod("a", 7)], 10)),
            // It sends more than a turn can take.
            5 | 8 => {
                conn.watch_list(&[pod("a", 7)], 10);
                for version in 11..5000 {
                    conn.send(event("MODIFIED", &pod("a", version)));
                }
            }
            // It has refused, and the informer waits.
            6 => {
                conn.answer(429, "text/plain").end();
                until(&handle, |state| state.condition.trouble.is_some()).await;
            }
            // It does not answer a probe.
            _ => {
                conn.watch_list(&[pod("a", 7)], 10);
                let probe = script.accept().await;
                assert_eq!(probe.purpose, Purpose::Probe);
                std::mem::forget(probe);
            }
        }
        tokio::task::yield_now().await;
        let began = tokio::time::Instant::now();
        handle.stop();
        informer.await.expect("no panic");
        assert_eq!(began.elapsed(), Duration::ZERO, "peer {peer}");
        assert!(handle.state().is_stopped());
        if ![0, 6].contains(&peer) {
            conn.dropped().await;
        }
    }
}

/// The process dies after any part of the answer: its successor begins anew and gets level, and the
/// streams of the dead one are closed.
#[tokio::test(start_paused = true)]
async fn pr_f67_an_informer_that_dies_anywhere_is_succeeded_by_one_that_gets_level() {
    let parts = [
        event("ADDED", &pod("a", 7)),
        event("ADDED", &pod("b", 8)),
        end_bookmark(10),
        event("MODIFIED", &pod("a", 11)),
        event("DELETED", &pod("b", 12)),
    ];
    for died_after in 0..=parts.len() {
        let mut script = Script::new();
        let (handle, informer) = running(script.builder::<Raw>());
        let mut conn = script.accept().await;
        conn.ok();
        for part in &parts[..died_after] {
            conn.send(part[..part.len() / 2].to_owned());
            conn.send(part[part.len() / 2..].to_owned());
            tokio::task::yield_now().await;
        }
        informer.abort();
        assert!(informer.await.unwrap_err().is_cancelled());
        conn.dropped().await;
        assert!(handle.resync().await.is_err(), "who asks is told");
        let (handle, _informer) = running(script.builder::<Raw>());
        let mut conn = script.accept().await;
        assert!(!conn.path.contains("resourceVersion="), "{}", conn.path);
        conn.ok();
        for part in &parts {
            conn.send(part.clone());
        }
        shows(&handle, "default/a@11").await;
    }
}

/// Two informers of one configuration do not draw the same jitter, nor hash keys alike.
#[tokio::test(start_paused = true)]
async fn sec_24_pr_f50_a_configuration_without_a_seed_gets_one_of_its_own() {
    let mut delays = std::collections::BTreeSet::new();
    let mut hashes = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let mut script = Script::new();
        let config = crate::ReflectorConfig::default();
        let (handle, informer) = running(script.builder::<Raw>().reflector(config));
        let began = tokio::time::Instant::now();
        drop(script.accept().await);
        let mut conn = script.accept().await;
        delays.insert(began.elapsed());
        conn.watch_list(&[pod("a", 7)], 10);
        shows(&handle, "default/a@7").await;
        hashes.insert(handle.store().get("default/a").unwrap().hash);
        handle.stop();
        informer.await.unwrap();
    }
    assert!(
        delays.len() > 4 && hashes.len() == 8,
        "{delays:?} {hashes:?}"
    );
}

/// Objects of the kind Event are deleted in groups that share a version. The stream breaks within
/// one: the rest comes with the next stream, and what comes again changes nothing.
#[tokio::test(start_paused = true)]
async fn pr_f8_a_group_of_deletions_that_was_cut_is_completed() {
    for (resource, resumed_at) in [("v1/events", 10), ("v1/pods", 12)] {
        let mut script = Script::new();
        let scope = Scope::all(tidings_api::Resource::parse(resource).unwrap());
        let handle = start(script.builder_of::<Raw>(scope));
        let mut conn = script.accept().await;
        conn.watch_list(&[pod("a", 7), pod("b", 8)], 10)
            .send(event("DELETED", &pod("a", 12)));
        shows(&handle, "default/b@8").await;
        conn.fail("cut");
        let mut watch = script.accept().await;
        let expected = format!("&resourceVersion={resumed_at}");
        assert!(watch.path.ends_with(&expected), "{}", watch.path);
        if resource == "v1/events" {
            watch
                .ok()
                .send(event("DELETED", &pod("a", 12)))
                .send(event("DELETED", &pod("b", 12)));
            shows(&handle, "").await;
            until(&handle, |state| state.dropped.unknown_delete == 1).await;
        }
    }
}
