//! Well-formed answers that are not true.

use tidings::{
    Activity,
    WakeReason::{
        Expired, Rejected, ServerTrouble, Throttled, Unauthorized, Undecodable, UnfitEvents,
        VersionWentBack,
    },
};

use crate::{
    front::{Exchange, Place},
    runner::{KIB, MIB, Row},
    words::{self, bookmark, event, list, list_head, object, object_with, status},
};

/// A watch that brings these frames and then nothing.
fn frames(of: impl Fn(u64) -> String + Send + Sync + 'static) -> Row {
    let of = std::sync::Arc::new(of);
    Row::new(Place::Watch, move |mut to: Exchange| {
        let of = std::sync::Arc::clone(&of);
        async move {
            to.begin().await;
            to.chunk(of(to.version)).await;
            to.hold().await;
        }
    })
}

/// A list with this body.
fn lists(of: impl Fn(u64) -> String + Send + Sync + 'static) -> Row {
    let of = std::sync::Arc::new(of);
    Row::new(Place::List, move |mut to: Exchange| {
        let of = std::sync::Arc::clone(&of);
        async move { to.answer(of(to.version)).await }
    })
}

// Versions.

#[test]
fn pr_r1_a_list_without_a_version() {
    lists(|_| list(&[object("a", 9)], ""))
        .troubles(
            Undecodable,
            "no usable version: the resourceVersion is empty",
        )
        .run();
}

#[test]
fn sec_19_a_list_with_a_version_of_a_kilobyte() {
    lists(|_| list(&[object("a", 9)], "9".repeat(KIB)))
        .troubles(
            Undecodable,
            "no usable version: the resourceVersion has 1024 bytes",
        )
        .run();
}

#[test]
fn pr_r2_versions_that_are_no_numbers() {
    // Opaque ones are legal and compare for nothing: a list of them is believed.
    lists(|_| list(&[object("a", "x-1"), object("z", "-7")], "one"))
        .until(|state| state.objects == 2)
        .believed()
        .run();
}

#[test]
fn pr_r1_versions_of_forty_digits() {
    let huge = |digit: &str| "9".to_owned() + &digit.repeat(39);
    lists(move |_| list(&[object("a", huge("1")), object("z", huge("2"))], huge("3")))
        .until(|state| state.objects == 2)
        .believed()
        .run();
}

#[test]
fn events_whose_version_is_none() {
    frames(|_| event("MODIFIED", &object("a", "")).repeat(3))
        .troubles(UnfitEvents, "no usable version")
        .run();
}

#[test]
fn pr_e13_one_version_for_all_events() {
    frames(|version| {
        let one = |number| event("ADDED", &object(&format!("o{number}"), version + 1));
        (0..100).map(one).collect()
    })
    .until(|state| state.objects == 103)
    .believed()
    .run();
}

#[test]
fn inv_s2_events_whose_versions_go_back() {
    frames(|version| {
        event("MODIFIED", &object("a", version + 100))
            + &event("MODIFIED", &object("a", version + 50))
    })
    .troubles(VersionWentBack, "older than what was already received")
    .run();
}

#[test]
fn inv_s4_lists_whose_versions_go_back_and_forth() {
    // Each list is consistent, so each one that goes back begins a history of its own.
    Row::new(Place::List, |mut to: Exchange| async move {
        let version = if to.round % 4 < 2 { 1 } else { 1_000_000 };
        to.answer(list(&[object("a", version)], version)).await;
    })
    .until(|state| state.stats.epochs >= 2)
    .rounds(12)
    .run();
}

#[test]
fn pr_f14_bookmarks_of_the_future() {
    frames(|version| bookmark(version + 1_000_000_000_000))
        .until(|state| state.stats.bookmarks > 0)
        .believed()
        .run();
}

#[test]
fn pr_e11_bookmarks_without_end() {
    let script = |mut to: Exchange| async move {
        to.begin().await;
        let marks = words::chunk(bookmark(to.version).repeat(200).as_bytes());
        to.send_for_ever(&marks).await;
    };
    Row::new(Place::Watch, script)
        .until(|state| state.stats.bookmarks > 300_000)
        .peak(2 * MIB)
        .believed()
        .run();
}

// Objects.

#[test]
fn pr_l13_the_same_item_twice() {
    lists(|version| list(&[object("a", 9), object("b", 9), object("a", 9)], version))
        .until(|state| state.objects == 2)
        .believed()
        .run();
}

#[test]
fn cg_p8_one_key_with_two_uids_in_one_list() {
    lists(|version| {
        let twins = [object_with("a", "one", 8), object_with("a", "two", 9)];
        list(&twins, version)
    })
    .until(|state| state.objects == 1)
    .believed()
    .run();
}

#[test]
fn cg_p8_one_key_with_ever_new_uids() {
    frames(|version| {
        let one = |n: u64| event("MODIFIED", &object_with("a", &format!("u{n}"), version + n));
        (1..1000).map(one).collect()
    })
    .until(|state| state.stats.events > 990 && state.objects == 3)
    .peak(MIB)
    .believed()
    .run();
}

#[test]
fn cg_r21_events_of_another_kind() {
    frames(|version| {
        let secret = object("s", version + 1).replace("ConfigMap", "Secret");
        event("ADDED", &secret).repeat(3)
    })
    .troubles(UnfitEvents, "another kind")
    .run();
}

#[test]
fn cg_r21_a_list_of_another_kind_each_time() {
    Row::new(Place::List, |mut to: Exchange| async move {
        let kind = format!("Kind{}", to.round);
        let body = list(&[object("s", 9)], to.version);
        to.answer(body.replace("ConfigMap", &kind)).await;
    })
    .troubles(Undecodable, "objects of the kind \"Kind")
    .run();
}

#[test]
fn cg_q1_deletions_of_what_never_was() {
    frames(|version| {
        let one = |n: u64| event("DELETED", &object(&format!("never{n}"), version + n));
        (1..5000).map(one).collect()
    })
    .until(|state| state.dropped.unknown_delete >= 4999 && state.objects == 3)
    .peak(3 * MIB)
    .believed()
    .run();
}

#[test]
fn sec_19_names_and_uids_of_a_megabyte() {
    Row::new(Place::Watch, |mut to: Exchange| async move {
        to.begin().await;
        let long = event("ADDED", &object("@", to.version + 1));
        let twin = event("MODIFIED", &object_with("a", "@", to.version + 2));
        let kilobyte = words::chunk(&[b'n'; KIB]);
        for frame in [long.replace("uid-@", "uid"), twin] {
            let (before, after) = frame.split_once('@').unwrap();
            to.chunk(before).await;
            for _ in 0..KIB {
                to.send(&kilobyte).await;
            }
            to.chunk(after).await;
        }
        to.hold().await;
    })
    .spoils("too long")
    .rounds(1)
    .believed()
    .peak(4 * MIB)
    .run();
}

#[test]
fn sec_13_names_that_are_paths() {
    // Such a name is a key like any other and never part of a path; one with a slash is none.
    frames(|version| {
        let odd = ["..", "%2e%2e", "a b", "a\\n", "a?x=1", "a/b"];
        let one = |(n, name): (u64, &str)| event("ADDED", &object(name, version + n));
        (1..).zip(odd).map(one).collect()
    })
    .spoils("slash")
    .rounds(1)
    .believed()
    .run();
}

#[test]
fn sec_13_a_continue_token_that_is_a_request() {
    let head = |token: &str| {
        let meta = format!(r#""resourceVersion":"9","continue":"{token}""#);
        format!("{}{}]}}", list_head(&meta), object("a", 9))
    };
    Row::new(Place::List, move |mut to: Exchange| async move {
        let first = to.head.lines().next().unwrap().to_owned();
        assert_eq!(first.matches(' ').count(), 2, "{first:?}");
        assert!(first.starts_with("GET /api/v1/configmaps?"), "{first:?}");
        assert!(!first.contains("secrets"), "{first:?}");
        let token = format!(r"t{}&watch=1#/secrets \r\n\r\nGET /secrets", to.round);
        let token = token.replace("/secrets", "/sec\\u0000rets");
        to.answer(head(&token)).await;
    })
    .troubles(Undecodable, "more than 5 pages")
    .with(|setup| {
        setup.reflector.list_mode = tidings::ListMode::Paged;
        setup.reflector.list_pages_max = 5;
    })
    .attempt(6)
    .peak(MIB)
    .run();
}

#[test]
fn pr_l13_a_continue_token_of_a_megabyte() {
    lists(|_| {
        let meta = format!(
            r#""resourceVersion":"9","continue":"{}""#,
            "t".repeat(MIB - 100)
        );
        format!("{}{}]}}", list_head(&meta), object("a", 9))
    })
    .troubles(Undecodable, "the continue token is too long, at byte ")
    .with(|setup| setup.reflector.list_mode = tidings::ListMode::Paged)
    .peak(16 * MIB)
    .run();
}

// Refusals.

/// A watch that brings an ERROR event.
fn errors(object: &'static str) -> Row {
    frames(move |_| event("ERROR", object))
}

#[test]
fn pr_w11_an_error_event_that_says_401_for_ever() {
    errors(r#"{"kind":"Status","code":401,"reason":"Unauthorized"}"#)
        .troubles(Unauthorized, "the server said 401")
        .rounds(8)
        .run();
}

#[test]
fn pr_w11_error_events_with_codes_that_are_none() {
    for object in [
        r#"{"kind":"Status","code":200}"#,
        r#"{"kind":"Status","code":0,"status":"Success"}"#,
        r#"{"kind":"Status","code":-410,"reason":""}"#,
        r#"{"kind":"Status","code":99999999999999999999999}"#,
        r#"{"kind":"Status","code":"410","details":7}"#,
        r#"{"kind":"Status"}"#,
        r#"{"kind":"ConfigMap","metadata":{"name":"a"}}"#,
        "{}",
    ] {
        errors(object)
            .troubles(ServerTrouble, "the server said ")
            .run();
    }
}

#[test]
fn pr_w11_error_events_that_are_no_objects() {
    for object in ["null", "[]", "\"410\"", "410"] {
        errors(object)
            .until(|state| state.condition.trouble.is_some())
            .rounds(4)
            .run();
    }
}

/// Answers that refuse, with a line, headers and a body.
fn refuses(place: Place, line: &'static str, headers: &'static str, body: &'static str) -> Row {
    Row::new(place, move |mut to: Exchange| async move {
        let answer = status(line, body);
        to.send(answer.replacen("\r\n", &format!("\r\n{headers}"), 1))
            .await;
    })
}

#[test]
fn cg_r20_410_for_ever() {
    for place in [Place::List, Place::Watch] {
        refuses(
            place,
            "410 Gone",
            "",
            r#"{"kind":"Status","code":410,"reason":"Expired"}"#,
        )
        .troubles(Expired, "the server said 410: Expired")
        .rounds(8)
        .run();
    }
}

#[test]
fn pr_s6_429_for_ever_with_a_wait_that_is_none() {
    for wait in ["-1", "1e9", "Fri, 31 Dec 9999 23:59:59 GMT", "", "\u{7f}"] {
        let headers = Box::leak(format!("Retry-After: {wait}\r\n").into_boxed_str());
        let row = refuses(Place::List, "429 Too Many Requests", headers, "slow down");
        if wait == "\u{7f}" {
            let reason = tidings::WakeReason::Transport;
            row.troubles(reason, "is no valid http").run();
        } else {
            row.troubles(Throttled, "the server said 429").run();
        }
    }
}

#[test]
fn pr_s6_429_with_no_wait_at_all_is_no_invitation() {
    refuses(
        Place::List,
        "429 Too Many Requests",
        "Retry-After: 0\r\n",
        "now",
    )
    .troubles(Throttled, "the server said 429")
    .rounds(8)
    .run();
}

#[test]
fn inv_l5_a_wait_of_thirty_years_is_a_minute() {
    refuses(
        Place::List,
        "503 Unavailable",
        "Retry-After: 1000000000\r\n",
        "never",
    )
    .until(|state| match state.condition.activity {
        Activity::Waiting { until } => {
            let wait = until.saturating_since(state.at).as_secs();
            (50..=91).contains(&wait)
        }
        _ => false,
    })
    .cut_short()
    .run();
}

#[test]
fn pr_w10_a_refusal_whose_body_is_no_status() {
    refuses(
        Place::List,
        "500 Oops",
        "",
        "hunter2-the-content \u{1b}[31m",
    )
    .troubles(ServerTrouble, "the server said 500")
    .run();
}

#[test]
fn sec_29_a_status_that_would_write_into_the_log() {
    let body =
        r#"{"kind":"Status","message":"\u001b[31m\r\nlevel=error all is lost","reason":"\n"}"#;
    refuses(Place::List, "400 Bad", "", body)
        .troubles(
            Rejected,
            "the server said 400: : [31mlevel=error all is lost",
        )
        .run();
}

#[test]
fn pr_w10_a_refusal_without_end() {
    let script = |mut to: Exchange| async move {
        to.send(words::OK.replace("200 OK", "500 Oops")).await;
        to.send_for_ever(&words::chunk(&[b'x'; 64 * KIB])).await;
    };
    Row::new(Place::Watch, script)
        .troubles(ServerTrouble, "the server said 500")
        .run();
}

#[test]
fn pr_w10_a_refusal_whose_body_does_not_come() {
    let script = |mut to: Exchange| async move {
        to.send(words::OK.replace("200 OK", "503 Unavailable"))
            .await;
        to.hold().await;
    };
    Row::new(Place::Watch, script)
        .troubles(ServerTrouble, "the server said 503")
        .rounds(2)
        .run();
}
