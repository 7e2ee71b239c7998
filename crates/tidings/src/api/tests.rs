//! Retries under a paused clock. What goes over sockets is tested in `tests/integration`.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use tidings_api::{
    ObjectKey, Resource,
    status::{Refusal, Status},
};
use tokio::time::Instant;

use super::{
    ApiError, RetryPolicy, Verb, WriteTarget,
    retry::{retry_if, retry_on_conflict},
};

fn refused(resource: &str, body: &str) -> ApiError {
    let status = Status::parse(409, body.as_bytes());
    let refusal = tidings_api::status::refusal(409, &status);
    let target = WriteTarget {
        verb: Verb::Update,
        resource: Resource::parse(resource).unwrap(),
        namespace: Some("default".to_owned()),
        key: Some(ObjectKey::parse("default/a").unwrap()),
        subresource: None,
    };
    ApiError::refused(&target, refusal, status, None)
}

fn conflict(message: &str) -> ApiError {
    refused(
        "v1/configmaps",
        &format!(r#"{{"reason":"Conflict","message":"{message}"}}"#),
    )
}

/// The times, in milliseconds, at which a write was tried that always meets a conflict.
async fn attempts(policy: RetryPolicy) -> Vec<u128> {
    let start = Instant::now();
    let mut times = Vec::new();
    let result: Result<(), ApiError> = retry_on_conflict(policy, || {
        times.push(start.elapsed().as_millis());
        let number = times.len();
        async move { Err(conflict(&format!("number {number}"))) }
    })
    .await;
    let last = result.unwrap_err().to_string();
    assert!(last.ends_with(&format!("number {}", times.len())), "{last}");
    times
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_met_again_as_often_and_as_far_apart_as_in_client_go() {
    let without_jitter = |policy| RetryPolicy {
        jitter: 0.0,
        ..policy
    };
    let occasional = attempts(without_jitter(RetryPolicy::OCCASIONAL)).await;
    assert_eq!(occasional, [0, 10, 20, 30, 40]);
    let contended = attempts(without_jitter(RetryPolicy::CONTENDED)).await;
    assert_eq!(contended, [0, 10, 60, 310]);
    let never = RetryPolicy {
        attempts_max: 0,
        ..RetryPolicy::default()
    };
    assert_eq!(
        attempts(never).await,
        [0],
        "one attempt is made in any case"
    );
}

#[tokio::test(start_paused = true)]
async fn the_jitter_adds_a_part_of_each_wait_by_its_seed() {
    let policy = |seed| RetryPolicy {
        attempts_max: 20,
        initial: Duration::from_millis(1000),
        jitter: 0.5,
        seed,
        ..RetryPolicy::OCCASIONAL
    };
    let first = attempts(policy(7)).await;
    assert_eq!(first, attempts(policy(7)).await);
    assert_ne!(first, attempts(policy(8)).await);
    let waits = first.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(
        waits.clone().all(|wait| (999..=1501).contains(&wait)),
        "{first:?}"
    );
    assert!(waits.clone().any(|wait| wait > 1250) && waits.clone().any(|wait| wait < 1250));
}

#[tokio::test(start_paused = true)]
async fn only_a_conflict_is_tried_again_and_the_first_success_ends_it() {
    let calls = AtomicU32::new(0);
    let result = retry_on_conflict(RetryPolicy::OCCASIONAL, || async {
        match calls.fetch_add(1, Relaxed) {
            0 | 1 => Err(conflict("again")),
            number => Ok(number),
        }
    });
    assert_eq!(result.await.unwrap(), 2);

    calls.store(0, Relaxed);
    let result: Result<(), _> = retry_on_conflict(RetryPolicy::OCCASIONAL, || async {
        calls.fetch_add(1, Relaxed);
        Err(refused("v1/configmaps", r#"{"reason":"AlreadyExists"}"#))
    })
    .await;
    assert_eq!(result.unwrap_err().refusal(), Some(Refusal::AlreadyExists));
    assert_eq!(calls.load(Relaxed), 1);

    calls.store(0, Relaxed);
    let result: Result<(), &str> = retry_if(
        RetryPolicy::OCCASIONAL,
        |error| *error == "busy",
        || async {
            Err(match calls.fetch_add(1, Relaxed) {
                0 => "busy",
                _ => "broken",
            })
        },
    )
    .await;
    assert_eq!((result, calls.load(Relaxed)), (Err("broken"), 2));
}

/// A server's sentence may quote what was written.
#[test]
fn sec_27_sec_29_a_refusal_is_one_bounded_line_and_of_a_secret_none() {
    let long = "x".repeat(5000);
    let body = format!(
        r#"{{"reason":"Conflict","message":"a\nb{long}","metadata":{{"continue":"{long}"}},"details":{{
            "causes":[{{"reason":"FieldValueInvalid","message":"hunter2","field":"data.password"}}]}}}}"#
    );
    let error = refused("v1/configmaps", &body);
    let text = error.to_string();
    assert!(
        text.starts_with("update default/a of configmaps.v1: the server said 409: Conflict: abx")
    );
    assert!(text.len() < 500 && !text.contains('\n'), "{text}");
    assert!(format!("{error:?}").len() < 2000);

    let error = refused("v1/secrets", &body);
    assert_eq!(
        error.to_string(),
        "update default/a of secrets.v1: the server said 409: Conflict"
    );
    let shown = format!("{error:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("xxx"),
        "{shown}"
    );
    assert!(error.is_conflict());
}
