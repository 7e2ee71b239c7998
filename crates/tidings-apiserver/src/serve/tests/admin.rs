//! The admin endpoint over sockets: what it shows, what it refuses, and what frames and answers it spoils.

use super::*;

async fn with_admin() -> Handle {
    let config = Config {
        admin: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..Config::default()
    };
    server(config).await
}

const JSON: &str = "Content-Type: application/json\r\n";

/// A request to the admin endpoint: the code and what was answered.
async fn ask(server: &Handle, request: &str, headers: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(server.admin().unwrap()).await.unwrap();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    socket.write_all(text.as_bytes()).await.unwrap();
    let (head, body) = answer(socket).await;
    (
        head[9..12].parse().unwrap(),
        String::from_utf8(body).unwrap(),
    )
}

async fn pull(server: &Handle, lever: &str, body: Value) -> (u16, Value) {
    let request = format!("POST /levers/{lever}");
    let (code, text) = ask(server, &request, JSON, &body.to_string()).await;
    (code, serde_json::from_str(&text).unwrap())
}

async fn overview(server: &Handle) -> Value {
    let (code, text) = ask(server, "GET /", "", "").await;
    assert_eq!(code, 200);
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn there_is_no_admin_endpoint_unless_asked_for_and_never_beyond_loopback() {
    let plain = server(Config::default()).await;
    assert_eq!(plain.admin(), None);
    plain.shutdown().await;
    let config = Config {
        admin: Some(SocketAddr::from(([0, 0, 0, 0], 0))),
        ..Config::default()
    };
    let refused = start(config).await.map(drop);
    assert!(matches!(refused, Err(StartError::AdminExposed(_))));
}

#[tokio::test]
async fn sec_27_the_admin_endpoint_wants_the_token_of_an_admin() {
    let tokens = Token::parse_file("root,admin,1,system:masters\nalice,alice,2,dev").unwrap();
    let config = Config {
        admin: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        tokens,
        ..Config::default()
    };
    let server = server(config).await;
    for (headers, expected) in [
        ("", 401),
        ("Authorization: Bearer x\r\n", 401),
        ("Authorization: Bearer alice\r\n", 403),
        ("Authorization: Bearer root\r\n", 200),
    ] {
        let (code, text) = ask(&server, "GET /", headers, "").await;
        assert_eq!(code, expected, "{text}");
        let kubeconfig = ask(&server, "GET /kubeconfig", headers, "").await;
        assert_eq!(kubeconfig.0, expected);
        assert_eq!(kubeconfig.1.contains("\"root\""), expected == 200);
        let both = format!("{headers}{JSON}");
        let pulled = ask(&server, "POST /levers/compact", &both, "").await;
        assert_eq!(pulled.0, expected, "{}", pulled.1);
    }
    server.shutdown().await;
}

/// Levers with what is given to them, the code, and the field that is named.
fn bad_pulls() -> Vec<(&'static str, Value, u16, Option<&'static str>)> {
    vec![
        ("nonsense", json!({}), 404, None),
        ("compact", json!({ "now": true }), 400, Some("now")),
        ("compact", json!([]), 400, None),
        ("refuse", json!({}), 400, Some("code")),
        ("refuse", json!({ "code": 200 }), 400, Some("code")),
        ("refuse", json!({ "code": "503" }), 400, Some("code")),
        (
            "refuse",
            json!({ "code": 503, "chance": 1.5 }),
            400,
            Some("chance"),
        ),
        (
            "refuse",
            json!({ "code": 503, "verb": "GET" }),
            400,
            Some("verb"),
        ),
        (
            "refuse",
            json!({ "code": 503, "resource": "" }),
            400,
            Some("resource"),
        ),
        (
            "refuse",
            json!({ "code": 503, "watch": 1 }),
            400,
            Some("watch"),
        ),
        (
            "delay",
            json!({ "milliseconds": -1 }),
            400,
            Some("milliseconds"),
        ),
        (
            "delay",
            json!({ "milliseconds": 1e12 }),
            400,
            Some("milliseconds"),
        ),
        ("drip", json!({ "bytes": 1 }), 400, Some("milliseconds")),
        ("cut", json!({ "abruptly": "yes" }), 400, Some("abruptly")),
        (
            "cut",
            json!({ "userAgent": "x".repeat(300) }),
            400,
            Some("userAgent"),
        ),
        ("half-open", json!({}), 400, Some("on")),
        ("wrong-event", json!({ "event": "odd" }), 400, Some("event")),
        ("restore", json!({}), 409, None),
        ("rotate-ca", json!({}), 409, None),
    ]
}

#[tokio::test]
async fn bad_input_is_refused_with_the_name_of_the_field() {
    let server = with_admin().await;
    for (lever, body, code, field) in bad_pulls() {
        let (answered, error) = pull(&server, lever, body.clone()).await;
        assert_eq!(answered, code, "{lever} {body}: {error}");
        assert_eq!(error["field"].as_str(), field, "{lever} {body}: {error}");
        let text = error["error"].as_str().unwrap();
        assert!(field.is_none_or(|name| text.contains(name)), "{text}");
    }
    let before = overview(&server).await;
    assert_eq!(before["present"]["rules"], json!([]), "nothing was done");
    let refused = [
        ("POST /levers/compact", "", "{}", 415),
        ("POST /levers/compact", JSON, "{", 400),
        ("POST /levers", JSON, "{}", 404),
        ("PUT /levers/compact", JSON, "{}", 404),
        ("GET /nothing", "", "", 404),
    ];
    for (request, headers, body, code) in refused {
        let (answered, text) = ask(&server, request, headers, body).await;
        assert_eq!(answered, code, "{request}: {text}");
    }
    let large = " ".repeat(70 << 10);
    assert_eq!(
        ask(&server, "POST /levers/compact", JSON, &large).await.0,
        413
    );
    server.shutdown().await;
}

#[tokio::test]
async fn rules_are_shown_bounded_and_put_back() {
    let server = with_admin().await;
    let body = json!({ "code": 503, "chance": 0.5, "verb": "list", "resource": "pods" });
    for count in 1..=64 {
        let (code, done) = pull(&server, "refuse", body.clone()).await;
        assert_eq!((code, &done["rules"]), (200, &json!(count)));
    }
    let (code, error) = pull(&server, "hang", json!({})).await;
    assert_eq!(code, 409, "{error}");
    pull(&server, "half-open", json!({ "on": true })).await;
    let shown = overview(&server).await;
    let expected = json!({
        "lever": "refuse", "code": 503, "retryAfterSeconds": 0, "chance": 0.5, "verb": "list",
        "resource": "pods"
    });
    assert_eq!(shown["present"]["rules"][0], expected);
    assert_eq!(shown["present"]["halfOpen"], true);
    assert_eq!(shown["levers"].as_array().unwrap().len(), levers::count());
    assert_eq!(ask(&server, "DELETE /levers", "", "").await.0, 200);
    let shown = overview(&server).await;
    assert_eq!(shown["present"]["rules"], json!([]));
    assert_eq!(shown["present"]["halfOpen"], false);
    assert_eq!(code_of(&server).await, 200);
    server.shutdown().await;
}

async fn code_of(server: &Handle) -> u16 {
    code(server, &format!("GET {PODS}"), "", "").await
}

#[tokio::test]
async fn a_rule_meets_those_that_it_means() {
    let server = with_admin().await;
    let agent = |name: &str| format!("User-Agent: {name}/1\r\n");
    let refuse = json!({
        "code": 429, "verb": "list", "resource": "deployments.apps", "userAgent": "one"
    });
    pull(&server, "refuse", refuse).await;
    for (request, agent, expected) in [
        ("GET /apis/apps/v1/deployments", agent("one"), 429),
        ("GET /apis/apps/v1/deployments", agent("two"), 200),
        ("GET /apis/apps/v1/daemonsets", agent("one"), 200),
        (
            "GET /apis/apps/v1/namespaces/default/deployments/x",
            agent("one"),
            404,
        ),
        (
            "GET /apis/apps/v1/deployments?watch=1&timeoutSeconds=1",
            agent("one"),
            200,
        ),
    ] {
        assert_eq!(
            code(&server, request, &agent, "").await,
            expected,
            "{request} {agent}"
        );
    }
    let listed = send(&server, "GET /apis/apps/v1/deployments", &agent("one"), "").await;
    let (head, body) = answer(listed).await;
    assert!(head.to_lowercase().contains("retry-after: 1"), "{head}");
    assert_eq!(body, b"Too many requests, please try again later.\n");
    server.shutdown().await;
}

#[tokio::test]
async fn a_chance_is_about_what_it_says() {
    let server = with_admin().await;
    pull(&server, "refuse", json!({ "code": 503, "chance": 0.25 })).await;
    let mut refused = 0;
    for _ in 0..400 {
        refused += u32::from(code(&server, "GET /api/v1/nodes", "", "").await == 503);
    }
    assert!((50..150).contains(&refused), "{refused} of 400");
    server.shutdown().await;
}

#[tokio::test]
async fn pr_f45_frames_are_doubled_for_those_that_are_meant() {
    let server = with_admin().await;
    fill(&server, 2);
    pull(&server, "duplicate", json!({ "resource": "pods" })).await;
    let watch =
        |plural: &str| format!("/api/v1/{plural}?watch=1&timeoutSeconds=1&resourceVersion=1");
    assert_eq!(kinds(&get(&server, &watch("pods"), "").await.1), "AAAA");
    let others = kinds(
        &get(&server, "/api/v1/namespaces?watch=1&timeoutSeconds=1", "")
            .await
            .1,
    );
    assert_eq!(others, "AAAA", "four namespaces, once each");
    server.shutdown().await;
}

#[tokio::test]
async fn pr_f23_a_frame_is_cut_once_and_the_stream_ends_well() {
    let server = with_admin().await;
    fill(&server, 2);
    pull(&server, "truncate-frame", json!({ "resource": "pods" })).await;
    let path = format!("GET {PODS}?watch=1&resourceVersion=1&timeoutSeconds=60");
    let mut socket = send(&server, &path, "", "").await;
    let mut all = Vec::new();
    socket.read_to_end(&mut all).await.unwrap();
    let split = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let (body, ended) = unchunk(&all[split + 4..]);
    assert!(ended, "the last chunk came");
    assert!(body.starts_with(b"{\"type\":\"ADDED\""), "a frame began");
    assert_eq!(kinds(&body), "", "and none was whole");
    let path = format!("{PODS}?watch=1&resourceVersion=1&timeoutSeconds=1");
    assert_eq!(kinds(&get(&server, &path, "").await.1), "AA");
    server.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn pr_e11b_bookmarks_stay_away_from_those_that_are_meant() {
    let server = with_admin().await;
    fill(&server, 1);
    pull(&server, "drop-bookmarks", json!({ "userAgent": "deaf" })).await;
    let path = format!("{PODS}?watch=1&resourceVersion=1&timeoutSeconds=130&allowWatchBookmarks=1");
    let (_, body) = get(&server, &path, "User-Agent: deaf/1\r\n").await;
    assert_eq!(kinds(&body), "A");
    let (_, body) = get(&server, &path, "User-Agent: other/1\r\n").await;
    assert_eq!(kinds(&body), "ABBB");
    server.shutdown().await;
}

#[tokio::test]
async fn pr_l10_continue_tokens_expire_with_a_fresh_one() {
    let server = with_admin().await;
    fill(&server, 3);
    let page = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();
    let first = page(&get(&server, &format!("{PODS}?limit=2"), "").await.1);
    let token = first["metadata"]["continue"].as_str().unwrap();
    pull(&server, "expire-tokens", json!({})).await;
    let path = format!("{PODS}?limit=2&continue={token}");
    let (head, body) = get(&server, &path, "").await;
    assert!(head.starts_with("HTTP/1.1 410"), "{head}");
    let status = page(&body);
    assert_eq!(status["reason"], "Expired");
    let fresh = status["metadata"]["continue"].as_str().unwrap();
    let rest = page(
        &get(&server, &format!("{PODS}?continue={fresh}"), "")
            .await
            .1,
    );
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    server.shutdown().await;
}

#[tokio::test]
async fn pr_f14_a_list_claims_another_version_once() {
    let server = with_admin().await;
    pull(&server, "list-version", json!({ "version": "7" })).await;
    let version = |body: Vec<u8>| {
        let list: Value = serde_json::from_slice(&body).unwrap();
        list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(version(get(&server, PODS, "").await.1), "7");
    assert_ne!(version(get(&server, PODS, "").await.1), "7");
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_open_is_shown_by_number() {
    let server = with_admin().await;
    fill(&server, 1);
    let agent = "User-Agent: seen/2\r\n";
    let mut socket = send(&server, &format!("GET {PODS}?watch=1"), agent, "").await;
    let mut first = [0; 15];
    socket.read_exact(&mut first).await.unwrap();
    let shown = overview(&server).await;
    let (watch, connection) = (&shown["watches"][0], &shown["connections"][0]);
    assert_eq!(watch["resource"], "pods");
    assert_eq!(watch["userAgent"], "seen/2");
    assert_eq!(watch["connection"], connection["id"]);
    assert_eq!(connection["protocol"], "http/1.1");
    assert_eq!(connection["requests"], 1);
    let other = json!({ "watch": 9999 });
    assert_eq!(pull(&server, "cut", other).await.1["done"], 0);
    let this = json!({ "watch": watch["id"] });
    assert_eq!(pull(&server, "cut", this).await.1["done"], 1);
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "it ended well");
    while !server.open_connections().is_empty() {
        tokio::task::yield_now().await;
    }
    server.shutdown().await;
}
