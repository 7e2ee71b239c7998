//! One client's connection, with or without TLS.
//!
//! The certificate is made at the start and lives as long as the process; clients learn of it from
//! the kubeconfig that the server writes.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a client talks over.
pub enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// What the server shows of itself over TLS.
pub struct Identity {
    config: Arc<ServerConfig>,
    certificate_pem: String,
}

impl Identity {
    /// Makes a certificate for 127.0.0.1 that signs itself.
    ///
    /// # Errors
    /// A sentence, if the libraries cannot.
    pub fn new() -> Result<Self, String> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
        let made = made.map_err(|error| format!("no certificate: {error}"))?;
        let chain = vec![CertificateDer::from(made.cert.der().to_vec())];
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|error| format!("no key: {error}"))?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| format!("no TLS: {error}"))?;
        Ok(Self {
            config: Arc::new(config),
            certificate_pem: made.cert.pem(),
        })
    }

    /// Writes a kubeconfig with the server at `address`, and the certificate beside it.
    ///
    /// # Errors
    /// A failed write.
    pub fn write_kubeconfig(&self, path: &str, address: &str) -> io::Result<()> {
        let authority = format!("{path}.pem");
        std::fs::write(&authority, &self.certificate_pem)?;
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: replay\n\
             clusters:\n- name: replay\n  cluster:\n    server: https://{address}\n    \
             certificate-authority: {authority}\n\
             contexts:\n- name: replay\n  context:\n    cluster: replay\n    user: replay\n\
             users:\n- name: replay\n  user:\n    token: replay\n"
        );
        std::fs::write(path, text)
    }

    /// Speaks TLS over a stream that a client has opened.
    ///
    /// # Errors
    /// What rustls says.
    pub fn accept(&self, stream: TcpStream) -> io::Result<Connection> {
        let session = ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
        Ok(Connection::Tls(Box::new(StreamOwned::new(session, stream))))
    }
}

impl Connection {
    /// Tells whether the client has closed its side; waits at most a millisecond.
    pub fn is_closed(&mut self) -> bool {
        let stream = match self {
            Self::Plain(stream) => &*stream,
            Self::Tls(tls) => tls.get_ref(),
        };
        let timeout = Some(Duration::from_millis(1));
        if stream.set_read_timeout(timeout).is_err() {
            return true;
        }
        // A client says nothing after its watch, but for the end of its TLS session.
        let read = match self {
            Self::Plain(stream) => stream.peek(&mut [0]),
            Self::Tls(tls) => tls.read(&mut [0]),
        };
        match read {
            Ok(len) => len == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write_vectored(slices),
            Self::Tls(tls) => tls.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}
