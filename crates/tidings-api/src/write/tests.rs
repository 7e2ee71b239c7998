//! Each request as it goes over the wire, and what never gets there.

use super::*;

fn deployments() -> Resource {
    Resource::parse("apps/v1/deployments").unwrap()
}

fn key() -> ObjectKey {
    ObjectKey::parse("default/web").unwrap()
}

fn place<'a>(
    resource: &'a Resource,
    key: &'a ObjectKey,
    subresource: Option<&'a str>,
) -> Place<'a> {
    Place {
        resource,
        key,
        subresource,
    }
}

fn line(request: &Request) -> String {
    let body = String::from_utf8(request.body.clone()).unwrap();
    let line = format!(
        "{} {} {} {body}",
        request.method, request.path_and_query, request.content_type
    );
    line.trim_end().to_owned()
}

#[test]
fn pr_n9_pr_n10_each_write_has_its_method_path_and_media_type() {
    let (resource, key) = (deployments(), key());
    let (whole, status) = (
        place(&resource, &key, None),
        place(&resource, &key, Some("status")),
    );
    let options = WriteOptions::default();
    let body = || b"{}".to_vec();
    let base = "/apis/apps/v1/namespaces/default/deployments";
    let patch = |place, kind| line(&Request::patch(place, kind, &options, body()).unwrap());
    assert_eq!(
        line(&Request::read(&status).unwrap()),
        format!("GET {base}/web/status")
    );
    assert_eq!(
        line(&Request::create(&resource, Some("default"), &options, body()).unwrap()),
        format!("POST {base} application/json {{}}")
    );
    assert_eq!(
        line(&Request::replace(&status, &options, body()).unwrap()),
        format!("PUT {base}/web/status application/json {{}}")
    );
    for (kind, media_type) in [
        (PatchKind::Json, "application/json-patch+json"),
        (PatchKind::Merge, "application/merge-patch+json"),
        (
            PatchKind::Strategic,
            "application/strategic-merge-patch+json",
        ),
    ] {
        assert_eq!(
            patch(&whole, kind),
            format!("PATCH {base}/web {media_type} {{}}")
        );
    }
    assert_eq!(
        line(&Request::delete(&whole, &DeleteOptions::default()).unwrap()),
        format!("DELETE {base}/web")
    );
}

#[test]
fn a_cluster_scoped_object_has_no_namespace_in_its_path() {
    let nodes = Resource::parse("v1/nodes").unwrap();
    let key = ObjectKey::parse("node-1").unwrap();
    let options = WriteOptions::default();
    let request = Request::replace(&place(&nodes, &key, None), &options, Vec::new()).unwrap();
    assert_eq!(request.path_and_query, "/api/v1/nodes/node-1");
    let request = Request::create(&nodes, None, &options, Vec::new()).unwrap();
    assert_eq!(request.path_and_query, "/api/v1/nodes");
}

#[test]
fn options_are_encoded_parameters_in_a_fixed_order() {
    let (resource, key) = (deployments(), key());
    let options = WriteOptions {
        field_manager: "a b&force=true/../#".to_owned(),
        field_validation: FieldValidation::Strict,
    };
    let request = Request::apply(&place(&resource, &key, None), true, &options, Vec::new());
    let request = request.unwrap().dry_run();
    assert_eq!(
        line(&request),
        "PATCH /apis/apps/v1/namespaces/default/deployments/web\
         ?fieldManager=a%20b%26force%3Dtrue%2F..%2F%23&fieldValidation=Strict&force=true\
         &dryRun=All application/apply-patch+yaml"
    );
    let gentle = Request::apply(&place(&resource, &key, None), false, &options, Vec::new());
    assert!(!gentle.unwrap().path_and_query.contains("&force=true"));
}

#[test]
fn pr_n12_a_deletes_conditions_stand_in_its_body() {
    let (resource, key) = (deployments(), key());
    let whole = place(&resource, &key, None);
    let options = DeleteOptions {
        grace_period_seconds: Some(0),
        propagation: Some(Propagation::Foreground),
        resource_version: Some(ResourceVersion::from_revision(7)),
        uid: Some("u\"1".to_owned()),
    };
    let request = Request::delete(&whole, &options).unwrap();
    assert_eq!(request.content_type, JSON);
    assert!(request.path_and_query.ends_with("/deployments/web"));
    assert_eq!(
        String::from_utf8(request.body).unwrap(),
        r#"{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"preconditions":{"uid":"u\"1","resourceVersion":"7"},"propagationPolicy":"Foreground"}"#
    );
    let only_policy = DeleteOptions {
        propagation: Some(Propagation::Orphan),
        ..DeleteOptions::default()
    };
    let body = Request::delete(&whole, &only_policy).unwrap().body;
    assert!(!String::from_utf8(body).unwrap().contains("preconditions"));
}

/// A server reads the query of a delete only if there is no body.
#[test]
fn pr_n12_a_dry_delete_says_so_where_the_server_looks() {
    let (resource, key) = (deployments(), key());
    let whole = place(&resource, &key, None);
    let plain = Request::delete(&whole, &DeleteOptions::default()).unwrap();
    assert!(plain.dry_run().path_and_query.ends_with("/web?dryRun=All"));
    let options = DeleteOptions {
        uid: Some("u1".to_owned()),
        ..DeleteOptions::default()
    };
    let request = Request::delete(&whole, &options).unwrap().dry_run();
    assert!(!request.path_and_query.contains("dryRun"));
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["dryRun"], serde_json::json!(["All"]));
    assert_eq!(body["preconditions"]["uid"], "u1");
    assert_eq!(body["kind"], "DeleteOptions");
}

#[test]
fn sec_13_no_part_of_a_place_leaves_its_segment() {
    let resource = deployments();
    let options = WriteOptions::default();
    let key = key();
    for part in ["", ".", "..", "a/b", "..%2f", "a\\b", "a\0"] {
        let place = place(&resource, &key, Some(part));
        let refused = Request::replace(&place, &options, Vec::new()).unwrap_err();
        assert_eq!(refused.what, "subresource", "{part:?}");
        assert!(Request::read(&place).is_err(), "{part:?}");
        assert!(Request::create(&resource, Some(part), &options, Vec::new()).is_err());
    }
    for text in ["default/..", "../web", "default/%2e%2e", "default/a\\b"] {
        let key = ObjectKey::parse(text).unwrap();
        let place = place(&resource, &key, None);
        let delete = Request::delete(&place, &DeleteOptions::default());
        assert!(delete.is_err(), "{text:?}");
        let patch = Request::patch(&place, PatchKind::Merge, &options, Vec::new());
        assert!(patch.is_err(), "{text:?}");
    }
    // What is odd but harmless is encoded: it names an object that cannot be.
    let odd = ObjectKey::parse("default/a b?c#d").unwrap();
    let request = Request::read(&place(&resource, &odd, None)).unwrap();
    assert!(request.path_and_query.ends_with("/a%20b%3Fc%23d"));
}

#[test]
fn sec_27_a_requests_debug_shows_nothing_of_its_body() {
    let options = WriteOptions::default();
    let secret = br#"{"data":{"password":"hunter2"}}"#.to_vec();
    let length = secret.len();
    let (resource, key) = (deployments(), key());
    let request = Request::replace(&place(&resource, &key, None), &options, secret);
    let shown = format!("{:?}", request.unwrap());
    assert!(shown.contains(&format!("body_len: {length}")), "{shown}");
    // 104 is the letter h, as a list of bytes would show it.
    assert!(
        !shown.contains("hunter2") && !shown.contains("104"),
        "{shown}"
    );
}
