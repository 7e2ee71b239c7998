//! Kubeconfigs as people write them, and as nobody should.

use std::{fs, path::Path};

use proptest::prelude::*;

use super::*;
use crate::{
    credentials::{Credentials, ExecVersion},
    tls::{Roots, Source},
};

const WHOLE: &str = r#"
apiVersion: v1
kind: Config
preferences: {colors: true}
current-context: dev
clusters:
- name: one
  cluster:
    server: https://one.example:6443/prefix
    certificate-authority: pki/ca.crt
    tls-server-name: kubernetes
    extensions:
    - name: client.authentication.k8s.io/exec
      extension: {audience: tidings}
- name: plain
  cluster: {server: "http://plain.example:8080"}
contexts:
- name: dev
  context: {cluster: one, user: tokens, namespace: team-a}
- name: cert
  context: {cluster: one, user: cert}
- name: nobody
  context: {cluster: plain}
- name: plugin
  context: {cluster: one, user: plugin}
- name: lost
  context: {cluster: gone, user: tokens}
- name: stranger
  context: {cluster: one, user: gone}
users:
- name: tokens
  user: {token: CANARY, tokenFile: run/token, as: jane, as-groups: [a, b], as-uid: "7"}
- name: cert
  user:
    client-certificate-data: Q0VSVA==
    client-certificate: ignored.pem
    client-key: /abs/key.pem
- name: plugin
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: bin/get-token
      args: [--for, CANARY]
      env: [{name: SECRET, value: CANARY}]
      provideClusterInfo: true
      interactiveMode: IfAvailable
"#;

fn whole() -> Kubeconfig {
    merged(&[("/etc/kube/config", WHOLE)]).unwrap()
}

fn merged(files: &[(&str, &str)]) -> Result<Kubeconfig, KubeconfigError> {
    let mut merged = Kubeconfig::default();
    for (path, text) in files {
        merged.merge(parse(text.as_bytes()).unwrap(), Path::new(path))?;
    }
    Ok(merged)
}

fn resolve(context: &str) -> Result<ClientConfig, KubeconfigError> {
    whole().resolve(&Overrides {
        context: Some(context.to_owned()),
        ..Overrides::default()
    })
}

/// Resolves a kubeconfig of one cluster and one user, given as YAML flow mappings.
fn single(cluster: &str, user: &str) -> Result<ClientConfig, KubeconfigError> {
    let text = format!(
        "current-context: c\nclusters: [{{name: k, cluster: {cluster}}}]\n\
         contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         users: [{{name: u, user: {user}}}]\n"
    );
    merged(&[("/d/config", &text)])?.resolve(&Overrides::default())
}

#[test]
fn sec_3_sec_6_a_context_is_resolved_against_its_file() {
    let config = whole().resolve(&Overrides::default()).unwrap();
    assert_eq!(
        config.endpoint.to_string(),
        "https://one.example:6443/prefix"
    );
    assert_eq!(config.namespace.as_deref(), Some("team-a"));
    assert_eq!(config.tls.server_name.as_deref(), Some("kubernetes"));
    assert_eq!(
        config.tls.roots,
        Roots::Given(Source::File("/etc/kube/pki/ca.crt".into()))
    );
    let Credentials::TokenFile { path, fallback } = &config.credentials else {
        panic!("the token file goes before the token");
    };
    assert_eq!(path, Path::new("/etc/kube/run/token"));
    assert_eq!(fallback.as_ref().unwrap().expose(), "CANARY");
    let impersonation = config.impersonation.unwrap();
    assert_eq!(
        (impersonation.user.as_str(), impersonation.groups.len()),
        ("jane", 2)
    );
    assert_eq!(impersonation.uid.as_deref(), Some("7"));
}

#[test]
fn sec_4_inline_data_goes_before_a_file() {
    let config = resolve("cert").unwrap();
    let own = config.tls.client_certificate.unwrap();
    assert_eq!(own.certificate, Source::Inline(b"CERT".to_vec().into()));
    assert_eq!(own.key, Source::File("/abs/key.pem".into()));
}

#[test]
fn sec_2_a_plugin_is_told_the_cluster_and_found_beside_its_file() {
    let config = resolve("plugin").unwrap();
    let Credentials::Exec(settings) = config.credentials else {
        panic!("a plugin");
    };
    assert_eq!(settings.version, ExecVersion::V1);
    assert_eq!(settings.command, "/etc/kube/bin/get-token");
    let cluster = settings.cluster.unwrap();
    assert_eq!(cluster.server, "https://one.example:6443/prefix");
    assert_eq!(cluster.config["audience"], "tidings");
}

#[test]
fn sec_5_a_context_without_a_user_is_nobody() {
    let config = resolve("nobody").unwrap();
    assert_eq!(config.credentials, Credentials::None);
    assert!(!config.endpoint.is_tls());
}

#[test]
fn what_is_missing_is_named_with_what_there_is() {
    let shown = |context| resolve(context).unwrap_err().to_string();
    assert_eq!(
        shown("prod"),
        "there is no context \"prod\"; there is \
         [\"cert\", \"dev\", \"lost\", \"nobody\", \"plugin\", \"stranger\"]"
    );
    assert_eq!(
        shown("lost"),
        "there is no cluster \"gone\"; there is [\"one\", \"plain\"]"
    );
    assert!(shown("stranger").starts_with("there is no user \"gone\""));
    let none = merged(&[("f", "current-context: ''\n")]).unwrap();
    let error = none.resolve(&Overrides::default()).unwrap_err();
    assert_eq!(error.to_string(), "no context is chosen; there is []");
}

#[test]
fn sec_4_sec_5_contradictions_are_errors_of_their_own() {
    use KubeconfigError as E;
    let server = "server: https://h";
    let insecure = "insecure-skip-tls-verify: true";
    let error = |cluster: String, user: &str| single(&format!("{{{cluster}}}"), user).unwrap_err();
    let both = format!("{server}, {insecure}, certificate-authority: ca.crt");
    assert!(matches!(error(both, "{}"), E::InsecureWithAuthority { .. }));
    let proxy = format!("{server}, proxy-url: 'socks5://me:CANARY@p'");
    assert!(matches!(error(proxy, "{}"), E::Proxy { .. }));
    let url = "server: 'https://me:CANARY@h'".to_owned();
    assert!(matches!(error(url, "{}"), E::Server { .. }));
    let with = |user: &str| error(server.to_owned(), user);
    assert!(matches!(
        with("{token: a, username: b}"),
        E::Ambiguous { .. }
    ));
    assert!(matches!(with("{client-key: k}"), E::HalfCertificate { .. }));
    assert!(matches!(
        with("{client-key-data: '*', client-certificate: c}"),
        E::Base64 { .. }
    ));
    assert!(matches!(
        with("{auth-provider: {name: gcp}}"),
        E::AuthProvider { .. }
    ));
    assert!(matches!(
        with("{as-uid: '1'}"),
        E::ImpersonationWithoutUser { .. }
    ));
    let exec = |version: &str| {
        with(&format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/{version}}}}}"
        ))
    };
    assert!(matches!(exec("v1alpha1"), E::ExecVersion { .. }));
    assert!(matches!(exec("v1"), E::ExecCommand { .. }));
    assert_eq!(
        single(&format!("{{{server}, {insecure}}}"), "{}")
            .unwrap()
            .tls
            .roots,
        Roots::Anyone
    );
}

#[test]
fn sec_11_the_first_file_wins_and_its_own_twins_are_an_error() {
    let second = "current-context: other\n\
        clusters: [{name: one, cluster: {server: 'https://second'}}, {name: two, cluster: {server: 'https://two'}}]\n\
        contexts: [{name: other, context: {cluster: two}}]\n";
    let both = merged(&[("/a/config", WHOLE), ("/b/config", second)]).unwrap();
    assert_eq!(both.current_context(), "dev");
    let config = both.resolve(&Overrides::default()).unwrap();
    assert_eq!(config.endpoint.host(), "one.example");
    let other = Overrides {
        context: Some("other".to_owned()),
        ..Overrides::default()
    };
    assert_eq!(both.resolve(&other).unwrap().endpoint.host(), "two");
    let twins = "users: [{name: a}, {name: a}]\n";
    let error = merged(&[("/a/config", twins)]).unwrap_err();
    assert_eq!(error.to_string(), "/a/config has the user \"a\" twice");
}

#[test]
fn unknown_and_null_and_bare_values_are_taken_as_kubectl_takes_them() {
    let text = "clusters: null\nusers:\n- name: a\n  user: {token: 12345, new-field: [1, {}], username: null}\n";
    let config = parse(text.as_bytes()).unwrap();
    assert!(config.clusters.is_empty());
    assert_eq!(
        config.users[0].user.token.as_ref().unwrap().expose(),
        "12345"
    );
    assert_eq!(parse(b"").unwrap(), low::Config::default());
    assert_eq!(parse(b"# nothing\n").unwrap(), low::Config::default());
    let json =
        br#"{"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k"}}]}"#;
    assert_eq!(parse(json).unwrap().current_context, "c");
    let twice = parse(b"current-context: a\ncurrent-context: b\n").unwrap();
    assert_eq!(twice.current_context, "b");
}

#[test]
fn sec_9_aliases_depth_and_length_are_bounded() {
    let mut laughs = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    laughs += "clusters: *a9\n";
    assert_eq!(
        parse(laughs.as_bytes()).unwrap_err().kind,
        ParseErrorKind::Budget
    );
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    assert!(parse(deep.as_bytes()).is_err());
    let deep = "a:\n".to_owned()
        + &(1..1_000)
            .map(|n| " ".repeat(n) + "a:\n")
            .collect::<String>();
    assert!(parse(deep.as_bytes()).is_err());
    let long = vec![b' '; 2 << 20];
    assert_eq!(parse(&long).unwrap_err().kind, ParseErrorKind::Budget);
    assert_eq!(
        parse(b"a: \xff").unwrap_err().kind,
        ParseErrorKind::Encoding
    );
}

#[test]
fn sec_27_an_error_shows_a_place_and_no_value() {
    for text in [
        "users: CANARY\n",
        "users:\n- name: a\n  user: {as-groups: CANARY}\n",
        "users:\n- name: a\n  user: {token: {CANARY: CANARY}}\n",
        "users: [CANARY\n",
        "a: *CANARY\n",
        "clusters: [{name: a, cluster: {insecure-skip-tls-verify: CANARY}}]\n",
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("CANARY"), "{shown}");
        assert_ne!(error.line, 0, "{text}: {shown}");
    }
}

#[test]
fn files_are_found_as_kubectl_finds_them() {
    let home = Path::new("/home/me");
    assert_eq!(paths(None, Some(home)), [home.join(".kube/config")]);
    assert_eq!(
        paths(Some("".as_ref()), Some(home)),
        [home.join(".kube/config")]
    );
    assert_eq!(
        paths(Some("/a::/b".as_ref()), Some(home)),
        [Path::new("/a"), Path::new("/b")]
    );
    assert!(paths(None, None).is_empty());

    let directory = tempfile::tempdir().unwrap();
    let (absent, file) = (
        directory.path().join("absent"),
        directory.path().join("config"),
    );
    let error = read_files(std::slice::from_ref(&absent)).unwrap_err();
    assert!(matches!(error, KubeconfigError::NotFound { .. }));
    fs::write(&file, WHOLE).unwrap();
    let both = read_files(&[absent, file.clone()]).unwrap();
    assert_eq!(both.current_context(), "dev");

    let error = read_files(&[directory.path().to_owned()]).unwrap_err();
    assert!(matches!(
        error,
        KubeconfigError::File(crate::FileError::NotRegular { .. })
    ));
    fs::write(&file, "users: 7").unwrap();
    let error = read_files(&[file]).unwrap_err();
    assert!(error.to_string().ends_with("config is no kubeconfig"));
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_yaml_like_text_is_resolved_without_a_panic(text in "[a-z0-9:{}\\[\\]&*,'\" \n-]{0,200}") {
        if let Ok(config) = parse(text.as_bytes()) {
            let mut merged = Kubeconfig::default();
            if merged.merge(config, Path::new("f")).is_ok() {
                let _ = merged.resolve(&Overrides::default());
            }
        }
    }
}
