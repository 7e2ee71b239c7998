//! Rate limiters, with the numbers of client-go's tests.

use std::time::Duration;

use tidings_api::Instant;

use crate::workqueue::rate_limit::{
    Exponential, FastSlow, Jittered, MaxOf, RateLimiter, TokenBucket, WithMaxWait,
    default_controller_limiter, default_item_limiter,
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn first(limiter: &mut dyn RateLimiter, count: u32) -> Vec<Duration> {
    (0..count)
        .map(|attempt| limiter.delay(Instant::ZERO, attempt))
        .collect()
}

#[test]
fn cg_l2_delays_double_up_to_their_bound_and_never_overflow() {
    let mut limiter = default_item_limiter();
    assert_eq!(first(&mut limiter, 5), [1, 2, 4, 8, 16].map(ms));
    let longest = Duration::from_secs(1000);
    for attempt in [20, 63, 64, 127, 128, 1000, u32::MAX] {
        assert_eq!(limiter.delay(Instant::ZERO, attempt), longest);
    }
    let mut long = Exponential {
        base: Duration::MAX,
        max: Duration::MAX,
    };
    assert_eq!(long.delay(Instant::ZERO, 3), Duration::MAX);
}

#[test]
fn cg_l3_fast_attempts_come_first() {
    let mut limiter = FastSlow {
        fast: ms(5),
        slow: Duration::from_secs(10),
        fast_attempts_max: 3,
    };
    let slow = Duration::from_secs(10);
    assert_eq!(first(&mut limiter, 5), [ms(5), ms(5), ms(5), slow, slow]);
}

#[test]
fn cg_l1_a_bucket_gives_its_burst_at_once_and_then_its_rate() {
    let mut bucket = TokenBucket::new(10, 3, Duration::from_secs(1000));
    assert_eq!(first(&mut bucket, 5), [0, 0, 0, 100, 200].map(ms));
    // After 350 ms one and a half of the debt's tokens are there: the next one waits half a token.
    let later = Instant::ZERO + ms(350);
    assert_eq!(bucket.delay(later, 0), Duration::ZERO);
    assert_eq!(bucket.delay(later, 0), ms(50));
    // A long pause fills it, and no more than fills it.
    let much_later = Instant::ZERO + Duration::from_secs(100);
    let mut delays = (0..4).map(|_| bucket.delay(much_later, 0));
    assert_eq!(delays.by_ref().take(3).sum::<Duration>(), Duration::ZERO);
    assert_eq!(delays.next(), Some(ms(100)));
}

#[test]
fn cg_l4_a_mass_failure_does_not_push_later_retries_out_for_ever() {
    let mut bucket = TokenBucket::new(10, 1, Duration::from_secs(60));
    for _ in 0..100_000 {
        assert!(bucket.delay(Instant::ZERO, 0) <= Duration::from_secs(60));
    }
    // A minute later there is a token again.
    let later = Instant::ZERO + Duration::from_secs(61);
    assert_eq!(bucket.delay(later, 0), Duration::ZERO);
}

/// A delay may be as long as the bound; who is told the bound in place of a longer one takes no token.
#[test]
fn cg_l4_a_buckets_debt_reaches_its_bound_and_no_more() {
    let mut bucket = TokenBucket::new(10, 1, ms(250));
    assert_eq!(first(&mut bucket, 5), [0, 100, 200, 250, 250].map(ms));
    let mut bucket = TokenBucket::new(10, 1, ms(200));
    assert_eq!(first(&mut bucket, 4), [0, 100, 200, 200].map(ms));
    assert_eq!(bucket.delay(Instant::ZERO + ms(200), 0), ms(100));
}

#[test]
fn cg_l3_the_longest_of_several_counts_and_all_are_asked() {
    let mut limiter = default_controller_limiter();
    let delays = first(&mut limiter, 4);
    assert_eq!(delays, [5, 10, 20, 40].map(ms));
    // The bucket has been asked each time: 97 are left of its burst.
    for _ in 0..96 {
        assert_eq!(limiter.delay(Instant::ZERO, 0), ms(5));
    }
    assert_eq!(limiter.delay(Instant::ZERO, 0), ms(100));
    assert_eq!(MaxOf::new([]).delay(Instant::ZERO, 7), Duration::ZERO);
}

#[test]
fn cg_l3_a_longest_wait_bounds_another_limiter() {
    let mut limiter = WithMaxWait::new(default_item_limiter(), ms(5));
    assert_eq!(first(&mut limiter, 5), [1, 2, 4, 5, 5].map(ms));
}

#[test]
fn jitter_makes_delays_longer_by_at_most_its_factor_and_is_replayed_from_its_seed() {
    let delays = |seed| {
        let mut limiter = Jittered::new(|_: Instant, _: u32| ms(100), 0.5, seed);
        first(&mut limiter, 100)
    };
    let drawn = delays(3);
    assert!(
        drawn
            .iter()
            .all(|delay| (ms(100)..=ms(150)).contains(delay))
    );
    assert!(drawn.iter().any(|delay| *delay > ms(140)));
    assert!(drawn.iter().any(|delay| *delay < ms(110)));
    assert_eq!(drawn, delays(3));
    assert_ne!(drawn, delays(4));
    let mut none = Jittered::new(|_: Instant, _: u32| ms(100), f64::NAN, 1);
    assert_eq!(none.delay(Instant::ZERO, 0), ms(100));
}
