//! `tidings sim`: what it prints, and what it returns.

use std::{fs, process::Command};

fn tidings(args: &[&str]) -> (bool, String) {
    let program = env!("CARGO_BIN_EXE_tidings");
    let out = Command::new(program).arg("sim").args(args).output();
    let out = out.expect("the command runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    (out.status.success(), text)
}

#[test]
fn many_seeds_are_told_in_numbers() {
    let (is_good, text) = tidings(&["--seeds", "20", "--first-seed", "5"]);
    assert!(is_good, "{text}");
    for part in [
        "20 seeds in",
        "simulated days",
        "a minute",
        "checked:",
        "half-open",
        "restores",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn one_seed_is_told_a_line_a_step_and_its_case_can_be_replayed() {
    let (is_good, text) = tidings(&["--seed", "7", "--trace"]);
    assert!(is_good, "{text}");
    assert!(text.starts_with("world seed="), "{text}");
    assert!(text.contains("\nt=0s i0 -> "), "{text}");
    // The case is what stands before the run, up to the first line of that.
    let end = text.find("\nt=0s i0 -> ").unwrap();
    let path = std::env::temp_dir().join(format!("tidings-sim-{}.case", std::process::id()));
    fs::write(&path, &text[..end]).unwrap();
    let (is_good, again) = tidings(&["--trace", "--replay", path.to_str().unwrap()]);
    fs::remove_file(&path).unwrap();
    assert!(is_good, "{again}");
    assert_eq!(text, again);
}

#[test]
fn what_is_no_case_is_an_error_with_its_line() {
    let path = std::env::temp_dir().join(format!("tidings-sim-{}.bad", std::process::id()));
    fs::write(&path, "world seed=1\n").unwrap();
    let program = env!("CARGO_BIN_EXE_tidings");
    let out = Command::new(program)
        .args(["sim", "--replay", path.to_str().unwrap()])
        .output()
        .unwrap();
    fs::remove_file(&path).unwrap();
    assert!(!out.status.success());
    let error = String::from_utf8(out.stderr).unwrap();
    assert!(error.contains("line 1: there is no replicas="), "{error}");
}
