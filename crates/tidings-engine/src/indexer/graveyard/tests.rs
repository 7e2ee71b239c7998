//! Spare roots: how many are kept, whichever way they come back.

use super::{super::IndexerConfig, *};

fn root() -> Counted<Root<()>> {
    Counted::new(Root::empty(KeyHasher::new(IndexerConfig::default())))
}

#[test]
fn a_few_roots_are_kept_for_the_next_publications_and_no_more() {
    let mut graveyard = Graveyard::new();
    for kept in [1, 2, 3, 4, 4, 4] {
        graveyard.reuse_root(root(), Retained::default());
        assert_eq!(graveyard.spare_roots.len(), kept);
    }
    let mut graveyard = Graveyard::new();
    let mut pools = Pools::default();
    for kept in [1, 2, 3, 4, 4, 4] {
        graveyard.retire(root(), Retained::default());
        assert_eq!(graveyard.reclaim(1000, &mut pools), 0, "it was empty");
        assert_eq!(
            (graveyard.roots.len(), graveyard.spare_roots.len()),
            (0, kept)
        );
    }
}

/// What is looked at in one call is bounded, and the next call goes on behind it.
#[test]
fn roots_that_are_held_are_looked_at_a_few_a_call() {
    let mut graveyard = Graveyard::new();
    let mut pools = Pools::default();
    let held: Vec<_> = (0..LOOK_MAX).map(|_| root()).collect();
    for root in &held {
        graveyard.retire(Counted::clone(root), Retained::default());
    }
    graveyard.retire(root(), Retained::default());
    graveyard.reclaim(1000, &mut pools);
    assert_eq!(graveyard.roots.len(), LOOK_MAX + 1, "those that are held");
    graveyard.reclaim(1000, &mut pools);
    assert_eq!(graveyard.roots.len(), LOOK_MAX, "the one behind them");
    drop(held);
    graveyard.reclaim(1000, &mut pools);
    assert_eq!(graveyard.roots.len(), 0);
}

/// Y2: the share of a root that goes passes to the one before it, or to what is being taken apart.
#[test]
fn the_share_of_a_root_that_goes_is_the_olders() {
    let share = |entries| Retained {
        generations: 0,
        entries,
        bytes: 10 * entries,
    };
    let sum = |generations, entries| Retained {
        generations,
        ..share(entries)
    };
    let mut graveyard = Graveyard::new();
    let mut pools = Pools::default();
    let (oldest, newest) = (root(), root());
    graveyard.retire(Counted::clone(&oldest), share(1));
    graveyard.retire(root(), share(2));
    graveyard.retire(Counted::clone(&newest), share(4));
    assert_eq!(graveyard.retained(), sum(3, 7));
    graveyard.reclaim(1000, &mut pools);
    assert_eq!(graveyard.retained(), sum(2, 7));
    assert_eq!(graveyard.roots[0].superseded, share(3));
    graveyard.reuse_root(root(), share(8));
    assert_eq!(graveyard.roots[1].superseded, share(12));
    drop(oldest);
    // Nothing is left of it once it is taken apart, and it was empty.
    graveyard.reclaim(1000, &mut pools);
    assert_eq!(graveyard.retained(), sum(1, 12));
    drop(newest);
    graveyard.exhume_next();
    assert_eq!(graveyard.retained(), sum(0, 12), "it is being taken apart");
    graveyard.reclaim(1000, &mut pools);
    assert_eq!(graveyard.retained(), Retained::default());
}
