//! What goes wrong with TLS: in the configuration, and in the handshake.
//!
//! The cases that an operator meets (an expired certificate, an unknown issuer, a wrong name, a
//! refused client certificate) each have a sentence of their own.

use std::{error::Error, io, sync::Arc, time::Duration};

use rustls::{AlertDescription, CertificateError};

use crate::file::FileError;

/// Why certificates or keys cannot be used. No variant repeats their content.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// The bundle of authorities holds none. Whoever wrote it puts the cluster's CA into it.
    #[error("the certificate authority bundle is empty")]
    EmptyRoots,
    /// A file cannot be read. Whoever runs the process makes it readable.
    #[error("the {what} cannot be read")]
    File {
        /// Which of the files.
        what: &'static str,
        /// Why.
        source: FileError,
    },
    /// The platform has no certificate authorities: a bare container. Name the cluster's CA.
    #[error("no certificate authority is given and the platform has none")]
    NoPlatformRoots,
    /// The text holds no PEM block of the kind that is needed. Whoever wrote it corrects it.
    #[error("the {what} holds no valid pem block")]
    Pem {
        /// Which text.
        what: &'static str,
    },
    /// A certificate or key is well-formed and yet of no use, such as a key that does not match.
    #[error("the {what} cannot be used")]
    Rejected {
        /// Which of them.
        what: &'static str,
        /// Why.
        source: rustls::Error,
    },
}

impl TlsConfigError {
    pub(super) fn rejected(what: &'static str) -> impl Fn(rustls::Error) -> Self {
        move |source| Self::Rejected { what, source }
    }
}

/// Why a TLS session did not come about, or was ended by the server.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The server wants a client certificate, or refuses ours. The operator of the client renews
    /// or names it.
    #[error("the server did not accept the client certificate, or wants one")]
    ClientCertificate(#[source] rustls::Error),
    /// The certificates in use do not load.
    #[error("the tls configuration cannot be used")]
    Config(#[from] TlsConfigError),
    /// The server's certificate is past its end (or this machine's clock is ahead). The operator
    /// of the server renews it; trying again does not help.
    #[error("the server's certificate has expired{}", at(.0))]
    Expired(#[source] rustls::Error),
    /// The handshake failed in another way.
    #[error("the tls handshake failed")]
    Handshake(#[source] rustls::Error),
    /// The connection broke during the handshake, or a server without TLS answered. Trying again
    /// may help.
    #[error("the connection broke during the tls handshake")]
    Io(#[source] Arc<io::Error>),
    /// HTTP/2 was asked for and the server does not offer it. Use HTTP/1.1.
    #[error("the server does not offer http/2")]
    NoHttp2,
    /// The server's certificate is not valid yet (or this machine's clock is behind).
    #[error("the server's certificate is not valid yet{}", at(.0))]
    NotYetValid(#[source] rustls::Error),
    /// The name to verify is neither a DNS name nor an address. Whoever wrote it corrects it.
    #[error("{name:?} is no valid tls server name")]
    ServerName {
        /// The name.
        name: String,
    },
    /// The handshake took too long. Trying again may help.
    #[error("the tls handshake took longer than {after:?}")]
    Timeout {
        /// The limit.
        after: Duration,
    },
    /// The server's certificate comes from an authority that is not trusted here. The operator of
    /// the client names the cluster's CA.
    #[error("the server's certificate is signed by an unknown authority")]
    UnknownIssuer(#[source] rustls::Error),
    /// The server's certificate is for another name. The operator sets `tls-server-name`, or the
    /// URL is wrong.
    #[error("the server's certificate is not valid for {name:?}")]
    WrongName {
        /// The name that was expected.
        name: String,
        /// More.
        source: rustls::Error,
    },
}

impl TlsError {
    /// Reads what a handshake returned.
    pub(crate) fn from_handshake(error: io::Error, name: &str) -> Self {
        match find(&error) {
            Some(inner) => Self::from_rustls(inner.clone(), name),
            None => Self::Io(Arc::new(error)),
        }
    }

    /// Finds what TLS has to say in the sources of another error: a server that speaks TLS 1.3
    /// refuses a client certificate only after the handshake.
    pub(crate) fn from_sources(error: &(dyn Error + 'static), name: &str) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(inner) = error.downcast_ref::<rustls::Error>() {
                return Some(Self::from_rustls(inner.clone(), name));
            }
            if let Some(inner) = error.downcast_ref::<io::Error>().and_then(find) {
                return Some(Self::from_rustls(inner.clone(), name));
            }
            next = error.source();
        }
        None
    }

    fn from_rustls(error: rustls::Error, name: &str) -> Self {
        use CertificateError as Bad;
        match &error {
            rustls::Error::InvalidCertificate(bad) => match bad {
                Bad::Expired | Bad::ExpiredContext { .. } => Self::Expired(error),
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => Self::NotYetValid(error),
                Bad::UnknownIssuer | Bad::BadSignature => Self::UnknownIssuer(error),
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Self::WrongName {
                    name: name.to_owned(),
                    source: error,
                },
                _ => Self::Handshake(error),
            },
            rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRevoked
                | AlertDescription::UnsupportedCertificate
                // An authority of the same name and another key looks like this.
                | AlertDescription::DecryptError
                | AlertDescription::AccessDenied,
            ) => Self::ClientCertificate(error),
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Self::NoHttp2,
            _ => Self::Handshake(error),
        }
    }
}

/// When a certificate ended, or begins, for its sentence; empty where TLS does not say.
fn at(error: &rustls::Error) -> String {
    use CertificateError as Bad;
    let (word, time) = match error {
        rustls::Error::InvalidCertificate(Bad::ExpiredContext { not_after, .. }) => {
            ("on", not_after)
        }
        rustls::Error::InvalidCertificate(Bad::NotValidYetContext { not_before, .. }) => {
            ("but from", not_before)
        }
        _ => return String::new(),
    };
    let seconds = i64::try_from(time.as_secs()).ok();
    let timestamp = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    timestamp.map_or_else(String::new, |timestamp| format!(" {word} {timestamp}"))
}

fn find(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
