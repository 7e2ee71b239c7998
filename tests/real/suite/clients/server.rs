//! The two servers, with a proxy before each: the levers are the same, what they do is each server's own.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::json;
use tempfile::TempDir;
use tidings_api::request::Request;
use tidings_apiserver::serve::{self, Handle, Tls, Token};
use tidings_http::{Client, kubeconfig};

use super::{program::Lever, proxy::Proxy};
use crate::cluster::Cluster;

pub(super) struct Server {
    kind: Kind,
    proxy: Proxy,
    /// Holds the two kubeconfigs.
    dir: TempDir,
    client: Client,
}

enum Kind {
    Embedded(Handle),
    Real(Cluster),
}

impl Server {
    /// As it comes, over plain HTTP; or with TLS and a token, so that clients choose HTTP/2 as they do there.
    pub(super) async fn embedded(is_secure: bool) -> Self {
        let mut config = serve::Config::default();
        if is_secure {
            let (names, dir) = (Vec::new(), None);
            config.tls = Some(Tls { names, dir });
            config.tokens = vec![Token::random_admin().unwrap()];
        }
        let handle = serve::start(config).await.unwrap();
        let (text, address) = (handle.kubeconfig(), handle.address());
        Self::new(Kind::Embedded(handle), &text, address).await
    }

    pub(super) async fn real() -> Self {
        let cluster = tokio::task::block_in_place(|| Cluster::start(&[]));
        let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
        let (_, rest) = text.split_once("https://").unwrap();
        let address = rest.split_whitespace().next().unwrap().parse().unwrap();
        Self::new(Kind::Real(cluster), &text, address).await
    }

    async fn new(kind: Kind, text: &str, address: SocketAddr) -> Self {
        let proxy = Proxy::start(address).await;
        let dir = TempDir::new().unwrap();
        let proxied = text.replace(&address.to_string(), &proxy.address().to_string());
        std::fs::write(dir.path().join("proxied"), proxied).unwrap();
        let direct = dir.path().join("direct");
        std::fs::write(&direct, text).unwrap();
        let overrides = kubeconfig::Overrides {
            path: Some(direct),
            ..kubeconfig::Overrides::default()
        };
        let client = Client::new(kubeconfig::load(&overrides).unwrap()).unwrap();
        Self {
            kind,
            proxy,
            dir,
            client,
        }
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("direct")
    }

    pub(super) fn proxied(&self) -> PathBuf {
        self.dir.path().join("proxied")
    }

    pub(super) async fn make_namespace(&self, name: &str) {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let body = body.to_string().into_bytes();
        let request = Request::write(
            "POST",
            "/api/v1/namespaces".to_owned(),
            "application/json",
            body,
        );
        let answer = self.client.send(&request).await.unwrap();
        assert_eq!(answer.status, 201, "namespace {name}");
    }

    pub(super) async fn pull(&mut self, lever: Lever) {
        match lever {
            Lever::Compact => self.compact(),
            Lever::Cut => self.proxy.cut().await,
            Lever::Down => self.proxy.down().await,
            Lever::Up => self.proxy.up().await,
        }
    }

    fn compact(&mut self) {
        match &mut self.kind {
            Kind::Embedded(handle) => handle.compact(),
            // Its watch cache remembers more than etcd does, and forgets it with the process.
            Kind::Real(cluster) => tokio::task::block_in_place(|| {
                let etcd = cluster.etcd_url();
                cluster.tool(&["compact", "--etcd", &etcd]);
                let port = cluster.kill_apiserver();
                cluster.start_apiserver(&port);
            }),
        }
    }
}
