//! Every lever of the admin endpoint, pulled over HTTP while an informer follows: what it does shows, and when
//! it is put back the store is the server's state.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::{InformerHandle, ListMode, Raw, ReflectorConfig, WakeReason};
use tidings_api::request::Request;
use tidings_apiserver::serve::{self, Config, Handle};
use tidings_http::{Client, ClientConfig};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use crate::{access::Secure, scripted::impatient, support::*};

async fn admin() -> Handle {
    let config = Config {
        admin: Some(([127, 0, 0, 1], 0).into()),
        ..Config::default()
    };
    serve::start(config).await.unwrap()
}

async fn ask(server: &Handle, request: &str, body: &str) -> Value {
    let mut socket = TcpStream::connect(server.admin().unwrap()).await.unwrap();
    let token = server.tokens();
    let token = token.first().map_or("none", |token| token.secret());
    let text = format!(
        "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "{request} {body}: {answer}"
    );
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

async fn pull(server: &Handle, lever: &str, body: Value) -> Value {
    ask(server, &format!("POST /levers/{lever}"), &body.to_string()).await
}

async fn reset(server: &Handle) {
    ask(server, "DELETE /levers", "").await;
}

/// An informer that is quick to doubt: probes after 300 ms of silence, delays of milliseconds.
fn doubting(server: &Handle) -> InformerHandle<Raw> {
    let config = ReflectorConfig {
        silence_max: Duration::from_millis(300),
        silence_max_healthy: Duration::from_millis(300),
        probe_timeout: Duration::from_millis(500),
        probe_verdict: Duration::from_millis(300),
        ..impatient()
    };
    start(builder(server, scope()).reflector(config))
}

async fn synced(server: &Handle) -> InformerHandle<Raw> {
    let handle = doubting(server);
    handle.wait_synced(DEADLINE).await.unwrap();
    handle
}

/// Waits for a wake-up of this kind.
async fn woken(handle: &InformerHandle<Raw>, reason: WakeReason) {
    until(handle, |state| state.stats.reasons.contains_key(&reason)).await;
}

/// A client whose patience is short.
fn hasty(server: &Handle) -> Client {
    let mut config = ClientConfig::from_server(&server.url()).unwrap();
    config.timeouts.short = Duration::from_millis(300);
    Client::new(config).unwrap()
}

fn list() -> Request {
    Request::get("/api/v1/configmaps".to_owned())
}

#[tokio::test]
async fn refusals_by_verb_keep_a_watch_away_and_nothing_else() {
    let server = admin().await;
    for code in [429, 500, 503, 504] {
        let handle = synced(&server).await;
        let body = json!({ "code": code, "verb": "watch", "resource": "configmaps" });
        pull(&server, "refuse", body).await;
        server.cut_watches(false);
        put(&server, "a", &code.to_string());
        let expected = match code {
            429 => WakeReason::Throttled,
            _ => WakeReason::ServerTrouble,
        };
        woken(&handle, expected).await;
        assert_eq!(client(&server).send(&list()).await.unwrap().status, 200);
        reset(&server).await;
        level(&server, &handle).await;
        handle.stop();
    }
}

#[tokio::test]
async fn delays_are_kept() {
    let server = admin().await;
    pull(
        &server,
        "delay",
        json!({ "milliseconds": 200, "verb": "list" }),
    )
    .await;
    let begun = Instant::now();
    let handle = synced(&server).await;
    assert!(begun.elapsed() >= Duration::from_millis(200));
    put(&server, "a", "1");
    level(&server, &handle).await;
}

#[tokio::test]
async fn pr_f20_requests_that_hang_are_given_up_by_the_client() {
    let server = admin().await;
    let handle = synced(&server).await;
    pull(&server, "hang", json!({ "verb": "list" })).await;
    assert!(hasty(&server).send(&list()).await.is_err());
    put(&server, "a", "the watch goes on");
    level(&server, &handle).await;
    reset(&server).await;
    assert_eq!(hasty(&server).send(&list()).await.unwrap().status, 200);
}

#[tokio::test]
async fn pr_f20_half_open_connections_are_given_up_by_the_client() {
    let server = admin().await;
    let handle = synced(&server).await;
    pull(&server, "half-open", json!({ "on": true })).await;
    assert!(hasty(&server).send(&list()).await.is_err());
    put(&server, "a", "connections that were there are answered");
    level(&server, &handle).await;
    pull(&server, "half-open", json!({ "on": false })).await;
    assert_eq!(hasty(&server).send(&list()).await.unwrap().status, 200);
}

#[tokio::test]
async fn pr_f20_pr_e11c_a_silent_connection_is_found_by_a_probe() {
    let server = admin().await;
    put(&server, "a", "1");
    let handle = synced(&server).await;
    watched(&server, 1).await;
    let done = pull(&server, "silence", json!({ "resource": "configmaps" })).await;
    assert_eq!(done["done"], 1);
    put(&server, "b", "nobody is told");
    level(&server, &handle).await;
    let stats = handle.state().stats;
    assert!(stats.probes > 0 && stats.watches > 1, "{stats:?}");
    assert_eq!(stats.lists, 1, "silence is no reason to list");
}

#[tokio::test]
async fn pr_f20_a_silent_connection_is_found_over_tls_as_well() {
    let secure = Secure::start().await;
    let server = &secure.server;
    let client = Client::new(secure.config()).unwrap();
    let config = ReflectorConfig {
        silence_max: Duration::from_millis(300),
        probe_verdict: Duration::from_millis(300),
        ..impatient()
    };
    let builder = tidings::Informer::<Raw>::builder(client, scope());
    let handle = start(builder.reflector(config));
    handle.wait_synced(DEADLINE).await.unwrap();
    watched(server, 1).await;
    pull(server, "silence", json!({ "resource": "configmaps" })).await;
    put(server, "a", "nobody is told");
    level(server, &handle).await;
    assert_eq!(handle.state().stats.lists, 1);
}

#[tokio::test]
async fn pr_e11c_a_stalled_watch_is_opened_again_and_the_others_go_on() {
    let server = admin().await;
    let handle = synced(&server).await;
    watched(&server, 1).await;
    let watch = server.open_watches()[0].id;
    pull(&server, "stall", json!({ "watch": watch })).await;
    // A patient one, that no probe would help.
    let other = raw(&server).await;
    put(&server, "a", "1");
    level(&server, &other).await;
    level(&server, &handle).await;
    assert!(handle.state().stats.watches > 1, "it was opened again");
    assert_eq!(
        other.state().stats.watches + other.state().stats.watch_lists,
        1
    );
}

#[tokio::test]
async fn pr_f31_drops_are_put_together() {
    let server = admin().await;
    put(&server, "a", "\u{fc}\u{1f600}");
    pull(&server, "drip", json!({ "bytes": 5, "milliseconds": 1 })).await;
    let begun = Instant::now();
    let answer = client(&server).send(&list()).await.unwrap();
    let drops = u64::try_from(answer.body.len() / 5).unwrap();
    assert!(
        begun.elapsed() >= Duration::from_millis(drops),
        "{drops} drops"
    );
    for mode in modes() {
        let handle = start(builder::<Raw>(&server, scope()).list_mode(mode));
        handle.wait_synced(DEADLINE).await.unwrap();
        put(&server, "b", &format!("{mode:?}"));
        level(&server, &handle).await;
        handle.stop();
    }
}

#[tokio::test]
async fn cuts_meet_those_that_are_meant() {
    let server = admin().await;
    let handle = synced(&server).await;
    watched(&server, 1).await;
    let secrets = tidings::Scope::all(tidings::Resource::parse("v1/secrets").unwrap());
    let other = start(builder::<Raw>(&server, secrets));
    other.wait_synced(DEADLINE).await.unwrap();
    watched(&server, 2).await;
    for abruptly in [false, true] {
        let body = json!({ "abruptly": abruptly, "resource": "configmaps" });
        assert_eq!(pull(&server, "cut", body).await["done"], 1);
        put(&server, "a", if abruptly { "1" } else { "2" });
        level(&server, &handle).await;
        watched(&server, 2).await;
    }
    let reasons = handle.state().stats.reasons;
    assert_eq!(reasons.get(&WakeReason::Transport), Some(&1), "{reasons:?}");
    let stats = other.state().stats;
    assert_eq!(
        (stats.watch_lists + stats.watches, stats.reasons.len()),
        (1, 0)
    );
}

#[tokio::test]
async fn pr_w11_compaction_while_away_leads_to_a_list() {
    let server = admin().await;
    put(&server, "a", "1");
    let handle = synced(&server).await;
    watched(&server, 1).await;
    pull(&server, "refuse", json!({ "code": 503, "verb": "watch" })).await;
    pull(&server, "cut", json!({})).await;
    woken(&handle, WakeReason::ServerTrouble).await;
    delete(&server, "a");
    put(&server, "b", "1");
    pull(&server, "compact", json!({})).await;
    reset(&server).await;
    level(&server, &handle).await;
    woken(&handle, WakeReason::Expired).await;
    assert_eq!(handle.state().stats.lists, 2);
}

#[tokio::test]
async fn pr_f9_a_restored_history_is_followed_back() {
    let server = admin().await;
    put(&server, "a", "1");
    pull(&server, "checkpoint", json!({})).await;
    put(&server, "b", "1");
    put(&server, "a", "2");
    let handle = synced(&server).await;
    watched(&server, 1).await;
    pull(&server, "restore", json!({})).await;
    // The watch at a version of the lost future is silent (pr-W15); the probe finds that time went back.
    level(&server, &handle).await;
    assert_eq!(handle.state().stats.epochs, 1);
    put(&server, "c", "1");
    level(&server, &handle).await;
}

#[tokio::test]
async fn pr_l10_expired_continue_tokens_lead_to_another_list() {
    let server = admin().await;
    for number in 0..20 {
        put(&server, &format!("c{number:02}"), "1");
    }
    let config = ReflectorConfig {
        list_mode: ListMode::Paged,
        page_items: 10,
        ..impatient()
    };
    // The second page waits for long enough that its token expires.
    pull(
        &server,
        "drip",
        json!({ "bytes": 400, "milliseconds": 20, "verb": "list" }),
    )
    .await;
    let handle = start(builder::<Raw>(&server, scope()).reflector(config));
    until(&handle, |state| state.stats.items > 0).await;
    pull(&server, "expire-tokens", json!({})).await;
    reset(&server).await;
    handle.wait_synced(DEADLINE).await.unwrap();
    level(&server, &handle).await;
    woken(&handle, WakeReason::Expired).await;
}

#[tokio::test]
async fn pr_f14_pr_f23_lists_that_lie_or_break_off_are_mended() {
    let server = admin().await;
    for number in 0..50 {
        put(&server, &format!("c{number:02}"), "1");
    }
    pull(&server, "truncate-list", json!({ "bytes": 5000 })).await;
    let handle = synced(&server).await;
    assert_eq!(handle.state().stats.lists, 2);
    pull(&server, "list-version", json!({ "version": "odd" })).await;
    let lied = start(builder::<Raw>(&server, scope()).reflector(impatient()));
    lied.wait_synced(DEADLINE).await.unwrap();
    put(&server, "c01", "2");
    level(&server, &lied).await;
    level(&server, &handle).await;
}

#[tokio::test]
async fn pr_f23_a_frame_that_is_cut_is_had_again() {
    let server = admin().await;
    let handle = synced(&server).await;
    watched(&server, 1).await;
    pull(
        &server,
        "truncate-frame",
        json!({ "resource": "configmaps" }),
    )
    .await;
    put(&server, "a", "1");
    level(&server, &handle).await;
    let stats = handle.state().stats;
    assert_eq!((stats.lists, stats.watches), (1, 2), "{stats:?}");
}

#[tokio::test]
async fn pr_f45_doubled_frames_change_nothing() {
    let server = admin().await;
    let handle = synced(&server).await;
    watched(&server, 1).await;
    pull(&server, "duplicate", json!({ "resource": "configmaps" })).await;
    put(&server, "a", "1");
    put(&server, "a", "2");
    level(&server, &handle).await;
    until(&handle, |state| state.stats.events == 4).await;
    level(&server, &handle).await;
}

#[tokio::test]
async fn pr_e7_pr_f44_wrong_events_are_passed() {
    for event in [
        "garbage",
        "other-kind",
        "unknown-type",
        "versionless-bookmark",
    ] {
        let server = admin().await;
        put(&server, "a", "1");
        let handle = synced(&server).await;
        watched(&server, 1).await;
        pull(&server, "wrong-event", json!({ "event": event })).await;
        put(&server, "b", "1");
        level(&server, &handle).await;
        let stats = until(&handle, |state| {
            let stats = &state.stats;
            stats.unfit + stats.bookmarks_ignored > 0
                || stats.reasons.contains_key(&WakeReason::Undecodable)
        });
        stats.await;
        level(&server, &handle).await;
    }
}

#[tokio::test]
async fn pr_e11b_bookmarks_that_stay_away_are_not_missed() {
    let config = Config {
        admin: Some(([127, 0, 0, 1], 0).into()),
        bookmark_period: Duration::from_millis(50),
        ..Config::default()
    };
    let server = serve::start(config).await.unwrap();
    let deaf = synced(&server).await;
    watched(&server, 1).await;
    let watch = server.open_watches()[0].id;
    pull(&server, "drop-bookmarks", json!({ "watch": watch })).await;
    let other = synced(&server).await;
    // Bookmarks begin above the version that a watch began at.
    put(&server, "a", "1");
    until(&other, |state| state.stats.bookmarks > 3).await;
    level(&server, &deaf).await;
    let (bookmarks, lists) = (deaf.state().stats.bookmarks, deaf.state().stats.lists);
    assert_eq!((bookmarks, lists), (0, 1));
}

#[tokio::test]
async fn rotations_by_lever_show_in_the_kubeconfig_at_once() {
    let secure = Secure::start().await;
    let server = &secure.server;
    let before = secure.config();
    pull(server, "rotate-tokens", json!({})).await;
    let refused = Client::new(before.clone()).unwrap().send(&list()).await;
    assert_eq!(refused.unwrap().status, 401);
    pull(server, "rotate-ca", json!({ "keepOld": true })).await;
    pull(server, "rotate-ca", json!({})).await;
    let refused = Client::new(before).unwrap().send(&list()).await;
    assert!(refused.is_err(), "the authority is another");
    let client = Client::new(secure.config()).unwrap();
    assert_eq!(client.send(&list()).await.unwrap().status, 200);
    let handle = crate::access::follow(secure.config()).await;
    pull(server, "goaway", json!({})).await;
    pull(server, "goaway-chance", json!({ "chance": 1 })).await;
    put(server, "a", "1");
    level(server, &handle).await;
}
