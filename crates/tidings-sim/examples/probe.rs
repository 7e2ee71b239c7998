use std::time::Instant;
fn main() {
    let args: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|a| a.parse().ok())
        .collect();
    if args.len() == 1 {
        println!("{}", tidings_sim::case(args[0]));
        let o = tidings_sim::run_traced(tidings_sim::case(args[0]), |l| println!("{l}"));
        println!("{:?}", o.violation);
        return;
    }
    let t = Instant::now();
    let s = tidings_sim::run_seeds(args[0], args[1], 2, 10);
    println!("{:?} {:#?}", t.elapsed(), s.tally);
    println!("{}", s.coverage);
    for (k, v) in &s.violations {
        println!("{k}: {v}");
    }
    println!("missing {:?}", s.coverage.missing());
}
