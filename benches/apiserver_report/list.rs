//! 50 000 pods listed over loopback: the first byte, the rate, and pages.

use std::{io::Read as _, net::SocketAddr};

use bytes::Bytes;
use serde_json::Value;
use tidings_apiserver::serve::Handle;
use tidings_benches::pods;
use tokio::runtime::Runtime;

use crate::{
    client,
    clock::{self, Cost, Start},
    floor,
};

const PATH: &str = "/api/v1/pods";

pub(crate) fn report(runtime: &Runtime, server: &Handle, pods: usize, rounds: usize) {
    let before = resident();
    load(server, pods);
    let (grown, history) = (resident().saturating_sub(before), server.history_size());
    println!("apiserver/rss: {grown} bytes more with {pods} pods; {history:?}");
    let whole = client::body(server.address(), PATH);
    assert_eq!(
        memchr::memmem::find_iter(&whole, b"\"nodeName\":").count(),
        pods
    );
    let len = whole.len();
    println!("apiserver/list: {pods} pods, {len} bytes");
    let floor = floor::start(runtime, Bytes::from(whole));
    slow(server, pods);
    for _ in 0..rounds {
        one("list/floor-hyper-one-buffer", floor, PATH, len);
        one("list/whole", server.address(), PATH, len);
        one(
            "list/whole/rv0",
            server.address(),
            "/api/v1/pods?resourceVersion=0",
            len,
        );
        one(
            "list/namespace",
            server.address(),
            "/api/v1/namespaces/ns-07/pods",
            len / 20,
        );
        let path = "/api/v1/pods?labelSelector=team%3Dteam-12";
        one("list/label-all", server.address(), path, len);
        let path = "/api/v1/pods?labelSelector=app%3Dapp-00007";
        one("list/label-few", server.address(), path, 1);
        let path = "/api/v1/pods?fieldSelector=spec.nodeName%3Dnowhere";
        one("list/field-none", server.address(), path, 1);
        paged("list/pages-of-500", server.address(), "limit=500", pods);
        let query = "limit=500&labelSelector=team%3Dteam-12";
        paged("list/pages-of-500/label", server.address(), query, pods);
    }
}

/// The bench's pods, a namespace for each twenty.
fn load(server: &Handle, pods: usize) {
    server.apply(|state| {
        let resource = state.resource("", "v1", "pods").expect("pods are served");
        for number in 0..pods {
            let mut pod: Value = serde_json::from_str(&pods::object(number)).expect("a pod");
            let namespace = format!("ns-{:02}", number % 20);
            pod["metadata"]["namespace"] = namespace.clone().into();
            let created = state.create(resource, Some(&namespace), pod, 1_700_000_000);
            created.expect("a new pod");
        }
    });
}

/// Clients that ask for everything and read the first bytes only: what each makes the server hold.
fn slow(server: &Handle, pods: usize) {
    let before = resident();
    let mut waiting = Vec::new();
    for _ in 0..SLOW {
        let mut stream = client::ask(server.address(), PATH, "close");
        let mut begin = [0; 512];
        stream.read_exact(&mut begin).expect("the list begins");
        waiting.push(stream);
    }
    let each = resident().saturating_sub(before) / SLOW;
    println!("apiserver/list/slow-readers: {SLOW} clients that do not read on, {each} bytes each");
    // Pointers to the objects, the chunks under way, and hyper's buffer; never the body.
    assert!(each < 8 * pods + SLOW_BYTES_MAX);
}

const SLOW: usize = 20;
const SLOW_BYTES_MAX: usize = 2 << 20;

/// Bytes of the process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes
        .and_then(|text| text.parse().ok())
        .map_or(0, |kilobytes: usize| kilobytes << 10)
}

fn one(name: &str, address: SocketAddr, path: &str, least: usize) {
    let (start, own) = (Start::now(), clock::thread());
    let fetched = client::fetch(address, path);
    let cost = start.cost(clock::thread() - own);
    assert!(fetched.bytes >= least, "{name}: {} bytes", fetched.bytes);
    let first = fetched.first;
    println!(
        "apiserver/{name}: first byte {first:.1?}, {}",
        rate(fetched.bytes, &cost)
    );
}

fn paged(name: &str, address: SocketAddr, query: &str, pods: usize) {
    let (start, own) = (Start::now(), clock::thread());
    let (mut token, mut pages, mut bytes, mut items) = (String::new(), 0, 0, 0);
    loop {
        let path = format!("{PATH}?{query}&continue={token}");
        let body = client::body(address, &path);
        bytes += body.len();
        pages += 1;
        items += memchr::memmem::find_iter(&body, b"\"nodeName\":").count();
        token = continue_token(&body);
        if token.is_empty() {
            break;
        }
    }
    let cost = start.cost(clock::thread() - own);
    assert_eq!(items, pods);
    println!("apiserver/{name}: {pages} pages, {}", rate(bytes, &cost));
}

fn continue_token(body: &[u8]) -> String {
    let head = &body[..body.len().min(512)];
    let head = String::from_utf8_lossy(head);
    let found = head.split("\"continue\":\"").nth(1);
    let token = found.and_then(|rest| rest.split('"').next());
    token.unwrap_or_default().to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn rate(bytes: usize, cost: &Cost) -> String {
    let gigabytes = bytes as f64 / 1e9;
    format!(
        "{bytes} bytes in {:.1?}, {:.2} GB/s; CPU server {:.1?} ({:.2} GB/s), client {:.1?}",
        cost.wall,
        gigabytes / cost.wall.as_secs_f64(),
        cost.server,
        gigabytes / cost.server.as_secs_f64(),
        cost.client
    )
}
