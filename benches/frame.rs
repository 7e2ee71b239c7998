//! Placeholder while the bench is being written.
fn main() {}
