//! Both twins against the plain form, byte by byte, at every cut.

use proptest::prelude::*;

use super::*;

/// The plain form: one byte after the other.
#[derive(Default)]
struct Plain {
    is_escaped: bool,
    is_in_string: bool,
}

impl Plain {
    /// Whether the byte is an unescaped quote, inside a string, or structure.
    fn byte(&mut self, byte: u8) -> (bool, bool, bool) {
        let was_escaped = self.is_escaped;
        self.is_escaped = byte == b'\\' && !was_escaped;
        let is_quote = byte == b'"' && !was_escaped;
        self.is_in_string ^= is_quote;
        let is_structure = !self.is_in_string && b"{}[]:,".contains(&byte);
        (is_quote, self.is_in_string, is_structure)
    }
}

fn plain_masks(blocks: &[[u8; BLOCK_BYTES]]) -> Vec<Masks> {
    let mut plain = Plain::default();
    let mut all = Vec::new();
    for block in blocks {
        let mut masks = Masks::default();
        for (index, &byte) in block.iter().enumerate() {
            let bit = 1 << index;
            let (is_quote, is_in_string, is_structure) = plain.byte(byte);
            masks.quotes |= if is_quote { bit } else { 0 };
            masks.strings |= if is_in_string { bit } else { 0 };
            let mask = match byte {
                b'{' | b'[' => &mut masks.opens,
                b'}' | b']' => &mut masks.closes,
                _ => &mut masks.punctuation,
            };
            *mask |= if is_structure { bit } else { 0 };
        }
        all.push(masks);
    }
    all
}

/// What a visitor sees: where a string starts and ends, or a bracket twice.
type Seen = Vec<(usize, usize)>;

/// Sees tokens and asks for skips by a rule that depends on the token alone.
struct Log(Seen);

impl Visitor for Log {
    fn string(&mut self, start: usize, end: usize) -> Step {
        self.0.push((start, end));
        step_at(end, b'"')
    }

    fn bracket(&mut self, at: usize, byte: u8) -> Step {
        self.0.push((at, at));
        step_at(at, byte)
    }
}

fn step_at(at: usize, byte: u8) -> Step {
    match (byte, at % 7) {
        (b'{' | b'[', 0..=2) => Step::Skip,
        (b'{' | b'[', 3) if at.is_multiple_of(5) => Step::SkipAll,
        (b'"', 3) if at.is_multiple_of(5) => Step::SkipAll,
        (b'}' | b']', 4) if at.is_multiple_of(11) => Step::Stop,
        _ => Step::Next,
    }
}

fn plain_walk(bytes: &[u8], depth_max: u64) -> (Seen, bool) {
    let (mut plain, mut seen) = (Plain::default(), Vec::new());
    let (mut depth, mut goal, mut is_too_deep, mut start) = (0_u64, None, false, 0);
    for (at, &byte) in bytes.iter().enumerate() {
        let (is_quote, is_in_string, is_structure) = plain.byte(byte);
        if is_quote && is_in_string {
            start = at;
        }
        let is_string_end = is_quote && !is_in_string;
        let is_bracket = is_structure && !matches!(byte, b':' | b',');
        if is_bracket && matches!(byte, b'{' | b'[') {
            depth += 1;
            is_too_deep |= depth > depth_max;
        } else if is_bracket {
            depth = depth.saturating_sub(1);
        }
        let is_skipped = goal.is_some_and(|goal| is_string_end || depth > goal);
        if is_skipped || !(is_bracket || is_string_end) {
            continue;
        }
        goal = None;
        seen.push((if is_bracket { at } else { start }, at));
        match step_at(at, byte) {
            Step::Next => {}
            Step::Skip => goal = Some(depth.saturating_sub(1)),
            Step::SkipAll => goal = Some(0),
            Step::Stop => break,
        }
    }
    (seen, is_too_deep)
}

type Run = fn(&mut Walker, &[u8], &mut Log) -> Option<usize>;

fn walk(bytes: &[u8], depth_max: u32, cuts: &[usize], run: Run) -> (Seen, bool) {
    let (mut walker, mut log) = (Walker::new(depth_max), Log(Vec::new()));
    let mut before = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        let end = end.clamp(before, bytes.len());
        if run(&mut walker, &bytes[before..end], &mut log).is_some() {
            break;
        }
        before = end;
    }
    (log.0, walker.is_too_deep())
}

const FAST: Run = |walker, bytes, log| walker.run(bytes, log);
const PORTABLE: Run = |walker, bytes, log| portable::run(walker, bytes, log);

fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => prop::sample::select(br#"{}[]:,"#.to_vec()),
        2 => Just(b'"'),
        2 => Just(b'\\'),
        3 => Just(b'a'),
        1 => any::<u8>(),
    ];
    prop::collection::vec(byte, 0..400)
}

proptest! {
    #[test]
    fn masks_are_the_plain_ones(bytes in json_like()) {
        let (blocks, _) = bytes.as_chunks::<BLOCK_BYTES>();
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        let (mut fast_carry, mut slow_carry) = (Carry::default(), Carry::default());
        masks(blocks, &mut fast_carry, |masks| fast.push(masks));
        portable::masks(blocks, &mut slow_carry, |masks| slow.push(masks));
        prop_assert_eq!(&fast, &slow);
        prop_assert_eq!(fast_carry, slow_carry);
        prop_assert_eq!(fast, plain_masks(blocks));
    }

    #[test]
    fn masks_of_random_bytes_are_the_same_in_both_twins(
        bytes in prop::collection::vec(any::<u8>(), 256)
    ) {
        let (blocks, _) = bytes.as_chunks::<BLOCK_BYTES>();
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        masks(blocks, &mut Carry::default(), |masks| fast.push(masks));
        portable::masks(blocks, &mut Carry::default(), |masks| slow.push(masks));
        prop_assert_eq!(fast, slow);
    }

    #[test]
    fn walks_are_the_plain_one_at_any_cuts(
        bytes in json_like(),
        depth_max in 0_u32..12,
        cuts in prop::collection::vec(0_usize..400, 0..6),
    ) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let expected = plain_walk(&bytes, u64::from(depth_max));
        prop_assert_eq!(&walk(&bytes, depth_max, &cuts, FAST), &expected);
        prop_assert_eq!(&walk(&bytes, depth_max, &cuts, PORTABLE), &expected);
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&walk(&bytes, depth_max, &every, FAST), &expected);
    }
}

#[test]
fn runs_of_backslashes_cross_blocks() {
    for before in 50..80 {
        for run in 0..80 {
            let mut text = vec![b' '; before];
            text.push(b'"');
            text.resize(text.len() + run, b'\\');
            text.extend_from_slice(b"\"{\",[]:");
            text.resize(text.len().next_multiple_of(BLOCK_BYTES), b' ');
            let (blocks, _) = text.as_chunks::<BLOCK_BYTES>();
            for twin in [true, false] {
                let (mut seen, mut carry) = (Vec::new(), Carry::default());
                if twin {
                    masks(blocks, &mut carry, |masks| seen.push(masks));
                } else {
                    portable::masks(blocks, &mut carry, |masks| seen.push(masks));
                }
                assert_eq!(seen, plain_masks(blocks), "{before} {run} {twin}");
            }
        }
    }
}
