//! No request makes the API server's router panic; each gets one answer, which is well formed, and one
//! that is refused, or only reads, changes nothing.

#![no_main]

use std::{cell::RefCell, io::Read as _};

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tidings_apiserver::{
    State,
    serve::{Config, in_process::InProcess},
    state::{ListQuery, Stored},
};
use tokio::runtime::{Builder, Runtime};

const REQUESTS_MAX: usize = 8;
const METHODS: [&str; 8] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW",
];
/// What the parts of paths are made of.
const SEGMENTS: [&str; 32] = [
    "api",
    "apis",
    "v1",
    "apps",
    "namespaces",
    "default",
    "pods",
    "configmaps",
    "deployments",
    "o0",
    "o1",
    "status",
    "scale",
    "openapi",
    "v3",
    "version",
    "healthz",
    "authorization.k8s.io",
    "authentication.k8s.io",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "apiextensions.k8s.io",
    "customresourcedefinitions",
    "things.x.io",
    "",
    ".",
    "..",
    "%2F",
    "%",
    "%+1",
    "%ff",
    "secrets",
];
/// Whole paths, for those that guessing does not find.
const PATHS: [&str; 16] = [
    "/api/v1/namespaces/default/configmaps",
    "/api/v1/namespaces/default/configmaps/o0",
    "/api/v1/namespaces/default/configmaps/o1",
    "/api/v1/namespaces/default/pods",
    "/api/v1/namespaces/default/pods/o0",
    "/api/v1/namespaces/default/pods/o0/status",
    "/api/v1/pods",
    "/api/v1/namespaces/o1",
    "/apis/apps/v1/namespaces/default/deployments",
    "/apis/apps/v1/namespaces/default/deployments/o0/scale",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.x.io",
    "/apis/x.io/v1/namespaces/default/things",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/apis",
    "/openapi/v3/api/v1",
];
const PARAMETERS: [&str; 20] = [
    "watch",
    "resourceVersion",
    "resourceVersionMatch",
    "labelSelector",
    "fieldSelector",
    "limit",
    "continue",
    "timeoutSeconds",
    "allowWatchBookmarks",
    "sendInitialEvents",
    "dryRun",
    "fieldManager",
    "fieldValidation",
    "force",
    "propagationPolicy",
    "gracePeriodSeconds",
    "orphanDependents",
    "includeObject",
    "pretty",
    "x",
];
const ARGUMENTS: [&str; 24] = [
    "",
    "0",
    "1",
    "true",
    "false",
    "2",
    "5",
    "-1",
    "99999999999999999999",
    "Exact",
    "NotOlderThan",
    "app%3Dweb",
    "app+in+(a,b)",
    "metadata.name=o0",
    "All",
    "Strict",
    "Warn",
    "Ignore",
    "Foreground",
    "Orphan",
    "Background",
    "None",
    "Object",
    "%zz",
];
const HEADERS: [(&str, &str); 16] = [
    ("accept", "application/json"),
    ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io"),
    (
        "accept",
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    ),
    (
        "accept",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    ),
    (
        "accept",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    ),
    ("accept", "application/vnd.kubernetes.protobuf"),
    ("accept", "text/html;q=0.5,*/*;q=0.1"),
    ("accept-encoding", "gzip"),
    ("content-type", "application/json"),
    ("content-type", "application/yaml"),
    ("content-type", "application/vnd.kubernetes.protobuf"),
    ("content-type", "application/merge-patch+json"),
    ("content-type", "application/json-patch+json"),
    ("content-type", "application/strategic-merge-patch+json"),
    ("content-type", "application/apply-patch+yaml"),
    ("user-agent", "kubectl/v1.36"),
];
const BODIES: [&str; 14] = [
    "",
    "{}",
    "[]",
    "null",
    r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"o1"},"data":{"a":"1"}}"#,
    r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"o0"},"spec":{"containers":[{"name":"c","image":"i"}]}}"#,
    r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"o1"}}"#,
    r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"o0"},"spec":{"replicas":1,"selector":{"matchLabels":{"app":"a"}},"template":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}"#,
    r#"{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"o0"},"spec":{"replicas":3}}"#,
    r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"things.x.io"},"spec":{"group":"x.io","names":{"kind":"Thing","plural":"things"},"scope":"Namespaced","versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}"#,
    r#"{"apiVersion":"x.io/v1","kind":"Thing","metadata":{"name":"o0","finalizers":["x.io/a"]}}"#,
    r#"{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"resourceVersion":"1"},"propagationPolicy":"Foreground"}"#,
    r#"{"metadata":{"labels":{"app":"web"},"finalizers":null}}"#,
    r#"[{"op":"add","path":"/metadata/labels","value":{"app":"web"}}]"#,
];

#[derive(Debug)]
struct Program(Vec<Asked>);

#[derive(Debug)]
struct Asked {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let mut requests = Vec::new();
        while !input.is_empty() && requests.len() < REQUESTS_MAX {
            requests.push(asked(input)?);
        }
        Ok(Self(requests))
    }
}

fn asked(input: &mut Unstructured<'_>) -> Result<Asked> {
    let method = match input.int_in_range(0..=19u8)? {
        0 => input.arbitrary()?,
        _ => (*input.choose(&METHODS)?).to_owned(),
    };
    let mut target = match input.int_in_range(0..=9u8)? {
        0 => input.arbitrary()?,
        1..=6 => (*input.choose(&PATHS)?).to_owned(),
        _ => {
            let mut path = String::new();
            for _ in 0..input.int_in_range(0..=8)? {
                path.push('/');
                path.push_str(input.choose(&SEGMENTS)?);
            }
            path
        }
    };
    for at in 0..input.int_in_range(0..=4)? {
        target.push(if at == 0 { '?' } else { '&' });
        target.push_str(input.choose(&PARAMETERS)?);
        target.push('=');
        if input.ratio(1, 8)? {
            target.push_str(input.arbitrary()?);
        } else {
            target.push_str(input.choose(&ARGUMENTS)?);
        }
    }
    let mut headers = Vec::new();
    for _ in 0..input.int_in_range(0..=3)? {
        let (name, value) = input.choose(&HEADERS)?;
        let value = if input.ratio(1, 8)? {
            input.arbitrary()?
        } else {
            value.as_bytes().to_vec()
        };
        headers.push(((*name).to_owned(), value));
    }
    let mut body = input.choose(&BODIES)?.as_bytes().to_vec();
    if input.ratio(1, 6)? {
        // A known body with a piece of another.
        let at = input.int_in_range(0..=body.len())?;
        let piece: &[u8] = input.arbitrary()?;
        body.splice(at..at, piece.iter().copied());
    }
    Ok(Asked {
        method,
        target,
        headers,
        body,
    })
}

/// The request, if HTTP has one like it: hyper refuses others before the router sees them.
fn request(asked: &Asked) -> Option<Request<Bytes>> {
    let uri: Uri = asked.target.parse().ok()?;
    let method = Method::from_bytes(asked.method.as_bytes()).ok()?;
    let mut builder = Request::builder().method(method).uri(uri);
    for (name, value) in &asked.headers {
        builder = builder.header(name, &value[..]);
    }
    builder.body(asked.body.clone().into()).ok()
}

fn filled() -> InProcess {
    let server = InProcess::new(Config::default());
    server.apply(|state| {
        for (group, plural, kind) in [
            ("", "configmaps", "ConfigMap"),
            ("", "pods", "Pod"),
            ("apps", "deployments", "Deployment"),
        ] {
            let resource = state.resource(group, "v1", plural);
            let resource = resource.expect("a kind of the table");
            let version = if group.is_empty() { "v1" } else { "apps/v1" };
            let document = json!({
                "apiVersion": version, "kind": kind,
                "metadata": { "name": "o0", "labels": { "app": "web" } },
            });
            let _ = state.create(resource, Some("default"), document, 1_700_000_000);
        }
    });
    server
}

/// What there is: a read and a refusal leave it as it is.
fn contents(state: &State) -> (u64, usize) {
    let kinds = state.kinds().count();
    let count = (0..kinds).map(|resource| state.len(resource)).sum();
    (state.resource_version(), count)
}

/// What holds of every answer.
fn check_answer(asked: &Asked, response: &Response<Option<Bytes>>) {
    let code = response.status().as_u16();
    assert!((200..600).contains(&code), "{code} for {asked:?}");
    let body = response.body().as_ref();
    let body = body.unwrap_or_else(|| panic!("it breaks off: {asked:?}"));
    let header = |name| {
        let value = response.headers().get(name)?;
        Some(value.to_str().expect("headers are text"))
    };
    let plain = match header("content-encoding") {
        Some("gzip") => {
            let mut plain = Vec::new();
            let decoder = flate2::read::MultiGzDecoder::new(&body[..]);
            (decoder.take(64 << 20).read_to_end(&mut plain)).expect("gzip, to its end");
            plain
        }
        encoding => {
            assert_eq!(encoding, None, "{asked:?}");
            body.to_vec()
        }
    };
    if let Some(seconds) = header("retry-after") {
        seconds.parse::<u32>().expect("whole seconds");
    }
    if !header("content-type").is_some_and(|it| it.starts_with("application/json")) {
        assert!(std::str::from_utf8(&plain).is_ok_and(|text| !text.is_empty()));
        return;
    }
    // A watch has any number of documents, everything else one.
    let documents = serde_json::Deserializer::from_slice(&plain).into_iter::<Value>();
    let documents: Vec<Value> = documents
        .map(|document| document.unwrap_or_else(|error| panic!("{error}: {asked:?}")))
        .collect();
    let is_stream = documents.iter().all(|it| it["object"].is_object());
    assert!(documents.len() == 1 || is_stream, "{asked:?}");
    if code >= 400 {
        let [status] = &documents[..] else {
            panic!("a refusal is one document: {asked:?}");
        };
        assert_eq!(status["kind"], "Status", "{asked:?}");
        assert_eq!(status["code"], code, "{asked:?}");
        assert_eq!(status["status"], "Failure", "{asked:?}");
        assert!(status["message"].is_string(), "{asked:?}");
    }
}

/// What holds of everything that is stored.
fn check_state(state: &State) {
    for resource in 0..state.kinds().count() {
        let page = state.list(resource, &ListQuery::default());
        let page = page.unwrap_or_else(|refusal| panic!("a plain list: {refusal:?}"));
        assert_eq!(page.items.len(), state.len(resource));
        for stored in &page.items {
            check_stored(state, resource, stored);
        }
    }
}

fn check_stored(state: &State, resource: usize, stored: &Stored) {
    let (row, key) = (state.kind(resource), stored.key());
    let document = stored.document();
    let metadata = &document["metadata"];
    let name = key.rsplit('/').next().unwrap_or(key);
    assert_eq!(metadata["name"], name, "{document}");
    assert_eq!(key.contains('/'), row.namespaced, "{key}");
    let version = stored.resource_version();
    assert_eq!(metadata["resourceVersion"], version.to_string(), "{key}");
    assert!(version <= state.resource_version(), "{key}");
    assert_eq!(metadata["uid"], stored.uid(), "{key}");
    assert_eq!(document["kind"], row.kind.as_ref() as &str, "{key}");
}

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// Runs under a clock that jumps to whatever is waited for.
fn run(program: &Program) {
    RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime.get_or_insert_with(|| {
            let mut builder = Builder::new_current_thread();
            let built = builder.enable_time().start_paused(true).build();
            built.expect("a runtime without threads")
        });
        runtime.block_on(async {
            let server = filled();
            for asked in &program.0 {
                let Some(request) = request(asked) else {
                    continue;
                };
                let reads = matches!(request.method().as_str(), "GET" | "HEAD" | "OPTIONS");
                let before = server.apply(|state| contents(state));
                let response = server.answer(request).await;
                check_answer(asked, &response);
                if reads || !response.status().is_success() {
                    let after = server.apply(|state| contents(state));
                    assert_eq!(before, after, "it changed something: {asked:?}");
                }
                server.apply(|state| check_state(state));
                server.collect();
                server.apply(|state| check_state(state));
            }
        });
    });
}

fuzz_target!(|program: Program| run(&program));
