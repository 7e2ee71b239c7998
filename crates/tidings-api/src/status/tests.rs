//! One test per row of the decision table that an answer can meet, and the ways a body can be odd.

use super::*;

fn classify(asked: Asked, code: u16, body: &str) -> Recovery {
    recovery(asked, code, &Status::parse(code, body.as_bytes()), None)
}

#[test]
fn pr_w11_410_is_expired_as_http_answer_and_as_error_event() {
    let event = r#"{"kind":"Status","code":410,"reason":"Expired","message":"too old"}"#;
    assert_eq!(classify(Asked::Watch, 200, event), Recovery::Expired);
    assert_eq!(classify(Asked::List, 410, event), Recovery::Expired);
    assert_eq!(
        classify(Asked::Watch, 200, r#"{"code":410,"reason":"Gone"}"#),
        Recovery::Expired
    );
    assert_eq!(classify(Asked::Watch, 410, ""), Recovery::Expired);
}

#[test]
fn pr_s2_each_code_has_its_row() {
    for (code, expected) in [
        (401, Recovery::Unauthorized),
        (403, Recovery::Forbidden),
        (404, Recovery::KindGone),
        (405, Recovery::Rejected),
        (406, Recovery::NotAcceptable),
        (415, Recovery::NotAcceptable),
        (400, Recovery::Rejected),
        (422, Recovery::Rejected),
        (301, Recovery::Rejected),
        (429, Recovery::Throttled { retry_after: None }),
        (500, Recovery::ServerTrouble { retry_after: None }),
        (502, Recovery::ServerTrouble { retry_after: None }),
        (503, Recovery::ServerTrouble { retry_after: None }),
        (504, Recovery::ServerTrouble { retry_after: None }),
        (999, Recovery::ServerTrouble { retry_after: None }),
    ] {
        assert_eq!(classify(Asked::Watch, code, ""), expected, "{code}");
        assert_eq!(classify(Asked::List, code, "not json"), expected, "{code}");
    }
}

#[test]
fn pr_s1_the_reason_is_trusted_before_the_code() {
    let body = r#"{"reason":"TooManyRequests","code":500}"#;
    assert_eq!(
        classify(Asked::List, 500, body),
        Recovery::Throttled { retry_after: None }
    );
    let trouble = Recovery::ServerTrouble { retry_after: None };
    for reason in [
        "InternalError",
        "ServerTimeout",
        "StorageReadError",
        "Timeout",
    ] {
        let body = format!(r#"{{"reason":"{reason}"}}"#);
        assert_eq!(classify(Asked::Watch, 200, &body), trouble, "{reason}");
    }
}

#[test]
fn pr_s3_a_watch_list_refused_as_invalid_is_unsupported_and_only_a_watch_list() {
    let body = r#"{"reason":"Invalid","code":422}"#;
    assert_eq!(
        classify(Asked::WatchList, 422, body),
        Recovery::WatchListUnsupported
    );
    assert_eq!(
        classify(Asked::WatchList, 400, ""),
        Recovery::WatchListUnsupported
    );
    assert_eq!(classify(Asked::Watch, 422, body), Recovery::Rejected);
}

#[test]
fn pr_l6_pr_l7_a_future_version_is_known_by_reason_or_by_either_message() {
    let expected = Recovery::TooLargeVersion { retry_after: None };
    for body in [
        r#"{"reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge"}]}}"#,
        r#"{"details":{"causes":[{"message":"Too large resource version"}]}}"#,
        r#"{"reason":"Timeout","message":"Too large resource version: 9, current: 8"}"#,
    ] {
        assert_eq!(classify(Asked::List, 504, body), expected, "{body}");
    }
    let other = r#"{"reason":"Timeout","message":"slow"}"#;
    let trouble = Recovery::ServerTrouble { retry_after: None };
    assert_eq!(classify(Asked::List, 504, other), trouble);
}

#[test]
fn cg_r15_a_future_version_has_three_forms_and_an_expired_one_two_reasons() {
    let future = Recovery::TooLargeVersion { retry_after: None };
    let trouble = Recovery::ServerTrouble { retry_after: None };
    for (body, expected) in [
        (
            r#"{"reason":"Timeout","code":504,"details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}]}}"#,
            future,
        ),
        (
            r#"{"reason":"Timeout","code":504,"details":{"causes":[{"message":"Too large resource version"}]}}"#,
            future,
        ),
        (
            r#"{"reason":"Timeout","code":504,"message":"Timeout: Too large resource version: 400, current: 300"}"#,
            future,
        ),
        // The words alone, in an answer that is no timeout, are somebody's sentence.
        (
            r#"{"reason":"InternalError","code":500,"message":"Too large resource version: 9"}"#,
            trouble,
        ),
        (
            r#"{"reason":"Timeout","code":504,"details":{"causes":[{"reason":"Other"}]}}"#,
            trouble,
        ),
        (r#"{"reason":"Expired","code":410}"#, Recovery::Expired),
        (r#"{"reason":"Gone","code":410}"#, Recovery::Expired),
        (r#"{"reason":"Expired"}"#, Recovery::Expired),
    ] {
        assert_eq!(classify(Asked::List, 504, body), expected, "{body}");
        assert_eq!(classify(Asked::Watch, 200, body), expected, "{body}");
    }
}

#[test]
fn pr_s6_inv_l5_a_wait_is_read_from_header_or_body_and_capped() {
    let status = Status::parse(429, br#"{"details":{"retryAfterSeconds":7}}"#);
    let wait = |header| recovery(Asked::List, 429, &status, header);
    let throttled = |seconds| Recovery::Throttled {
        retry_after: Some(Duration::from_secs(seconds)),
    };
    assert_eq!(wait(None), throttled(7));
    assert_eq!(wait(parse_retry_after(" 3 ")), throttled(3));
    assert_eq!(wait(parse_retry_after("1000000000")), throttled(60));
    assert_eq!(parse_retry_after("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    assert_eq!(parse_retry_after("-1"), None);
    // No wait at all is no invitation to ask at once.
    let zero = parse_retry_after("0");
    assert_eq!(wait(zero), throttled(7));
    let backoff = Recovery::Throttled { retry_after: None };
    assert_eq!(
        recovery(Asked::Watch, 429, &Status::default(), zero),
        backoff
    );
}

#[test]
fn pr_f44_a_status_without_its_fields_or_with_nulls_is_read() {
    let body = r#"{"code":null,"reason":null,"message":null,"details":null,"metadata":null}"#;
    let status = Status::parse(503, body.as_bytes());
    assert_eq!((status.code, status.reason.as_str()), (503, ""));
    assert_eq!(Status::parse(500, br#"{"code":-7}"#).code, 500);
    assert_eq!(Status::parse(500, b"\xff\xfe").code, 500);
}

fn refused(code: u16, body: &str) -> Refusal {
    refusal(code, &Status::parse(code, body.as_bytes()))
}

#[test]
fn pr_s2_each_refusal_of_a_write_has_its_row() {
    for (code, expected) in [
        (301, Refusal::Rejected),
        (400, Refusal::Rejected),
        (401, Refusal::Unauthorized),
        (403, Refusal::Forbidden),
        (404, Refusal::NotFound),
        (405, Refusal::Rejected),
        (408, Refusal::Timeout),
        (409, Refusal::Conflict),
        (410, Refusal::Gone),
        (413, Refusal::Rejected),
        (415, Refusal::Rejected),
        (422, Refusal::Invalid),
        (429, Refusal::Throttled),
        (500, Refusal::Internal),
        (502, Refusal::Unavailable),
        (503, Refusal::Unavailable),
        (504, Refusal::Timeout),
        (999, Refusal::Internal),
    ] {
        for body in ["", "not json", "{}", r#"{"reason":null}"#] {
            assert_eq!(refused(code, body), expected, "{code} {body}");
        }
    }
}

#[test]
fn pr_s1_a_writes_reason_tells_apart_what_one_code_means() {
    let exists = r#"{"reason":"AlreadyExists","code":409}"#;
    assert_eq!(refused(409, exists), Refusal::AlreadyExists);
    assert_eq!(refused(409, r#"{"reason":"Conflict"}"#), Refusal::Conflict);
    let terminating = r#"{"reason":"Forbidden","details":{"causes":[
        {"reason":"NamespaceTerminating","message":"namespace x is being terminated"}]}}"#;
    assert_eq!(refused(403, terminating), Refusal::NamespaceTerminating);
    // The cause belongs to that reason alone.
    let elsewhere = terminating.replace("Forbidden", "Invalid");
    assert_eq!(refused(422, &elsewhere), Refusal::Invalid);
    let late = r#"{"reason":"ServerTimeout","code":500,"details":{"retryAfterSeconds":2}}"#;
    assert_eq!(refused(500, late), Refusal::Timeout);
    let status = Status::parse(500, late.as_bytes());
    assert_eq!(retry_after_of(&status, None), Some(Duration::from_secs(2)));
    let header = Some(Duration::from_secs(3600));
    assert_eq!(retry_after_of(&status, header), Some(RETRY_AFTER_MAX));
}

/// What a server refused before it began may be said of no other code.
#[test]
fn only_refusals_that_come_after_the_fact_may_have_acted() {
    for (code, acted, retriable) in [
        (401, false, false),
        (403, false, false),
        (409, false, false),
        (422, false, false),
        (429, false, true),
        (500, true, true),
        (502, true, true),
        (503, true, true),
        (504, true, true),
    ] {
        let refusal = refused(code, "");
        assert_eq!(refusal.may_have_acted(), acted, "{code}");
        assert_eq!(refusal.is_retriable(), retriable, "{code}");
    }
}
