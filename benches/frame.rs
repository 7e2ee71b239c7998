//! From bytes to objects: the masks, one object, a list body, a watch stream, and the packing.
//!
//! Floors in the same run: the standard library's memchr over the newlines, and `serde_json`
//! skipping values without decoding them (`RawValue`, the same walk as `IgnoredAny`). Every bench asserts what it found before it reports.

use std::{hint::black_box, io::BufRead, sync::LazyLock};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::value::RawValue;
use tidings_api::{
    frame::{Frame, FrameDecoder},
    limits::Limits,
    page::{PageDecoder, PageEvent},
    scan::{Item, Keep, Progress, Scan},
};
use tidings_benches::pods;
use tidings_scan::Carry;

const POD_COUNT: usize = 2_000;
const CHUNKS: [(&str, usize); 3] = [
    ("4KiB", 4 << 10),
    ("64KiB", 64 << 10),
    ("256KiB", 256 << 10),
];

static LIST: LazyLock<String> = LazyLock::new(|| pods::list(POD_COUNT));
static EVENTS: LazyLock<String> = LazyLock::new(|| pods::events(POD_COUNT));

fn masks(c: &mut Criterion) {
    let bytes = &LIST.as_bytes()[..64 << 10];
    let (blocks, _) = bytes.as_chunks::<64>();
    let mut expected = 0;
    tidings_scan::portable::masks(blocks, &mut Carry::default(), |masks| {
        expected += (masks.opens.count_ones() + masks.closes.count_ones()) as usize;
    });
    assert!(expected > 1_000);
    let mut group = c.benchmark_group("scan/masks");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("64KiB", |b| {
        b.iter(|| {
            let (mut carry, mut found) = (Carry::default(), 0);
            tidings_scan::masks(black_box(blocks), &mut carry, |masks| {
                found += (masks.opens.count_ones() + masks.closes.count_ones()) as usize;
                black_box(masks.quotes | masks.punctuation);
            });
            assert_eq!(found, expected);
        });
    });
    group.bench_function("64KiB/portable", |b| {
        b.iter(|| {
            let (mut carry, mut found) = (Carry::default(), 0);
            tidings_scan::portable::masks(black_box(blocks), &mut carry, |masks| {
                found += (masks.opens.count_ones() + masks.closes.count_ones()) as usize;
                black_box(masks.quotes | masks.punctuation);
            });
            assert_eq!(found, expected);
        });
    });
    group.finish();
}

fn object(c: &mut Criterion) {
    let text = pods::object(7);
    let mut scan = Scan::new(&Limits::default());
    let mut group = c.benchmark_group("scan/object");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("pod6.8k", |b| {
        b.iter(|| {
            scan.reset();
            let bytes = black_box(text.as_bytes());
            assert_eq!(scan.advance(bytes), Progress::Done(text.len()));
            let item = scan.item(bytes, None);
            assert_eq!(item.usable().map(|pod| pod.name().len()), Some(9));
        });
    });
    group.finish();
}

fn floors(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame/floor");
    group.throughput(Throughput::Bytes(EVENTS.len() as u64));
    group.bench_function("memchr", |b| {
        b.iter(|| {
            let (mut rest, mut lines) = (black_box(EVENTS.as_bytes()), 0);
            while rest.skip_until(b'\n').expect("a slice reads") > 0 {
                lines += 1;
            }
            assert_eq!(lines, POD_COUNT);
        });
    });
    group.bench_function("serde_json", |b| {
        b.iter(|| {
            let values = serde_json::Deserializer::from_slice(black_box(EVENTS.as_bytes()))
                .into_iter::<&RawValue>();
            assert_eq!(values.filter(Result::is_ok).count(), POD_COUNT);
        });
    });
    group.finish();
}

fn page(c: &mut Criterion) {
    let body = LIST.as_bytes();
    let kept: usize = (0..POD_COUNT).map(|index| pods::object(index).len()).sum();
    let mut group = c.benchmark_group("page/split");
    group.throughput(Throughput::Bytes(body.len() as u64));
    for (label, size) in CHUNKS {
        let id = BenchmarkId::new(format!("{POD_COUNT}xpod6.8k"), label);
        group.bench_function(id, |b| {
            b.iter(|| {
                let (mut names, mut cut) = (0, 0);
                let mut page = PageDecoder::new(&Limits::default());
                for chunk in black_box(body).chunks(size) {
                    page.feed(chunk, &mut |event| {
                        if let PageEvent::Item(Item::Usable(pod)) = event {
                            names += pod.name().len();
                            cut += pod.json_pieces()[1..]
                                .iter()
                                .map(|piece| piece.len())
                                .sum::<usize>();
                        }
                    })
                    .expect("the list is sound");
                }
                let end = page.finish().expect("the list is whole");
                assert_eq!((end.items, names), (POD_COUNT as u64, POD_COUNT * 9));
                assert!(cut < kept * 7 / 10, "{cut} of {kept}");
            });
        });
    }
    group.finish();
    let mut group = c.benchmark_group("page/pack");
    group.throughput(Throughput::Bytes(body.len() as u64));
    for (label, size) in CHUNKS {
        let id = BenchmarkId::new(format!("{POD_COUNT}xpod6.8k"), label);
        group.bench_function(id, |b| {
            let mut scratch = String::new();
            b.iter(|| {
                let mut bytes = 0;
                let mut page = PageDecoder::new(&Limits::default());
                for chunk in black_box(body).chunks(size) {
                    page.feed(chunk, &mut |event| {
                        if let PageEvent::Item(Item::Usable(pod)) = event {
                            let object = pod.pack(&mut scratch, Keep::Json).expect("it is small");
                            bytes += object.bytes_len();
                        }
                    })
                    .expect("the list is sound");
                }
                assert_eq!(page.items(), POD_COUNT as u64);
                assert!(bytes < kept * 3 / 4, "{bytes} of {kept}");
            });
        });
    }
    group.finish();
}

fn frame(c: &mut Criterion) {
    let stream = EVENTS.as_bytes();
    let mut group = c.benchmark_group("frame/split");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    for (label, size) in CHUNKS {
        let id = BenchmarkId::new(format!("{POD_COUNT}xpod6.8k"), label);
        group.bench_function(id, |b| {
            b.iter(|| {
                let (mut events, mut names) = (0, 0);
                let mut frames = FrameDecoder::new(&Limits::default());
                for chunk in black_box(stream).chunks(size) {
                    frames
                        .feed(chunk, &mut |frame| {
                            if let Frame::Event { item, .. } = frame {
                                events += 1;
                                names += item.usable().map_or(0, |pod| pod.name().len());
                            }
                        })
                        .expect("the stream is sound");
                }
                frames.finish().expect("the stream is whole");
                assert_eq!((events, names), (POD_COUNT, POD_COUNT * 9));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, masks, object, floors, page, frame);
criterion_main!(benches);
