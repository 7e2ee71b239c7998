//! SEC-27, INV-S15: every configuration with marked secrets, every error, nothing shown.

use std::{error::Error, fmt::Debug, fs, path::Path};

use tidings_http::{
    Client, ClientConfig, Credentials, Endpoint, Proxy,
    kubeconfig::{self, Overrides},
    tls::{ClientCertificate, Roots, Source},
};

use crate::server::{Authority, End, Server, pods, reply};

const CANARY: &str = "c4n4ry";

/// Fails if a value, or one of its sources, shows a secret.
#[track_caller]
fn check(value: &(impl Debug + ?Sized)) {
    let shown = format!("{value:?} {value:#?}");
    assert!(!shown.to_lowercase().contains(CANARY), "{shown}");
}

#[track_caller]
fn check_error(error: &dyn Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        check(error);
        let shown = error.to_string();
        assert!(!shown.to_lowercase().contains(CANARY), "{shown}");
        next = error.source();
    }
}

/// Checks a configuration, and what comes of using it.
async fn exercise(config: ClientConfig) {
    check(&config);
    match Client::new(config) {
        Err(error) => check_error(&error),
        Ok(client) => {
            check(&client);
            check(&client.identity());
            match client.send(&pods()).await {
                Ok(answer) => check(&answer.status),
                Err(error) => check_error(&error),
            }
        }
    }
}

fn base64(text: &str) -> String {
    use std::fmt::Write as _;
    // Base64 of marked text, made by hand: groups of three bytes are four digits.
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in text.as_bytes().chunks(3) {
        let mut bytes = [0; 3];
        bytes[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        for place in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap();
            if place <= u32::try_from(group.len()).unwrap() {
                let _ = write!(out, "{}", char::from(DIGITS[digit]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

fn users(directory: &Path) -> Vec<String> {
    let pem = base64(&format!("-----BEGIN {CANARY}-----\n{CANARY}"));
    let file = directory.join("token");
    fs::write(&file, format!("{CANARY}\n{CANARY}")).unwrap();
    let exec = |script: &str| {
        format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, \
             args: ['-c', '{script}', {CANARY}], env: [{{name: A, value: {CANARY}}}], \
             provideClusterInfo: true}}"
        )
    };
    vec![
        format!("token: {CANARY}"),
        format!("token: '{CANARY}\r{CANARY}'"),
        format!("token: \"{CANARY}\\n{CANARY}\""),
        format!("token: {CANARY}, username: {CANARY}-name-is-no-secret")
            .replace("c4n4ry-name", "n"),
        format!("username: a, password: {CANARY}"),
        format!("username: a, password: \"{CANARY}\\n\""),
        format!("tokenFile: '{}'", file.display()),
        format!("tokenFile: '{}', token: {CANARY}", file.display()),
        format!("tokenFile: /nowhere, token: {CANARY}"),
        format!("client-certificate-data: {pem}, client-key-data: {pem}"),
        format!("client-certificate-data: '{CANARY}*', client-key-data: '{CANARY}*'"),
        format!("client-key-data: {pem}"),
        exec("echo $A"),
        exec("printf \"{$A\""),
        exec("exit 7"),
        format!("token: {{{CANARY}: {CANARY}}}"),
        format!("token: [{CANARY}"),
        format!("as-groups: {CANARY}, token: {CANARY}"),
    ]
}

/// No secret reaches an error or its text (INV-S15).
#[tokio::test]
async fn sec_27_no_secret_is_shown_whatever_goes_wrong() {
    let directory = tempfile::tempdir().unwrap();
    // A server that repeats what it was told, and then breaks.
    let answer = format!("HTTP/1.1 200 {CANARY}\r\nX-{CANARY}: {CANARY}\r\n{CANARY}");
    let script = (0..200).map(|_| reply(&answer, End::Close));
    let server = Server::start(script).await;
    let clusters = [
        format!("server: 'http://{}'", server.address),
        format!("server: 'http://me:{CANARY}@{}'", server.address),
        format!("server: 'http://{}?token={CANARY}'", server.address),
        format!(
            "server: 'http://{0}', proxy-url: 'http://me:{CANARY}@{0}'",
            server.address
        ),
        format!(
            "server: 'http://{}', proxy-url: 'socks5://me:{CANARY}@h'",
            server.address
        ),
        format!(
            "server: 'https://{}', certificate-authority-data: '{}'",
            server.address,
            base64(CANARY)
        ),
    ];
    let path = directory.path().join("config");
    for cluster in &clusters {
        for user in users(directory.path()) {
            let text = format!(
                "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
                 clusters:\n- name: k\n  cluster: {{{cluster}, extensions: \
                 [{{name: client.authentication.k8s.io/exec, extension: {CANARY}}}]}}\n\
                 users:\n- name: u\n  user: {{{user}}}\n"
            );
            fs::write(&path, &text).unwrap();
            if let Ok(config) = kubeconfig::parse(text.as_bytes()) {
                check(&config);
            }
            let overrides = Overrides {
                path: Some(path.clone()),
                ..Overrides::default()
            };
            if let Ok(files) = kubeconfig::read(&overrides) {
                check(&files);
            }
            match kubeconfig::load(&overrides) {
                Ok(config) => exercise(config).await,
                Err(error) => check_error(&error),
            }
        }
    }
}

#[tokio::test]
async fn sec_27_keys_and_urls_are_not_shown_either() {
    for url in [
        "https://me:c4n4ry@h",
        "c4n4ry://h",
        "http://h/?c4n4ry",
        "http://[c4n4ry",
    ] {
        check_error(&Endpoint::parse(url).unwrap_err());
        if let Err(error) = Proxy::parse(url) {
            check_error(&error);
        }
    }
    check(&Proxy::parse("http://me:c4n4ry@h").unwrap());
    let authority = Authority::new();
    let own = authority.issue("me");
    let secret = own.key.lines().nth(1).unwrap().to_owned();
    let mut config = ClientConfig::from_server("https://127.0.0.1:1").unwrap();
    let inline = |pem: &str| Source::Inline(pem.as_bytes().to_vec().into());
    config.tls.roots = Roots::Given(inline(&authority.pem()));
    config.tls.client_certificate = Some(ClientCertificate {
        certificate: inline(&own.certificate),
        key: inline(&own.key),
    });
    config.credentials = Credentials::Token(CANARY.to_owned().into());
    let client = Client::new(config.clone()).unwrap();
    let error = client.send(&pods()).await.unwrap_err();
    let shown = format!("{config:?} {client:?} {error:?} {error}");
    assert!(
        !shown.contains(&secret) && !shown.contains(CANARY),
        "{shown}"
    );
    // A vector of bytes could hide the key as numbers.
    let numbers = format!("{:?}", &own.key.as_bytes()[30..40]);
    let numbers = numbers.trim_matches(['[', ']']);
    assert!(!shown.contains(numbers), "{shown}");
}
