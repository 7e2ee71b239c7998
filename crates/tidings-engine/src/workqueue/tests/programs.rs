//! Programs of additions, delays, workers and shutdowns, drawn at random, against the model.

use proptest::prelude::*;

use super::model::{KEYS, Op, PRIORITIES, World};

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..KEYS;
    let priority = || prop::sample::select(&PRIORITIES[..]);
    let span = || (0_u32..45, any::<u64>()).prop_map(|(bits, value)| value & ((1 << bits) - 1));
    prop_oneof![
        20 => (key(), priority()).prop_map(|(key, priority)| Op::Add(key, priority)),
        10 => (key(), span(), priority()).prop_map(|(key, after, priority)| Op::After(key, after, priority)),
        5 => key().prop_map(Op::Retry),
        20 => Just(Op::Get),
        15 => any::<usize>().prop_map(Op::Done),
        3 => key().prop_map(Op::Forget),
        4 => key().prop_map(Op::Cancel),
        2 => key().prop_map(Op::CancelDelayed),
        10 => span().prop_map(Op::Pass),
        1 => any::<bool>().prop_map(Op::ShutDown),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn a_program_does_what_the_model_does(ops in prop::collection::vec(op(), 0..250)) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
        }
    }
}
