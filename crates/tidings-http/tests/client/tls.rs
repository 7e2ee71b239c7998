//! TLS: whom the client trusts, how it shows itself, and what it says when it does not fit.

use std::{error::Error as _, fs, time::Duration};

use tidings_http::{
    Client, ClientConfig, ConfigError, Purpose, TransportError,
    tls::{ClientCertificate, Roots, Source, TlsConfigError, TlsError},
};
use tokio::net::TcpListener;

use crate::server::{Authority, End, Issued, Server, ok, pods, read, reply, server_config};

fn inline(pem: &str) -> Source {
    Source::Inline(pem.as_bytes().to_vec().into())
}

fn config(server: &Server, authority: &Authority) -> ClientConfig {
    let url = format!("https://{}", server.address);
    let mut config = ClientConfig::from_server(&url).unwrap();
    config.tls.roots = Roots::Given(inline(&authority.pem()));
    config
}

/// What TLS says when a list is opened.
async fn tls_error(config: ClientConfig) -> TlsError {
    let client = Client::new(config).unwrap();
    match client.open(&pods(), Purpose::List).await.unwrap_err() {
        TransportError::Tls { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

async fn sends(config: ClientConfig) -> bool {
    Client::new(config).unwrap().send(&pods()).await.is_ok()
}

#[tokio::test]
async fn sec_7_sec_8_the_given_authority_is_trusted_and_no_other() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::start_tls([ok("")], authority.server("127.0.0.1")).await;
    let error = tls_error(config(&server, &other)).await;
    assert!(matches!(error, TlsError::UnknownIssuer(_)), "{error:?}");
    let client = Client::new(config(&server, &authority)).unwrap();
    client.send(&pods()).await.unwrap();
    assert_eq!(client.metrics().tls_handshakes, 1);
}

#[tokio::test]
async fn sec_8_the_name_has_to_fit_and_can_be_given() {
    let authority = Authority::new();
    let server = Server::start_tls([ok("")], authority.server("kubernetes")).await;
    let error = tls_error(config(&server, &authority)).await;
    assert!(matches!(&error, TlsError::WrongName { name, .. } if name == "127.0.0.1"));
    let mut config = config(&server, &authority);
    config.tls.server_name = Some("kubernetes".to_owned());
    assert!(sends(config.clone()).await);
    config.tls.server_name = Some("not a name".to_owned());
    let error = tls_error(config).await;
    assert!(matches!(error, TlsError::ServerName { .. }), "{error:?}");
}

#[tokio::test]
async fn an_expired_certificate_says_so() {
    let authority = Authority::new();
    for (from, to, expected) in [
        (
            2001,
            2002,
            "the server's certificate has expired on 2002-01-01T00:00:00Z",
        ),
        (
            2998,
            2999,
            "the server's certificate is not valid yet but from 2998-01-01T00:00:00Z",
        ),
    ] {
        let issued = authority.issue_with("127.0.0.1", |params| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
        });
        let server = Server::start_tls([], server_config(&issued, None)).await;
        let error = tls_error(config(&server, &authority)).await;
        assert_eq!(error.to_string(), expected);
        assert!(error.source().is_some());
    }
}

#[tokio::test]
async fn sec_4_without_verification_anyone_is_trusted() {
    let authority = Authority::new();
    let server = Server::start_tls([ok("")], authority.server("elsewhere")).await;
    let mut config = config(&server, &authority);
    config.tls.roots = Roots::Anyone;
    assert!(sends(config).await);
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_its_absence_is_named() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let own = authority.issue("127.0.0.1");
    let server = Server::start_tls([ok("")], server_config(&own, Some(&clients))).await;
    let mut config = config(&server, &authority);
    let error = tls_error(config.clone()).await;
    assert!(matches!(error, TlsError::ClientCertificate(_)), "{error:?}");
    let show = |issued: &Issued| {
        Some(ClientCertificate {
            certificate: inline(&issued.certificate),
            key: inline(&issued.key),
        })
    };
    config.tls.client_certificate = show(&authority.issue("stranger"));
    let error = tls_error(config.clone()).await;
    assert!(matches!(error, TlsError::ClientCertificate(_)), "{error:?}");
    config.tls.client_certificate = show(&clients.issue("me"));
    assert!(sends(config).await);
}

#[tokio::test]
async fn sec_7_pr_f61_an_authority_that_changes_on_disk_is_read_again() {
    let (old, new) = (Authority::new(), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.crt");
    fs::write(&path, old.pem()).unwrap();
    let server = Server::start_tls([ok(""), ok("")], new.server("127.0.0.1")).await;
    let mut config = config(&server, &old);
    config.tls.roots = Roots::Given(Source::File(path.clone()));
    let client = Client::new(config).unwrap();
    let later = async || {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(4)).await;
        tokio::time::resume();
    };
    assert!(client.send(&pods()).await.is_err());

    // What does not parse, or is empty, leaves the old in use.
    fs::write(&path, "").unwrap();
    later().await;
    let error = client.send(&pods()).await.unwrap_err();
    assert!(
        matches!(
            &error,
            TransportError::Tls {
                source: TlsError::UnknownIssuer(_),
                ..
            }
        ),
        "{error:?}"
    );
    fs::write(&path, old.pem() + &new.pem()).unwrap();
    later().await;
    client.send(&pods()).await.unwrap();
}

#[tokio::test]
async fn sec_7_bundles_and_keys_of_no_use_are_errors_from_the_start() {
    let authority = Authority::new();
    let server = Server::start_tls([], authority.server("127.0.0.1")).await;
    let new = |change: &dyn Fn(&mut ClientConfig)| {
        let mut config = config(&server, &authority);
        change(&mut config);
        match Client::new(config).unwrap_err() {
            ConfigError::Tls(error) => error,
            other => panic!("{other:?}"),
        }
    };
    let empty = new(&|config| config.tls.roots = Roots::Given(inline("")));
    assert!(matches!(empty, TlsConfigError::Pem { .. }), "{empty:?}");
    let absent = Source::File("/nowhere/ca.crt".into());
    let absent = new(&|config| config.tls.roots = Roots::Given(absent.clone()));
    assert!(matches!(absent, TlsConfigError::File { .. }), "{absent:?}");
    let (one, two) = (authority.issue("a"), authority.issue("b"));
    let swapped = new(&|config| {
        config.tls.client_certificate = Some(ClientCertificate {
            certificate: inline(&one.certificate),
            key: inline(&two.key),
        });
    });
    assert!(
        matches!(swapped, TlsConfigError::Rejected { .. }),
        "{swapped:?}"
    );
}

#[tokio::test]
async fn pr_f23_a_connection_closed_without_a_farewell_is_no_end() {
    let authority = Authority::new();
    // Without a length and without chunks the end of the connection is the end of the body: TLS
    // tells an end from a cut.
    let text = "HTTP/1.1 200 OK\r\n\r\nhello";
    let server = Server::start_tls([reply(text, End::Close)], authority.server("127.0.0.1")).await;
    let client = Client::new(config(&server, &authority)).unwrap();
    let mut response = client.open(&pods(), Purpose::Watch).await.unwrap();
    let error = read(&mut response).await.unwrap_err();
    assert!(
        matches!(error, TransportError::Truncated { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_handshake_that_stands_still_or_meets_no_tls_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let mut config = ClientConfig::from_server(&url).unwrap();
    config.tls.roots = Roots::Anyone;
    config.timeouts.tls_handshake = Duration::from_millis(50);
    let error = tls_error(config.clone()).await;
    assert!(matches!(error, TlsError::Timeout { .. }), "{error:?}");

    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad\r\n").await;
        }
    });
    config.timeouts.tls_handshake = Duration::from_secs(10);
    let error = tls_error(config).await;
    assert!(
        matches!(error, TlsError::Handshake(_) | TlsError::Io(_)),
        "{error:?}"
    );
    server.abort();
}
