//! The arithmetic on masks that both twins share: escapes, strings, and what is left outside.
//!
//! Does not look at bytes: a twin classifies them first.
//!
//! In: four raw masks of a block and the carry. Out: the same masks without what strings hide.
//! Cost: about ten instructions a block when there is no backslash.
//! Source: simdjson, `json_escape_scanner` and `json_string_scanner`.

/// What one block tells the next: plain data, so that a scan resumes across reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carry {
    /// 1 if the next byte is escaped by a backslash, else 0.
    pub(crate) escape: u64,
    /// All ones inside a string, else 0.
    pub(crate) string: u64,
}

impl Carry {
    /// Whether the next byte stands inside a string.
    #[must_use]
    pub fn is_in_string(self) -> bool {
        self.string != 0
    }

    /// Whether the next byte is escaped by a backslash.
    #[must_use]
    pub fn is_escaped(self) -> bool {
        self.escape != 0
    }
}

/// The structure of one block; bit `i` stands for byte `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a plain record of masks that tests compare"
)]
pub struct Masks {
    /// Quotes that open or close a string.
    pub quotes: u64,
    /// Bytes inside strings, the opening quote included, the closing one not (M1).
    pub strings: u64,
    /// `{` and `[` outside strings.
    pub opens: u64,
    /// `}` and `]` outside strings.
    pub closes: u64,
    /// `:` and `,` outside strings.
    pub punctuation: u64,
}

/// What a twin finds in a block before strings are known.
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    pub(crate) backslashes: u64,
    pub(crate) quotes: u64,
    pub(crate) opens: u64,
    pub(crate) closes: u64,
}

/// The masks of one block without its punctuation, and which bytes are escaped.
#[derive(Clone, Copy)]
pub(crate) struct Outline {
    pub(crate) escaped: u64,
    pub(crate) quotes: u64,
    pub(crate) strings: u64,
    pub(crate) opens: u64,
    pub(crate) closes: u64,
}

impl Outline {
    #[inline(always)]
    pub(crate) fn of(raw: Raw, carry: &mut Carry, prefix_xor: impl Fn(u64) -> u64) -> Self {
        let escaped = escaped(raw.backslashes, &mut carry.escape);
        let quotes = raw.quotes & !escaped;
        let strings = prefix_xor(quotes) ^ carry.string;
        carry.string = (strings >> 63).wrapping_neg();
        Self {
            escaped,
            quotes,
            strings,
            opens: raw.opens & !strings,
            closes: raw.closes & !strings,
        }
    }

    /// What byte `len` would be told, where only `len` bytes of the block were real.
    pub(crate) fn carry_at(&self, len: usize) -> Carry {
        Carry {
            escape: self.escaped >> len & 1,
            string: (self.strings >> len & 1).wrapping_neg(),
        }
    }

    #[inline(always)]
    pub(crate) fn with_punctuation(&self, punctuation: u64) -> Masks {
        Masks {
            quotes: self.quotes,
            strings: self.strings,
            opens: self.opens,
            closes: self.closes,
            punctuation: punctuation & !self.strings,
        }
    }
}

/// The bytes that a backslash escapes: those after an odd run of backslashes.
#[inline(always)]
fn escaped(backslashes: u64, carry: &mut u64) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    if backslashes == 0 {
        return std::mem::take(carry);
    }
    let backslashes = backslashes & !*carry;
    let follows = backslashes << 1 | *carry;
    let odd_starts = backslashes & !EVEN & !follows;
    let (even_runs, overflows) = odd_starts.overflowing_add(backslashes);
    *carry = u64::from(overflows);
    (EVEN ^ (even_runs << 1)) & follows
}
