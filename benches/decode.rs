//! One object from its bytes to what a store keeps of it: metadata alone, raw, a projection, the
//! full type.
//!
//! Each row but the first contains the scan, as ingest does: what is decoded is what the scan cut
//! managedFields out of. Floors in the same run: copying the bytes that a raw store keeps, and
//! `serde_json` walking the object without keeping anything. Peers: decoding the whole object,
//! managedFields included, to the full type and to `serde_json::Value`, as is usual.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use k8s_openapi::api::core::v1::Pod;
use serde::de::IgnoredAny;
use tidings::Payload;
use tidings_api::{
    limits::Limits,
    scan::{Keep, Progress, Scan, Scanned},
};
use tidings_benches::{pods, projection::Projection};

const POD: usize = 7;

/// Finds the object's end and metadata, and shows them.
fn scan<R>(scan: &mut Scan, text: &str, look: impl FnOnce(&Scanned<'_>) -> R) -> R {
    scan.reset();
    let bytes = black_box(text.as_bytes());
    assert_eq!(scan.advance(bytes), Progress::Done(text.len()));
    let item = scan.item(bytes, None);
    look(item.usable().expect("the pod is usable"))
}

/// The JSON without managedFields, put together as ingest does.
fn join(pod: &Scanned<'_>, text: &mut String) {
    text.clear();
    for piece in pod.json_pieces() {
        text.push_str(piece);
    }
}

fn ours(c: &mut Criterion) {
    let pod = pods::object(POD);
    let mut scanner = Scan::new(&Limits::default());
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Bytes(pod.len() as u64));
    group.bench_function("metadata/pod6.8k", |b| {
        b.iter(|| {
            let name_len = scan(&mut scanner, &pod, |pod| {
                black_box((pod.uid(), pod.resource_version(), pod.labels()));
                pod.name().len()
            });
            assert_eq!(name_len, 9);
        });
    });
    let mut scratch = String::new();
    group.bench_function("raw/pod6.8k", |b| {
        b.iter(|| {
            let object = scan(&mut scanner, &pod, |pod| pod.pack(&mut scratch, Keep::Json));
            let len = object.expect("it is small").bytes_len();
            assert!(len > 3_500 && len < pod.len() * 3 / 4, "{len}");
        });
    });
    let mut text = String::new();
    group.bench_function("projection/pod6.8k", |b| {
        b.iter(|| {
            let object = scan(&mut scanner, &pod, |pod| {
                join(pod, &mut text);
                pod.pack(&mut scratch, Keep::Nothing)
            });
            let decoded = <Arc<Projection>>::decode(&text).expect("it is a pod");
            assert_eq!(object.expect("it is small").name().len(), 9);
            assert_eq!(&*decoded.status.phase, "Running");
            assert_eq!(decoded.status.conditions.len(), 5);
        });
    });
    group.bench_function("typed/pod6.8k", |b| {
        b.iter(|| {
            let object = scan(&mut scanner, &pod, |pod| {
                join(pod, &mut text);
                pod.pack(&mut scratch, Keep::Nothing)
            });
            let decoded = <Arc<Pod>>::decode(&text).expect("it is a pod");
            assert_eq!(object.expect("it is small").name().len(), 9);
            let meta = &decoded.metadata;
            assert!(meta.managed_fields.is_none() && meta.name.is_some());
        });
    });
    group.finish();
}

fn floors(c: &mut Criterion) {
    let pod = pods::object(POD);
    let kept = scan(&mut Scan::new(&Limits::default()), &pod, |pod| {
        let mut text = String::new();
        join(pod, &mut text);
        text
    });
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Bytes(pod.len() as u64));
    group.bench_function("raw/pod6.8k/floor-copy", |b| {
        b.iter(|| {
            let copy: Arc<[u8]> = black_box(kept.as_bytes()).into();
            assert_eq!(copy.len(), kept.len());
        });
    });
    group.bench_function("metadata/pod6.8k/floor-serde_json-skip", |b| {
        b.iter(|| {
            let skipped = serde_json::from_str::<IgnoredAny>(black_box(&pod));
            assert!(skipped.is_ok());
        });
    });
    group.bench_function("projection/pod6.8k/floor-serde_json-skip", |b| {
        b.iter(|| {
            let skipped = serde_json::from_str::<IgnoredAny>(black_box(&kept));
            assert!(skipped.is_ok());
        });
    });
    group.bench_function("typed/pod6.8k/peer-whole-object", |b| {
        b.iter(|| {
            let decoded: Pod = serde_json::from_str(black_box(&pod)).expect("it is a pod");
            assert_eq!(
                decoded.metadata.managed_fields.map(|all| all.len()),
                Some(2)
            );
        });
    });
    group.bench_function("typed/pod6.8k/peer-value", |b| {
        b.iter(|| {
            let decoded: serde_json::Value =
                serde_json::from_str(black_box(&pod)).expect("it is JSON");
            assert!(decoded["metadata"]["name"].is_string());
        });
    });
    group.finish();
}

criterion_group!(benches, ours, floors);
criterion_main!(benches);
