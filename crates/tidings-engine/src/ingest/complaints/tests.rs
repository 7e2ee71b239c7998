//! C1 and C2 at the edges of a minute.

use super::*;

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

#[test]
fn the_first_is_written_and_then_one_a_minute_with_the_number_of_the_others() {
    let mut complaints = Complaints::default();
    let mut admit = |seconds| complaints.admit(at(seconds), Complaint::Unusable);
    let answers = [5, 5, 6, 64, 65, 65, 66, 125, 500, 501].map(&mut admit);
    let expected = [
        Some(0),
        None,
        None,
        None,
        Some(3),
        None,
        None,
        Some(2),
        Some(0),
        None,
    ];
    assert_eq!(answers, expected);
}

#[test]
fn complaints_do_not_silence_one_another() {
    let mut complaints = Complaints::default();
    let kinds = [
        Complaint::Undecodable,
        Complaint::UnknownType,
        Complaint::Unusable,
        Complaint::WrongKind,
    ];
    for written in [Some(0), None] {
        for kind in kinds {
            assert_eq!(complaints.admit(at(0), kind), written, "{kind:?}");
        }
    }
}
