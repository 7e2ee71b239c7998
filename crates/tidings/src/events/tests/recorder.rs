//! The recorder and its sender, over a server that is a script.

use std::collections::VecDeque;

use super::*;

/// Writes down what is sent, and answers by its script; with `Done` beyond its end.
#[derive(Clone, Default)]
struct Script {
    sent: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<Answered>>>,
    delay: Duration,
}

impl Sink for Script {
    fn send<'a>(&'a self, output: &'a Output) -> Sending<'a> {
        Box::pin(async move {
            tokio::time::timeout(self.delay, std::future::pending::<()>())
                .await
                .unwrap_err();
            self.sent.lock().push(line(output));
            self.answers.lock().pop_front().unwrap_or(Answered::Done)
        })
    }
}

fn start(script: &Script) -> (EventRecorder, tokio::task::JoinHandle<()>) {
    let source = EventSource::new("example.com/web", "web-0");
    let sink = Box::new(script.clone());
    let limits = EventLimits::default();
    let (recorder, sender) = EventRecorder::with_sink(sink, source, limits, || 7);
    (recorder, tokio::spawn(sender.run()))
}

#[tokio::test(start_paused = true)]
async fn reports_are_sent_and_the_sender_ends_with_the_last_recorder() {
    let script = Script::default();
    let (recorder, sending) = start(&script);
    let second = recorder.clone();
    recorder.report(report("Scaled"));
    drop(recorder);
    tokio::task::yield_now().await;
    assert!(!sending.is_finished(), "there is another recorder");
    for _ in 0..3 {
        second.report(report("Scaled"));
        tokio::task::yield_now().await;
    }
    drop(second);
    sending.await.unwrap();
    let sent = script.sent.lock().clone();
    assert_eq!(sent.first().unwrap(), "create Scaled x1");
    assert_eq!(
        sent.last().unwrap(),
        "patch Scaled x4",
        "the count is written at the end"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_in_trouble_is_tried_again_and_nobody_waits_for_it() {
    let later = Answered::Later(Duration::from_secs(30));
    let script = Script {
        answers: Arc::new(Mutex::new([later, later].into())),
        delay: Duration::from_secs(1),
        ..Script::default()
    };
    let (recorder, sending) = start(&script);
    let began = tokio::time::Instant::now();
    for number in 0..3000 {
        let mut report = report("Scaled");
        report.regarding.uid = format!("u{number}");
        recorder.report(report);
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    // Two thousand were dropped before a single one was sent: the queue holds a thousand.
    assert_eq!(recorder.stats().dropped, 2000);
    drop(recorder);
    sending.await.unwrap();
    assert_eq!(script.sent.lock().len(), 1002);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1002 + 60), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_series_is_finished_without_another_report() {
    let script = Script::default();
    let (recorder, sending) = start(&script);
    for _ in 0..3 {
        recorder.report(report("Scaled"));
        while !recorder.shared.state.lock().series.is_drained() {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(*script.sent.lock(), ["create Scaled x1", "patch Scaled x2"]);
    let silence = tokio::time::timeout(8 * MINUTE, std::future::pending::<()>());
    silence.await.unwrap_err();
    assert_eq!(script.sent.lock()[2..], ["patch Scaled x3"]);
    drop(recorder);
    sending.await.unwrap();
}

/// The clock may stand still: two events of one object have two names.
#[tokio::test(start_paused = true)]
async fn no_two_events_have_one_name() {
    let script = Script::default();
    let (recorder, sending) = start(&script);
    recorder.report(report("One"));
    recorder.report(report("Two"));
    let names: Vec<String> = {
        let mut state = recorder.shared.state.lock();
        let mut names = Vec::new();
        while let Output::Create(id, document) = state.series.poll_output(Instant::ZERO) {
            names.push(document.name.clone());
            state
                .series
                .handle_answer(Instant::ZERO, id, Answered::Done);
        }
        names
    };
    assert_eq!(names, ["web.7", "web.8"]);
    drop(recorder);
    sending.await.unwrap();
}
