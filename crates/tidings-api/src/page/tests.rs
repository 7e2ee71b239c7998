//! The list decoder at every cut, and rule by rule.

use super::*;
use crate::scan::Problem;

/// Decodes a body cut at `cuts`; one line for each thing that came out, the end or error last.
fn lines(body: &[u8], cuts: impl IntoIterator<Item = usize>, limits: &Limits) -> Vec<String> {
    let mut lines = Vec::new();
    let mut page = PageDecoder::new(limits);
    let mut before = 0;
    for cut in cuts.into_iter().chain([body.len()]) {
        let fed = page.feed(&body[before..cut], &mut |event| {
            lines.push(match event {
                PageEvent::Head { kind, api_version } => format!("head {api_version} {kind}"),
                PageEvent::Item(item) => scan::tests::line(&item),
            });
        });
        before = cut;
        if fed.is_err() {
            break;
        }
    }
    lines.push(match page.finish() {
        Ok(end) => format!("{end:?}"),
        Err(error) => format!("{error:?}: {error}"),
    });
    lines
}

/// Decodes a body whole and at every cut, which must be the same.
fn check(body: &str, limits: &Limits) -> Vec<String> {
    let body = body.as_bytes();
    let whole = lines(body, [], limits);
    for cut in 1..body.len() {
        assert_eq!(lines(body, [cut], limits), whole, "cut at {cut}");
    }
    for size in [1, 2, 3, 5, 63, 64, 65] {
        let cuts = (1..body.len()).filter(|cut| cut % size == 0);
        assert_eq!(lines(body, cuts, limits), whole, "chunks of {size}");
    }
    whole
}

fn end_of(body: &str) -> PageEnd {
    let mut page = PageDecoder::new(&Limits::default());
    page.feed(body.as_bytes(), &mut |_| {}).unwrap();
    page.finish().unwrap()
}

fn error_of(body: &[u8]) -> PageError {
    let mut page = PageDecoder::new(&Limits::default());
    match page.feed(body, &mut |_| {}) {
        Err(error) => {
            assert_eq!(page.feed(b" ", &mut |_| {}), Err(error.clone()), "it stays");
            error
        }
        Ok(()) => page.finish().unwrap_err(),
    }
}

#[test]
fn pr_l17_pr_l18_pr_f24_a_typed_list_gives_its_items_their_kind_at_every_cut() {
    let body = &r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1042","continue":"abc","remainingItemCount":3},"items":[{"metadata":{"name":"a","namespace":"n","uid":"u1","resourceVersion":"7","managedFields":[{"x":"}]\""}]},"spec":{"s":"\\\"{~"}},
 {"metadata":{"name":"b","namespace":"n"}}]}
"#
        .replace('~', "\u{e9}");
    expect_test::expect![[r#"
        head v1 PodList
        ok n/a uid=u1 rv=7 kind=Some("Pod") apiVersion=Some("v1") labels= annotations= json={"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"n","uid":"u1","resourceVersion":"7"},"spec":{"s":"\\\"{~"}}
        ok n/b uid= rv= kind=Some("Pod") apiVersion=Some("v1") labels= annotations= json={"kind":"Pod","apiVersion":"v1","metadata":{"name":"b","namespace":"n"}}
        PageEnd { kind: "PodList", api_version: "v1", resource_version: "1042", continue_token: "abc", remaining_item_count: Some(3), items: 2 }"#]]
    .assert_eq(&check(body, &Limits::default()).join("\n").replace('\u{e9}', "~"));
}

#[test]
fn pr_l17_a_custom_resources_list_has_its_version_after_its_items() {
    let body = r#"{"apiVersion":"x.io/v1","items":[{"apiVersion":"x.io/v1","kind":"Thing","metadata":{"name":"a"}}],"kind":"ThingList","metadata":{"continue":"","resourceVersion":"9"}}"#;
    expect_test::expect![[r#"
        ok /a uid= rv= kind=Some("Thing") apiVersion=Some("x.io/v1") labels= annotations= json={"apiVersion":"x.io/v1","kind":"Thing","metadata":{"name":"a"}}
        head x.io/v1 ThingList
        PageEnd { kind: "ThingList", api_version: "x.io/v1", resource_version: "9", continue_token: "", remaining_item_count: None, items: 1 }"#]]
    .assert_eq(&check(body, &Limits::default()).join("\n"));
}

#[test]
fn pr_l13_a_page_without_items_may_have_a_token() {
    let body = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"5","continue":"more"},"items":[]}"#;
    let end = end_of(body);
    assert_eq!((end.items, &*end.continue_token), (0, "more"));
    assert_eq!(end.remaining_item_count, None);
}

#[test]
fn pr_l19_null_absent_and_empty_items_are_the_same() {
    for items in [
        r#","items":[]"#,
        r#","items":null"#,
        r#","items" : [ ] "#,
        "",
    ] {
        let body = format!(r#"{{"kind":"PodList","metadata":{{"resourceVersion":"5"}}{items}}}"#);
        let found = check(&body, &Limits::default());
        assert_eq!(found.len(), 1, "{items}: {found:?}");
        assert_eq!(end_of(&body).resource_version, "5", "{items}");
    }
}

#[test]
fn pr_l21_pr_f23_a_body_that_ends_early_is_an_error_at_every_byte() {
    let body = r#"{"kind":"PodList","items":[{"metadata":{"name":"a"}}],"metadata":{}}"#;
    for len in 0..body.len() {
        let error = error_of(&body.as_bytes()[..len]);
        let offset = len as u64;
        assert_eq!(error, PageError::Truncated { offset });
    }
    assert_eq!(end_of(body).items, 1);
}

#[test]
fn what_is_not_a_list_is_a_named_error() {
    let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":410}"#;
    let table = r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","rows":[]}"#;
    for (body, kind) in [
        (status, "Status"),
        (table, "Table"),
        (r#"{"kind":7}"#, ""),
        ("{}", ""),
    ] {
        assert!(
            matches!(error_of(body.as_bytes()), PageError::NotAList { kind: found, .. } if found == kind),
            "{body}"
        );
    }
    let page = error_of(b"\n<html><body>502</body></html>");
    assert_eq!(page, PageError::NotJson { offset: 1 });
    assert_eq!(
        error_of("\u{feff}{}".as_bytes()),
        PageError::NotJson { offset: 0 }
    );
    assert_eq!(error_of(b"[1]"), PageError::NotJson { offset: 0 });
}

#[test]
fn a_hostile_kind_is_shortened_and_made_printable() {
    let body = format!(r#"{{"kind":"\u001b[31m{}"}}"#, "x".repeat(1_000));
    let PageError::NotAList { kind, .. } = error_of(body.as_bytes()) else {
        panic!("it is not a list");
    };
    assert!(kind.starts_with("?[31mxxx") && kind.len() == 64);
}

#[test]
fn broken_json_of_the_list_is_a_named_error_with_its_place() {
    for (body, offset) in [
        (r#"{"kind" "PodList"}"#, 8),
        (r#"{"kind":"PodList","items":{}}"#, 27),
        (r#"{"kind":"PodList","items":"x"}"#, 27),
        (r#"{"kind":"PodList","items":[1]}"#, 27),
        (r#"{"kind":"PodList","items":[{"metadata":{}} {}]}"#, 43),
        (r#"{"kind":"PodList","items":[{},]}"#, 30),
        (r#"{"kind":"PodList","items":[],"items":[]}"#, 38),
        (r#"{"kind":"PodList",}"#, 18),
    ] {
        assert_eq!(
            error_of(body.as_bytes()),
            PageError::Malformed { offset },
            "{body}"
        );
    }
    let after = br#"{"kind":"PodList"} {"#;
    assert_eq!(error_of(after), PageError::TrailingBytes { offset: 19 });
}

#[test]
fn unknown_keys_are_skipped_whatever_they_hold() {
    let body = r#"{"x":{"kind":"A","items":[{"metadata":{"name":"no"}}],"s":"}]\\\""},"y":[[],{}],"z":-1.5e3,"kind":"PodList","w":"\"items\"","items":[{"metadata":{"name":"a"}}],"v":true}"#;
    assert_eq!(check(body, &Limits::default()).len(), 2);
    assert_eq!(end_of(body).items, 1);
}

#[test]
fn sec_18_a_lists_own_fields_may_be_nested_deep() {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"{{"x":{open}{close},"kind":"PodList"}}"#);
    assert_eq!(end_of(&body).kind, "PodList");
}

#[test]
fn sec_16_every_limit_has_its_error() {
    let item = r#"{"metadata":{"name":"a","namespace":"n"}}"#;
    let body = format!(r#"{{"kind":"PodList","items":[{item},{item},{item}]}}"#);
    let limits = Limits::default();
    let small = Limits {
        list_items_max: 2,
        ..limits
    };
    assert!(
        check(&body, &small)
            .last()
            .unwrap()
            .starts_with("TooManyItems { offset: 111 }")
    );
    let small = Limits {
        list_bytes_max: 100,
        ..limits
    };
    assert!(
        check(&body, &small)
            .last()
            .unwrap()
            .starts_with("TooLarge { offset: 100 }")
    );
    let small = Limits {
        envelope_bytes_max: 20,
        ..limits
    };
    assert!(
        check(&body, &small)
            .last()
            .unwrap()
            .starts_with("EnvelopeTooLarge { offset: 21 }")
    );
    let small = Limits {
        object_bytes_max: 40,
        ..limits
    };
    let found = check(&body, &small);
    assert!(
        found[0].contains("problem: TooLarge, bytes: 41"),
        "{}",
        found[0]
    );
    assert!(
        found[0].contains(r#"key: Some(("n", "a"))"#),
        "{}",
        found[0]
    );
    assert!(found[3].contains("items: 3"));
    let small = Limits {
        depth_max: 1,
        ..limits
    };
    assert!(check(&body, &small)[0].contains("problem: TooDeep"));
    let small = Limits {
        token_bytes_max: 0,
        ..limits
    };
    assert!(check(&body, &small)[0].contains("problem: TokenTooLong"));
}

#[test]
fn sec_19_a_continue_token_beyond_its_limit_is_an_error() {
    for (len, is_good) in [(CONTINUE_BYTES_MAX, true), (CONTINUE_BYTES_MAX + 1, false)] {
        let token = "x".repeat(len);
        let body = format!(r#"{{"kind":"PodList","metadata":{{"continue":"{token}"}}}}"#);
        let mut page = PageDecoder::new(&Limits::default());
        let fed = page.feed(body.as_bytes(), &mut |_| {});
        assert_eq!(fed.is_ok(), is_good);
        assert!(is_good || matches!(fed, Err(PageError::ContinueTooLong { .. })));
    }
}

#[test]
fn one_poisoned_item_hurts_no_other() {
    let body = r#"{"kind":"PodList","items":[{"metadata":{"name":"a"}},{"metadata":{}},{"metadata":{"name":"b"]},{"metadata":{"name":"c"}}]}"#;
    let mut found = Vec::new();
    let mut page = PageDecoder::new(&Limits::default());
    page.feed(body.as_bytes(), &mut |event| {
        if let PageEvent::Item(item) = event {
            found.push(match item {
                Item::Usable(scanned) => Ok(scanned.name().to_owned()),
                Item::Unusable(unusable) => Err(unusable.problem),
            });
        }
    })
    .unwrap();
    assert_eq!(found[0], Ok("a".into()));
    assert_eq!(found[1], Err(Problem::NoName));
    assert_eq!(found[2], Err(Problem::Malformed { offset: 23 }));
    assert_eq!(found[3], Ok("c".into()));
}

#[test]
fn large_items_cross_chunks_of_any_size_and_memory_comes_back() {
    let long = "x".repeat(300_000);
    let item = |name| format!(r#"{{"metadata":{{"name":"{name}"}},"data":"{long}"}}"#);
    let body = format!(
        r#"{{"kind":"PodList","items":[{},{}]}}"#,
        item("a"),
        item("b")
    );
    let whole = lines(body.as_bytes(), [], &Limits::default());
    for size in [100, 4_096, 65_536] {
        let cuts = (1..body.len()).filter(|cut| cut % size == 0);
        assert_eq!(lines(body.as_bytes(), cuts, &Limits::default()), whole);
    }
}
