//! Programs of changes, relists, publications and snapshots against a `BTreeMap` that is scanned.

use proptest::prelude::*;

use super::{
    world::{Op, World},
    *,
};

fn op() -> impl Strategy<Value = Op> {
    let keys = || prop::collection::vec(0u8..60, 0..60);
    prop_oneof![
        8 => (0u8..60, any::<u8>()).prop_map(|(key, value)| Op::Upsert(key, value)),
        3 => (0u8..60).prop_map(Op::Remove),
        2 => (keys(), keys(), any::<bool>(), any::<bool>()).prop_map(
            |(listed, changed, ends, sweep)| Op::Relist { listed, changed, ends, sweep }
        ),
        4 => Just(Op::Publish),
        2 => Just(Op::Snapshot),
        1 => Just(Op::DropSnapshot),
        2 => (0usize..50).prop_map(Op::Reclaim),
        1 => Just(Op::AddIndex),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn inv_s10_indexes_and_snapshots_agree_with_the_model(
        hash_bits in prop_oneof![Just(64u32), Just(4)],
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut world = World::new(hash_bits);
        for op in &ops {
            world.apply(op);
            world.check();
        }
        world.snapshots.clear();
        world.apply(&Op::Publish);
        while world.indexer.reclaim(64) > 0 {}
        prop_assert_eq!(world.indexer.retained(), Retained::default());
    }
}
