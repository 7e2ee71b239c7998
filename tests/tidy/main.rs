//! The rules of the house that a machine can check, so that reviews can be about meaning.
//!
//! Does not run the code: it reads the tree and `cargo metadata`.
//!
//! Each test collects everything that it finds wrong and fails once, with the list.

mod docs;
mod layers;
mod mutants;
mod names;
mod rules;
mod sources;
mod tree;
mod upstream;

/// Fails with all that was found wrong.
fn report(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}\n", wrong.join("\n  "));
}
