//! Tokens that are a run of one kind of character: the bulk of every vocabulary.

use llguidance::derivre::StateID;

/// The kinds of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Lower,
    /// An upper-case letter, then lower-case ones.
    Title,
    Upper,
    /// Letters in any other order.
    Letters,
    Digits,
    /// `U+4E00` to `U+9FFF`.
    Han,
    /// Any other non-ASCII characters.
    Beyond,
}

type Bytes = (u8, u8);

/// The byte sequences of one character, as a range for each byte.
type Chars = &'static [&'static [Bytes]];

const LOWER: Chars = &[&[(b'a', b'z')]];
const UPPER: Chars = &[&[(b'A', b'Z')]];
const LETTERS: Chars = &[&[(b'A', b'Z')], &[(b'a', b'z')]];
const DIGITS: Chars = &[&[(b'0', b'9')]];
const MORE: Bytes = (0x80, 0xbf);
const HAN: Chars = &[&[(0xe4, 0xe4), (0xb8, 0xbf), MORE], &[(0xe5, 0xe9), MORE, MORE]];
/// Non-ASCII UTF-8.
const BEYOND: Chars = &[
    &[(0xc2, 0xdf), MORE],
    &[(0xe0, 0xe0), (0xa0, 0xbf), MORE],
    &[(0xe1, 0xec), MORE, MORE],
    &[(0xed, 0xed), (0x80, 0x9f), MORE],
    &[(0xee, 0xef), MORE, MORE],
    &[(0xf0, 0xf0), (0x90, 0xbf), MORE, MORE],
    &[(0xf1, 0xf3), MORE, MORE, MORE],
    &[(0xf4, 0xf4), (0x80, 0x8f), MORE, MORE],
];

impl Kind {
    /// The kind and the length in characters of `text`, if it is a run.
    pub(super) fn of(text: &str) -> Option<(Self, usize)> {
        let all = |test: fn(char) -> bool| text.chars().all(test);
        let first = text.chars().next()?;
        let kind = if all(|c| c.is_ascii_lowercase()) {
            Self::Lower
        } else if all(|c| c.is_ascii_uppercase()) {
            Self::Upper
        } else if first.is_ascii_uppercase() && text.chars().skip(1).all(|c| c.is_ascii_lowercase()) {
            Self::Title
        } else if all(|c| c.is_ascii_alphabetic()) {
            Self::Letters
        } else if all(|c| c.is_ascii_digit()) {
            Self::Digits
        } else if all(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)) {
            Self::Han
        } else if all(|c| !c.is_ascii()) {
            Self::Beyond
        } else {
            return None;
        };
        Some((kind, text.chars().count()))
    }

    /// Only ASCII letters.
    pub(super) fn is_letters(self) -> bool {
        matches!(self, Self::Lower | Self::Title | Self::Upper | Self::Letters)
    }

    /// The characters of a run; for `Title`, those after the first.
    fn chars(self) -> Chars {
        match self {
            Self::Lower | Self::Title => LOWER,
            Self::Upper => UPPER,
            Self::Letters => LETTERS,
            Self::Digits => DIGITS,
            Self::Han => HAN,
            Self::Beyond => BEYOND,
        }
    }
}

/// A lexer whose steps can be tried. `None` for a byte after which the lexer does not simply continue inside its
/// lexemes.
pub(super) trait Steps {
    fn step(&mut self, state: StateID, byte: u8) -> Option<StateID>;

    /// The only byte that can come next, if the lexer knows that there is just one and that no lexeme ends here.
    fn forced(&mut self, state: StateID) -> Option<u8>;
}

/// The length in characters up to which the lexer accepts all runs of `kind` from `state` without leaving its lexemes:
/// at most `longest`, and an underestimate if the exact answer takes more than `budget` steps.
pub(super) fn taken(
    steps: &mut impl Steps,
    state: StateID,
    kind: Kind,
    longest: usize,
    mut budget: usize,
) -> usize {
    // States between characters that were already visited: any other way to them leaves runs of the same length or
    // shorter.
    let mut seen = Vec::new();
    let mut length = 0;
    if kind == Kind::Title {
        if !UPPER.iter().all(|ranges| character(steps, state, ranges, &mut budget, &mut seen)) {
            return 0;
        }
        length = 1;
    } else {
        seen.push(state);
    }
    let mut now = 0;
    while length < longest && now < seen.len() {
        let end = seen.len();
        for at in now..end {
            let from = seen[at];
            if !kind.chars().iter().all(|ranges| character(steps, from, ranges, &mut budget, &mut seen)) {
                return length;
            }
        }
        now = end;
        length += 1;
    }
    longest
}

/// Adds the states after one character to `seen`; `false` if one of its byte sequences is rejected.
fn character(
    steps: &mut impl Steps,
    from: StateID,
    ranges: &[Bytes],
    budget: &mut usize,
    seen: &mut Vec<StateID>,
) -> bool {
    let Some(((first, last), rest)) = ranges.split_first().map(|(r, rest)| (*r, rest)) else {
        if !seen.contains(&from) {
            seen.push(from);
        }
        return true;
    };
    let mut inner: Vec<StateID> = Vec::new();
    for byte in first..=last {
        if *budget == 0 {
            return false;
        }
        *budget -= 1;
        let Some(next) = steps.step(from, byte) else { return false };
        let list = if rest.is_empty() { &mut *seen } else { &mut inner };
        if !list.contains(&next) {
            list.push(next);
        }
    }
    inner.into_iter().all(|state| character(steps, state, rest, budget, seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_told_by_their_characters() {
        let of = |text| Kind::of(text).map(|(kind, _)| kind);
        assert_eq!(of("word"), Some(Kind::Lower));
        assert_eq!(of("Word"), Some(Kind::Title));
        assert_eq!(of("W"), Some(Kind::Upper));
        assert_eq!(of("wOrD"), Some(Kind::Letters));
        assert_eq!(of("2024"), Some(Kind::Digits));
        assert_eq!(Kind::of("的一"), Some((Kind::Han, 2)));
        assert_eq!(of("é的"), Some(Kind::Beyond));
        assert_eq!((of(""), of("a1"), of("aé")), (None, None, None));
    }

    /// Accepts any number of lower-case letters, up to three upper-case ones, and digits, which return to the start.
    struct Toy;

    impl Steps for Toy {
        fn step(&mut self, state: StateID, byte: u8) -> Option<StateID> {
            let n = state.as_u32();
            match byte {
                b'a'..=b'z' if n == 0 || n >= 10 => Some(StateID::new(10)),
                b'A'..=b'Z' if n < 3 => Some(StateID::new(n + 1)),
                b'0'..=b'8' if n == 0 => Some(state),
                0xe4..=0xe9 if n == 0 => Some(StateID::new(20)),
                0x80..=0xbf if n == 20 || n == 21 => Some(StateID::new(if n == 20 { 21 } else { 0 })),
                _ => None,
            }
        }

        fn forced(&mut self, _: StateID) -> Option<u8> {
            None
        }
    }

    #[test]
    fn a_run_is_taken_as_far_as_every_text_of_its_kind_is() {
        let from = |n, kind, longest| taken(&mut Toy, StateID::new(n), kind, longest, 1000);
        assert_eq!(from(0, Kind::Lower, 30), 30);
        assert_eq!(from(0, Kind::Upper, 30), 3);
        assert_eq!(from(0, Kind::Upper, 2), 2);
        assert_eq!(from(0, Kind::Letters, 30), 1);
        assert_eq!(from(0, Kind::Title, 30), 1);
        assert_eq!(from(0, Kind::Digits, 30), 0);
        assert_eq!(from(0, Kind::Han, 30), 30);
        assert_eq!(from(0, Kind::Beyond, 30), 0);
        assert_eq!(taken(&mut Toy, StateID::new(0), Kind::Lower, 30, 30), 1);
    }
}
