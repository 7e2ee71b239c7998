//! The same requests at a real server and at the embedded one: tables of requests, and answers that have to be equal.
//!
//! Does not compare what has to differ: uids, versions, times, addresses, tokens, and the sentences of decoders.
//!
//! Each file of `answers/` is a table; its rows are sent in order, for later ones see what earlier ones wrote. A row:
//!
//! ```text
//!  [differs (why):] [=]METHOD PATH [MEDIA TYPE] [| BODY]
//! ```
//!
//! Code, reason, message, causes and warnings are compared; with `=` the whole body. A row that is said to differ, and
//! does not, fails. `$` stands for `/api/v1/namespaces/default`, `@GROUP/` for a group's, version v1, there. A body may
//! be made: `<bytes N>` is a ConfigMap with a value so long, `<deep N>` one with lists so deep in it, `<no utf8>`.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;
use tidings_api::request::Request;
use tidings_http::{Client, Purpose, kubeconfig};

use crate::{cluster::*, kubectl::Embedded};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pr_s1_pr_s2_bad_input_is_answered_alike() {
    compare("bad.txt").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn built_in_kinds_are_checked_alike() {
    compare("checks.txt").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pr_l1_pr_l5_pr_w13_every_combination_of_options_is_answered_alike() {
    compare("options.txt").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_is_the_same() {
    compare("stored.txt").await;
}

/// One row of a table.
struct Row {
    line: String,
    differs: bool,
    whole: bool,
    request: Request,
}

/// Sends a table's rows to both servers.
async fn compare(file: &str) {
    let folder = format!("{}/suite/answers", env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
    let cluster = Cluster::start(&[]);
    let embedded = Embedded::start(cluster.dir.path());
    let overrides = kubeconfig::Overrides {
        path: Some(embedded.kubeconfig.clone()),
        ..kubeconfig::Overrides::default()
    };
    let here = Client::new(kubeconfig::load(&overrides).unwrap()).unwrap();
    let there = cluster.client();
    let (mut kept_here, mut kept_there) = (Kept::default(), Kept::default());
    let lines = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (mut wrong, mut count) = (String::new(), 0);
    for line in lines {
        count += 1;
        let here = answered(&here, line, &mut kept_here);
        let (here, there) = tokio::join!(here, answered(&there, line, &mut kept_there));
        if (here == there) == Row::parse(line, &Kept::default()).differs {
            write!(wrong, "{line}\n--- real\n{there}--- embedded\n{here}").unwrap();
        }
    }
    assert!(count > 5, "{file}");
    assert!(wrong.is_empty(), "of {count} rows:\n{wrong}");
}

/// What later rows may name: versions and tokens of what came before.
#[derive(Default)]
struct Kept(BTreeMap<&'static str, String>);

impl Kept {
    fn note(&mut self, answer: &Value) {
        let meta = &answer["metadata"];
        let is_list = answer["items"].is_array();
        let version = if is_list { "LIST" } else { "RV" };
        for (name, value) in [
            (version, &meta["resourceVersion"]),
            ("TOKEN", &meta["continue"]),
        ] {
            if let Some(text) = value.as_str() {
                self.0.insert(name, text.to_owned());
            }
        }
    }
}

impl Row {
    fn parse(line: &str, kept: &Kept) -> Self {
        let (rest, differs) = match line.strip_prefix("differs (") {
            Some(rest) => (rest.split_once("): ").unwrap().1, true),
            None => (line, false),
        };
        let (rest, whole) = match rest.strip_prefix('=') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (head, body) = rest.split_once(" | ").unwrap_or((rest, ""));
        let mut parts = head.split(' ');
        let method = parts.next().unwrap().to_owned().leak();
        let mut path = parts
            .next()
            .unwrap()
            .replacen('$', "/api/v1/namespaces/default", 1);
        if let Some((group, rest)) = path.strip_prefix('@').and_then(|it| it.split_once('/')) {
            path = format!("/apis/{group}/v1/namespaces/default/{rest}");
        }
        for (name, value) in &kept.0 {
            path = path.replace(&format!("<{name}>"), value);
        }
        let media = parts.next().unwrap_or("application/json").to_owned().leak();
        let body = match body.strip_prefix('<').and_then(|it| it.split_once(' ')) {
            Some(("bytes", n)) => big(number(n)),
            Some(("deep", n)) => deep(number(n)),
            Some(("no", _)) => b"{\"metadata\":{\"name\":\"a\xff\"}}".to_vec(),
            _ if media.ends_with("yaml") => body.replace("\\n", "\n").into_bytes(),
            _ => body.as_bytes().to_vec(),
        };
        Self {
            line: line.to_owned(),
            differs,
            whole,
            request: Request::write(method, path, media, body),
        }
    }
}

fn number(text: &str) -> usize {
    text.trim_end_matches('>').parse().unwrap()
}

fn big(bytes: usize) -> Vec<u8> {
    let frame = r#"{"metadata":{"name":"big"},"data":{"k":""}}"#;
    let text = "x".repeat(bytes - frame.len());
    frame.replace("\"\"", &format!("\"{text}\"")).into_bytes()
}

fn deep(levels: usize) -> Vec<u8> {
    let (open, close) = ("[".repeat(levels), "]".repeat(levels));
    format!(r#"{{"metadata":{{"name":"deep"}},"dat":{open}{close}}}"#).into_bytes()
}

/// One answer as text, without what differs from server to server.
async fn answered(client: &Client, line: &str, kept: &mut Kept) -> String {
    let row = Row::parse(line, kept);
    if row.request.path_and_query.contains("watch=") && row.request.method == "GET" {
        return watched(client, &row).await;
    }
    let answer = match client.send(&row.request).await {
        Ok(answer) => answer,
        Err(error) => return format!("{}: {error}\n", row.line),
    };
    let mut out = answer.status.to_string();
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(mut body) => {
            kept.note(&body);
            describe(&mut body, row.whole, &mut out);
        }
        Err(_) => out.push_str(&format!(" {}", String::from_utf8_lossy(&answer.body))),
    }
    let mut warnings: Vec<&str> = Vec::new();
    for warning in answer.headers.get_all("warning") {
        warnings.push(warning.to_str().unwrap());
    }
    warnings.sort_unstable();
    for warning in warnings {
        write!(out, "\n  {warning}").unwrap();
    }
    out + "\n"
}

/// The events of a watch until it ends, by type and name; those that come in no order are sorted.
async fn watched(client: &Client, row: &Row) -> String {
    let mut response = match client.open(&row.request, Purpose::Watch).await {
        Ok(response) => response,
        Err(error) => return format!("{error}\n"),
    };
    let mut out = response.status.to_string();
    let mut bytes = Vec::new();
    while let Some(Ok(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
    }
    if response.status != 200 {
        let mut body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        describe(&mut body, false, &mut out);
        return out + "\n";
    }
    for frame in serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>() {
        let mut frame = frame.unwrap();
        let kind = frame["type"].as_str().unwrap_or("-").to_owned();
        let object = &mut frame["object"];
        let end = object["metadata"]["annotations"]["k8s.io/initial-events-end"].as_str();
        match &*kind {
            // How often they come is nobody's promise (pr-E11b).
            "BOOKMARK" if end.is_none() => {}
            "BOOKMARK" => out.push_str("\n  BOOKMARK end"),
            "ADDED" | "MODIFIED" | "DELETED" => {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                write!(out, "\n  {kind} {name}").unwrap();
            }
            _ => describe(object, false, &mut out),
        }
    }
    out + "\n"
}

/// Code, reason, message and causes of a refusal, or the shape of anything else.
fn describe(body: &mut Value, whole: bool, out: &mut String) {
    if body["kind"] == "Status" {
        let text = |name: &str| body[name].as_str().unwrap_or("-").to_owned();
        let (reason, message) = (text("reason"), sentence(&text("message")));
        write!(out, " {} {reason} {message}", body["code"]).unwrap();
        let mut causes = Vec::new();
        for cause in body["details"]["causes"].as_array().into_iter().flatten() {
            let message = cause["message"].as_str().unwrap_or("-");
            let patch = cause["field"] == "patch";
            let message = message
                .rsplit_once("\": ")
                .filter(|_| patch)
                .map_or(message, |it| it.1);
            let message = sentence(message);
            causes.push(format!(
                "\n  {} {} {message}",
                cause["reason"], cause["field"]
            ));
        }
        causes.sort();
        // The real server checks some metadata twice.
        causes.dedup();
        out.push_str(&causes.concat());
        for field in ["name", "kind", "group", "retryAfterSeconds"] {
            if !body["details"][field].is_null() {
                write!(out, "\n  {field}={}", body["details"][field]).unwrap();
            }
        }
        if let Some(token) = body["metadata"]["continue"].as_str() {
            write!(out, "\n  continue={}", !token.is_empty()).unwrap();
        }
        return;
    }
    if let Some(items) = body["items"].as_array() {
        let names = items
            .iter()
            .filter_map(|item| item["metadata"]["name"].as_str());
        let names: Vec<&str> = names.collect();
        let meta = &body["metadata"];
        let token = meta["continue"].as_str().is_some();
        let left = &meta["remainingItemCount"];
        let version = meta["resourceVersion"].as_str().is_some_and(|it| it != "0");
        write!(
            out,
            " {names:?} version={version} continue={token} remaining={left}"
        )
        .unwrap();
        return;
    }
    if whole {
        strip(body, "");
        write!(out, " {body:#}").unwrap();
    }
}

/// A sentence without what the decoders of another language say, without uids, versions and times.
fn sentence(message: &str) -> String {
    let mut message = message.to_owned();
    for mark in [
        "json parse error: ",
        "error decoding patch: ",
        "yaml: ",
        "error decoding YAML: ",
    ] {
        if let Some(at) = message.find(mark) {
            message.truncate(at + mark.len());
        }
    }
    for mark in [
        "continue key is not valid",
        "unable to parse requirement: found ",
    ] {
        if let Some(at) = message.find(mark) {
            message.truncate(at + mark.len());
        }
    }
    if let Some(at) = message.find("current: ") {
        message.truncate(at);
    }
    // The beginning of a body.
    if let Some(at) = message.find(" ({") {
        message.truncate(at);
    }
    if let Some((head, rest)) = message.split_once("strict decoding error: ") {
        let mut fields: Vec<&str> = rest.split(", ").collect();
        fields.sort_unstable();
        message = format!("{head}strict decoding error: {}", fields.join(", "));
    }
    // A patch's text is laid out differently.
    if let Some(at) = message.find("patch: Invalid value: \"")
        && let Some(end) = message.rfind("\": ")
    {
        message.replace_range(at..end, "patch: Invalid value: \"..");
    }
    // Of what is invalid each cause is compared by itself.
    if let Some((head, _)) = message.split_once(" is invalid: ") {
        message = head.to_owned();
    }
    // A difference is shown as the types of another language have it.
    if let Some((head, _)) = message.split_once('\n') {
        message = head.to_owned();
    }
    let words = message.split(' ').map(|word| {
        let bare = word.trim_matches(|it: char| !it.is_ascii_alphanumeric());
        let is_uid = bare.len() == 36 && bare.matches('-').count() == 4;
        let is_number = bare.len() > 1 && bare.bytes().all(|byte| byte.is_ascii_digit());
        match () {
            () if is_uid => word.replace(bare, "UID"),
            () if is_number => word.replace(bare, "N"),
            () => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Takes out what is another at each server.
fn strip(value: &mut Value, name: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| strip(item, name)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                strip(member, name);
            }
        }
        Value::String(text) => {
            let is_own = matches!(
                name,
                "uid" | "resourceVersion" | "time" | "creationTimestamp" | "clusterIP"
            );
            let is_own = is_own || name.ends_with("Time") || name.ends_with("Timestamp");
            let is_uid = text.len() == 36 && text.matches('-').count() == 4;
            if (is_own && text != "None") || is_uid || (name == "clusterIPs" && text != "None") {
                "..".clone_into(text);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
