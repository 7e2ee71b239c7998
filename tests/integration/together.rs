//! Several informers as of now, over sockets: a store that hears nothing has to be told by a bookmark.

use std::time::Duration;

use tidings::{Raw, Resource, Scope, Together, TogetherOutcome};
use tidings_apiserver::serve::{self, Config};

use crate::support::*;

fn secrets() -> Scope {
    Scope::all(Resource::parse("v1/secrets").unwrap())
}

#[tokio::test]
async fn after_a_write_every_store_is_as_fresh_as_the_call() {
    let config = Config {
        bookmark_period: Duration::from_millis(100),
        ..Config::default()
    };
    let server = serve::start(config).await.unwrap();
    let busy = raw(&server).await;
    let quiet = start(builder::<Raw>(&server, secrets()));
    let together = Together::new().with(&busy).with(&quiet);
    for number in 0..20 {
        put(&server, &format!("c{number}"), "1");
        let outcome = together.at_present(&client(&server), DEADLINE).await;
        let TogetherOutcome::Reached { versions } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(versions.len(), 2);
        assert_eq!(busy.store().snapshot().len(), number + 1);
        let at = quiet.store().resource_version().unwrap();
        assert!(at.is_at_least(&versions[1]));
    }
    let version = tidings::ResourceVersion::from_revision(put(&server, "last", "1"));
    let outcome = together.at_version(&version, DEADLINE).await;
    let versions = vec![version.clone(), version];
    assert_eq!(outcome, TogetherOutcome::Reached { versions });
    server.shutdown().await;
}

#[tokio::test]
async fn without_a_bookmark_a_quiet_store_is_named_as_behind() {
    let server = server().await;
    let busy = raw(&server).await;
    let quiet = start(builder::<Raw>(&server, secrets()));
    quiet.wait_synced(DEADLINE).await.unwrap();
    let version = tidings::ResourceVersion::from_revision(put(&server, "a", "1"));
    busy.wait_for(&version, DEADLINE).await;
    let together = Together::new().with(&busy).with(&quiet);
    let limit = Duration::from_millis(300);
    let outcome = together.at_version(&version, limit).await;
    let TogetherOutcome::TimedOut { behind } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(behind.len(), 1);
    assert_eq!(*behind[0].scope, secrets());
    assert_eq!(behind[0].wanted, Some(version));
    server.shutdown().await;
}

#[tokio::test]
async fn a_server_that_does_not_say_where_it_is_is_no_present() {
    let server = server().await;
    let busy = raw(&server).await;
    let away = client(&server);
    server.shutdown().await;
    let outcome = Together::new()
        .with(&busy)
        .at_present(&away, DEADLINE)
        .await;
    assert!(
        matches!(outcome, TogetherOutcome::Unanswered { .. }),
        "{outcome:?}"
    );
}
