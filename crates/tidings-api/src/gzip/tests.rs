//! The gzip decoder at every cut, flush by flush, and against a bomb.

use std::io::Write;

use flate2::{Compression, GzBuilder, write::GzEncoder};
use proptest::prelude::*;

use super::*;

fn member(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn decode(
    bytes: &[u8],
    cuts: impl IntoIterator<Item = usize>,
    bytes_out_max: Option<u64>,
) -> (Vec<u8>, Result<(), GzipError>) {
    let mut decoder = GzipDecoder::new(bytes_out_max);
    let mut output = Vec::new();
    let mut before = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        let fed = decoder.feed(&bytes[before..cut], &mut |piece| {
            output.extend_from_slice(piece)
        });
        before = cut;
        if fed.is_err() {
            break;
        }
    }
    (output, decoder.finish())
}

#[test]
fn cg_v11_pr_w7_pr_w8_pr_w9_pr_f25_many_members_come_out_flush_by_flush() {
    let mut decoder = GzipDecoder::new(None);
    for index in 0..20 {
        let event = format!("{{\"type\":\"ADDED\",\"n\":{index}}}\n");
        let mut output = Vec::new();
        decoder
            .feed(&member(event.as_bytes()), &mut |piece| {
                output.extend_from_slice(piece)
            })
            .unwrap();
        assert_eq!(output, event.as_bytes());
    }
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn cg_v11_a_flush_inside_a_member_comes_out_at_once() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut decoder = GzipDecoder::new(None);
    let mut sent = 0;
    for index in 0..20 {
        let event = format!("event number {index}\n");
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let mut output = Vec::new();
        for byte in &encoder.get_ref()[sent..] {
            decoder
                .feed(&[*byte], &mut |piece| output.extend_from_slice(piece))
                .unwrap();
        }
        sent = encoder.get_ref().len();
        assert_eq!(String::from_utf8(output).unwrap(), event);
    }
    assert!(matches!(decoder.finish(), Err(GzipError::Truncated { .. })));
}

#[test]
fn pr_w8_a_members_last_byte_of_data_does_not_wait_for_its_trailer() {
    let bytes = member(b"hello");
    let (output, end) = decode(&bytes[..bytes.len() - 8], [], None);
    assert_eq!(output, b"hello");
    assert!(matches!(end, Err(GzipError::Truncated { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn pr_f24_decodes_the_same_at_every_cut(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
        step in 1_usize..50,
    ) {
        let bytes: Vec<u8> = contents.iter().flat_map(|content| member(content)).collect();
        let expected = contents.concat();
        for cut in 1..bytes.len() {
            prop_assert_eq!(decode(&bytes, [cut], None), (expected.clone(), Ok(())));
        }
        let cuts = (1..bytes.len()).filter(|cut| cut % step == 0);
        prop_assert_eq!(decode(&bytes, cuts, None), (expected, Ok(())));
    }

    #[test]
    fn never_panics_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..64) {
        let mut damaged = member(b"some content that is compressed, some content");
        let at = at % damaged.len();
        damaged.splice(at..at, bytes.iter().copied());
        let _ = decode(&damaged, [], None);
        let _ = decode(&bytes, 1..bytes.len().max(1), None);
    }
}

#[test]
fn optional_header_fields_are_passed_over_at_every_cut() {
    let mut encoder = GzBuilder::new()
        .extra(vec![0, 1, 2, 0])
        .filename("name")
        .comment("comment")
        .write(Vec::new(), Compression::fast());
    encoder.write_all(b"content").unwrap();
    let bytes = encoder.finish().unwrap();
    for cut in 1..bytes.len() {
        assert_eq!(decode(&bytes, [cut], None), (b"content".to_vec(), Ok(())));
    }
    // The same with a header checksum and an empty extra field.
    let mut bytes = member(b"content");
    bytes[3] = HEADER_CRC | EXTRA;
    bytes.splice(10..10, [0, 0, 0xaa, 0xbb]);
    assert_eq!(
        decode(&bytes, 1..bytes.len(), None),
        (b"content".to_vec(), Ok(()))
    );
}

#[test]
fn every_damage_has_its_name() {
    let good = member(b"content");
    let damaged = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0xff;
        decode(&bytes, [], None).1.unwrap_err()
    };
    assert_eq!(damaged(0), GzipError::BadHeader { offset: 0 });
    assert_eq!(damaged(2), GzipError::BadHeader { offset: 2 });
    assert_eq!(damaged(3), GzipError::BadHeader { offset: 3 });
    assert!(matches!(damaged(10), GzipError::Corrupt { .. }));
    assert!(matches!(
        damaged(good.len() - 1),
        GzipError::BadTrailer { .. }
    ));
    assert!(matches!(
        damaged(good.len() - 8),
        GzipError::BadTrailer { .. }
    ));
    let trailing = [&good[..], b"x"].concat();
    let offset = good.len() as u64;
    assert_eq!(
        decode(&trailing, [], None).1,
        Err(GzipError::TrailingBytes { offset })
    );
    assert_eq!(decode(b"", [], None).1, Ok(()));
    for len in 1..good.len() {
        let offset = len as u64;
        assert_eq!(
            decode(&good[..len], [], None).1,
            Err(GzipError::Truncated { offset })
        );
    }
}

#[test]
fn an_endless_header_is_refused() {
    let mut bytes = vec![0x1f, 0x8b, 8, NAME, 0, 0, 0, 0, 0, 0];
    bytes.resize(200 << 10, b'x');
    let offset = u64::from(HEADER_BYTES_MAX);
    assert_eq!(
        decode(&bytes, [], None).1,
        Err(GzipError::BadHeader { offset })
    );
}

#[test]
fn sec_17_pr_f25_a_bomb_is_found_before_it_is_handed_out() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 64 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let (output, end) = decode(&bomb, [], None);
    assert!(matches!(end, Err(GzipError::TooDense { .. })));
    assert!(output.len() <= bomb.len() * 200, "{}", output.len());
    let small = member(&vec![0; 1 << 20]);
    assert_eq!(decode(&small, [], None).1, Ok(()));
}

#[test]
fn sec_17_a_stream_may_have_an_absolute_limit() {
    let bytes = member(&[7; 1_000]);
    assert_eq!(decode(&bytes, [], Some(1_000)).1, Ok(()));
    let (output, end) = decode(&bytes, [], Some(999));
    assert!(output.is_empty() && matches!(end, Err(GzipError::TooLarge { .. })));
}
