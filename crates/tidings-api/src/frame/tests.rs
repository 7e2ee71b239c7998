//! The frame decoder at every cut, and rule by rule.

use super::*;
use crate::scan::Problem;

fn line(frame: Frame<'_>) -> String {
    match frame {
        Frame::Event { kind, item } => format!("{kind:?} {}", scan::tests::line(&item)),
        Frame::Bookmark {
            resource_version,
            initial_events_end,
            kind,
            api_version,
        } => format!("Bookmark {resource_version:?} end={initial_events_end} {api_version} {kind}"),
        Frame::Error(status) => {
            format!(
                "Error {} {:?} {:?}",
                status.code, status.reason, status.message
            )
        }
        Frame::Unknown { type_name, .. } => format!("Unknown {type_name:?}"),
    }
}

/// Decodes a stream cut at `cuts`; one line for each frame, the end or error last.
fn lines(stream: &[u8], cuts: impl IntoIterator<Item = usize>, limits: &Limits) -> Vec<String> {
    let mut lines = Vec::new();
    let mut frames = FrameDecoder::new(limits);
    let mut before = 0;
    for cut in cuts.into_iter().chain([stream.len()]) {
        let fed = frames.feed(&stream[before..cut], &mut |frame| lines.push(line(frame)));
        before = cut;
        if fed.is_err() {
            break;
        }
    }
    lines.push(match frames.finish() {
        Ok(()) => "end".into(),
        Err(error) => format!("{error:?}: {error}"),
    });
    lines
}

/// Decodes a stream whole and at every cut, which must be the same.
fn check_within(stream: &str, limits: &Limits) -> Vec<String> {
    let stream = stream.as_bytes();
    let whole = lines(stream, [], limits);
    for cut in 1..stream.len() {
        assert_eq!(lines(stream, [cut], limits), whole, "cut at {cut}");
    }
    for size in [1, 2, 3, 5, 63, 64, 65] {
        let cuts = (1..stream.len()).filter(|cut| cut % size == 0);
        assert_eq!(lines(stream, cuts, limits), whole, "chunks of {size}");
    }
    whole
}

fn check(stream: &str) -> String {
    check_within(stream, &Limits::default()).join("\n")
}

#[test]
fn pr_w2_pr_w3_pr_f24_frames_are_values_and_newlines_only_space() {
    let stream = &r#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"7","managedFields":[]},"s":"~\"\\"}}
{"type":"MODIFIED","object":{"metadata":{"name":"b"}}}{"type":"DELETED","object":{"metadata":{"name":"c"}}}

 { "object" : {"metadata":{"name":"d"}} , "type" : "ADDED", "extra": [1,{"type":"ERROR"}] }
{
  "type": "ADDED",
  "object": {
    "metadata": {
      "name": "pretty"
    }
  }
}
"#
    .replace('~', "\u{e9}");
    expect_test::expect![[r#"
        Added ok n/a uid=u rv=7 kind=Some("Pod") apiVersion=Some("v1") labels= annotations= json={"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"7"},"s":"~\"\\"}
        Modified ok /b uid= rv= kind=None apiVersion=None labels= annotations= json={"metadata":{"name":"b"}}
        Deleted ok /c uid= rv= kind=None apiVersion=None labels= annotations= json={"metadata":{"name":"c"}}
        Added ok /d uid= rv= kind=None apiVersion=None labels= annotations= json={"metadata":{"name":"d"}}
        Added ok /pretty uid= rv= kind=None apiVersion=None labels= annotations= json={
            "metadata": {
              "name": "pretty"
            }
          }
        end"#]]
    .assert_eq(&check(stream).replace('\u{e9}', "~"));
}

#[test]
fn a_frame_comes_out_with_its_last_byte_without_waiting_for_the_next() {
    let stream = br#"{"type":"ADDED","object":{"metadata":{"name":"a"}}}"#;
    let mut frames = FrameDecoder::new(&Limits::default());
    let mut seen = 0;
    frames
        .feed(&stream[..stream.len() - 1], &mut |_| seen += 1)
        .unwrap();
    assert!(frames.has_partial());
    frames.feed(b"}", &mut |_| seen += 1).unwrap();
    assert!(!frames.has_partial());
    assert_eq!(seen, 1);
}

#[test]
fn pr_e4_pr_e5_cg_r23_the_initial_events_end_only_with_exactly_true() {
    let bookmark = |annotations: &str| {
        format!(
            r#"{{"type":"BOOKMARK","object":{{"kind":"Pod","apiVersion":"v1","metadata":{{"resourceVersion":"12","name":"ignored","creationTimestamp":null{annotations}}},"spec":{{"containers":null}}}}}}"#
        )
    };
    for (annotations, is_end) in [
        (
            r#","annotations":{"k8s.io/initial-events-end":"true"}"#,
            true,
        ),
        (
            r#","annotations":{"x":"y","k8s.io/initial-events-end":"tru\u0065"}"#,
            true,
        ),
        (
            r#","annotations":{"k8s.io/initial-events-end":"True"}"#,
            false,
        ),
        (
            r#","annotations":{"k8s.io/initial-events-end":"false"}"#,
            false,
        ),
        (
            r#","annotations":{"k8s.io/initial-events-end":true}"#,
            false,
        ),
        (r#","annotations":{"unknown":"true"}"#, false),
        (r#","annotations":null"#, false),
        ("", false),
    ] {
        let expected = format!("Bookmark Ok(rv:12) end={is_end} v1 Pod\nend");
        assert_eq!(check(&bookmark(annotations)), expected, "{annotations}");
    }
}

#[test]
fn a_bookmark_without_a_version_says_so() {
    for object in [
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{}}"#,
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":""}}"#,
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":7}}"#,
    ] {
        let stream = format!(r#"{{"type":"BOOKMARK","object":{object}}}"#);
        assert_eq!(
            check(&stream),
            "Bookmark Err(Empty) end=false v1 Pod\nend",
            "{object}"
        );
    }
    assert_eq!(
        check(r#"{"type":"BOOKMARK","object":null}{"type":"BOOKMARK"}"#),
        "Bookmark Err(Empty) end=false  \nBookmark Err(Empty) end=false  \nend"
    );
    let long = "1".repeat(200);
    let stream =
        format!(r#"{{"type":"BOOKMARK","object":{{"metadata":{{"resourceVersion":"{long}"}}}}}}"#);
    assert!(check(&stream).starts_with("Bookmark Err(TooLong { bytes: 200 })"));
}

#[test]
fn pr_e7_pr_f44_an_error_is_a_status_whatever_stands_in_its_place() {
    let good = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version: 5 (9)"}}"#;
    assert_eq!(
        check(good),
        "Error 410 \"Expired\" \"too old resource version: 5 (9)\"\nend"
    );
    for object in [
        r#","object":{"kind":"Status","reason":"Expired"}"#,
        r#","object":{"kind":"Pod"}"#,
        r#","object":"gone""#,
        r#","object":null"#,
        "",
    ] {
        let stream = format!(r#"{{"type":"ERROR"{object}}}"#);
        assert!(check(&stream).starts_with("Error 200 "), "{object}");
    }
}

#[test]
fn a_status_beyond_its_limit_is_reported_without_its_text() {
    let stream = format!(
        r#"{{"type":"ERROR","object":{{"code":410,"message":"{}"}}}}"#,
        "x".repeat(200)
    );
    let limits = Limits {
        status_bytes_max: 100,
        ..Limits::default()
    };
    assert_eq!(
        check_within(&stream, &limits)[0],
        "Error 200 \"\" \"a Status of 225 bytes\""
    );
}

#[test]
fn pr_e7_pr_f44_an_unknown_type_is_a_frame_of_its_own() {
    let long = "y".repeat(100);
    let stream = format!(
        r#"{{"type":"RENAMED","object":{{"metadata":{{"name":"a"}}}}}}{{"object":{{}}}}{{"type":null}}{{"type":"a\u001b\n{long}"}}{{}}{{"type":"ADDED","object":{{"metadata":{{"name":"z"}}}}}}"#
    );
    let found = check(&stream);
    let mut lines = found.lines();
    assert_eq!(lines.next(), Some("Unknown \"RENAMED\""));
    assert_eq!(lines.next(), Some("Unknown \"\""));
    assert_eq!(lines.next(), Some("Unknown \"\""));
    let shortened = format!("Unknown \"a??{}\"", "y".repeat(61));
    assert_eq!(lines.next(), Some(&*shortened));
    assert_eq!(lines.next(), Some("Unknown \"\""));
    assert!(lines.next().unwrap().starts_with("Added ok /z"));
}

#[test]
fn an_event_without_an_object_is_an_event_of_an_unknown_key() {
    for object in [
        "",
        r#","object":null"#,
        r#","object":7"#,
        r#","object":"{}""#,
        r#","object":[{}]"#,
    ] {
        let stream = format!(r#"{{"type":"ADDED"{object}}}"#);
        let found = check(&stream);
        assert!(found.contains("problem: NoObject"), "{object}: {found}");
    }
}

#[test]
fn sec_22_of_equal_keys_the_last_counts() {
    let stream = r#"{"type":"ADDED","object":{"metadata":{"name":"a"}},"object":{"metadata":{"name":"b"}},"type":"DELETED"}
{"type":"ADDED","object":{"metadata":{"name":"a"}},"object":null}"#;
    let found = check(stream);
    assert!(found.starts_with("Deleted ok /b"), "{found}");
    assert!(found.contains("Added Unusable"), "{found}");
}

#[test]
fn what_is_not_json_ends_the_stream_with_its_place() {
    let good = r#"{"type":"ADDED","object":{"metadata":{"name":"a"}}}"#;
    for (bad, error) in [
        ("<html>", "NotJson { offset: 52 }"),
        ("[]", "NotJson { offset: 52 }"),
        ("}", "NotJson { offset: 52 }"),
        ("\u{1e}", "NotJson { offset: 52 }"),
        ("{\"type\" 1}", "Malformed { offset: 60 }"),
        ("{\"type\":ADDED}", "Malformed { offset: 60 }"),
    ] {
        let found = check(&format!("{good}\n{bad}"));
        assert!(found.starts_with("Added ok /a"), "{found}");
        assert!(
            found.lines().last().unwrap().starts_with(error),
            "{bad}: {found}"
        );
    }
}

#[test]
fn an_error_stays() {
    let mut frames = FrameDecoder::new(&Limits::default());
    let error = frames.feed(b" x", &mut |_| {}).unwrap_err();
    assert_eq!(error, FrameError::NotJson { offset: 1 });
    assert_eq!(frames.feed(b"{}", &mut |_| {}), Err(error));
    assert_eq!(frames.finish(), Err(error));
}

#[test]
fn pr_f23_a_stream_that_ends_inside_a_frame_is_truncated_there() {
    let frame = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n";
    for len in 1..frame.len() - 1 {
        let stream = format!("{frame}{}", &frame[..len]);
        let offset = frame.len() as u64;
        let mut frames = FrameDecoder::new(&Limits::default());
        frames.feed(stream.as_bytes(), &mut |_| {}).unwrap();
        assert!(frames.has_partial());
        assert_eq!(frames.frame_offset(), offset);
        assert_eq!(frames.finish(), Err(FrameError::Truncated { offset }));
    }
    assert_eq!(lines(b"", [], &Limits::default()), ["end"]);
    assert_eq!(lines(b"\n \n", [1], &Limits::default()), ["end"]);
}

#[test]
fn pr_w5_sec_16_a_frame_beyond_its_limit_is_skimmed_and_the_stream_goes_on() {
    let stream = format!(
        r#"{{"type":"MODIFIED","object":{{"metadata":{{"name":"big","namespace":"n"}},"data":"{}"}}}}{{"type":"ADDED","object":{{"metadata":{{"name":"a"}}}}}}"#,
        "{\"".repeat(200).replace('"', "\\\"")
    );
    for limits in [
        Limits {
            frame_bytes_max: 300,
            ..Limits::default()
        },
        Limits {
            object_bytes_max: 300,
            ..Limits::default()
        },
    ] {
        let found = check_within(&stream, &limits);
        assert!(found[0].starts_with("Modified Unusable"), "{}", found[0]);
        assert!(
            found[0].contains(r#"key: Some(("n", "big"))"#),
            "{}",
            found[0]
        );
        assert!(found[0].contains("problem: TooLarge"), "{}", found[0]);
        assert!(found[1].starts_with("Added ok /a"), "{}", found[1]);
        assert_eq!(found[2], "end");
    }
}

#[test]
fn sec_16_a_frames_own_fields_have_their_limit() {
    let stream = format!(r#"{{"type":"ADDED","x":"{}"}}"#, "y".repeat(200));
    let limits = Limits {
        envelope_bytes_max: 100,
        ..Limits::default()
    };
    assert!(check_within(&stream, &limits)[0].starts_with("TooLarge { offset: 101 }"));
}

#[test]
fn the_usual_start_counts_as_the_slow_one_does() {
    let stream = r#"{"type":"ADDED","object":{"metadata":{"name":"a"}},"x":1}"#;
    for envelope_bytes_max in 0..40 {
        let limits = Limits {
            envelope_bytes_max,
            ..Limits::default()
        };
        check_within(stream, &limits);
    }
}

#[test]
fn sec_23_pr_f43_a_poisoned_object_does_not_end_the_stream() {
    let mut stream =
        br#"{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"n"},"x":"?"}}"#.to_vec();
    let at = stream.iter().position(|&byte| byte == b'?').unwrap();
    stream[at] = 0xfe;
    let deep = format!(
        r#"{{"type":"ADDED","object":{{"metadata":{{"name":"d"}},"x":{}{}}}}}"#,
        "[".repeat(10_001),
        "]".repeat(10_001)
    );
    stream.extend_from_slice(deep.as_bytes());
    stream.extend_from_slice(br#"{"type":"ADDED","object":{"metadata":{"name":"z"}}}"#);
    let found = lines(&stream, [], &Limits::default());
    assert!(found[0].contains("InvalidUtf8") && found[0].contains(r#"Some(("n", "a"))"#));
    let problem = format!("{:?}", Problem::TooDeep);
    assert!(found[1].contains(&problem) && found[1].contains(r#"Some(("", "d"))"#));
    assert!(found[2].starts_with("Added ok /z"));
}
