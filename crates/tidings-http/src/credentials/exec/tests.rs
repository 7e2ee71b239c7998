//! Plugins as small shell scripts, passed as an argument: no file is needed.

use tokio::time::Instant;

use super::*;

const GOOD: &str = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",
    "spec":{"interactive":false},"status":{"token":"CANARY","expirationTimestamp":"2030-01-02T03:04:05Z"}}"#;

fn script(text: &str) -> ExecSettings {
    let mut settings = ExecSettings::new(ExecVersion::V1, "/bin/sh");
    settings.args = vec!["-c".to_owned().into(), text.to_owned().into()];
    settings.env = vec![("GOOD".to_owned(), GOOD.to_owned().into())];
    settings
}

async fn error(settings: &ExecSettings) -> ExecError {
    let Err(error) = run(settings).await else {
        panic!("{settings:?} gave a credential");
    };
    let shown = format!("{error} {error:?} {settings:?}");
    assert!(!shown.contains("CANARY"), "{shown}");
    match error {
        CredentialError::Exec { source, .. } => source,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn sec_2_a_plugin_is_told_the_version_and_gives_a_token() {
    let mut settings = script(r#"test -n "$KUBERNETES_EXEC_INFO" && echo "$GOOD""#);
    settings.cluster = Some(ExecCluster::default());
    let answer = run(&settings).await.unwrap();
    assert_eq!(answer.token.unwrap().expose(), "CANARY");
    assert!(answer.certificate.is_none());
    let expires = answer.expires.unwrap();
    let seconds = expires
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert_eq!(seconds, 1_893_553_445);
    let info: serde_json::Value = serde_json::from_str(&info(&settings)).unwrap();
    assert_eq!(info["apiVersion"], "client.authentication.k8s.io/v1");
    assert_eq!(info["spec"]["interactive"], false);
    assert_eq!(info["spec"]["cluster"]["server"], "");
}

#[tokio::test]
async fn sec_2_a_plugin_that_hangs_is_killed() {
    let mut settings = script("exec sleep 1000");
    settings.timeout = Duration::from_millis(50);
    assert!(matches!(error(&settings).await, ExecError::Timeout { .. }));
}

#[tokio::test]
async fn sec_2_what_a_plugin_has_started_is_killed_with_it() {
    // The background process holds the pipe open: were it spared, reading would go on.
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let text = format!("sleep 1000 & echo $! > {}; wait", pid.display());
    let mut settings = script(&text);
    settings.timeout = Duration::from_millis(300);
    assert!(matches!(error(&settings).await, ExecError::Timeout { .. }));
    let pid = std::fs::read_to_string(pid).unwrap();
    let stat = format!("/proc/{}/stat", pid.trim());
    let is_running = || {
        let stat = std::fs::read_to_string(&stat).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    let end = Instant::now() + Duration::from_secs(10);
    while is_running() {
        assert!(Instant::now() < end, "the background process goes on");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn sec_2_a_plugin_that_prints_without_end_is_killed() {
    let settings = script("while :; do echo CANARY; done");
    assert!(matches!(
        error(&settings).await,
        ExecError::OutputTooLong { .. }
    ));
}

#[tokio::test]
async fn pr_f62_garbage_is_an_error_that_shows_nothing_of_it() {
    let malformed = |text: &str| script(&format!("printf '%s' '{text}'"));
    for text in [
        "CANARY",
        "",
        r#"{"kind":"ExecCredential","apiVersion":"CANARY"#,
        r#"{"kind":["CANARY"],"apiVersion":""}"#,
    ] {
        let error = error(&malformed(text)).await;
        assert!(
            matches!(error, ExecError::Malformed { .. }),
            "{text}: {error}"
        );
    }
    let status = |status: &str| {
        malformed(&format!(
            r#"{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{status}}}"#
        ))
    };
    for nothing in [
        "null",
        "{}",
        r#"{"token":""}"#,
        r#"{"clientKeyData":"CANARY"}"#,
    ] {
        assert!(
            matches!(error(&status(nothing)).await, ExecError::NoCredential),
            "{nothing}"
        );
    }
    let date = status(r#"{"token":"CANARY","expirationTimestamp":"tomorrow"}"#);
    assert!(matches!(error(&date).await, ExecError::Malformed { .. }));
}

#[tokio::test]
async fn sec_2_the_version_has_to_match() {
    let mut settings = script(r#"echo "$GOOD""#);
    settings.version = ExecVersion::V1Beta1;
    assert!(matches!(error(&settings).await, ExecError::Version { .. }));
}

#[tokio::test]
async fn pr_f62_failures_say_what_failed() {
    assert!(matches!(
        error(&script("exit 3")).await,
        ExecError::Failed { .. }
    ));
    let mut absent = ExecSettings::new(ExecVersion::V1, "/nowhere/plugin");
    absent.install_hint = "see the\nbook".to_owned();
    let shown = error(&absent).await.to_string();
    assert_eq!(shown, "it cannot be started: see the\\nbook");
    let mut terminal = script("echo");
    terminal.needs_terminal = true;
    assert!(matches!(error(&terminal).await, ExecError::Interactive));
}

#[test]
fn sec_1_plugins_run_only_where_they_may() {
    let settings = script("");
    let forbidden = |policy: ExecPolicy| policy.check(&settings).is_err();
    assert!(!forbidden(ExecPolicy::Allow));
    assert!(forbidden(ExecPolicy::Deny));
    assert!(forbidden(ExecPolicy::AllowOnly(vec!["aws".into()])));
    assert!(!forbidden(ExecPolicy::AllowOnly(vec!["/bin/sh".into()])));
}
