//! A workqueue does what a queue of plain vectors does, program by program.

#![no_main]

use libfuzzer_sys::fuzz_target;

use self::model::{KEYS, Op, PRIORITIES, World};

#[path = "../../crates/tidings-engine/src/workqueue/tests/model.rs"]
mod model;

mod workqueue {
    //! Where the model finds the queue.

    pub(crate) use tidings_engine::workqueue::{
        Next, Priority, Ticket, WorkQueue, WorkQueueConfig, rate_limit,
    };
}

/// Longer programs find nothing that shorter ones do not.
const STEPS_MAX: usize = 400;

fuzz_target!(|data: &[u8]| {
    let mut world = World::new();
    let (steps, _) = data.as_chunks::<3>();
    for step in steps.iter().take(STEPS_MAX) {
        world.step(op(*step));
    }
});

/// A step: what is done, with which key and priority, and a number.
fn op([kind, which, number]: [u8; 3]) -> Op {
    let key = which % KEYS;
    let priority = PRIORITIES[usize::from(which / KEYS) % PRIORITIES.len()];
    // Spans from nothing to days: five bits of a number, shifted by up to forty-two.
    let span = u64::from(number & 31) << (number >> 5) * 6;
    match kind % 16 {
        0..4 => Op::Add(key, priority),
        4..6 => Op::After(key, span, priority),
        6 => Op::Retry(key),
        7..10 => Op::Get,
        10..12 => Op::Done(number.into()),
        12 if number < 128 => Op::Forget(key),
        12 => Op::CancelDelayed(key),
        13 => Op::Cancel(key),
        // A shutdown is the end of most of what can happen.
        14 if number == 255 => Op::ShutDown(which < 128),
        _ => Op::Pass(span),
    }
}
