//! What is asked stays in its place (SEC-13), and what a refusal asks for is bounded (INV-L5).

#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tidings_api::{
    Resource, ResourceVersion,
    options::{ListOptions, ListVersion, Scope, WatchOptions},
    request::Request,
    status::{Asked, RETRY_AFTER_MAX, Recovery, Status, parse_retry_after, recovery, refusal},
};

#[derive(Arbitrary, Debug)]
struct Input {
    resource: [String; 3],
    namespace: Option<String>,
    name: String,
    labels: String,
    fields: String,
    version: String,
    limit: Option<u32>,
    token: Option<String>,
    seconds: u32,
    code: u16,
    retry_after: String,
    body: Vec<u8>,
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
    let version = ResourceVersion::parse(&input.version).ok();
    let options = ListOptions {
        version: version
            .clone()
            .map_or(ListVersion::Consistent, ListVersion::Exact),
        limit: input.limit,
        continue_token: input.token.clone(),
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
        assert_eq!(value("labelSelector"), input.labels);
        assert_eq!(value("fieldSelector"), input.fields);
        if value("watch").is_empty() {
            assert_eq!(
                value("continue"),
                input.token.as_deref().unwrap_or_default()
            );
        } else {
            assert_eq!(
                value("resourceVersion"),
                version.as_ref().map_or("", |_| &input.version)
            );
        }
    }
    if let Ok(path) = scope
        .resource
        .object_path(scope.namespace.as_deref(), &input.name)
    {
        let (segments, _) = taken_apart(&path);
        assert_eq!(segments.last(), Some(&input.name));
    }
}

fuzz_target!(|input: Input| {
    let [group, version, plural] = &input.resource;
    if let Ok(resource) = Resource::new(group, version, plural) {
        let scope = Scope {
            resource,
            namespace: input.namespace.clone(),
            label_selector: input.labels.clone(),
            field_selector: input.fields.clone(),
        };
        check_request(&input, &scope);
    }
    let header = parse_retry_after(&input.retry_after);
    if let Some(wait) = header {
        let digits = input.retry_after.trim().trim_start_matches('+');
        assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
        assert_eq!(wait.subsec_nanos(), 0);
    }
    let status = Status::parse(input.code, &input.body);
    for asked in [Asked::List, Asked::Watch, Asked::WatchList] {
        match recovery(asked, input.code, &status, header) {
            Recovery::ServerTrouble { retry_after }
            | Recovery::Throttled { retry_after }
            | Recovery::TooLargeVersion { retry_after } => {
                assert!(retry_after.is_none_or(|wait| wait <= RETRY_AFTER_MAX));
            }
            _ => {}
        }
    }
    let kind = refusal(input.code, &status);
    assert!(!kind.may_have_acted() || kind.is_retriable());
});
