//! The hash of the marks: no answer depends on it, only how long a relist takes.

use std::{collections::BTreeSet, hash::Hasher};

use super::AddressHasher;

/// hashbrown takes a bucket from the low bits and a tag from the high ones, so each bit counts.
fn assert_spread(hashes: &[u64]) {
    let distinct: BTreeSet<&u64> = hashes.iter().collect();
    assert_eq!(distinct.len(), hashes.len(), "two have one hash");
    for bit in 0..u64::BITS {
        let set = hashes.iter().filter(|hash| *hash >> bit & 1 == 1).count();
        let share = set * 100 / hashes.len();
        assert!((40..=60).contains(&share), "bit {bit}: {share} % are set");
    }
}

#[test]
fn the_addresses_of_neighbours_are_spread_over_all_bits() {
    let addresses = || (0..4096).map(|number| 0x7f00_1234_5000 + number * 48);
    let alone = |address| {
        let mut hasher = AddressHasher::default();
        hasher.write_usize(address);
        hasher.finish()
    };
    assert_spread(&addresses().map(alone).collect::<Vec<_>>());
    let after_another = |address| {
        let mut hasher = AddressHasher::default();
        hasher.write_usize(0x7f00_1234_5000);
        hasher.write_usize(address);
        hasher.finish()
    };
    assert_spread(&addresses().map(after_another).collect::<Vec<_>>());
    let in_bytes = |address: usize| {
        let mut hasher = AddressHasher::default();
        hasher.write(&address.to_le_bytes());
        hasher.finish()
    };
    assert_spread(&addresses().map(in_bytes).collect::<Vec<_>>());
}
