//! Service accounts as pods have them.

use std::fs;

use super::*;

fn account(directory: &Path, host: &str, port: &str) -> ServiceAccount {
    ServiceAccount {
        host: Some(host.into()),
        port: Some(port.into()),
        directory: directory.to_owned(),
    }
}

#[test]
fn sec_7_sec_8_a_pod_trusts_its_own_authority_and_reads_its_token_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (name, text) in [("token", "t"), ("ca.crt", "pem"), ("namespace", "team-a\n")] {
        fs::write(path.join(name), text).unwrap();
    }
    let config = load(&account(path, "fd00::1", "443")).unwrap();
    assert_eq!(config.endpoint.to_string(), "https://[fd00::1]:443");
    assert_eq!(config.namespace.as_deref(), Some("team-a"));
    assert_eq!(
        config.tls.roots,
        Roots::Given(Source::File(path.join("ca.crt")))
    );
    assert!(matches!(
        config.credentials,
        Credentials::TokenFile { fallback: None, .. }
    ));
    assert!(config.proxy.is_none());

    let error = load(&account(path, "10.0.0.1", "https")).unwrap_err();
    assert!(matches!(error, InClusterError::Port));
    fs::remove_file(path.join("token")).unwrap();
    let error = load(&account(path, "10.0.0.1", "443")).unwrap_err();
    assert!(matches!(error, InClusterError::File(_)));
}

#[test]
fn outside_a_pod_there_is_no_configuration() {
    let account = ServiceAccount {
        host: None,
        port: None,
        directory: PathBuf::new(),
    };
    assert!(matches!(
        load(&account).unwrap_err(),
        InClusterError::NotInCluster
    ));
}
