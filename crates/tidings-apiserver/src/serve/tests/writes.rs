//! The write side over real sockets: options, media types, what is answered, and what follows.

use serde_json::{Value, json};

use super::*;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const APPLY: &str = "Content-Type: application/apply-patch+yaml\r\n";
const MERGE: &str = "Content-Type: application/merge-patch+json\r\n";
const STRATEGIC: &str = "Content-Type: application/strategic-merge-patch+json\r\n";

/// The answer's code and document.
async fn ask(server: &Handle, request: &str, headers: &str, body: &str) -> (u16, Value) {
    let (head, body) = answer(send(server, request, headers, body).await).await;
    let document = serde_json::from_slice(&body).unwrap_or_default();
    (head[9..12].parse().unwrap(), document)
}

async fn create(server: &Handle, path: &str, document: Value) -> Value {
    let request = format!("POST {path}");
    let (code, created) = ask(server, &request, "", &document.to_string()).await;
    assert_eq!(code, 201, "{created}");
    created
}

/// Waits until an object is there no more.
async fn gone(server: &Handle, path: &str) {
    let request = format!("GET {path}");
    let all = async {
        while ask(server, &request, "", "").await.0 != 404 {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), all).await;
    assert!(in_time.is_ok(), "{path} is gone");
}

#[tokio::test]
async fn pr_n9_an_apply_creates_conflicts_and_is_forced() {
    let server = server(Config::default()).await;
    let request = |query: &str| format!("PATCH {MAPS}/a?{query}");
    let yaml = |value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {{app: x}}\ndata:\n  \
             k: {value}\n"
        )
    };
    let (code, created) = ask(&server, &request("fieldManager=one"), APPLY, &yaml("v")).await;
    assert_eq!((code, &created["data"]["k"]), (201, &json!("v")));
    let (code, _) = ask(&server, &request("fieldManager=one"), APPLY, &yaml("v")).await;
    assert_eq!(code, 200);
    let (code, status) = ask(&server, &request("fieldManager=two"), APPLY, &yaml("w")).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    let forced = request("fieldManager=two&force=true");
    let (code, taken) = ask(&server, &forced, APPLY, &yaml("w")).await;
    assert_eq!((code, &taken["data"]["k"]), (200, &json!("w")));
    let (_, read) = ask(&server, &format!("GET {MAPS}/a"), "", "").await;
    let managers = read["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(
        (&managers[1]["manager"], managers.len()),
        (&json!("two"), 2)
    );
    let agent = format!("{MERGE}User-Agent: kubectl/v1.36 (linux)\r\n");
    let (_, merged) = ask(&server, &request(""), &agent, r#"{"data":{"k":"u"}}"#).await;
    let managers = merged["metadata"]["managedFields"].as_array().unwrap();
    let last = managers.last().unwrap();
    assert_eq!(
        (&last["manager"], &last["operation"]),
        (&json!("kubectl"), &json!("Update"))
    );
    server.shutdown().await;
}

#[tokio::test]
async fn pr_n9_a_strategic_patch_merges_containers() {
    let server = server(Config::default()).await;
    let containers = json!([{ "name": "a", "image": "i" }, { "name": "b", "image": "i" }]);
    let pod = json!({ "metadata": { "name": "p" }, "spec": { "containers": containers } });
    create(&server, IN_NAMESPACE, pod).await;
    let patch = r#"{"spec":{"containers":[{"name":"b","image":"j"}]}}"#;
    let request = format!("PATCH {IN_NAMESPACE}/p");
    let (_, pod) = ask(&server, &request, STRATEGIC, patch).await;
    let image = |index: usize| pod["spec"]["containers"][index]["image"].clone();
    assert_eq!((image(0), image(1)), (json!("i"), json!("j")));
    server.shutdown().await;
}

#[tokio::test]
async fn dependents_and_namespaces_go_by_themselves() {
    let server = server(Config::default()).await;
    let owner = create(&server, MAPS, json!({ "metadata": { "name": "owner" } })).await;
    let reference = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
        "uid": owner["metadata"]["uid"] });
    let dependent = json!({ "metadata": { "name": "dependent", "ownerReferences": [reference] } });
    create(&server, MAPS, dependent).await;
    let (code, status) = ask(&server, &format!("DELETE {MAPS}/owner"), "", "").await;
    let details = json!({ "name": "owner", "kind": "configmaps", "uid": owner["metadata"]["uid"] });
    assert_eq!(code, 200);
    assert_eq!(
        (&status["status"], &status["details"]),
        (&json!("Success"), &details)
    );
    gone(&server, &format!("{MAPS}/dependent")).await;
    create(
        &server,
        "/api/v1/namespaces",
        json!({ "metadata": { "name": "n" } }),
    )
    .await;
    let inside = "/api/v1/namespaces/n/configmaps";
    create(&server, inside, json!({ "metadata": { "name": "m" } })).await;
    let (code, namespace) = ask(&server, "DELETE /api/v1/namespaces/n", "", "").await;
    assert_eq!(
        (code, &namespace["status"]["phase"]),
        (200, &json!("Terminating"))
    );
    gone(&server, "/api/v1/namespaces/n").await;
    gone(&server, &format!("{inside}/m")).await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_custom_kind_is_defined_used_and_taken_back() {
    let server = server(Config::default()).await;
    let schema = json!({ "type": "object", "properties": { "spec": {
        "type": "object", "properties": { "size": { "type": "integer" } },
        "x-kubernetes-validations": [{ "rule": "true" }] } } });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.ex.com" },
        "spec": { "group": "ex.com", "scope": "Cluster",
            "names": { "plural": "widgets", "kind": "Widget" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": schema } }] }
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let request = format!("POST {definitions}");
    let (head, _) = answer(send(&server, &request, "", &definition.to_string()).await).await;
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
    assert!(head.to_lowercase().contains("warning: 299"), "{head}");
    let widgets = "/apis/ex.com/v1/widgets";
    let widget = |spec: Value| {
        let named = json!({ "name": "w" });
        json!({ "apiVersion": "ex.com/v1", "kind": "Widget", "metadata": named, "spec": spec })
    };
    create(&server, widgets, widget(json!({ "size": 3, "odd": 1 }))).await;
    let strict = format!("POST {widgets}?fieldValidation=Strict");
    let odd = widget(json!({ "odd": 1 })).to_string();
    let (code, status) = ask(&server, &strict, "", &odd).await;
    let expected = "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: \
                    unknown field \"spec.odd\"";
    assert_eq!((code, status["message"].as_str()), (400, Some(expected)));
    let (code, status) = ask(&server, &format!("PATCH {widgets}/w"), STRATEGIC, "{}").await;
    let expected = "the body of the request was in an unknown format - accepted media types include: \
                    application/json-patch+json, application/merge-patch+json, \
                    application/apply-patch+yaml";
    assert_eq!((code, status["message"].as_str()), (415, Some(expected)));
    let kindless = r#"{"metadata":{"name":"x"}}"#;
    let (code, status) = ask(&server, &format!("POST {widgets}"), "", kindless).await;
    let message = status["message"].as_str().unwrap();
    assert!(
        code == 400 && message.contains("Object 'Kind' is missing"),
        "{message}"
    );
    let request = format!("DELETE {definitions}/widgets.ex.com");
    assert_eq!(ask(&server, &request, "", "").await.0, 200);
    gone(&server, &format!("{definitions}/widgets.ex.com")).await;
    gone(&server, widgets).await;
    server.shutdown().await;
}

#[tokio::test]
async fn collections_are_deleted_by_selector() {
    let server = server(Config::default()).await;
    for (name, app) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let labels = json!({ "app": app });
        create(
            &server,
            MAPS,
            json!({ "metadata": { "name": name, "labels": labels } }),
        )
        .await;
    }
    let dry = format!("DELETE {MAPS}?dryRun=All");
    let (_, all) = ask(&server, &dry, "", "").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 3);
    let request = format!("DELETE {MAPS}?labelSelector=app%3Dx");
    let (code, deleted) = ask(&server, &request, "", "").await;
    assert_eq!((code, &deleted["kind"]), (200, &json!("ConfigMapList")));
    assert_eq!(deleted["items"].as_array().unwrap().len(), 2);
    let (_, left) = ask(&server, &format!("GET {MAPS}"), "", "").await;
    assert_eq!(left["items"][0]["metadata"]["name"], "b");
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    server.shutdown().await;
}

#[tokio::test]
async fn replicas_have_an_endpoint_of_their_own() {
    let server = server(Config::default()).await;
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let template = json!({ "metadata": { "labels": { "app": "d" } },
        "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    let spec = json!({ "selector": { "matchLabels": { "app": "d" } }, "template": template });
    create(
        &server,
        path,
        json!({ "metadata": { "name": "d" }, "spec": spec }),
    )
    .await;
    let (_, scale) = ask(&server, &format!("GET {path}/d/scale"), "", "").await;
    assert_eq!(
        (&scale["kind"], &scale["apiVersion"]),
        (&json!("Scale"), &json!("autoscaling/v1"))
    );
    assert_eq!(scale["spec"]["replicas"], 1);
    assert_eq!(
        scale["status"],
        json!({ "replicas": 0, "selector": "app=d" })
    );
    let mut wanted = scale.clone();
    wanted["spec"]["replicas"] = 5.into();
    let request = format!("PUT {path}/d/scale?fieldManager=sc");
    let (code, scaled) = ask(&server, &request, "", &wanted.to_string()).await;
    assert_eq!((code, &scaled["spec"]["replicas"]), (200, &json!(5)));
    let (code, _) = ask(&server, &request, "", &wanted.to_string()).await;
    assert_eq!(code, 409, "its version is an old one");
    let patch = r#"{"spec":{"replicas":-1}}"#;
    let (code, _) = ask(&server, &format!("PATCH {path}/d/scale"), MERGE, patch).await;
    assert_eq!(code, 422);
    let (_, deployment) = ask(&server, &format!("GET {path}/d"), "", "").await;
    assert_eq!(deployment["spec"]["replicas"], 5);
    let apply = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":3}}"#;
    let request = format!("PATCH {path}/d?fieldManager=m");
    let (code, status) = ask(&server, &request, APPLY, apply).await;
    let expected = "Apply failed with 1 conflict: conflict with \"sc\" with subresource \"scale\" using \
                    apps/v1: .spec.replicas";
    assert_eq!((code, status["message"].as_str()), (409, Some(expected)));
    server.shutdown().await;
}

#[tokio::test]
async fn events_of_both_groups_are_one() {
    let server = server(Config::default()).await;
    let (core, new) = (
        "/api/v1/namespaces/default/events",
        "/apis/events.k8s.io/v1/namespaces/default/events",
    );
    let object = json!({ "kind": "Pod", "name": "p", "namespace": "default" });
    let event = json!({ "metadata": { "name": "e1" }, "involvedObject": object, "reason": "R",
        "message": "m", "type": "Normal", "source": { "component": "c" }, "count": 1 });
    create(&server, core, event).await;
    let event = json!({ "metadata": { "name": "e2" }, "regarding": object, "reason": "S", "note": "n",
        "reportingController": "a.b/c", "eventTime": "2026-01-01T00:00:00.000000Z" });
    let created = create(&server, new, event).await;
    assert_eq!(created["apiVersion"], "events.k8s.io/v1");
    assert_eq!(
        (&created["note"], &created["message"]),
        (&json!("n"), &json!(null))
    );
    let (_, first) = ask(&server, &format!("GET {new}/e1"), "", "").await;
    assert_eq!(
        (&first["regarding"], &first["note"]),
        (&object, &json!("m"))
    );
    assert_eq!(
        (&first["deprecatedCount"], &first["count"]),
        (&json!(1), &json!(null))
    );
    let (_, second) = ask(&server, &format!("GET {core}/e2"), "", "").await;
    assert_eq!(
        (&second["involvedObject"], &second["message"]),
        (&object, &json!("n"))
    );
    assert_eq!(second["eventTime"], "2026-01-01T00:00:00.000000Z");
    for (path, selector, field) in [
        (core, "involvedObject.name=p,reason=S", "message"),
        (new, "regarding.name=p,reason=S", "note"),
    ] {
        let selector = selector.replace('=', "%3D");
        let request = format!("GET {path}?fieldSelector={selector}");
        let (_, list) = ask(&server, &request, "", "").await;
        let items = list["items"].as_array().unwrap();
        assert_eq!((items.len(), &items[0][field]), (1, &json!("n")), "{path}");
    }
    let patch = r#"{"note":"changed"}"#;
    let (_, changed) = ask(&server, &format!("PATCH {new}/e1"), MERGE, patch).await;
    assert_eq!(changed["note"], "changed");
    let watched = get(&server, &format!("{core}?watch=1&timeoutSeconds=1"), "")
        .await
        .1;
    assert_eq!(kinds(&watched), "AA");
    assert!(
        String::from_utf8(watched)
            .unwrap()
            .contains(r#""message":"changed""#)
    );
    server.shutdown().await;
}

#[tokio::test]
async fn yaml_is_a_body_like_any() {
    let server = server(Config::default()).await;
    let yaml = "Content-Type: application/yaml\r\n";
    let body = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: from-yaml}\ndata: {k: v}\n";
    let (code, created) = ask(&server, &format!("POST {MAPS}"), yaml, body).await;
    assert_eq!((code, &created["data"]["k"]), (201, &json!("v")));
    let (code, _) = ask(&server, &format!("POST {MAPS}"), yaml, "{bad").await;
    assert_eq!(code, 400);
    let (code, _) = ask(
        &server,
        &format!("POST {MAPS}?dryRun=All"),
        "",
        r#"{"metadata":{"name":"z"}}"#,
    )
    .await;
    assert_eq!(code, 201);
    assert_eq!(ask(&server, &format!("GET {MAPS}/z"), "", "").await.0, 404);
    server.shutdown().await;
}

/// As kube-rs adds a finalizer: behind a test that there is none.
#[tokio::test]
async fn pr_n9_a_test_for_null_holds_where_nothing_is() {
    let server = server(Config::default()).await;
    create(&server, MAPS, json!({ "metadata": { "name": "a" } })).await;
    let request = format!("PATCH {MAPS}/a");
    let headers = "Content-Type: application/json-patch+json\r\n";
    let body = r#"[{"op":"test","path":"/metadata/finalizers","value":null},
        {"op":"add","path":"/metadata/finalizers","value":["x.io/a"]}]"#;
    let (code, patched) = ask(&server, &request, headers, body).await;
    assert_eq!(code, 200, "{patched}");
    assert_eq!(patched["metadata"]["finalizers"], json!(["x.io/a"]));
    let (code, refused) = ask(&server, &request, headers, body).await;
    assert_eq!(code, 422, "{refused}");
    server.shutdown().await;
}

#[tokio::test]
async fn annotations_have_keys_as_labels_do() {
    let server = server(Config::default()).await;
    let bad = json!({ "metadata": { "name": "a", "annotations": { "a b": "c" } } });
    let request = format!("POST {MAPS}");
    let (code, refused) = ask(&server, &request, "", &bad.to_string()).await;
    assert_eq!(code, 422, "{refused}");
    let field = &refused["details"]["causes"][0]["field"];
    assert_eq!(field, "metadata.annotations");
    server.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn pr_l6_a_get_of_the_future_is_too_large() {
    let server = server(Config::default()).await;
    create(&server, MAPS, json!({ "metadata": { "name": "a" } })).await;
    let request = format!("GET {MAPS}/a?resourceVersion=99");
    let (code, refused) = ask(&server, &request, "", "").await;
    assert_eq!(code, 504, "{refused}");
    let cause = &refused["details"]["causes"][0]["reason"];
    assert_eq!(cause, "ResourceVersionTooLarge");
    server.shutdown().await;
}
