//! The two twins of the scan agree on any bytes, block by block and token by token.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidings_scan::{Carry, Step, Visitor, Walker, portable};

mod common;

#[derive(Default)]
struct Log(Vec<(usize, usize)>);

impl Visitor for Log {
    fn string(&mut self, start: usize, end: usize) -> Step {
        self.0.push((start, end));
        Step::Next
    }

    fn bracket(&mut self, at: usize, byte: u8) -> Step {
        self.0.push((at, at));
        match byte {
            b'[' => Step::Skip,
            b'{' if at.is_multiple_of(13) => Step::SkipAll,
            b'}' if at.is_multiple_of(17) => Step::Stop,
            _ => Step::Next,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((step, bytes)) = common::cuts(data) else {
        return;
    };
    let (blocks, _) = bytes.as_chunks::<64>();
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    let (mut fast_carry, mut slow_carry) = (Carry::default(), Carry::default());
    tidings_scan::masks(blocks, &mut fast_carry, |masks| fast.push(masks));
    portable::masks(blocks, &mut slow_carry, |masks| slow.push(masks));
    assert_eq!((fast, fast_carry), (slow, slow_carry));

    let (mut whole, mut walker) = (Log::default(), Walker::new(5));
    let stopped = walker.run(bytes, &mut whole);
    let (mut pieces, mut twin) = (Log::default(), Walker::new(5));
    let ended = bytes
        .chunks(step)
        .any(|chunk| portable::run(&mut twin, chunk, &mut pieces).is_some());
    assert_eq!((stopped.is_some(), whole.0), (ended, pieces.0));
    assert_eq!(walker.is_too_deep(), twin.is_too_deep());
});
