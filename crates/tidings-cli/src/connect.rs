//! From the command line to a client.

use anyhow::{Context as _, Result};
use tidings_http::{
    Client, ClientConfig, HttpVersion, Secret, credentials::Credentials, kubeconfig, tls::Roots,
};

use crate::args::{Connection, Http};

/// The configuration that the flags, the kubeconfig or the pod's environment give.
pub(crate) fn config(connection: &Connection) -> Result<ClientConfig> {
    if let Some(url) = &connection.server {
        let mut config = ClientConfig::from_server(url).context("--server")?;
        if let Some(token) = &connection.token {
            config.credentials = Credentials::Token(Secret::new(token.clone()));
        }
        if connection.insecure_skip_tls_verify {
            config.tls.roots = Roots::Anyone;
        }
        return Ok(config);
    }
    if connection.kubeconfig.is_some() || connection.context.is_some() {
        let overrides = kubeconfig::Overrides {
            path: connection.kubeconfig.clone(),
            context: connection.context.clone(),
            ..kubeconfig::Overrides::default()
        };
        return kubeconfig::load(&overrides).context("kubeconfig");
    }
    ClientConfig::infer().context("no cluster is at hand")
}

/// A client of that configuration.
pub(crate) fn client(mut config: ClientConfig, http: Http) -> Result<Client> {
    config.http = match http {
        Http::One => HttpVersion::Http1,
        Http::Two => HttpVersion::Http2,
        Http::Auto => HttpVersion::Auto,
    };
    Client::new(config).context("the client cannot be made")
}
