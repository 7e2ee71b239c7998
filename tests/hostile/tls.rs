//! Peers that do not get as far as HTTP.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tidings::WakeReason::Transport;
use tidings_http::tls::{Roots, Source};
use tokio::io::AsyncReadExt as _;
use tokio_rustls::TlsAcceptor;

use crate::{
    front::{Exchange, Place, Speech},
    runner::{KIB, Row},
    words,
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server with a certificate for a name, until the end of a year.
fn acceptor(authority: &Authority, name: &str, last_year: i32) -> TlsAcceptor {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(last_year, 12, 31);
    let key = KeyPair::generate().unwrap();
    let chain = vec![params.signed_by(&key, authority).unwrap().der().clone()];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A good server that the informer trusts, in whose place a script comes.
fn row<P>(authority: &Authority, script: impl Fn(Exchange) -> P + Send + Sync + 'static) -> Row
where
    P: Future<Output = ()> + Send + 'static,
{
    let bundle = authority.pem().into_bytes();
    Row::new(Place::Connection, script)
        .speech(Speech::Tls(acceptor(authority, "127.0.0.1", 2999)))
        .with(move |setup| setup.client.tls.roots = Roots::Given(Source::Inline(bundle.into())))
}

/// A server that has another certificate, and would tell the token to whoever looks.
fn certified(authority: &Authority, acceptor: TlsAcceptor) -> Row {
    row(authority, move |to: Exchange| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut io) = acceptor.accept(to.io).await {
                let head = words::read_head(&mut io).await;
                assert_eq!(head, None, "a request went to a stranger");
            }
        }
    })
}

#[test]
fn sec_8_a_certificate_for_another_name() {
    let authority = authority();
    let acceptor = acceptor(&authority, "elsewhere.example", 2999);
    certified(&authority, acceptor)
        .troubles(Transport, "certificate is not valid for \"127.0.0.1\"")
        .run();
}

#[test]
fn sec_8_a_certificate_that_has_expired() {
    let authority = authority();
    let acceptor = acceptor(&authority, "127.0.0.1", 2002);
    certified(&authority, acceptor)
        .troubles(Transport, "expired on 2002-12-31")
        .run();
}

#[test]
fn sec_7_a_certificate_of_an_unknown_authority() {
    let (ours, theirs) = (authority(), authority());
    let acceptor = acceptor(&theirs, "127.0.0.1", 2999);
    certified(&ours, acceptor)
        .troubles(Transport, "signed by an unknown authority")
        .run();
}

/// Bytes in place of a handshake; the connection stays open.
fn answers(bytes: &'static [u8]) -> Row {
    row(&authority(), move |mut to: Exchange| async move {
        let mut hello = [0; 64];
        let _ = to.io.read(&mut hello).await;
        to.send(bytes).await;
        to.hold().await;
    })
}

#[test]
fn sec_8_plain_http_where_tls_should_be() {
    answers(b"HTTP/1.1 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
        .troubles(Transport, "no tls session with https://127.0.0.1")
        .run();
}

#[test]
fn sec_8_a_server_that_has_tls_1_1_only() {
    // The alert that a server of that time sends: protocol_version.
    answers(b"\x15\x03\x02\x00\x02\x02\x46")
        .troubles(Transport, "no tls session with https://127.0.0.1")
        .run();
    // And the hello of one that does not mind what the client offered.
    answers(
        b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02\
          01234567890123456789012345678901\x00\x00\x2f\x00",
    )
    .troubles(Transport, "no tls session with https://127.0.0.1")
    .run();
}

#[test]
fn a_handshake_that_is_not_answered() {
    answers(b"")
        .troubles(Transport, "no tls session with https://127.0.0.1")
        .with(|setup| setup.hurry())
        .run();
}

#[test]
fn a_handshake_that_is_closed() {
    row(&authority(), |to: Exchange| async move { drop(to.io) })
        .troubles(Transport, "no tls session with https://127.0.0.1")
        .run();
}

#[test]
fn a_handshake_without_end() {
    // A hello in records of one byte each: it announces sixteen megabytes.
    row(&authority(), |mut to: Exchange| async move {
        to.send(b"\x16\x03\x03\x00\x04\x02\xff\xff\xff").await;
        let records = b"\x16\x03\x03\x00\x01x".repeat(4 * KIB);
        to.send_for_ever(&records).await;
    })
    .troubles(Transport, "no tls session with https://127.0.0.1")
    .run();
}
