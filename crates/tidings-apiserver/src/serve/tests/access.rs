//! Who comes in: tokens, users, the address, and the kubeconfig that says so.

use super::*;
use crate::serve::access::TokenFileError;

const TOKENS: &str = "\
# token,user,uid,groups
root-token,admin,admin,\"system:masters\"

alice-token,alice,u1,\"dev,ops\"
bare-token,bare,
";

fn tokens() -> Vec<Token> {
    Token::parse_file(TOKENS).unwrap()
}

async fn guarded() -> Handle {
    let config = Config {
        tokens: tokens(),
        ..Config::default()
    };
    server(config).await
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn wrong(text: &str) -> String {
    let error: TokenFileError = Token::parse_file(text).unwrap_err();
    error.to_string()
}

#[test]
fn a_token_file_is_read_as_kube_apiserver_reads_it() {
    let tokens = tokens();
    let shown: Vec<_> = tokens
        .iter()
        .map(|token| {
            let user = token.user();
            format!(
                "{} {} {} {:?}",
                token.secret(),
                user.name,
                user.uid,
                user.groups
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "root-token admin admin [\"system:masters\"]",
            "alice-token alice u1 [\"dev\", \"ops\"]",
            "bare-token bare  []",
        ]
    );
    let quoted = Token::parse_file("t,\"Doe, \"\"J\"\"\",1").unwrap();
    assert_eq!(quoted[0].user().name, "Doe, \"J\"");
}

#[test]
fn a_token_file_that_cannot_be_is_refused_by_its_line() {
    assert_eq!(wrong(""), "there is no token in it");
    assert!(wrong("a,b").starts_with("line 1: fewer than three columns"));
    assert!(wrong("\n,b,c").starts_with("line 2: a token is"));
    assert!(wrong("a b,b,c").starts_with("line 1: a token is"));
    assert!(wrong("a,,c").starts_with("line 1: the user has no name"));
    assert!(wrong("a,b,c,\"d").starts_with("line 1: a quote"));
    assert!(wrong("a,b,c\na,d,e").starts_with("line 2: the token stands"));
}

#[test]
fn sec_27_a_token_is_in_no_debug_output() {
    let config = Config {
        tokens: tokens(),
        ..Config::default()
    };
    let shown = format!("{config:?}");
    assert!(shown.contains("alice"), "{shown}");
    assert!(!shown.contains("-token"), "{shown}");
}

#[tokio::test]
async fn pr_s2_whoever_is_not_known_is_refused_as_there() {
    let server = guarded().await;
    let path = format!("GET {PODS}");
    for token in ["", "x", "root-toke", "root-tokenn"] {
        let headers = if token.is_empty() {
            String::new()
        } else {
            bearer(token)
        };
        let (head, body) = answer(send(&server, &path, &headers, "").await).await;
        assert!(head.starts_with("HTTP/1.1 401"), "{token}: {head}");
        assert!(!head.to_lowercase().contains("www-authenticate"), "{head}");
        let status: Value = serde_json::from_slice(&body).unwrap();
        let expected = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Unauthorized", "reason": "Unauthorized", "code": 401
        });
        assert_eq!(status, expected);
    }
    let basic = "Authorization: Basic cm9vdC10b2tlbg==\r\n";
    assert_eq!(code(&server, &path, basic, "").await, 401);
    for token in ["root-token", "alice-token", "bare-token"] {
        assert_eq!(
            code(&server, &path, &bearer(token), "").await,
            200,
            "{token}"
        );
    }
    let lower = "Authorization: bearer alice-token\r\n";
    assert_eq!(code(&server, &path, lower, "").await, 200);
    server.shutdown().await;
}

#[tokio::test]
async fn what_everybody_may_see_is_shown_to_whoever_shows_nothing() {
    let server = guarded().await;
    for path in ["/healthz", "/livez", "/readyz", "/livez/ping", "/version"] {
        let path = format!("GET {path}");
        assert_eq!(code(&server, &path, "", "").await, 200, "{path}");
        assert_eq!(code(&server, &path, &bearer("x"), "").await, 401, "{path}");
    }
    for path in ["/api", "/apis", "/openapi/v3", "/healthzz", "/version/x"] {
        let path = format!("GET {path}");
        assert_eq!(code(&server, &path, "", "").await, 401, "{path}");
    }
    server.shutdown().await;
}

async fn post(server: &Handle, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let sent = send(server, &format!("POST {path}"), headers, body).await;
    let (head, body) = answer(sent).await;
    (
        head[9..12].parse().unwrap(),
        serde_json::from_slice(&body).unwrap(),
    )
}

const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const MAY: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

#[tokio::test]
async fn everybody_learns_who_he_is() {
    let guarded = guarded().await;
    let (code, review) = post(&guarded, WHO, &bearer("alice-token"), "").await;
    assert_eq!(code, 201);
    let expected = json!({
        "username": "alice", "uid": "u1", "groups": ["dev", "ops", "system:authenticated"]
    });
    assert_eq!(review["status"]["userInfo"], expected);
    assert_eq!(post(&guarded, WHO, "", "").await.0, 401);
    let open = server(Config::default()).await;
    let (_, review) = post(&open, WHO, "", "{}").await;
    let expected = json!({ "username": "system:anonymous", "groups": ["system:unauthenticated"] });
    assert_eq!(review["status"]["userInfo"], expected);
    assert_eq!(super::code(&open, &format!("GET {WHO}"), "", "").await, 405);
    assert_eq!(post(&open, WHO, "", "{").await.0, 400);
    guarded.shutdown().await;
    open.shutdown().await;
}

#[tokio::test]
async fn every_access_is_allowed_if_it_is_one() {
    let server = server(Config::default()).await;
    let spec = json!({ "resourceAttributes": { "verb": "get", "resource": "pods" } });
    let body = json!({ "spec": spec }).to_string();
    let (code, review) = post(&server, MAY, "", &body).await;
    assert_eq!(
        (code, &review["status"]),
        (201, &json!({ "allowed": true }))
    );
    assert_eq!(review["spec"], spec);
    let (code, status) = post(&server, MAY, "", "{}").await;
    assert_eq!(code, 422);
    assert_eq!(
        status["message"],
        ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: exactly \
         one of nonResourceAttributes or resourceAttributes must be specified"
    );
    server.shutdown().await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn beyond_loopback_it_listens_only_with_tls_and_tokens() {
    let open = Config {
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        ..Config::default()
    };
    let only_tokens = Config {
        tokens: tokens(),
        ..open.clone()
    };
    let only_tls = Config {
        tls: Some(Tls::default()),
        ..open.clone()
    };
    for config in [open.clone(), only_tokens, only_tls] {
        let Err(error) = start(config).await else {
            panic!("it listens");
        };
        assert!(matches!(error, StartError::Exposed(_)), "{error}");
        assert!(error.to_string().contains("--token-file"), "{error}");
    }
    let both = Config {
        tls: Some(Tls::default()),
        tokens: tokens(),
        ..open
    };
    let server = server(both).await;
    assert!(
        server.url().starts_with("https://127.0.0.1:"),
        "{}",
        server.url()
    );
    server.shutdown().await;
}

#[tokio::test]
async fn rotated_tokens_end_the_old_ones_at_once() {
    let server = guarded().await;
    let path = format!("GET {PODS}");
    let renewed = server.rotate_tokens().unwrap();
    assert_eq!(code(&server, &path, &bearer("alice-token"), "").await, 401);
    assert_eq!(renewed.len(), 3);
    let alice = &renewed[1];
    assert_eq!(
        (alice.user().name.as_str(), alice.secret().len()),
        ("alice", 32)
    );
    assert_eq!(code(&server, &path, &bearer(alice.secret()), "").await, 200);
    assert_ne!(renewed[0].secret(), alice.secret());
    server.shutdown().await;
}

#[cfg(all(feature = "tls", unix))]
#[tokio::test]
async fn the_kubeconfig_is_its_owners_alone_and_follows_rotations() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, "something that others may read").unwrap();
    let config = Config {
        tls: Some(Tls {
            names: vec!["kube.example".to_owned()],
            dir: Some(dir.path().join("tls")),
        }),
        tokens: tokens(),
        kubeconfig_out: Some(path.clone()),
        ..Config::default()
    };
    let server = server(config).await;
    let mode = |path: &std::path::Path| {
        let known = std::fs::metadata(path).unwrap();
        known.permissions().mode() & 0o777
    };
    let first = std::fs::read_to_string(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&dir.path().join("tls/tls.key")), 0o600);
    assert_eq!(first, server.kubeconfig());
    assert!(first.contains("token: \"alice-token\""), "{first}");
    assert!(first.contains("certificate-authority-data: "), "{first}");
    server.rotate_tokens().unwrap();
    server.rotate_authority(true).unwrap();
    let second = std::fs::read_to_string(&path).unwrap();
    assert!(!second.contains("alice-token"), "{second}");
    assert_eq!((second, mode(&path)), (server.kubeconfig(), 0o600));
    let bundle = server.authorities().unwrap();
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
    server.rotate_authority(false).unwrap();
    let bundle = server.authorities().unwrap();
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 1);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "no file is left half written: {left:?}");
    server.shutdown().await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_name_that_is_none_is_told() {
    let config = Config {
        tls: Some(Tls {
            names: vec!["not \u{fc}seful".to_owned()],
            dir: None,
        }),
        ..Config::default()
    };
    let Err(error) = start(config).await else {
        panic!("it serves");
    };
    assert!(matches!(error, StartError::Tls(_)), "{error}");
}
