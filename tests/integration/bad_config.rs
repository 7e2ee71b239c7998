//! What is wrong before the first byte: kubeconfigs and certificates. Each is named with its place,
//! and mended without a restart where a running informer can meet it.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tidings::{Raw, WakeReason};
use tidings_http::{
    ClientConfig, FileError,
    kubeconfig::{self, KubeconfigError, Overrides, ParseErrorKind},
    tls::{Roots, Source},
};

use crate::{scripted::*, support::*};

/// An error and its causes in one line, as a program prints them.
fn told(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line = format!("{line}: {cause}");
        next = cause.source();
    }
    line
}

fn kubeconfig(server: &Scripted, context: &str) -> String {
    format!(
        r#"
current-context: {context}
contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "http://{}"}}}}]
users: [{{name: u, user: {{token: hunter2}}}}]
"#,
        server.address
    )
}

/// The configuration is good: an informer over it follows the server.
async fn follows(mut server: Scripted, config: ClientConfig) {
    let handle = start(over::<Raw>(config));
    server
        .list()
        .await
        .answer(list(&[object("a", 7)], 10))
        .await;
    shows(&handle, &["default/a@7"]).await;
}

#[tokio::test]
async fn sec_3_an_unreadable_kubeconfig_is_named_with_its_file_and_its_line() {
    let server = Scripted::new().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    let overrides = Overrides {
        path: Some(path.clone()),
        ..Overrides::default()
    };
    let load = || kubeconfig::load(&overrides);
    let named = |error: &KubeconfigError| {
        let line = told(error);
        assert!(line.contains(path.to_str().unwrap()), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    };
    let error = load().unwrap_err();
    assert!(
        matches!(error, KubeconfigError::NotFound { .. }),
        "{error:?}"
    );
    named(&error);

    fs::create_dir(&path).unwrap();
    let error = load().unwrap_err();
    let is_file = |found: &FileError| matches!(found, FileError::NotRegular { .. });
    assert!(
        matches!(&error, KubeconfigError::File(found) if is_file(found)),
        "{error:?}"
    );
    named(&error);
    fs::remove_dir(&path).unwrap();

    // No kubeconfig has a megabyte: no more than that is read.
    fs::write(&path, "#".repeat(2 << 20)).unwrap();
    let error = load().unwrap_err();
    let is_large = |found: &FileError| matches!(found, FileError::TooLarge { .. });
    assert!(
        matches!(&error, KubeconfigError::File(found) if is_large(found)),
        "{error:?}"
    );
    named(&error);

    let good = kubeconfig(&server, "here");
    let shape = good.replace("hunter2", "[hunter2]");
    let deep = format!("extensions: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let ten = vec![format!("*a{}", level - 1); 10].join(", ");
        aliases += &format!("a{level}: &a{level} [{ten}]\n");
    }
    aliases += "clusters: *a9\n";
    for (text, kind) in [
        (b"users: [{name: \xff}]".to_vec(), ParseErrorKind::Encoding),
        (b"users:\n- {name: hunter2".to_vec(), ParseErrorKind::Syntax),
        (shape.into_bytes(), ParseErrorKind::Shape),
        // The parser itself stops here, before the budget sees it.
        (deep.into_bytes(), ParseErrorKind::Syntax),
        (aliases.into_bytes(), ParseErrorKind::Budget),
    ] {
        fs::write(&path, text).unwrap();
        let error = load().unwrap_err();
        let KubeconfigError::Parse { source, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(source.kind, kind);
        assert!(
            source.line > 0 || kind == ParseErrorKind::Encoding,
            "{source}"
        );
        named(&error);
    }
    assert_eq!(server.connections(), 0);
    fs::write(&path, good).unwrap();
    follows(server, load().unwrap()).await;
}

#[tokio::test]
async fn a_missing_context_is_named_with_those_that_there_are() {
    let server = Scripted::new().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    let load = |context: Option<&str>| {
        kubeconfig::load(&Overrides {
            path: Some(path.clone()),
            context: context.map(str::to_owned),
            ..Overrides::default()
        })
    };
    fs::write(&path, kubeconfig(&server, "gone")).unwrap();
    for (context, name) in [(None, "gone"), (Some("elsewhere"), "elsewhere")] {
        let error = load(context).unwrap_err();
        assert!(
            matches!(error, KubeconfigError::MissingContext { .. }),
            "{error:?}"
        );
        assert_eq!(
            told(&error),
            format!(r#"there is no context {name:?}; there is ["here"]"#)
        );
    }
    fs::write(&path, kubeconfig(&server, r#""""#)).unwrap();
    let error = load(None).unwrap_err();
    assert_eq!(told(&error), r#"no context is chosen; there is ["here"]"#);
    assert_eq!(server.connections(), 0);
    follows(server, load(Some("here")).unwrap()).await;
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server's certificate that ends with a year.
fn certificate(authority: &Authority, last_year: i32) -> rustls::ServerConfig {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(last_year, 12, 31);
    let key = KeyPair::generate().unwrap();
    let chain = vec![params.signed_by(&key, authority).unwrap().der().clone()];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

#[tokio::test]
async fn sec_8_an_expired_certificate_is_dated_and_its_renewal_heals_the_informer() {
    let authority = authority();
    let mut server = Scripted::with_tls(certificate(&authority, 2999)).await;
    let url = format!("https://{}", server.address);
    let mut config = ClientConfig::from_server(&url).unwrap();
    let bundle = authority.pem().into_bytes();
    config.tls.roots = Roots::Given(Source::Inline(bundle.into()));
    let handle = start(over::<Raw>(config));
    server
        .list()
        .await
        .answer(list(&[object("a", 7)], 10))
        .await;
    let watch = server.watch(10).await.ok().await;
    shows(&handle, &["default/a@7"]).await;
    // It expires while the informer runs; the next connection meets it.
    server.renew(certificate(&authority, 2002));
    watch.end().await;
    let (reason, message) = trouble(&handle, "expired on 2002-12-31").await;
    assert_eq!(reason, WakeReason::Transport);
    assert!(message.contains(&url), "{message}");
    let waits = |state: &tidings::State| {
        let trouble = state.condition.trouble.as_ref();
        trouble.is_some_and(|trouble| trouble.attempts >= 3)
    };
    let state = until(&handle, waits).await;
    assert!(state.condition.stale_since.is_some());
    assert_eq!(shown(&handle), ["default/a@7"], "what is known is served");
    assert_eq!(state.stats.lists, 1, "no list for a broken transport");
    // Its operator renews it: the watch goes on where it was.
    server.renew(certificate(&authority, 2999));
    let mut watch = server.watch(10).await.ok().await;
    watch.send(event("MODIFIED", &object("a", 11))).await;
    shows(&handle, &["default/a@11"]).await;
    let stats = well(&handle).await.stats;
    assert_eq!(stats.lists, 1);
    // Each watch was one connection, and the list another.
    assert_eq!(server.connections() as u64, 1 + stats.watches);
}
