//! TLS as it is configured: whom to trust, who we are, by which name the server is known.
//!
//! Does not connect (`connect` does). Certificates that stand in files are read again when the
//! file changes; what was good stays in use until the new parses.
//!
//! I1  If roots are given, nothing else is trusted (SEC-7).
//! I2  An empty bundle is an error, never "trust nothing" or "trust the platform".
//! I3  TLS 1.2 or later (SEC-8).
//!
//! Source: client-go transport/{`cert_rotation`,`ca_rotation`}.go; rules SEC-4, SEC-7, SEC-8, pr-F61.

mod error;
mod unverified;

use std::{path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::time::Instant;

pub use self::error::{TlsConfigError, TlsError};
use crate::{
    file::{self, Stamp},
    secret::Secret,
};

/// Where PEM text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A file, read again when it changes.
    File(PathBuf),
    /// The text itself.
    Inline(Secret<Vec<u8>>),
}

/// Whom to trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Roots {
    /// Nobody is asked: any certificate is good. Only for experiments; each client warns once.
    Anyone,
    /// The certificate authorities of this PEM bundle and no others.
    Given(Source),
    /// The platform's certificate authorities.
    #[default]
    Platform,
}

/// A certificate that shows the server who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "two parts, for users to fill")]
pub struct ClientCertificate {
    /// The certificate chain as PEM, the leaf first.
    pub certificate: Source,
    /// The private key as PEM: PKCS#1, PKCS#8 or SEC1.
    pub key: Source,
}

/// How to speak TLS with the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "settings for users to fill with struct update syntax"
)]
pub struct TlsSettings {
    /// Whom to trust.
    pub roots: Roots,
    /// Who we are, if the server asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// The name to verify and to send as SNI, where it is not the endpoint's host.
    pub server_name: Option<String>,
}

/// The TLS configuration of one client, rebuilt when its files change.
#[derive(Debug)]
pub(crate) struct TlsState {
    settings: TlsSettings,
    alpn: Vec<Vec<u8>>,
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ClientConfig>,
    stamps: Vec<Option<Stamp>>,
    plugin_certificate: Option<Arc<ClientCertificate>>,
    checked: Instant,
    generation: u64,
}

/// A configuration to connect with, and its number: connections of another one are not reused.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) generation: u64,
}

/// Files are asked for changes at most this often.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);

impl TlsState {
    /// Builds the first configuration, so that what is wrong with it shows at once.
    pub(crate) fn new(settings: TlsSettings, alpn: &[&str]) -> Result<Self, TlsConfigError> {
        if settings.roots == Roots::Anyone {
            tracing::warn!("server certificates are not verified");
        }
        let state = Self {
            settings,
            alpn: alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
            current: Mutex::new(None),
        };
        state.connector(None, Instant::now())?;
        Ok(state)
    }

    /// The name that the server's certificate has to bear, if it is not the host's.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.settings.server_name.as_deref()
    }

    /// The configuration to connect with now. `plugin_certificate` comes from an exec plugin and
    /// goes before the configured one.
    pub(crate) fn connector(
        &self,
        plugin_certificate: Option<&Arc<ClientCertificate>>,
        now: Instant,
    ) -> Result<Connector, TlsConfigError> {
        let mut slot = self.current.lock();
        let mut generation = 0;
        if let Some(current) = slot.as_mut() {
            let same_plugin = current.plugin_certificate.as_ref() == plugin_certificate;
            let fresh = now.saturating_duration_since(current.checked) < CHECK_INTERVAL;
            if same_plugin && (fresh || current.stamps == self.stamps()) {
                if !fresh {
                    current.checked = now;
                }
                return Ok(current.connector());
            }
            generation = current.generation + 1;
        }
        // Stamped before reading: a change in between is then seen at the next check.
        let stamps = self.stamps();
        match (self.build(plugin_certificate), slot.as_mut()) {
            (Ok(config), _) => {
                let current = slot.insert(Current {
                    config: Arc::new(config),
                    stamps,
                    plugin_certificate: plugin_certificate.cloned(),
                    checked: now,
                    generation,
                });
                Ok(current.connector())
            }
            (Err(error), Some(current))
                if current.plugin_certificate.as_ref() == plugin_certificate =>
            {
                tracing::warn!(%error, "changed certificate files do not load, the old ones stay");
                current.checked = now;
                Ok(current.connector())
            }
            (Err(error), _) => Err(error),
        }
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.files().map(|path| Stamp::of(path)).collect()
    }

    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let roots = match &self.settings.roots {
            Roots::Given(source) => Some(source),
            Roots::Anyone | Roots::Platform => None,
        };
        let own = self.settings.client_certificate.iter();
        let own = own.flat_map(|own| [&own.certificate, &own.key]);
        roots
            .into_iter()
            .chain(own)
            .filter_map(|source| match source {
                Source::File(path) => Some(path),
                Source::Inline(_) => None,
            })
    }

    fn build(
        &self,
        plugin_certificate: Option<&Arc<ClientCertificate>>,
    ) -> Result<ClientConfig, TlsConfigError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsConfigError::rejected("protocol versions"))?;
        let roots = match &self.settings.roots {
            Roots::Anyone => None,
            Roots::Given(source) => Some(given_roots(source)?),
            Roots::Platform => Some(platform_roots()?),
        };
        let builder = if let Some(roots) = roots {
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_webpki_verifier(verifier.map_err(|_| TlsConfigError::EmptyRoots)?)
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(unverified::verifier(provider))
        };
        let own = plugin_certificate
            .map(AsRef::as_ref)
            .or(self.settings.client_certificate.as_ref());
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (chain, key) = load(own)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(TlsConfigError::rejected("client certificate"))?
            }
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(config)
    }
}

impl Current {
    fn connector(&self) -> Connector {
        Connector {
            config: Arc::clone(&self.config),
            generation: self.generation,
        }
    }
}

impl Source {
    /// The PEM text. `what` names it in an error.
    fn read(&self, what: &'static str) -> Result<Secret<Vec<u8>>, TlsConfigError> {
        match self {
            Self::File(path) => file::read(path)
                .map(Secret::new)
                .map_err(|source| TlsConfigError::File { what, source }),
            Self::Inline(text) => Ok(text.clone()),
        }
    }
}

fn given_roots(source: &Source) -> Result<RootCertStore, TlsConfigError> {
    const WHAT: &str = "certificate authority";
    let text = source.read(WHAT)?;
    let mut store = RootCertStore::empty();
    for certificate in certificates(text.expose(), WHAT)? {
        store
            .add(certificate)
            .map_err(TlsConfigError::rejected(WHAT))?;
    }
    Ok(store)
}

fn platform_roots() -> Result<RootCertStore, TlsConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(TlsConfigError::NoPlatformRoots);
    }
    Ok(store)
}

fn load(
    own: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsConfigError> {
    let text = own.certificate.read("client certificate")?;
    let chain = certificates(text.expose(), "client certificate")?;
    let text = own.key.read("client key")?;
    let key = PrivateKeyDer::from_pem_slice(text.expose())
        .map_err(|_| TlsConfigError::Pem { what: "client key" })?;
    Ok((chain, key))
}

fn certificates(
    text: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(TlsConfigError::Pem { what }),
    }
}

#[cfg(feature = "aws-lc-rs")]
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
compile_error!("tidings-http needs one of the features `ring` and `aws-lc-rs`");
