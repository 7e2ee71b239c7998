//! One test per rule that the scan obeys.

use super::*;

fn nested(depth: usize) -> String {
    // The object itself is one level.
    let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
    format!(r#"{{"metadata":{{"name":"deep","namespace":"n"}},"spec":{open}{close}}}"#)
}

#[test]
fn finds_the_metadata_of_a_pod_and_cuts_managed_fields() {
    let text = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-0","namespace":"default","uid":"u-1","resourceVersion":"1042","labels":{"app":"web"},"annotations":{"a":"1"},"managedFields":[{"f:metadata":{}}]},"spec":{"managedFields":1}}"#;
    expect_test::expect![[r#"ok default/web-0 uid=u-1 rv=1042 kind=Some("Pod") apiVersion=Some("v1") labels={"app":"web"} annotations={"a":"1"} json={"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-0","namespace":"default","uid":"u-1","resourceVersion":"1042","labels":{"app":"web"},"annotations":{"a":"1"}},"spec":{"managedFields":1}}"#]]
    .assert_eq(&line_of(text.as_bytes(), &Limits::default()));
}

#[test]
fn cuts_the_comma_with_the_field_wherever_it_stands() {
    for (metadata, less) in [
        (r#"{"managedFields":[]}"#, None),
        (
            r#"{"managedFields":[],"name":"a"}"#,
            Some(r#"{"name":"a"}"#),
        ),
        (
            r#"{ "managedFields" : [] , "name":"a"}"#,
            Some(r#"{  "name":"a"}"#),
        ),
        (
            r#"{"name":"a","managedFields":[]}"#,
            Some(r#"{"name":"a"}"#),
        ),
        (
            r#"{"name":"a" , "managedFields" : [{}] }"#,
            Some(r#"{"name":"a"  }"#),
        ),
        (
            r#"{"name":"a","managedFields":null}"#,
            Some(r#"{"name":"a"}"#),
        ),
        (
            r#"{"managedFields":null,"name":"a"}"#,
            Some(r#"{"name":"a"}"#),
        ),
        (
            r#"{"name":"a","managedFields":"x","uid":"u"}"#,
            Some(r#"{"name":"a","uid":"u"}"#),
        ),
        (
            r#"{"managedFields":"x","name":"a"}"#,
            Some(r#"{"name":"a"}"#),
        ),
    ] {
        let text = format!(r#"{{"metadata":{metadata},"spec":{{}}}}"#);
        let Some(less) = less else {
            assert_eq!(problem_of(text.as_bytes()).problem, Problem::NoName);
            continue;
        };
        let found = with_usable(&text, |item| item.json_pieces().concat());
        assert_eq!(
            found,
            format!(r#"{{"metadata":{less},"spec":{{}}}}"#),
            "{metadata}"
        );
    }
}

#[test]
fn sec_22_of_equal_keys_the_last_counts_as_in_serde_json() {
    let text = r#"{"kind":"A","metadata":{"name":"a","namespace":"n","managedFields":[1]},"kind":"B","metadata":{"name":"b","name":"c","uid":"u","managedFields":[2],"managedFields":[3]}}"#;
    let value: Value = serde_json::from_str(text).unwrap();
    with_usable(text, |item| {
        assert_eq!(item.name(), value["metadata"]["name"]);
        assert_eq!((item.namespace(), item.uid()), ("", "u"));
        assert_eq!(item.kind().unwrap(), value["kind"].as_str().unwrap());
        let less = item.json_pieces().concat();
        assert_eq!(less, text.replacen(r#","managedFields":[1]"#, "", 1));
    });
    let nulled = br#"{"metadata":{"name":"a","name":null}}"#;
    assert_eq!(problem_of(nulled).problem, Problem::NoName);
}

#[test]
fn pr_n13_sec_18_pr_f43_depth_ten_thousand_is_served_and_one_more_is_poison() {
    with_usable(&nested(10_000), |item| assert_eq!(item.name(), "deep"));
    let deeper = problem_of(nested(10_001).as_bytes());
    assert_eq!(deeper.problem, Problem::TooDeep);
    assert_eq!(deeper.key, Some(("n".into(), "deep".into())));
    assert_eq!(
        problem_of(nested(200_000).as_bytes()).problem,
        Problem::TooDeep
    );
}

#[test]
fn sec_20_an_object_nested_beyond_serde_jsons_limit_is_served_as_it_is() {
    let text = nested(900);
    assert!(serde_json::from_str::<Value>(&text).is_err());
    with_usable(&text, |item| assert_eq!(item.json_pieces().concat(), text));
}

#[test]
fn sec_16_an_object_beyond_its_limit_is_skimmed_and_keeps_its_key() {
    let text = format!(
        r#"{{"metadata":{{"name":"big","namespace":"n","uid":"u","resourceVersion":"7"}},"data":"{}"}}"#,
        "x".repeat(5_000)
    );
    let limits = Limits {
        object_bytes_max: 1_000,
        ..Limits::default()
    };
    let mut scan = Scan::new(&limits);
    assert_eq!(scan.advance(&text.as_bytes()[..999]), Progress::More);
    assert!(!scan.is_skimming());
    assert_eq!(scan.advance(&text.as_bytes()[..1_001]), Progress::More);
    assert!(scan.is_skimming());
    assert_eq!(
        scan.skim(&text.as_bytes()[1_001..]),
        Progress::Done(text.len() - 1_001)
    );
    let Item::Unusable(unusable) = scan.item(b"", None) else {
        panic!("a skimmed object is not usable");
    };
    assert_eq!(unusable.problem, Problem::TooLarge);
    assert_eq!(unusable.key, Some(("n".into(), "big".into())));
    assert_eq!((&*unusable.uid, &*unusable.resource_version), ("u", "7"));
    assert_eq!(unusable.bytes, text.len() as u64);
}

#[test]
fn an_object_cut_before_its_namespace_poisons_no_other_key() {
    let text = format!(
        r#"{{"metadata":{{"name":"big","generateName":"{}","namespace":"n"}}}}"#,
        "x".repeat(500)
    );
    let limits = Limits {
        object_bytes_max: 100,
        ..Limits::default()
    };
    let found = line_of(text.as_bytes(), &limits);
    assert!(found.contains("key: None"), "{found}");
}

#[test]
fn sec_19_a_name_beyond_its_limit_makes_the_item_unusable() {
    for (field, len, fails) in [
        ("name", 1_024, false),
        ("name", 1_025, true),
        ("namespace", 1_025, true),
        ("uid", 1_025, true),
        ("resourceVersion", 1_025, true),
        ("generateName", 1_025, false),
    ] {
        let long = "x".repeat(len);
        let text = format!(r#"{{"metadata":{{"name":"a","{field}":"{long}"}}}}"#);
        let found = line_of(text.as_bytes(), &Limits::default());
        assert_eq!(
            found.contains("TokenTooLong"),
            fails,
            "{field} {len}: {found}"
        );
    }
}

#[test]
fn sec_21_numbers_stay_the_text_that_they_are() {
    let text = r#"{"metadata":{"name":"a","generation":18446744073709551616},"spec":{"x":1e400}}"#;
    with_usable(text, |item| assert_eq!(item.json_pieces().concat(), text));
}

#[test]
fn sec_23_invalid_utf8_is_unusable_and_keeps_a_sound_key() {
    let mut text = br#"{"metadata":{"name":"a","namespace":"n"},"data":"?"}"#.to_vec();
    let at = text.len() - 3;
    text[at] = 0xff;
    let found = problem_of(&text);
    let offset = at as u64;
    assert_eq!(found.problem, Problem::InvalidUtf8 { offset });
    assert_eq!(found.key, Some(("n".into(), "a".into())));
    let found = problem_of(b"{\"metadata\":{\"name\":\"\xff\",\"namespace\":\"n\"}}");
    let offset = 21;
    assert_eq!(
        (found.problem, found.key),
        (Problem::InvalidUtf8 { offset }, None)
    );
}

#[test]
fn sec_23_half_a_surrogate_pair_hurts_only_in_the_metadata() {
    let found = problem_of(br#"{"metadata":{"name":"\ud800"}}"#);
    assert_eq!((found.problem, found.key), (Problem::BadEscape, None));
    let elsewhere = r#"{"metadata":{"name":"a","labels":{"x":"\ud800"}},"data":"\udfff"}"#;
    with_usable(elsewhere, |item| {
        assert_eq!(item.labels(), r#"{"x":"\ud800"}"#)
    });
}

#[test]
fn pr_f41_an_object_without_a_sound_key_has_none() {
    for (metadata, problem) in [
        (r#"{}"#, Problem::NoName),
        (r#"null"#, Problem::NoName),
        (r#"[{"name":"a"}]"#, Problem::NoName),
        (r#"{"name":""}"#, Problem::NoName),
        (r#"{"name":7}"#, Problem::NoName),
        (r#"{"name":"a/b"}"#, Problem::BadKey),
        (r#"{"name":"a\/b"}"#, Problem::BadKey),
        (r#"{"name":"a","namespace":"b/c"}"#, Problem::BadKey),
    ] {
        let found = problem_of(format!(r#"{{"metadata":{metadata}}}"#).as_bytes());
        assert_eq!((found.problem, found.key), (problem, None), "{metadata}");
    }
    let huge: String = (0..5_000).map(|i| format!(r#""k{i}":"v","#)).collect();
    let text = format!(r#"{{"metadata":{{"labels":{{{huge}"z":"z"}},"name":"a"}}}}"#);
    with_usable(&text, |item| assert!(item.labels().len() > 40_000));
}

#[test]
fn pr_f43_a_byte_order_mark_or_a_nul_is_no_panic() {
    let mut scan = Scan::new(&Limits::default());
    let text = b"{\"metadata\":{\"name\":\"a\0b\"},\"x\":\"\\u0000\"}";
    scan_whole(&mut scan, text);
    assert!(scan.item(text, None).usable().is_some());
    let inside = "{\u{feff}\"metadata\":{\"name\":\"a\"}}";
    let problem = problem_of(inside.as_bytes()).problem;
    assert_eq!(problem, Problem::Malformed { offset: 1 });
}

#[test]
fn broken_grammar_where_it_walks_is_named_and_the_end_still_found() {
    for (text, offset) in [
        (r#"{"metadata":{"name":"a"],"spec":{}}}"#, 23),
        (r#"{"metadata":{"name":"a",}}"#, 24),
        (r#"{"metadata" {"name":"a"}}"#, 12),
        (r#"{"a":[1}}}"#, 7),
        (r#"{"a":1]"#, 6),
        (r#"{:1}"#, 1),
        (r#"{"a":1,,"b":2}"#, 7),
        (r#"{"a":"x""y"}"#, 8),
        (r#"{[]}"#, 1),
    ] {
        let mut scan = Scan::new(&Limits::default());
        let Progress::Done(len) = scan.advance(text.as_bytes()) else {
            panic!("{text} has an end");
        };
        match scan.item(&text.as_bytes()[..len], None) {
            Item::Unusable(unusable) => {
                assert_eq!(unusable.problem, Problem::Malformed { offset }, "{text}");
            }
            Item::Usable(_) => panic!("{text} is malformed"),
        }
    }
}

#[test]
fn a_key_written_with_escapes_is_the_key_that_it_means() {
    let text = r#"{"meta\u0064ata":{"n\u0061me":"we\u0062-0","managed\u0046ields":[],"uid":"u"}}"#;
    with_usable(text, |item| {
        assert_eq!((item.name(), item.uid()), ("web-0", "u"));
        assert!(!item.json_pieces().concat().contains("ields"));
    });
}

#[test]
fn pr_l18_a_typed_lists_items_get_its_kind() {
    let list = ListKind::of_list("PodList", "v1").unwrap();
    let text = br#"{"metadata":{"name":"a","managedFields":[]},"spec":{}}"#;
    let mut scan = Scan::new(&Limits::default());
    scan_whole(&mut scan, text);
    let item = scan.item(text, Some(&list));
    let item = item.usable().unwrap();
    assert_eq!(item.kind().as_deref(), Some("Pod"));
    assert_eq!(item.api_version().as_deref(), Some("v1"));
    assert_eq!(
        item.json_pieces().concat(),
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{}}"#
    );
    let named = br#"{"kind":"Own","apiVersion":"x/v2","metadata":{"name":"a"}}"#;
    scan_whole(&mut scan, named);
    let item = scan.item(named, Some(&list));
    let item = item.usable().unwrap();
    assert_eq!(item.kind().as_deref(), Some("Own"));
    assert_eq!(item.json_pieces().concat().as_bytes(), named);
    assert_eq!(ListKind::of_list("List", "v1"), None);
    assert_eq!(ListKind::of_list("Pod", "v1"), None);
}

#[test]
fn packs_as_much_as_is_to_be_kept() {
    let text = r#"{"metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"7","labels":{"x":"y"},"managedFields":[]}}"#;
    with_usable(text, |item| {
        let pack = |keep| item.pack(&mut String::new(), keep).unwrap();
        let json = pack(Keep::Json);
        assert_eq!((json.key(), json.uid()), ("n/a", "u"));
        assert_eq!(json.json(), item.json_pieces().concat());
        assert_eq!(pack(Keep::JsonWithManagedFields).json(), text);
        assert_eq!(pack(Keep::Labels).labels_json(), r#"{"x":"y"}"#);
        let nothing = pack(Keep::Nothing);
        assert_eq!((nothing.json(), nothing.labels_json()), ("", ""));
        assert_eq!(nothing.resource_version_text(), "7");
    });
}

#[test]
fn reads_one_annotation_and_ignores_those_that_are_no_strings() {
    let text = r#"{"metadata":{"name":"a","annotations":{"x":1,"y":"a","y":"\u0062","z":null}}}"#;
    with_usable(text, |item| {
        assert_eq!(item.annotation("y").as_deref(), Some("b"));
        assert_eq!(item.annotation("x"), None);
        assert_eq!(item.annotation("w"), None);
    });
}

#[test]
fn debug_output_never_holds_content() {
    let text = r#"{"metadata":{"name":"a","namespace":"n"},"data":{"password":"hunter2"}}"#;
    let shown = with_usable(text, |item| format!("{item:?}"));
    assert_eq!(shown, "n/a@");
}
