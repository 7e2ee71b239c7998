//! The front over real sockets: framing, waiting, compression, and clients that do not read.

use std::io::Read as _;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;
use crate::{Refusal, fixture, state::ListQuery};

async fn server(config: Config) -> Handle {
    start(config).await.unwrap()
}

fn fill(server: &Handle, pods: u64) {
    server.apply(|state| {
        let resource = state.resource("", "v1", "pods").unwrap();
        for number in 0..pods {
            let pod = fixture::pod("default", "web", number);
            state.create(resource, Some("default"), pod, 0).unwrap();
        }
    });
}

fn touch(server: &Handle) {
    server.apply(|state| {
        let resource = state.resource("", "v1", "pods").unwrap();
        let page = state.list(resource, &ListQuery::default()).unwrap();
        let object = page.items[0].clone();
        let mut document = object.document();
        let turn = object.resource_version();
        document["metadata"]["annotations"]["turn"] = turn.to_string().into();
        state.update(resource, object.key(), document).unwrap();
    });
}

async fn send(server: &Handle, request: &str, headers: &str, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    socket.write_all(text.as_bytes()).await.unwrap();
    socket
}

/// The answer as head and body, until the server closes; chunks are put together.
async fn answer(mut socket: TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    // A broken connection ends the bytes as a closed one does.
    let _ = socket.read_to_end(&mut bytes).await;
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let split = split.expect("a head");
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
    let body = &bytes[split + 4..];
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        (head, unchunk(body).0)
    } else {
        (head, body.to_vec())
    }
}

/// The chunks' bytes, and whether the last one came.
fn unchunk(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    loop {
        let Some(line) = body.windows(2).position(|two| two == b"\r\n") else {
            return (out, false);
        };
        let len = std::str::from_utf8(&body[..line]).unwrap();
        let len = usize::from_str_radix(len, 16).unwrap();
        body = &body[line + 2..];
        if len == 0 {
            return (out, true);
        }
        out.extend_from_slice(&body[..len.min(body.len())]);
        body = body.get(len + 2..).unwrap_or_default();
    }
}

async fn get(server: &Handle, path: &str, headers: &str) -> (String, Vec<u8>) {
    answer(send(server, &format!("GET {path}"), headers, "").await).await
}

async fn code(server: &Handle, request: &str, headers: &str, body: &str) -> u16 {
    let (head, _) = answer(send(server, request, headers, body).await).await;
    head[9..12].parse().unwrap()
}

fn kinds(body: &[u8]) -> String {
    let frames = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    let kind = |frame: Value| frame["type"].as_str().unwrap()[..1].to_owned();
    frames.map_while(|frame| frame.ok().map(kind)).collect()
}

const PODS: &str = "/api/v1/pods";
const IN_NAMESPACE: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn pr_w1_pr_w2_a_watch_is_chunked_frames_and_ends_well_at_its_time() {
    let server = server(Config::default()).await;
    fill(&server, 2);
    let path = format!("{PODS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true");
    let (head, body) = get(&server, &path, "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("application/json"), "{head}");
    assert_eq!(kinds(&body), "AAB");
    assert!(body.ends_with(b"}\n"));
    server.shutdown().await;
}

#[tokio::test]
async fn pr_w7_cg_v11_a_compressed_watch_list_is_one_gzip_member_a_flush() {
    let server = server(Config {
        watch_list_gzip: true,
        ..Config::default()
    });
    let server = server.await;
    fill(&server, 2);
    let path = format!("{PODS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true");
    let request = format!("GET {path}");
    let mut socket = send(&server, &request, "Accept-Encoding: gzip\r\n", "").await;
    let mut first = [0; 15];
    socket.read_exact(&mut first).await.unwrap();
    touch(&server);
    let mut rest = first.to_vec();
    socket.read_to_end(&mut rest).await.unwrap();
    let split = rest
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let (body, ended) = unchunk(&rest[split + 4..]);
    assert!(ended);
    let mut one = Vec::new();
    flate2::read::GzDecoder::new(&*body)
        .read_to_end(&mut one)
        .unwrap();
    let mut all = Vec::new();
    flate2::read::MultiGzDecoder::new(&*body)
        .read_to_end(&mut all)
        .unwrap();
    assert_eq!(kinds(&all), "AABM");
    assert!(kinds(&one).len() < 4, "a member for each flush");
    server.shutdown().await;
}

/// As Go's reader, which asks for the next member before it hands out what came with the end of one.
#[test]
fn pr_w7_a_member_gives_its_data_before_it_ends() {
    let frames = vec![b'x'; 5000];
    let member = stream::flushed(frames.clone(), true);
    let mut held = Vec::new();
    let cut = &member[..member.len() - 10];
    let ended = flate2::read::GzDecoder::new(cut).read_to_end(&mut held);
    assert!(ended.is_err(), "its last block and its sum are missing");
    assert_eq!(held, frames);
}

#[tokio::test]
async fn pr_l20_a_large_list_is_compressed_for_who_accepts_it() {
    let server = server(Config::default()).await;
    fill(&server, 200);
    let (head, packed) = get(&server, PODS, "Accept-Encoding: gzip\r\n").await;
    assert!(
        head.to_lowercase().contains("content-encoding: gzip"),
        "{head}"
    );
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(&*packed)
        .read_to_end(&mut body)
        .unwrap();
    let (_, plain) = get(&server, PODS, "").await;
    assert_eq!(body, plain);
    let path = format!("{PODS}?limit=2");
    let (head, _) = get(&server, &path, "Accept-Encoding: gzip\r\n").await;
    assert!(!head.to_lowercase().contains("content-encoding"), "{head}");
    server.shutdown().await;
}

#[tokio::test]
async fn pr_l6_cg_v2_a_list_waits_for_a_version_that_comes() {
    let server = server(Config::default()).await;
    fill(&server, 1);
    let path = format!("GET {PODS}?resourceVersion=3");
    let waiting = send(&server, &path, "", "").await;
    touch(&server);
    let (head, _) = answer(waiting).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    server.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn pr_l6_cg_v2_a_list_gives_up_on_a_version_that_does_not_come() {
    let server = server(Config::default()).await;
    let begun = tokio::time::Instant::now();
    let path = format!("{PODS}?resourceVersion=99");
    let (head, body) = get(&server, &path, "").await;
    assert!(head.starts_with("HTTP/1.1 504"), "{head}");
    assert!(head.to_lowercase().contains("retry-after: 1"), "{head}");
    assert!(begun.elapsed() >= Duration::from_secs(3));
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        status["details"]["causes"][0]["reason"],
        "ResourceVersionTooLarge"
    );
    server.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn pr_e11_bookmarks_come_each_minute_and_two_seconds_before_the_end() {
    let server = server(Config::default()).await;
    fill(&server, 1);
    let path = format!("{PODS}?watch=1&resourceVersion=1&timeoutSeconds=130&allowWatchBookmarks=1");
    let (_, body) = get(&server, &path, "").await;
    assert_eq!(kinds(&body), "ABBB");
    let path = path.replace("allowWatchBookmarks=1", "");
    let (_, body) = get(&server, &path, "").await;
    assert_eq!(kinds(&body), "A");
    server.shutdown().await;
}

#[tokio::test]
async fn pr_w18_cg_v5_a_client_that_does_not_read_is_cut_off() {
    let config = Config {
        stall_max: Duration::from_millis(50),
        ..Config::default()
    };
    let server = server(config).await;
    fill(&server, 8_000);
    let path = format!("GET {PODS}?watch=1");
    let mut socket = send(&server, &path, "", "").await;
    let mut first = [0; 15];
    socket.read_exact(&mut first).await.unwrap();
    assert_eq!(server.watches(), 1);
    // Some 24 MB of initial events: more than the sockets and the channel hold.
    while server.watches() > 0 {
        tokio::task::yield_now().await;
    }
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it did not end well");
    server.shutdown().await;
}

#[tokio::test]
async fn pr_l21_an_abrupt_cut_has_no_last_chunk() {
    let server = server(Config::default()).await;
    fill(&server, 1);
    let mut socket = send(&server, &format!("GET {PODS}?watch=1"), "", "").await;
    let mut first = [0; 15];
    socket.read_exact(&mut first).await.unwrap();
    server.cut_watches(true);
    let mut rest = first.to_vec();
    let _ = socket.read_to_end(&mut rest).await;
    let split = rest
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    assert!(!unchunk(&rest[split + 4..]).1);
    server.shutdown().await;
}

#[tokio::test]
async fn pr_n9_pr_n10_pr_n12_writes_over_http() {
    let server = server(Config::default()).await;
    let spec = json!({ "containers": [{ "name": "c", "image": "i" }] });
    let pod = json!({ "metadata": { "name": "a" }, "spec": spec, "status": {} });
    let pod = pod.to_string();
    assert_eq!(
        code(&server, &format!("POST {IN_NAMESPACE}"), "", &pod).await,
        201
    );
    assert_eq!(
        code(&server, &format!("POST {IN_NAMESPACE}"), "", &pod).await,
        409
    );
    let path = format!("{IN_NAMESPACE}/a");
    let merge = "Content-Type: application/merge-patch+json\r\n";
    let both = r#"{"spec":{"activeDeadlineSeconds":9},"status":{"phase":"Running"}}"#;
    let request = format!("PATCH {path}/status");
    assert_eq!(code(&server, &request, merge, both).await, 200);
    let read = |body: Vec<u8>| serde_json::from_slice::<Value>(&body).unwrap();
    let pod = read(get(&server, &path, "").await.1);
    assert_eq!(
        (
            &pod["spec"]["activeDeadlineSeconds"],
            &pod["status"]["phase"]
        ),
        (&Value::Null, &json!("Running"))
    );
    assert_eq!(pod["metadata"]["generation"], 1);
    let other = r#"{"spec":{"activeDeadlineSeconds":9},"status":{"phase":"Failed"}}"#;
    assert_eq!(
        code(&server, &format!("PATCH {path}"), merge, other).await,
        200
    );
    let pod = read(get(&server, &path, "").await.1);
    assert_eq!(
        (
            &pod["spec"]["activeDeadlineSeconds"],
            &pod["status"]["phase"]
        ),
        (&json!(9), &json!("Running"))
    );
    assert_eq!(pod["metadata"]["generation"], 2);
    let strategic = "Content-Type: application/strategic-merge-patch+json\r\n";
    for (media_type, expected) in [(strategic, 200), ("", 415)] {
        let answered = code(&server, &format!("PATCH {path}"), media_type, "{}").await;
        assert_eq!(answered, expected, "{media_type}");
    }
    let wrong = r#"{"preconditions":{"uid":"x"}}"#;
    assert_eq!(
        code(&server, &format!("DELETE {path}"), "", wrong).await,
        409
    );
    assert_eq!(code(&server, &format!("DELETE {path}"), "", "").await, 200);
    assert_eq!(code(&server, &format!("GET {path}"), "", "").await, 404);
    server.shutdown().await;
}

#[tokio::test]
async fn pr_n1_pr_s2_what_cannot_be_answered_is_refused_with_its_code() {
    let server = server(Config::default()).await;
    let table = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n";
    assert_eq!(code(&server, &format!("GET {PODS}"), table, "").await, 200);
    let newer = "Accept: application/json;as=Table;v=v9;g=meta.k8s.io\r\n";
    assert_eq!(code(&server, &format!("GET {PODS}"), newer, "").await, 406);
    let partial = "Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io\r\n";
    let (head, body) = get(&server, PODS, partial).await;
    assert!(head.starts_with("HTTP/1.1 406"), "{head}");
    let status: Value = serde_json::from_slice(&body).unwrap();
    let why =
        "you requested PartialObjectMetadata, but the requested object is a list (*core.PodList)";
    assert_eq!(status["message"], why);
    let odd = format!("GET {PODS}?includeObject=Half");
    assert_eq!(code(&server, &odd, table, "").await, 400);
    let either = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json\r\n";
    assert_eq!(code(&server, &format!("GET {PODS}"), either, "").await, 200);
    assert_eq!(code(&server, "GET /api/v1/nonsense", "", "").await, 404);
    assert_eq!(
        code(&server, "GET /api/v1/namespaces/x/nodes", "", "").await,
        404
    );
    assert_eq!(code(&server, "PUT /api/v1/pods", "", "{}").await, 405);
    assert_eq!(code(&server, "GET /api/v1/pods?limit=x", "", "").await, 400);
    for path in [
        "/version",
        "/healthz",
        "/readyz",
        "/livez",
        "/api",
        "/apis",
        "/apis/apps",
        "/livez/ping",
        "/openapi/v3",
        "/openapi/v3/apis/apps/v1",
    ] {
        assert_eq!(
            code(&server, &format!("GET {path}"), "", "").await,
            200,
            "{path}"
        );
    }
    for path in ["/openapi/v2", "/openapi/v3/nothing", "/healthz/nothing"] {
        let code = code(&server, &format!("GET {path}"), "", "").await;
        assert_eq!(code, 404, "{path}");
    }
    for path in ["/api/v1", "/apis/apps/v1", "/api/v1/namespaces"] {
        assert_eq!(
            code(&server, &format!("GET {path}"), "", "").await,
            200,
            "{path}"
        );
    }
    assert_eq!(code(&server, "GET /apis/none", "", "").await, 404);
    server.shutdown().await;
}

#[tokio::test]
async fn the_levers_refuse_double_and_lie() {
    let server = server(Config::default()).await;
    fill(&server, 1);
    server.faults(|faults| {
        faults.refusals.push_back(Refusal::of_code(429, 7));
        faults.list_version = Some("1".to_owned());
        faults.duplicate_frames = true;
    });
    let (head, body) = get(&server, PODS, "").await;
    assert!(head.to_lowercase().contains("retry-after: 7"), "{head}");
    assert_eq!(body, b"Too many requests, please try again later.\n");
    let (_, body) = get(&server, PODS, "").await;
    let list: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(list["metadata"]["resourceVersion"], "1");
    let path = format!("{PODS}?watch=1&timeoutSeconds=1&resourceVersion=1");
    assert_eq!(kinds(&get(&server, &path, "").await.1), "AA");
    server.faults(|faults| faults.refuse_percent = Some((100, Refusal::of_code(503, 0))));
    assert_eq!(code(&server, &format!("GET {PODS}"), "", "").await, 503);
    server.shutdown().await;
}

mod access;
mod admin;
mod answers;
mod bounds;
mod router;
mod writes;

#[tokio::test]
async fn pr_n4_discovery_is_aggregated_for_who_asks_for_it() {
    let server = server(Config::default()).await;
    let accept = "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                  application/json\r\n";
    for path in ["/api", "/apis"] {
        let (head, body) = get(&server, path, accept).await;
        let document: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["kind"], "APIGroupDiscoveryList");
        let media_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        assert!(head.contains(media_type), "{head}");
    }
    let (_, body) = get(&server, "/apis", "Accept: application/json\r\n").await;
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["kind"], "APIGroupList");
    server.shutdown().await;
}

#[tokio::test]
async fn pr_n1_a_write_is_answered_in_the_form_that_is_asked_for() {
    let server = server(Config::default()).await;
    let partial = "Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io\r\n";
    let path = "/api/v1/namespaces/default/configmaps";
    let body = r#"{"metadata":{"name":"a"},"data":{"k":"v"}}"#;
    let (_, answered) = answer(send(&server, &format!("POST {path}"), partial, body).await).await;
    let object: Value = serde_json::from_slice(&answered).unwrap();
    assert_eq!(object["kind"], "PartialObjectMetadata");
    assert_eq!(
        (object["metadata"]["name"].as_str(), object.get("data")),
        (Some("a"), None)
    );
    server.shutdown().await;
}
