//! Lists in one line: `:Pod` is the list's word, `Pod` an object, `-` one that names no kind, `/`
//! the end of a page, `.` the end of the list. Right: what came of each.

use super::*;

/// A list after those before it: `+` let through, `!` of another kind, `x` given up for what.
fn list(kinds: &mut Kinds, text: &str) -> String {
    let mut seen = String::new();
    kinds.begin(false);
    for word in text.split_whitespace() {
        let judged = match word {
            "/" => {
                let judged = kinds.handle_end();
                kinds.begin(true);
                judged
            }
            "." => kinds.handle_end(),
            "-" => {
                seen.push(if kinds.is_other(None) { '!' } else { '+' });
                Ok(())
            }
            _ => match word.strip_prefix(':') {
                Some(kind) => kinds.handle_word(kind),
                None => {
                    seen.push(if kinds.is_other(Some(word)) { '!' } else { '+' });
                    Ok(())
                }
            },
        };
        if let Err(message) = judged {
            let rest = message.strip_prefix("the list has objects of the kind ");
            return format!("{seen}x {}", rest.unwrap());
        }
    }
    seen
}

fn check(lists: &[(&str, &str)]) {
    let mut kinds = Kinds::default();
    for (text, expected) in lists {
        assert_eq!(list(&mut kinds, text), *expected, "{text} of {lists:?}");
    }
}

const POD_FOR_SECRET: &str = r#""Pod" where "Secret" was"#;
const SECRET_FOR_POD: &str = r#""Secret" where "Pod" was"#;

#[test]
fn the_first_object_teaches_and_others_are_unfit() {
    check(&[
        ("Pod Pod Secret - Pod .", "++!++"),
        ("Secret Pod Pod .", "!++"),
    ]);
}

#[test]
fn a_wrong_first_object_is_outvoted() {
    let given_up = format!("+!!x {POD_FOR_SECRET}");
    check(&[("Secret Pod Pod .", &given_up), ("Secret Pod Pod .", "!++")]);
    // The end bookmark's kind is a vote, so that one right object is enough.
    let given_up = format!("+!x {POD_FOR_SECRET}");
    check(&[
        ("Secret Pod :Pod .", &given_up),
        ("Secret Pod :Pod .", "!+"),
    ]);
}

#[test]
fn the_order_does_not_matter_however_many_wrong_ones_come_first() {
    check(&[
        ("Pod .", "+"),
        ("Secret Secret Secret Pod Pod Pod Pod .", "!!!++++"),
        ("Pod Pod Pod Pod Secret Secret Secret .", "++++!!!"),
    ]);
}

#[test]
fn a_rival_among_rivals_is_found() {
    let given_up = format!("+!!!!!x {POD_FOR_SECRET}");
    check(&[
        ("Secret Node Pod Pod Pod Pod .", &given_up),
        ("Pod Pod .", "++"),
    ]);
}

#[test]
fn a_tie_is_for_the_known_kind() {
    check(&[
        ("Pod .", "+"),
        ("Secret Pod .", "!+"),
        ("Secret :Pod .", "!"),
    ]);
}

#[test]
fn a_head_before_the_objects_is_authoritative_once_and_a_lasting_one_is_the_truth() {
    let refused = format!("x {SECRET_FOR_POD}");
    check(&[
        (":Pod Secret Pod .", "!+"),
        (":Secret Secret .", &refused),
        (":Pod Pod .", "+"),
        (":Secret Secret .", &refused),
        (":Secret Secret .", "+"),
        ("Secret Pod Secret .", "+!+"),
    ]);
}

/// Built-in objects in lists name no kind; custom resources have the list's kind after the items,
/// and it need not be theirs.
#[test]
fn the_word_stands_for_items_without_a_kind_and_yields_to_those_with_one() {
    let refused = format!("x {SECRET_FOR_POD}");
    check(&[
        (":Pod - - .", "++"),
        (":Secret - - .", &refused),
        ("Pod .", "+"),
    ]);
    check(&[
        ("Foo Foo :Bar .", "++"),
        ("Foo :Bar .", "+"),
        ("Foo .", "+"),
    ]);
}

#[test]
fn a_whole_list_of_objects_of_another_kind_is_refused_once() {
    let refused = format!("!!x {SECRET_FOR_POD}");
    check(&[
        ("Pod .", "+"),
        ("Secret Secret :Secret .", &refused),
        ("Pod Pod :Pod .", "++"),
        ("Secret Secret :Secret .", &refused),
        ("Secret Secret :Secret .", "++"),
    ]);
    // Even where the second one begins with yet another kind.
    let given_up = format!("!!!x {SECRET_FOR_POD}");
    check(&[
        ("Pod .", "+"),
        ("Secret Secret .", &refused),
        ("Node Secret Secret .", &given_up),
        ("Node Secret Secret .", "!++"),
    ]);
}

#[test]
fn an_empty_list_teaches_nothing_but_may_be_refused() {
    let refused = format!("x {SECRET_FOR_POD}");
    check(&[(":Bar .", ""), ("Foo Foo .", "++")]);
    check(&[
        (":Pod - .", "+"),
        (":Secret .", &refused),
        (":Secret .", ""),
        ("Pod .", "+"),
    ]);
}

#[test]
fn pages_are_one_list_but_each_has_a_head_of_its_own() {
    let refused = format!("++x {SECRET_FOR_POD}");
    check(&[
        (":Pod Pod Pod / :Pod Secret Pod .", "++!+"),
        (":Pod Pod Pod / :Secret Secret .", &refused),
        // Without heads: the last page's only object is not the majority.
        ("Pod Pod / Secret .", "++!"),
    ]);
}

#[test]
fn cg_r21_in_a_live_stream_a_wrong_kind_is_unfit_however_often() {
    let mut kinds = Kinds::default();
    assert_eq!(list(&mut kinds, ":Pod Pod ."), "+");
    kinds.begin(false);
    for _ in 0..100 {
        assert!(kinds.is_other(Some("Secret")));
    }
    assert!(!kinds.is_other(Some("Pod")));
}

#[test]
fn sec_29_names_are_shown_short_and_printable() {
    let mut kinds = Kinds::default();
    let long = format!("\u{1b}[31m{}", "x".repeat(5000));
    assert!(!kinds.is_other(Some(&long)));
    let problem = kinds.problem(&long);
    assert!(
        problem.len() < 200 && !problem.contains('\u{1b}'),
        "{problem}"
    );
}
