//! Touches some GiB of memory once and frees them, so that the next process does not pay for
//! pages that the host has to back first.

use std::hint::black_box;

const PAGE_BYTES: usize = 4096;
const GIB: usize = 1 << 30;

fn main() {
    let word = std::env::args().nth(1).unwrap_or_else(|| "4".to_owned());
    let Ok(gib) = word.parse::<usize>() else {
        eprintln!("usage: pretouch [GIB]");
        std::process::exit(1);
    };
    let mut bytes = vec![0_u8; gib * GIB];
    for page in bytes.chunks_mut(PAGE_BYTES) {
        page[0] = 1;
    }
    black_box(&bytes);
}
