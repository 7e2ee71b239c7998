//! What a real server (kube-apiserver 1.36) answered to requests, and what this one answers to the same.
//!
//! Each row was recorded with curl. Uids are written as `UID`; the sentences of Go's decoders are cut
//! off at `..`, for those of another decoder cannot be the same.

use serde_json::{Value, json};

use super::*;

/// Method, path and media type; the body; code, reason and message; details.
struct Row(&'static str, &'static str, &'static str, &'static str);

#[tokio::test]
async fn pr_s1_pr_s2_refusals_are_those_of_a_real_server() {
    let server = server(Config::default()).await;
    let path = "/api/v1/namespaces/default/configmaps";
    let body = r#"{"metadata":{"name":"a"},"data":{"k":"v"}}"#;
    assert_eq!(code(&server, &format!("POST {path}"), "", body).await, 201);
    let marked = r#"{"metadata":{"name":"fin","finalizers":["x.io/a"]}}"#;
    assert_eq!(
        code(&server, &format!("POST {path}"), "", marked).await,
        201
    );
    let request = format!("DELETE {path}/fin");
    assert_eq!(code(&server, &request, "", "").await, 200);
    for Row(request, body, answered, details) in ROWS {
        let mut parts = request.split(' ');
        let (method, path) = (parts.next().unwrap(), parts.next().unwrap());
        let path = path.replace("~", "/api/v1/namespaces/default/configmaps");
        let header = match parts.next() {
            Some(media_type) => format!("Content-Type: {media_type}\r\n"),
            None => String::new(),
        };
        let request = format!("{method} {path}");
        let (head, body) = answer(send(&server, &request, &header, body).await).await;
        let status: Value = serde_json::from_slice(&body).unwrap();
        let code = status["code"].as_u64().unwrap();
        assert_eq!(head[9..12].parse::<u64>().unwrap(), code, "{request}");
        let reason = status["reason"].as_str().unwrap_or("-");
        let message = uidless(status["message"].as_str().unwrap());
        let line = format!("{code} {reason} {message}");
        match answered.strip_suffix("..") {
            Some(beginning) => assert!(line.starts_with(beginning), "{request}: {line}"),
            None => assert_eq!(line, *answered, "{request}"),
        }
        let expected: Value = serde_json::from_str(details).unwrap();
        assert_eq!(status["details"], expected, "{request}");
        assert_eq!(status["status"], "Failure", "{request}");
        assert_eq!(status["metadata"], json!({}), "{request}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn pr_n9_a_body_has_a_bound() {
    let server = server(Config::default()).await;
    let text = "x".repeat(3 << 20);
    let body = json!({ "metadata": { "name": "big" }, "data": { "k": text } }).to_string();
    let request = "POST /api/v1/namespaces/default/configmaps";
    let (head, body) = answer(send(&server, request, "", &body).await).await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status["reason"], "RequestEntityTooLarge");
    assert_eq!(
        status["message"],
        "Request entity too large: limit is 3145728"
    );
    server.shutdown().await;
}

#[tokio::test]
async fn unknown_and_doubled_fields_are_told_and_never_stored() {
    let server = server(Config::default()).await;
    let path = "/api/v1/namespaces/default/configmaps";
    let body = r#"{"metadata":{"name":"a"},"dat":{"a":1,"a":2},"data":{"k":"v","k":"w"}}"#;
    let ask = async |query: &str| {
        let request = format!("POST {path}?{query}");
        let (head, body) = answer(send(&server, &request, "", body).await).await;
        let warnings = head.lines().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("warning")
                .then(|| value.to_owned())
        });
        let body: Value = serde_json::from_slice(&body).unwrap();
        (head[9..12].to_owned(), warnings.collect::<Vec<_>>(), body)
    };
    let (code, warnings, refused) = ask("fieldValidation=Strict").await;
    assert_eq!((code.as_str(), warnings.len()), ("400", 0));
    let expected = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: \
                    duplicate field \"data.k\", unknown field \"dat\"";
    assert_eq!(refused["message"], expected);
    let (code, warnings, _) = ask("dryRun=All&fieldValidation=Ignore").await;
    assert_eq!((code.as_str(), warnings.len()), ("201", 0));
    let (code, warnings, stored) = ask("").await;
    let expected = [
        r#"299 - "duplicate field \"data.k\"""#,
        r#"299 - "unknown field \"dat\"""#,
    ];
    assert_eq!(
        (code.as_str(), warnings),
        ("201", expected.map(str::to_owned).to_vec())
    );
    assert_eq!(
        (&stored["dat"], &stored["data"]),
        (&Value::Null, &json!({ "k": "w" }))
    );
    server.shutdown().await;
}

#[tokio::test]
async fn pr_n12_a_pod_on_a_node_goes_when_its_grace_is_over() {
    let server = server(Config::default()).await;
    let path = "/api/v1/namespaces/default/pods";
    let pod = r#"{"metadata":{"name":"p"},"spec":{"nodeName":"n","containers":[{"name":"c","image":"i"}]}}"#;
    assert_eq!(code(&server, &format!("POST {path}"), "", pod).await, 201);
    let delete = async |body: &str| {
        let request = format!("DELETE {path}/p");
        let (_, body) = answer(send(&server, &request, "", body).await).await;
        let pod: Value = serde_json::from_slice(&body).unwrap();
        let meta = &pod["metadata"];
        (
            meta["deletionGracePeriodSeconds"].clone(),
            meta["generation"].clone(),
        )
    };
    assert_eq!(delete("").await, (json!(30), json!(2)));
    assert_eq!(
        delete(r#"{"gracePeriodSeconds":40}"#).await.0,
        30,
        "only shorter"
    );
    assert_eq!(
        delete(r#"{"gracePeriodSeconds":5}"#).await,
        (json!(5), json!(2))
    );
    let merge = "Content-Type: application/merge-patch+json\r\n";
    let status = r#"{"status":{"message":"ending"}}"#;
    let patched = code(&server, &format!("PATCH {path}/p/status"), merge, status).await;
    assert_eq!(patched, 200, "a write in between does not end it");
    assert_eq!(code(&server, &format!("GET {path}/p"), "", "").await, 200);
    assert_eq!(delete(r#"{"gracePeriodSeconds":0}"#).await.0, 0);
    assert_eq!(code(&server, &format!("GET {path}/p"), "", "").await, 404);
    server.shutdown().await;
}

#[tokio::test]
async fn pr_l13_a_page_is_followed_by_another_as_long_as_there_are_objects() {
    let server = server(Config::default()).await;
    let path = "/api/v1/namespaces/default/configmaps";
    for name in ["a", "b", "c"] {
        let body = json!({ "metadata": { "name": name, "labels": { "l": name } } }).to_string();
        assert_eq!(code(&server, &format!("POST {path}"), "", &body).await, 201);
    }
    let page = async |query: String| {
        let (_, body) = get(
            &server,
            &format!("{path}?labelSelector=l%3Db&limit=1{query}"),
            "",
        )
        .await;
        let list: Value = serde_json::from_slice(&body).unwrap();
        assert!(list["metadata"]["remainingItemCount"].is_null());
        let token = list["metadata"]["continue"].as_str().map(str::to_owned);
        (list["items"].as_array().unwrap().len(), token)
    };
    let (items, token) = page(String::new()).await;
    assert_eq!(items, 1);
    let (items, token) = page(format!("&continue={}", token.unwrap())).await;
    assert_eq!((items, token), (0, None));
    server.shutdown().await;
}

#[tokio::test]
async fn where_nothing_is_served_there_is_no_status() {
    let server = server(Config::default()).await;
    for path in ["/apis/none", "/apis/none/v1/things", "/nothing"] {
        let (head, body) = get(&server, path, "").await;
        assert!(head.starts_with("HTTP/1.1 404"), "{head}");
        assert_eq!(body, b"404 page not found\n", "{path}");
    }
    server.shutdown().await;
}

/// The text with uids taken out.
fn uidless(text: &str) -> String {
    let is_uid = |word: &str| word.len() == 36 && word.matches('-').count() == 4;
    let words = text.split_inclusive([' ', '(', ')', '.']);
    let word = |word: &str| {
        let bare = word.trim_end_matches([' ', '(', ')', '.']);
        if is_uid(bare) {
            word.replace(bare, "UID")
        } else {
            word.to_owned()
        }
    };
    words.map(word).collect()
}

const NONE: &str = "null";
const BARE: &str = "{}";
const A: &str = r#"{"name":"a","kind":"configmaps"}"#;
const A_KIND: &str = r#"{"name":"a","kind":"ConfigMap"}"#;

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row("GET ~/none", "", "404 NotFound configmaps \"none\" not found", r#"{"name":"none","kind":"configmaps"}"#),
    Row("GET /apis/apps/v1/namespaces/default/deployments/none", "", "404 NotFound deployments.apps \"none\" not found", r#"{"name":"none","group":"apps","kind":"deployments"}"#),
    Row("GET /api/v1/namespaces/default/deployments/none", "", "404 NotFound the server could not find the requested resource", BARE),
    Row("GET /api/v1/nonsense", "", "404 NotFound the server could not find the requested resource", BARE),
    Row("GET /apis/apps/v9/deployments", "", "404 NotFound the server could not find the requested resource", BARE),
    Row("GET ~/a/status", "", "404 NotFound the server could not find the requested resource", BARE),
    Row("GET ~?fieldSelector=data.k=v", "", "400 BadRequest \"data.k\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", NONE),
    Row("POST ~", r#"{"metadata":{"name":"a"}}"#, "409 AlreadyExists configmaps \"a\" already exists", A),
    Row("POST /api/v1/namespaces/nope/configmaps", r#"{"metadata":{"name":"a"}}"#, "404 NotFound namespaces \"nope\" not found", r#"{"name":"nope","kind":"namespaces"}"#),
    Row("POST ~", r#"{"metadata":{}}"#, "422 Invalid ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required", r#"{"kind":"ConfigMap","causes":[{"reason":"FieldValueRequired","message":"Required value: name or generateName is required","field":"metadata.name"}]}"#),
    Row("POST ~", "{}", "422 Invalid ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required", r#"{"kind":"ConfigMap","causes":[{"reason":"FieldValueRequired","message":"Required value: name or generateName is required","field":"metadata.name"}]}"#),
    Row("POST ~", "{bad", "400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: ..", NONE),
    Row("POST ~", "", "400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: ..", NONE),
    Row("POST ~", "[]", "400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: json: cannot unmarshal ..", NONE),
    Row("POST ~", r#"{"metadata":{"name":"x","namespace":"other"}}"#, "400 BadRequest the namespace of the provided object does not match the namespace sent on the request", NONE),
    Row("POST ~", r#"{"metadata":{"name":"x","resourceVersion":"1"}}"#, "500 - resourceVersion should not be set on objects to be created", NONE),
    Row("POST ~", r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"x"}}"#, "400 BadRequest Secret in version \"v1\" cannot be handled as a ConfigMap..", NONE),
    Row("POST ~ text/plain", "{}", "415 UnsupportedMediaType the body of the request was in an unknown format - accepted media types include: application/json, application/yaml..", NONE),
    Row("PUT ~/a", r#"{"metadata":{"name":"a","resourceVersion":"1"}}"#, "409 Conflict Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again", A),
    Row("PUT ~/a", r#"{"metadata":{"name":"b"}}"#, "400 BadRequest the name of the object (b) does not match the name on the URL (a)", NONE),
    Row("PUT ~/a", r#"{"metadata":{}}"#, "400 BadRequest the name of the object (a based on URL) was undeterminable: name must be provided", NONE),
    Row("PUT ~/zz", r#"{"metadata":{"name":"zz"}}"#, "404 NotFound configmaps \"zz\" not found", r#"{"name":"zz","kind":"configmaps"}"#),
    Row("PUT ~", "{}", "405 MethodNotAllowed the server does not allow this method on the requested resource", BARE),
    Row("POST ~/a", "{}", "405 MethodNotAllowed the server does not allow this method on the requested resource", BARE),
    Row("PATCH ~", "{}", "405 MethodNotAllowed the server does not allow this method on the requested resource", BARE),
    Row("DELETE /api/v1/configmaps", "", "405 MethodNotAllowed the server does not allow this method on the requested resource", BARE),
    Row("POST /api/v1/configmaps", r#"{"metadata":{"name":"a"}}"#, "405 MethodNotAllowed the server does not allow this method on the requested resource", BARE),
    Row("PATCH ~/a application/json", "{}", "415 UnsupportedMediaType 415: Unsupported Media Type", BARE),
    Row("PATCH ~/a application/merge-patch+json", "{bad", "400 BadRequest error decoding patch: ..", NONE),
    Row("PATCH ~/a application/merge-patch+json", "[]", "400 BadRequest error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}", NONE),
    Row("PATCH ~/a application/json-patch+json", r#"[{"op":"test","path":"/data/k","value":"w"}]"#, "422 Invalid the server rejected our request due to an error in our request", BARE),
    Row("PATCH ~/a application/json-patch+json", r#"[{"op":"remove","path":"/data/zz"}]"#, "422 Invalid the server rejected our request due to an error in our request", BARE),
    Row("PATCH ~/a application/json-patch+json", "{}", "400 BadRequest error decoding patch: ..", NONE),
    Row("PATCH ~/none application/merge-patch+json", "{}", "404 NotFound configmaps \"none\" not found", r#"{"name":"none","kind":"configmaps"}"#),
    Row("PATCH ~/a application/merge-patch+json", r#"{"metadata":{"resourceVersion":"1"}}"#, "409 Conflict Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again", A),
    Row("PATCH ~/a application/merge-patch+json", r#"{"metadata":{"name":"b"}}"#, "400 BadRequest the name of the object (b) does not match the name on the URL (a)", NONE),
    Row("PATCH ~/fin application/merge-patch+json", r#"{"metadata":{"finalizers":["x.io/a","x.io/b"]}}"#, "422 Invalid ConfigMap \"fin\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x.io/b\"}", r#"{"name":"fin","kind":"ConfigMap","causes":[{"reason":"FieldValueForbidden","message":"Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x.io/b\"}","field":"metadata.finalizers"}]}"#),
    Row("PATCH ~/a application/apply-patch+yaml", "{}", "422 Invalid PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch", r#"{"group":"meta.k8s.io","kind":"PatchOptions","causes":[{"reason":"FieldValueRequired","message":"Required value: is required for apply patch","field":"fieldManager"}]}"#),
    Row("DELETE ~/a", r#"{"preconditions":{"uid":"xx"}}"#, "409 Conflict Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (xx) does not match the UID in record (UID). The object might have been deleted and then recreated", A_KIND),
    Row("DELETE ~/a", r#"{"preconditions":{"resourceVersion":"1"}}"#, "409 Conflict Operation cannot be fulfilled on ConfigMap \"a\": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (2). The object might have been modified", A_KIND),
    Row("DELETE ~/a", "{bad", "400 BadRequest couldn't get version/kind; json parse error: ..", NONE),
    Row("DELETE ~/a", r#"{"propagationPolicy":"Odd"}"#, "422 Invalid DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Odd\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"", r#"{"group":"meta.k8s.io","kind":"DeleteOptions","causes":[{"reason":"FieldValueNotSupported","message":"Unsupported value: \"Odd\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"","field":"propagationPolicy"}]}"#),
    Row("POST ~?dryRun=Some", r#"{"metadata":{"name":"a"}}"#, "422 Invalid CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"", r#"{"group":"meta.k8s.io","kind":"CreateOptions","causes":[{"reason":"FieldValueNotSupported","message":"Unsupported value: [\"Some\"]: supported values: \"All\"","field":"dryRun"}]}"#),
    Row("DELETE ~/a", r#"{"propagationPolicy":"Background","orphanDependents":true}"#, "422 Invalid DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Background\": orphanDependents and deletionPropagation cannot be both set", r#"{"group":"meta.k8s.io","kind":"DeleteOptions","causes":[{"reason":"FieldValueInvalid","message":"Invalid value: \"Background\": orphanDependents and deletionPropagation cannot be both set","field":"propagationPolicy"}]}"#),
    Row("GET ~?sendInitialEvents=true", "", "422 Invalid ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list", r#"{"group":"meta.k8s.io","kind":"ListOptions","causes":[{"reason":"FieldValueForbidden","message":"Forbidden: sendInitialEvents is forbidden for list","field":"sendInitialEvents"}]}"#),
    Row("GET ~?resourceVersion=x", "", "400 BadRequest invalid resource version: resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax", NONE),
    Row("GET ~?resourceVersion=x&watch=1", "", "500 - resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax", NONE),
    Row("GET ~/a?resourceVersion=x", "", "500 - resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax", NONE),
    Row("PUT ~/a", r#"{"metadata":{"name":"a","resourceVersion":"x"}}"#, "500 - strconv.ParseUint: parsing \"x\": invalid syntax", NONE),
    Row("PUT ~/a", r#"{"metadata":{"name":"a","uid":"xx"}}"#, "409 Conflict Operation cannot be fulfilled on configmaps \"a\": StorageError: invalid object, Code: 4, Key: /registry/configmaps/default/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: xx, UID in object meta: UID", A),
    Row("PATCH ~/a?force=false application/merge-patch+json", "{}", "422 Invalid PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch", r#"{"group":"meta.k8s.io","kind":"PatchOptions","causes":[{"reason":"FieldValueForbidden","message":"Forbidden: may not be specified for non-apply patch","field":"force"}]}"#),
    Row("PATCH ~/a application/json-patch+json", r#"[{"op":"test","path":"/none/k","value":null}]"#, "422 Invalid the server rejected our request due to an error in our request", BARE),
    Row("DELETE /api/v1/namespaces/default", "", "403 Forbidden namespaces \"default\" is forbidden: this namespace may not be deleted", r#"{"name":"default","kind":"namespaces"}"#),
];
