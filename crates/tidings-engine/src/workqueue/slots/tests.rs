//! The hash of keys: no answer depends on it, only how long a lookup takes.

use super::*;

/// hashbrown takes a bucket from the low bits and a tag from the highest seven.
#[test]
fn hashes_of_keys_are_spread_over_all_bits_and_stay_so_when_they_are_widened() {
    let slots: Slots<u32> = Slots::new(7);
    let hashes: Vec<u32> = (0_u32..4096).map(|key| slots.hash(&key)).collect();
    let share = |is_set: &dyn Fn(u32) -> bool| {
        let set = hashes.iter().filter(|hash| is_set(**hash)).count();
        set * 100 / hashes.len()
    };
    for bit in 0..u32::BITS {
        let share = share(&|hash| hash >> bit & 1 == 1);
        assert!((40..=60).contains(&share), "bit {bit}: {share} % are set");
    }
    for bit in 0..u64::BITS {
        let share = share(&|hash| Place { hash, id: 0 }.wide() >> bit & 1 == 1);
        assert!((40..=60).contains(&share), "wide bit {bit}: {share} %");
    }
}

/// A key whose hash says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Alike(u32);

impl Hash for Alike {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

#[test]
fn keys_of_one_hash_are_told_apart() {
    let mut slots = Slots::new(7);
    let ids = [1, 2, 3].map(|key| slots.find_or_insert(&Alike(key)));
    assert_eq!(ids.map(|(_, is_new)| is_new), [true; 3]);
    let ids = ids.map(|(id, _)| id);
    for (key, id) in (1..).zip(ids) {
        assert_eq!(slots.find(&Alike(key)), Some(id));
        assert_eq!(slots.find_or_insert(&Alike(key)), (id, false));
    }
    assert_eq!(slots.find(&Alike(4)), None);
    slots.remove(ids[1]);
    assert_eq!(slots.find(&Alike(2)), None);
    assert_eq!(slots.find(&Alike(1)), Some(ids[0]));
    assert_eq!(slots.find(&Alike(3)), Some(ids[2]));
    assert_eq!(slots.len(), 2);
}

/// A chunk has 1024 slots; the numbers of the next go on where it ended.
#[test]
fn slots_of_all_chunks_have_numbers_of_their_own() {
    let mut slots: Slots<u32> = Slots::new(7);
    let ids: Vec<u32> = (0..3000).map(|key| slots.find_or_insert(&key).0).collect();
    assert_eq!(slots.len(), 3000);
    for (key, id) in (0..).zip(&ids) {
        assert_eq!(slots.find(&key), Some(*id));
        assert_eq!(slots.at(*id).key, Some(key));
        let ticket = slots.ticket(*id);
        assert_eq!(slots.redeem(&ticket), Some(*id));
    }
    let mut sorted = ids;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..3000).collect::<Vec<u32>>());
    let mut occupied: Vec<u32> = slots.ids().collect();
    occupied.sort_unstable();
    assert_eq!(occupied, sorted);
}
