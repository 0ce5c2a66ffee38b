//! Tokens that a JSON string contains without escapes, by length. If a string has room for `n` more characters, all
//! tokens up to that length are allowed and all longer ones are not.

use llguidance::derivre::StateID;
use llguidance::toktrie::{SimpleVob, TokTrie};

use super::runs::Steps;
use super::trie::Trie;

/// Lengths up to this one, in characters, are distinguished.
pub(super) const LONGEST: usize = 30;

/// The position of a reader inside a character's UTF-8. [RFC 3629](https://www.rfc-editor.org/rfc/rfc3629), section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    /// This many continuation bytes must follow.
    One,
    Two,
    Three,
    AfterE0,
    AfterEd,
    AfterF0,
    AfterF4,
}

type Edge = (u8, u8, Place);

impl Place {
    /// The bytes that may come next, as ranges, and the resulting positions. At the start: every character except
    /// quote, backslash and control characters.
    fn edges(self) -> &'static [Edge] {
        use Place::{AfterE0, AfterEd, AfterF0, AfterF4, One, Start, Three, Two};
        match self {
            Start => &[
                (b' ', b'!', Start),
                (b'#', b'[', Start),
                (b']', b'~', Start),
                (0xc2, 0xdf, One),
                (0xe0, 0xe0, AfterE0),
                (0xe1, 0xec, Two),
                (0xed, 0xed, AfterEd),
                (0xee, 0xef, Two),
                (0xf0, 0xf0, AfterF0),
                (0xf1, 0xf3, Three),
                (0xf4, 0xf4, AfterF4),
            ],
            One => &[(0x80, 0xbf, Start)],
            Two => &[(0x80, 0xbf, One)],
            Three => &[(0x80, 0xbf, Two)],
            AfterE0 => &[(0xa0, 0xbf, One)],
            AfterEd => &[(0x80, 0x9f, One)],
            AfterF0 => &[(0x90, 0xbf, Two)],
            AfterF4 => &[(0x80, 0x8f, Two)],
        }
    }
}

/// Whether a JSON string contains the text without escapes.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c != '"' && c != '\\' && c >= ' ' && c != '\u{7f}')
}

/// How much plain text the lexer accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Every plain text of up to this many characters is accepted.
    pub(super) taken: usize,
    /// Whether every longer text is rejected.
    pub(super) ends: bool,
}

impl Room {
    /// Plain text of any length.
    pub(super) const ANY: Self = Self { taken: usize::MAX, ends: false };
}

/// How much plain text the lexer accepts from `state`, up to `longest` characters. `None` if it treats characters
/// differently, or if finding out takes more than `budget` steps.
pub(super) fn room(
    steps: &mut impl Steps,
    mut state: StateID,
    longest: usize,
    mut budget: usize,
) -> Option<Room> {
    for taken in 0..longest {
        let forced = steps.forced(state);
        if forced.is_some_and(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
            return Some(Room { taken, ends: true });
        }
        let next = behind_a_character(steps, state, &mut budget)?;
        if next == state {
            return Some(Room::ANY);
        }
        state = next;
    }
    Some(Room { taken: longest, ends: false })
}

/// The state after one more plain character, whichever it is. `None` if a character is rejected or leads to another
/// state; the walk stops there, so that lexers with many states do not have to build them.
fn behind_a_character(steps: &mut impl Steps, from: StateID, budget: &mut usize) -> Option<StateID> {
    // Pairs of position and state; each is visited once, since most characters pass through the same ones.
    let mut within = vec![(Place::Start, from)];
    let mut behind = None;
    let mut at = 0;
    while let Some(&(place, state)) = within.get(at) {
        at += 1;
        for &(first, last, to) in place.edges() {
            for byte in first..=last {
                *budget = budget.checked_sub(1)?;
                let next = steps.step(state, byte)?;
                if to == Place::Start {
                    if *behind.get_or_insert(next) != next {
                        return None;
                    }
                } else if !within.contains(&(to, next)) {
                    within.push((to, next));
                }
            }
        }
    }
    behind
}

/// The plain tokens of a vocabulary.
#[derive(Debug)]
pub(super) struct PlainTokens {
    all: SimpleVob,
    /// Index `n`: the tokens of at most `n` characters, from 0 to [`LONGEST`].
    up_to: Vec<SimpleVob>,
    /// Longer tokens.
    longer: Trie,
    /// All other tokens.
    others: Trie,
}

impl PlainTokens {
    pub(super) fn new(trie: &TokTrie) -> Self {
        let mut all = trie.alloc_token_set();
        let mut up_to = vec![trie.alloc_token_set(); LONGEST + 1];
        let (mut longer, mut others) = (Vec::new(), Vec::new());
        for id in 0..trie.vocab_size() as u32 {
            let bytes = trie.token(id);
            if bytes.is_empty() {
                continue;
            }
            let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| is_plain(text)) else {
                others.push((bytes, id));
                continue;
            };
            all.allow_token(id);
            match up_to.get_mut(text.chars().count()..) {
                Some(sets) => sets.iter_mut().for_each(|set| set.allow_token(id)),
                None => longer.push((bytes, id)),
            }
        }
        all.trim_trailing_zeros();
        up_to.iter_mut().for_each(SimpleVob::trim_trailing_zeros);
        Self { all, up_to, longer: Trie::new(longer), others: Trie::new(others) }
    }

    /// Allows the plain tokens that fit into `room`, and the other tokens that `reader` accepts.
    pub(super) fn allow(&self, room: Room, reader: &mut impl toktrie::Recognizer, allowed: &mut SimpleVob) {
        match self.up_to.get(room.taken) {
            None => allowed.or(&self.all),
            Some(set) => {
                allowed.or(set);
                if !room.ends {
                    self.longer.walk(reader, allowed);
                }
            }
        }
        self.others.walk(reader, allowed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTE: u32 = 1;

    /// A string with room for `n` characters is state `10 * n + 2`, plus the number of pending bytes (up to three);
    /// after its quote it is state 1. Without a limit it is state 1002.
    struct Text {
        /// A character that is rejected.
        but: u8,
    }

    impl Steps for Text {
        fn step(&mut self, state: StateID, byte: u8) -> Option<StateID> {
            let (room, more) = ((state.as_u32() - 2) / 10, (state.as_u32() - 2) % 10);
            let left = if room == 100 { 100 } else { room.saturating_sub(1) };
            let to = match byte {
                b'"' if more == 0 => QUOTE,
                _ if byte == self.but || room == 0 => return None,
                0x20..=0x7e if more == 0 && byte != b'\\' => 10 * left + 2,
                0x80..=0xbf if more > 1 => state.as_u32() - 1,
                0x80..=0xbf if more == 1 => 10 * left + 2,
                0xc2..=0xdf if more == 0 => 10 * room + 3,
                0xe0..=0xef if more == 0 => 10 * room + 4,
                0xf0..=0xf4 if more == 0 => 10 * room + 5,
                _ => return None,
            };
            Some(StateID::new(to))
        }

        fn forced(&mut self, state: StateID) -> Option<u8> {
            (state.as_u32() == 2).then_some(b'"')
        }
    }

    #[test]
    fn the_room_of_a_string_is_counted_in_characters() {
        let of =
            |n: u32, longest, budget| room(&mut Text { but: 0 }, StateID::new(10 * n + 2), longest, budget);
        assert_eq!(of(0, 30, 10_000), Some(Room { taken: 0, ends: true }));
        assert_eq!(of(7, 30, 10_000), Some(Room { taken: 7, ends: true }));
        assert_eq!(of(31, 30, 20_000), Some(Room { taken: 30, ends: false }));
        assert_eq!(of(100, 30, 1_000), Some(Room::ANY));
        assert_eq!(of(7, 30, 1_000), None);
        let but = |but| room(&mut Text { but }, StateID::new(72), 30, 10_000);
        assert_eq!((but(b'x'), but(0xd0)), (None, None));
        assert_eq!(but(b'\\'), Some(Room { taken: 7, ends: true }));
    }

    #[test]
    fn plain_text_has_neither_quotes_nor_controls() {
        assert!(is_plain("Grüße, 世界 ~") && is_plain(""));
        for text in ["a\"", "\\", "\n", "\u{7f}", "\u{0}"] {
            assert!(!is_plain(text), "{text:?}");
        }
    }
}
