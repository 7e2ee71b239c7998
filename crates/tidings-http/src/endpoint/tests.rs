//! Server URLs as people write them.

use super::*;

fn shown(url: &str) -> String {
    Endpoint::parse(url).unwrap().to_string()
}

#[test]
fn sec_8_hosts_ports_and_prefixes_are_kept_apart() {
    assert_eq!(shown("https://api.example"), "https://api.example:443");
    assert_eq!(shown("http://api.example/"), "http://api.example:80");
    assert_eq!(shown("api.example:6443"), "https://api.example:6443");
    assert_eq!(shown("https://[::1]:6443"), "https://[::1]:6443");
    assert_eq!(
        shown("https://rancher/k8s/clusters/c-1/"),
        "https://rancher:443/k8s/clusters/c-1"
    );
    let endpoint = Endpoint::https("[fd00::1]", 443);
    assert_eq!(endpoint.host(), "fd00::1");
    assert_eq!(endpoint.host_header().unwrap(), "[fd00::1]");
    let endpoint = Endpoint::parse("http://h:8080").unwrap();
    assert_eq!(endpoint.host_header().unwrap(), "h:8080");
}

#[test]
fn sec_27_what_is_refused_is_not_repeated() {
    for (url, expected) in [
        ("https://user:CANARY@h", EndpointError::UserInfo),
        ("https://h?token=CANARY", EndpointError::Query),
        ("ftp://CANARY", EndpointError::Scheme),
        ("https://", EndpointError::Malformed),
        ("https://:443", EndpointError::Malformed),
        ("https://https://user:CANARY@h", EndpointError::Malformed),
        ("", EndpointError::Malformed),
    ] {
        let error = Endpoint::parse(url).unwrap_err();
        assert_eq!(error, expected, "{url}");
        assert!(!format!("{error} {error:?}").contains("CANARY"));
    }
}
