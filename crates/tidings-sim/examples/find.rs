fn main() {
    use tidings_sim::catalogue::{CATALOGUE, Shown};
    let mut left: Vec<_> = CATALOGUE
        .iter()
        .filter(|r| matches!(r.shown, Shown::Here(..)))
        .collect();
    for seed in 0..3000 {
        let case = tidings_sim::case(seed);
        let outcome = tidings_sim::run(case.clone());
        left.retain(|r| {
            let hit = r.is_shown_by(&case, &outcome);
            if hit {
                println!("{} {seed}", r.fault);
            }
            !hit
        });
        if left.is_empty() {
            break;
        }
    }
    for r in left {
        println!("none {}", r.fault);
    }
}
