//! Redirects: none is followed, and nobody else ever hears of the token (SEC-12).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tidings::WakeReason::Rejected;

use crate::{
    front::{Exchange, Place},
    runner::Row,
    words::status,
};

/// Runs a row in which a server sends its clients elsewhere, and fails if anybody comes.
fn nobody_comes(place: Place, line: &'static str, headers: fn(&str) -> String) {
    // A listener of its own, in a thread of its own: it counts whoever connects.
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = elsewhere.local_addr().unwrap().to_string();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    let listening = std::thread::spawn(move || {
        for connection in elsewhere.incoming() {
            if count.fetch_add(1, SeqCst) > 0 || connection.is_err() {
                return;
            }
        }
    });
    let to = address.clone();
    Row::new(place, move |mut exchange: Exchange| {
        let answer = status(line, "{}").replacen("\r\n", &format!("\r\n{}", headers(&to)), 1);
        async move {
            exchange.send(answer).await;
        }
    })
    .troubles(Rejected, "the server said 30")
    .run();
    assert_eq!(came.load(SeqCst), 0, "somebody followed");
    // Two connections of our own show that it would have been counted, and end the thread.
    for _ in 0..2 {
        std::net::TcpStream::connect(&address).unwrap();
    }
    listening.join().unwrap();
    assert_eq!(came.load(SeqCst), 2);
}

#[test]
fn sec_12_no_redirect_is_followed() {
    for line in [
        "300 Multiple Choices",
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "305 Use Proxy",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        nobody_comes(Place::List, line, |to| {
            format!("Location: http://{to}/api\r\n")
        });
    }
}

#[test]
fn sec_12_no_watch_is_redirected() {
    nobody_comes(Place::Watch, "302 Found", |to| {
        format!("Location: //{to}/\r\n")
    });
    nobody_comes(Place::Watch, "307 Temporary Redirect", |to| {
        format!("Location: https://{to}/\r\nRefresh: 0; url=http://{to}/\r\n")
    });
}

#[test]
fn sec_15_no_other_service_is_believed_in() {
    nobody_comes(Place::List, "302 Found", |to| {
        format!("Alt-Svc: h2=\"{to}\"; ma=3600\r\nContent-Location: http://{to}/\r\n")
    });
}
