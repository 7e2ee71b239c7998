//! Writes of 1 KB from 8 connections, as fast as they are answered.

use std::{net::SocketAddr, thread, time::Instant};

use bytes::Bytes;
use tidings_apiserver::serve::Handle;
use tokio::runtime::Runtime;

use crate::{
    client::Writer,
    clock::{self, Start},
    floor, objects,
};

const CONNECTIONS: usize = 8;

/// Which writes: so many of ten are updates.
#[derive(Clone, Copy)]
struct Mix {
    updates: usize,
    /// The first number of new objects.
    from: usize,
}

pub(crate) fn report(runtime: &Runtime, server: &Handle, writes: usize, rounds: usize) {
    let floor = floor::start(runtime, Bytes::new());
    for round in 0..rounds {
        let from = |part: usize| (3 * round + part) * writes;
        let create = Mix {
            updates: 0,
            from: from(0),
        };
        one("floor-hyper-echo", floor, writes, create, true);
        one("create", server.address(), writes, create, false);
        let update = Mix {
            updates: 10,
            from: from(0),
        };
        one("update", server.address(), writes, update, false);
        let mix = Mix {
            updates: 5,
            from: from(1),
        };
        one("half", server.address(), writes, mix, false);
    }
}

fn one(name: &str, address: SocketAddr, writes: usize, mix: Mix, is_floor: bool) {
    let start = Start::now();
    let each = writes / CONNECTIONS;
    let writing = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let tasks: Vec<_> = (0..CONNECTIONS)
                .map(|lane| tokio::spawn(lane_of(address, lane * each, each, mix, is_floor)))
                .collect();
            for task in tasks {
                task.await.expect("every write is answered");
            }
        });
        clock::thread()
    });
    let client = writing.join().expect("the writers end");
    let cost = start.cost(client);
    let count = u32::try_from(each * CONNECTIONS).unwrap_or(u32::MAX);
    println!(
        "apiserver/write/{count}x1KB/{name}: {:.0} writes/s; a write: CPU server {:.1?}, client {:.1?}",
        f64::from(count) / cost.wall.as_secs_f64(),
        cost.server / count,
        cost.client / count
    );
}

async fn lane_of(address: SocketAddr, first: usize, count: usize, mix: Mix, is_floor: bool) {
    let mut writer = Writer::new(address).await;
    let epoch = Instant::now();
    let mut made = 0;
    for number in 0..count {
        let is_update = number % 10 < mix.updates;
        // Updates of a mix are of what this connection has made.
        let object = match (is_update, mix.updates) {
            (true, 10) => first + number,
            (true, _) => first + made,
            (false, _) => {
                made = number;
                first + number
            }
        };
        let is_new = !is_update || (mix.updates < 10 && made == 0 && number == 0);
        let object = mix.from + object;
        let body = objects::config_map(object, objects::stamp(epoch));
        let code = if is_new {
            writer.send("POST", objects::COLLECTION, &body).await
        } else {
            writer.send("PUT", &objects::path(object), &body).await
        };
        let expected = match (is_floor, is_new) {
            (false, true) => 201,
            (true, _) | (false, false) => 200,
        };
        assert_eq!(code, expected, "{}", writer.answer());
    }
}
