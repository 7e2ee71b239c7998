//! Tokens that end while an informer uses them.
//!
//! A token of a ServiceAccount that is bound to a Secret ends with that Secret, though the server
//! believes what it has found good for ten more seconds. A stream that is open stays open, so
//! [`Relay`] cuts it.

use std::{fs, net::SocketAddr, path::Path};

use tidings::{Informer, Raw, WakeReason};
use tidings_api::request::Request;
use tidings_http::{Client, Credentials, Endpoint, Secret};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{cluster::*, history::History};

/// Passes connections on to the server, until it is told to cut those that are open.
struct Relay {
    address: SocketAddr,
    cut: watch::Sender<()>,
}

impl Relay {
    async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, cut_out) = watch::channel(());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, mut cut) = (server.clone(), cut_out.clone());
                cut.borrow_and_update();
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass(client, &server) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, cut }
    }

    fn cut(&self) {
        self.cut.send_replace(());
    }
}

async fn pass(mut client: TcpStream, server: &str) {
    if let Ok(mut server) = TcpStream::connect(server).await {
        // However it ends, both sides are closed.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}

/// A token that is good for as long as the Secret of this name is there.
fn token(cluster: &Cluster, secret: &str) -> String {
    cluster.kubectl(&["create", "secret", "generic", secret]);
    let uid = ["get", "secret", secret, "-o", "jsonpath={.metadata.uid}"];
    let uid = format!("--bound-object-uid={}", cluster.kubectl(&uid).trim());
    let name = format!("--bound-object-name={secret}");
    let kind = "--bound-object-kind=Secret";
    cluster.kubectl(&["create", "token", "informer", kind, &name, &uid])
}

/// Replaces a file as a kubelet does, so that nobody reads half of it.
fn replace(file: &Path, text: &str) {
    let next = file.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(next, file).unwrap();
}

/// Ends a token, and waits until the server refuses it.
async fn end(cluster: &Cluster, secret: &str, token: &str) {
    cluster.kubectl(&["delete", "secret", secret]);
    let mut config = cluster.config();
    config.credentials = Credentials::Token(Secret::new(token.trim().to_owned()));
    let client = Client::new(config).unwrap();
    until("the old token is refused", async || {
        let asked = client.send(&Request::get("/api/v1".to_owned())).await;
        asked.unwrap().status == 401
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pr_f60_a_token_that_ends_is_followed_by_the_next_one_in_its_file() {
    let cluster = Cluster::start(&[]);
    cluster.kubectl(&["create", "serviceaccount", "informer"]);
    let [first, second, third] = ["first", "second", "third"].map(|name| token(&cluster, name));
    let file = cluster.path("token");
    replace(&file, &first);
    let mut config = cluster.config();
    let relay = Relay::start(config.endpoint.host_and_port()).await;
    config.endpoint = Endpoint::parse(&format!("https://{}", relay.address)).unwrap();
    config.credentials = Credentials::TokenFile {
        path: file.clone(),
        fallback: None,
    };
    let (scope, history) = (configmaps(), History::default());
    let client = Client::new(config).unwrap();
    let informer = Informer::<Raw>::builder(client.clone(), scope.clone());
    let informer = informer.handler(history.handler()).build().unwrap();
    let handle = informer.handle();
    tokio::spawn(informer.run());
    handle.wait_synced(DEADLINE).await.unwrap();
    let refused = || {
        let reasons = handle.state().stats.reasons;
        reasons.get(&WakeReason::Unauthorized).copied().unwrap_or(0)
    };

    // The file is replaced in time: a refusal, and the very next request bears the new token.
    replace(&file, &second);
    end(&cluster, "first", &first).await;
    cluster.put("a", "the old stream tells it").await;
    cluster.level(&handle, &scope).await;
    assert_eq!(refused(), 0, "an open stream is not asked again");
    relay.cut();
    cluster.put("b", "while there is no stream").await;
    cluster.level(&handle, &scope).await;
    assert_eq!(refused(), 1, "one refusal, and the file was read again");

    // The file comes late: refusals, with a wait after each, until it is there.
    end(&cluster, "second", &second).await;
    relay.cut();
    cluster.put("a", "while there is no good token").await;
    cluster.kubectl(&["delete", "configmap", "b"]);
    until("refusals", async || refused() >= 3).await;
    replace(&file, &third);
    cluster.level(&handle, &scope).await;

    history.check(&cluster.truth(&scope).await).await;
    let stats = handle.state().stats;
    assert_eq!(stats.lists + stats.watch_lists, 1, "one list: {stats:?}");
    let told = history.counts();
    assert_eq!((told.updated, told.deleted), (1, 1), "{told:?}");
    handle.stop();
}
