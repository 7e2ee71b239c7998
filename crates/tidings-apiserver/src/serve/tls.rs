//! HTTPS: an authority that lives as long as the server, and what it issues.
//!
//! Does not connect and does not decide who may come. Private keys stay in memory, unless a directory is named.
//!
//! S1  A connection uses the certificate that was current when it was accepted; a rotation touches none that
//!     is open.
//! S2  A certificate names the loopback addresses, `localhost`, what the server listens on, and the names that
//!     were asked for.
//!
//! Source: apiserver pkg/server/secure_serving.go @v0.36.3 (ALPN, TLS 1.2 at least).

use std::{io, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use super::{StartError, unix_seconds, write_secret};

/// The protocol that ALPN names HTTP/2.
pub(super) const H2: &[u8] = b"h2";

/// The authority of the moment.
pub(super) struct Authority {
    names: Vec<String>,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// Whom clients are to trust, the newest first.
    bundle: String,
    newest: String,
    rotations: u64,
}

/// A server certificate with its key, and its authority's certificate, as PEM and for use.
struct Issued {
    authority: String,
    certificate: String,
    key: String,
    config: ServerConfig,
}

impl Authority {
    /// Makes an authority that answers for these names, and writes its certificates if a directory is given.
    pub(super) fn new(names: Vec<String>, dir: Option<&Path>) -> Result<Self, StartError> {
        let issued = issue(&names, 0)?;
        if let Some(dir) = dir {
            issued.write(dir).map_err(StartError::Write)?;
        }
        let current = Current {
            config: Arc::new(issued.config),
            bundle: issued.authority.clone(),
            newest: issued.authority,
            rotations: 0,
        };
        Ok(Self {
            names,
            current: Mutex::new(current),
        })
    }

    /// What the next connection is accepted with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.lock().config)
    }

    /// The certificates that clients are to trust, as PEM.
    pub(super) fn bundle(&self) -> String {
        self.current.lock().bundle.clone()
    }

    /// Takes another authority for the connections to come. The old one stays in the bundle, or does not.
    pub(super) fn rotate(&self, keep_old: bool, dir: Option<&Path>) -> Result<(), StartError> {
        let mut current = self.current.lock();
        let rotations = current.rotations + 1;
        let issued = issue(&self.names, rotations)?;
        if let Some(dir) = dir {
            issued.write(dir).map_err(StartError::Write)?;
        }
        let old = if keep_old {
            current.newest.as_str()
        } else {
            ""
        };
        *current = Current {
            config: Arc::new(issued.config),
            bundle: format!("{}{old}", issued.authority),
            newest: issued.authority,
            rotations,
        };
        Ok(())
    }
}

impl Issued {
    fn write(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)?;
        write_secret(&dir.join("ca.crt"), &self.authority)?;
        write_secret(&dir.join("tls.crt"), &self.certificate)?;
        write_secret(&dir.join("tls.key"), &self.key)
    }
}

fn issue(names: &[String], number: u64) -> Result<Issued, StartError> {
    let failed = |error: rcgen::Error| StartError::Tls(error.to_string());
    let mut params = dated(Vec::new(), 10 * YEAR)?;
    // Each authority has a subject of its own, so that a bundle of two is not ambiguous.
    let name = format!("tidings-ca-{}-{number}", unix_seconds());
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    let key = KeyPair::generate().map_err(failed)?;
    let authority = CertifiedIssuer::self_signed(params, key).map_err(failed)?;
    let mut params = dated(names.to_vec(), YEAR)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "tidings-apiserver");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &authority).map_err(failed)?;
    let chain = vec![certificate.der().clone()];
    Ok(Issued {
        authority: authority.pem(),
        certificate: certificate.pem(),
        config: config(chain, &key)?,
        key: key.serialize_pem(),
    })
}

/// Parameters for some names, good from an hour ago, for clocks that are behind.
fn dated(names: Vec<String>, seconds: u64) -> Result<CertificateParams, StartError> {
    let named = CertificateParams::new(names);
    let mut params = named.map_err(|error| StartError::Tls(error.to_string()))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(unix_seconds());
    params.not_before = now - Duration::from_secs(3600);
    params.not_after = now + Duration::from_secs(seconds);
    Ok(params)
}

fn config(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Result<ServerConfig, StartError> {
    let failed = |error: rustls::Error| StartError::Tls(error.to_string());
    let key = PrivateKeyDer::try_from(key.serialize_der());
    let key = key.map_err(|error| StartError::Tls(error.to_owned()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let builder = builder.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).map_err(failed)?;
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

const YEAR: u64 = 365 * 24 * 3600;
