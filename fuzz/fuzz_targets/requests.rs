//! What is asked stays in its place (SEC-13), and what a refusal asks for is bounded (INV-L5).

#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use tidings_api::{
    Resource, ResourceVersion,
    options::{ListOptions, ListVersion, Scope, WatchOptions},
    request::Request,
    status::{Asked, RETRY_AFTER_MAX, Recovery, Status, parse_retry_after, recovery, refusal},
};

#[derive(Arbitrary, Debug)]
struct Input {
    resource: [Text; 3],
    namespace: Option<Text>,
    name: Text,
    labels: Text,
    fields: Text,
    version: Text,
    limit: Option<u32>,
    token: Option<Text>,
    seconds: u32,
    answer: Answer,
}

/// A text that means something in a URL, or any.
#[derive(Arbitrary, Debug)]
enum Text {
    Known(u8),
    Any(String),
}

/// A refusal.
#[derive(Arbitrary, Debug)]
struct Answer {
    code: u8,
    retry_after: Text,
    reason: u8,
    seconds: Option<i64>,
    cause: u8,
    /// A body of its own in place of the Status.
    raw: Option<Vec<u8>>,
}

const WORDS: [&str; 24] = [
    "",
    ".",
    "..",
    "...",
    "/",
    "a/b",
    "%2e%2e",
    "a?b",
    "a#b",
    "a&b=c",
    "a+b",
    "a b",
    "a\\b",
    "pods",
    "v1",
    "apps",
    "default",
    "12",
    "+30",
    "99999999999",
    "app in (a,b)",
    "n=\u{e9}",
    "\0",
    "\r\nx: y",
];
const CODES: [u16; 16] = [
    0, 200, 302, 400, 401, 403, 404, 406, 409, 410, 422, 429, 500, 503, 504, 65535,
];
const REASONS: [&str; 12] = [
    "",
    "Expired",
    "Gone",
    "Timeout",
    "Forbidden",
    "Conflict",
    "AlreadyExists",
    "TooManyRequests",
    "ResourceVersionTooLarge",
    "NamespaceTerminating",
    "Too large resource version",
    "Odd",
];

impl Text {
    fn text(&self) -> &str {
        match self {
            Self::Known(index) => WORDS[usize::from(*index) % WORDS.len()],
            Self::Any(text) => text,
        }
    }
}

impl Answer {
    fn code(&self) -> u16 {
        CODES[usize::from(self.code) % CODES.len()]
    }

    fn body(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let reason = |index: u8| REASONS[usize::from(index) % REASONS.len()];
        let cause = json!({ "reason": reason(self.cause), "message": reason(self.cause) });
        let details = json!({ "retryAfterSeconds": self.seconds, "causes": [cause] });
        let status = json!({ "reason": reason(self.reason), "details": details });
        status.to_string().into_bytes()
    }
}

/// The segments and the parameters of a request, decoded.
fn taken_apart(text: &str) -> (Vec<String>, Vec<(String, String)>) {
    assert!(
        text.is_ascii()
            && !text
                .bytes()
                .any(|byte| byte <= b' ' || byte == 0x7f || byte == b'#')
    );
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    assert!(!query.contains('?') && path.starts_with('/'), "{text}");
    let segments: Vec<_> = path[1..].split('/').map(decoded).collect();
    for segment in &segments {
        assert!(
            !segment.is_empty() && segment != "." && segment != "..",
            "{text}"
        );
    }
    let parameters = query.split('&').filter(|pair| !pair.is_empty());
    let parameters = parameters.map(|pair| {
        let (name, value) = pair.split_once('=').expect("a name and a value");
        (decoded(name), decoded(value))
    });
    (segments, parameters.collect())
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
            let digits = std::str::from_utf8(&digits).expect("digits");
            bytes.push(u8::from_str_radix(digits, 16).expect("digits"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("what was encoded was a text")
}

fn check_request(input: &Input, scope: &Scope) {
    let token = input.token.as_ref().map(Text::text);
    let version = ResourceVersion::parse(input.version.text()).ok();
    let options = ListOptions {
        version: version
            .clone()
            .map_or(ListVersion::Consistent, ListVersion::Exact),
        limit: input.limit,
        continue_token: token.map(str::to_owned),
    };
    let watch = WatchOptions {
        resource_version: version.clone(),
        send_initial_events: version.is_none(),
        timeout: Duration::from_secs(input.seconds.into()),
    };
    let asked = [
        Request::list(scope, &options),
        Request::watch(scope, &watch),
    ];
    for request in asked.into_iter().flatten() {
        let (segments, parameters) = taken_apart(&request.path_and_query);
        let mut expected = vec![scope.resource.version(), scope.resource.plural()];
        if let Some(namespace) = &scope.namespace {
            expected.splice(1..1, ["namespaces", namespace]);
        }
        match scope.resource.group() {
            "" => expected.insert(0, "api"),
            group => drop(expected.splice(0..0, ["apis", group])),
        }
        assert_eq!(segments, expected);
        let value = |name: &str| {
            let mut found = parameters.iter().filter(|(own, _)| own == name);
            let value = found.next().map(|(_, value)| value.as_str());
            assert!(found.next().is_none(), "{name} twice");
            value.unwrap_or_default()
        };
        assert_eq!(value("labelSelector"), input.labels.text());
        assert_eq!(value("fieldSelector"), input.fields.text());
        if value("watch").is_empty() {
            assert_eq!(value("continue"), token.unwrap_or_default());
        } else {
            let version = version.as_ref().map_or("", |_| input.version.text());
            assert_eq!(value("resourceVersion"), version);
        }
    }
    let path = scope
        .resource
        .object_path(scope.namespace.as_deref(), input.name.text());
    if let Ok(path) = path {
        let (segments, _) = taken_apart(&path);
        assert_eq!(segments.last().map(String::as_str), Some(input.name.text()));
    }
}

fn check_refusal(answer: &Answer) {
    let header = parse_retry_after(answer.retry_after.text());
    if let Some(wait) = header {
        let text = answer.retry_after.text().trim();
        let digits = text.trim_start_matches('+');
        assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
        assert_eq!(wait.subsec_nanos(), 0);
    }
    let (code, body) = (answer.code(), answer.body());
    let status = Status::parse(code, &body);
    for asked in [Asked::List, Asked::Watch, Asked::WatchList] {
        match recovery(asked, code, &status, header) {
            Recovery::ServerTrouble { retry_after }
            | Recovery::Throttled { retry_after }
            | Recovery::TooLargeVersion { retry_after } => {
                assert!(retry_after.is_none_or(|wait| wait <= RETRY_AFTER_MAX));
            }
            _ => {}
        }
    }
    let kind = refusal(code, &status);
    assert!(!kind.may_have_acted() || kind.is_retriable());
}

fuzz_target!(|input: Input| {
    let [group, version, plural] = &input.resource;
    if let Ok(resource) = Resource::new(group.text(), version.text(), plural.text()) {
        let scope = Scope {
            resource,
            namespace: input.namespace.as_ref().map(|it| it.text().to_owned()),
            label_selector: input.labels.text().to_owned(),
            field_selector: input.fields.text().to_owned(),
        };
        check_request(&input, &scope);
    }
    check_refusal(&input.answer);
});
