//! Credentials from values and files.

use std::fs;

use super::*;

fn header(current: &Current) -> &str {
    current.authorization.as_ref().unwrap().to_str().unwrap()
}

fn authenticator(credentials: Credentials) -> Authenticator {
    Authenticator::new(credentials, ExecPolicy::Deny).unwrap()
}

#[tokio::test]
async fn sec_6_values_become_headers_that_hide_themselves() {
    let metrics = Metrics::default();
    let token = authenticator(Credentials::Token(" abc.def\n".to_owned().into()));
    let current = token.current(&metrics).await.unwrap();
    assert_eq!(header(&current), "Bearer abc.def");
    assert!(!format!("{current:?} {token:?}").contains("abc"));
    let basic = authenticator(Credentials::Basic {
        user: "Aladdin".to_owned(),
        password: "open sesame".to_owned().into(),
    });
    let current = basic.current(&metrics).await.unwrap();
    assert_eq!(header(&current), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let none = authenticator(Credentials::None)
        .current(&metrics)
        .await
        .unwrap();
    assert!(none.authorization.is_none());
}

#[test]
fn sec_6_a_line_break_never_becomes_a_header() {
    for token in [
        "",
        " \n",
        "a\r\nX-Evil: 1",
        "a\nb",
        "a\tb",
        "a\u{7f}",
        "a b",
        "\u{e9}",
    ] {
        let credentials = Credentials::Token(token.to_owned().into());
        let error = Authenticator::new(credentials, ExecPolicy::Deny).unwrap_err();
        assert!(
            matches!(error, CredentialError::Malformed { .. }),
            "{token:?}"
        );
    }
    let evil = Credentials::Basic {
        user: "a:b".to_owned(),
        password: Secret::default(),
    };
    assert!(Authenticator::new(evil, ExecPolicy::Deny).is_err());
}

#[tokio::test(start_paused = true)]
async fn sec_6_pr_f60_a_token_file_is_read_again_in_time_and_after_a_refusal() {
    let metrics = Metrics::default();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let authenticator = authenticator(Credentials::TokenFile {
        path: path.clone(),
        fallback: None,
    });
    let error = authenticator.current(&metrics).await.unwrap_err();
    assert!(matches!(error, CredentialError::TokenFile(_)));

    fs::write(&path, "one\n").unwrap();
    let first = authenticator.current(&metrics).await.unwrap();
    assert_eq!(header(&first), "Bearer one");
    fs::write(&path, "two\n").unwrap();
    let again = authenticator.current(&metrics).await.unwrap();
    assert_eq!(
        (header(&again), again.version),
        ("Bearer one", first.version)
    );

    tokio::time::advance(TOKEN_FILE_INTERVAL).await;
    let second = authenticator.current(&metrics).await.unwrap();
    assert_eq!(header(&second), "Bearer two");

    fs::write(&path, "three").unwrap();
    // Two streams that were refused with the same credential, and a late third one.
    authenticator.refuse(second.version);
    authenticator.refuse(second.version);
    let third = authenticator.current(&metrics).await.unwrap();
    authenticator.refuse(first.version);
    let same = authenticator.current(&metrics).await.unwrap();
    assert_eq!(header(&third), "Bearer three");
    assert_eq!(third.version, same.version);
    assert_eq!(metrics.snapshot().credential_refreshes, 3);
}

#[tokio::test(start_paused = true)]
async fn sec_6_the_old_token_stays_while_its_file_is_of_no_use() {
    let metrics = Metrics::default();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    fs::write(&path, "good").unwrap();
    let authenticator = authenticator(Credentials::TokenFile {
        path: path.clone(),
        fallback: Some("fallback".to_owned().into()),
    });
    authenticator.current(&metrics).await.unwrap();
    for bad in [b"".as_slice(), b"a\nb", b"\xff\xfe"] {
        fs::write(&path, bad).unwrap();
        tokio::time::advance(TOKEN_FILE_INTERVAL).await;
        let current = authenticator.current(&metrics).await.unwrap();
        assert_eq!(header(&current), "Bearer good");
    }
    fs::remove_file(&path).unwrap();
    tokio::time::advance(TOKEN_FILE_INTERVAL).await;
    assert_eq!(
        header(&authenticator.current(&metrics).await.unwrap()),
        "Bearer good"
    );
}

#[test]
fn impersonation_becomes_headers() {
    let impersonation = Impersonation {
        user: "jane".to_owned(),
        uid: Some("7".to_owned()),
        groups: vec!["a".to_owned(), "b".to_owned()],
        extra: vec![("acme.com/Scope".to_owned(), vec!["x".to_owned()])],
    };
    let headers = impersonation.headers().unwrap();
    assert_eq!(headers["impersonate-user"], "jane");
    assert_eq!(headers.get_all("impersonate-group").iter().count(), 2);
    assert_eq!(headers["impersonate-extra-acme.com%2fscope"], "x");
    let evil = Impersonation {
        user: "jane\r\nX: 1".to_owned(),
        ..Impersonation::default()
    };
    assert!(evil.headers().is_err());
}
