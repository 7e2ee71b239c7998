//! gzip decodes the same however it is cut, and as `flate2`'s own decoder of many members does.

#![no_main]

use std::io::{Read, Write};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use tidings_api::gzip::{GzipDecoder, GzipError};

mod common;

fn decode(bytes: &[u8], step: usize) -> (Vec<u8>, Result<(), GzipError>) {
    let mut decoder = GzipDecoder::new(Some(8 << 20));
    let mut output = Vec::new();
    for chunk in bytes.chunks(step) {
        if decoder
            .feed(chunk, &mut |piece| output.extend_from_slice(piece))
            .is_err()
        {
            break;
        }
    }
    (output, decoder.finish())
}

fuzz_target!(|data: &[u8]| {
    let Some((step, input)) = common::cuts(data) else {
        return;
    };
    // As compressed bytes: whatever our decoder accepts, flate2 reads as the same.
    let (output, end) = decode(input, usize::MAX);
    let stepwise = decode(input, step);
    assert_eq!(stepwise.1.is_ok(), end.is_ok());
    if end.is_ok() && !input.is_empty() {
        assert_eq!(stepwise.0, output);
        let mut expected = Vec::new();
        if MultiGzDecoder::new(input)
            .read_to_end(&mut expected)
            .is_ok()
        {
            assert_eq!(output, expected);
        }
    }
    // As content: a member for each piece comes back whole.
    let mut stream = Vec::new();
    for piece in input.chunks(step) {
        let mut encoder = GzEncoder::new(&mut stream, Compression::fast());
        encoder.write_all(piece).expect("a Vec takes every write");
        encoder.finish().expect("a Vec takes every write");
    }
    assert_eq!(decode(&stream, step), (input.to_vec(), Ok(())));
});
