//! Computes masks without reading every token. Most tokens of a vocabulary are runs of one kind of character,
//! optionally after one punctuation character. If the lexer accepts every run of a kind, all of these tokens are
//! allowed at once.
//!
//! `llguidance` has such slices too, but decides by the form of the regular expression, which works for JSON strings
//! and little else. Here the lexer's states are walked with every byte that a run may contain: a few dozen steps if the
//! state repeats (`\w+`), and never more than a budget. A token whose every byte keeps the lexer inside a lexeme is
//! allowed whatever the parser says, so the result is exact. Where no decision is possible, the tokens of the slice are
//! read one by one, as without slices.

mod plain;
mod runs;
mod trie;

use std::collections::BTreeMap;

use llguidance::derivre::{NextByte, StateID};
use llguidance::earley::{BiasComputer, ParserRecognizer};
use llguidance::toktrie::{SimpleVob, TokEnv, TokTrie};
use toktrie::Recognizer;

use plain::{PlainTokens, Room, room};
use runs::{Kind, Steps, taken};
use trie::Trie;

/// The slices that `llguidance` itself decides about: unescaped text in a JSON string, of any length and up to
/// [`plain::LONGEST`]. Its factory numbers them in this order.
pub(crate) const PLAIN_REGEXES: [&str; 2] = [r#"[^"\\\x00-\x1F\x7F]+"#, r#"[^"\\\x00-\x1F\x7F]{1,30}"#];
/// Work for this decision, in the library's units (about 0.1 us).
const PLAIN_BUDGET: u64 = 1000;
/// Most lexer steps for deciding about one kind of run.
const RUN_BUDGET: usize = 3000;
/// Most lexer steps for finding how many characters a string has left: thirty characters of about 470 steps.
const ROOM_BUDGET: usize = 15_000;
/// Smaller slices are not worth the effort.
const MIN_SLICE: usize = 32;
/// Lengths in characters at which runs are divided, since short runs may be allowed where long ones are not.
const LENGTHS: [usize; 3] = [3, 6, 10];

/// The tokens of one kind of run, up to a length.
#[derive(Debug)]
struct Length {
    longest: usize,
    tokens: SimpleVob,
    /// The tokens of this length and longer.
    from_here: Trie,
}

/// The tokens of one kind of run.
#[derive(Debug)]
struct Run {
    kind: Kind,
    lengths: Vec<Length>,
}

/// The runs after one particular byte, or after none.
#[derive(Debug)]
struct Prefix {
    byte: Option<u8>,
    /// All runs of letters.
    letters: Option<Length>,
    runs: Vec<Run>,
}

/// The slices of one vocabulary.
#[derive(Debug)]
pub(crate) struct SliceBias {
    env: Debugless,
    plain: PlainTokens,
    prefixes: Vec<Prefix>,
    rest: Trie,
}

struct Debugless(TokEnv);

impl std::fmt::Debug for Debugless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokEnv")
    }
}

impl Steps for ParserRecognizer<'_> {
    fn step(&mut self, state: StateID, byte: u8) -> Option<StateID> {
        let next = self.lexer_mut().transition_start_state(state, Some(byte), &None);
        // With lazy matching the lexeme would end here, and the parser would have to decide.
        (!next.is_dead() && !next.has_lowest_match()).then_some(next)
    }

    fn forced(&mut self, state: StateID) -> Option<u8> {
        match self.lexer_mut().next_byte(state) {
            NextByte::ForcedByte(byte) => Some(byte),
            _ => None,
        }
    }
}

/// The kind of run that a token is, its length, and the byte before it.
fn run_of(text: &str) -> Option<(Option<u8>, Kind, usize)> {
    let first = *text.as_bytes().first()?;
    let marked = first.is_ascii() && !first.is_ascii_alphanumeric() && text.len() > 1;
    let (byte, run) = if marked { (Some(first), text.get(1..)?) } else { (None, text) };
    let (kind, length) = Kind::of(run)?;
    Some((byte, kind, length))
}

/// A token that is one run: its length in characters, its bytes, its id.
type RunToken<'a> = (usize, &'a [u8], u32);

impl SliceBias {
    /// Sorts the vocabulary into slices.
    pub(crate) fn new(env: &TokEnv) -> Self {
        let trie = env.tok_trie();
        let ids = 0..trie.vocab_size() as u32;
        let mut rest = Vec::new();
        let mut sorted: BTreeMap<(Option<u8>, Kind), Vec<RunToken<'_>>> = BTreeMap::new();
        for id in ids {
            let bytes = trie.token(id);
            if bytes.is_empty() {
                continue;
            }
            let text = std::str::from_utf8(bytes).ok();
            match text.and_then(run_of) {
                Some((byte, kind, length)) => {
                    sorted.entry((byte, kind)).or_default().push((length, bytes, id));
                }
                None => rest.push((bytes, id)),
            }
        }
        let mut prefixes: Vec<Prefix> = Vec::new();
        for ((byte, kind), tokens) in sorted {
            if tokens.len() < MIN_SLICE {
                rest.extend(tokens.into_iter().map(|(_, bytes, id)| (bytes, id)));
                continue;
            }
            let skip = usize::from(byte.is_some());
            let run = Run { kind, lengths: lengths(trie, &tokens, skip) };
            match prefixes.last_mut().filter(|prefix| prefix.byte == byte) {
                Some(prefix) => prefix.runs.push(run),
                None => prefixes.push(Prefix { byte, letters: None, runs: vec![run] }),
            }
        }
        for prefix in &mut prefixes {
            prefix.letters = all_letters(trie, &prefix.runs);
        }
        Self { env: Debugless(env.clone()), plain: PlainTokens::new(trie), prefixes, rest: Trie::new(rest) }
    }
}

/// Groups runs by length; the tries leave out the first `skip` bytes.
fn lengths(trie: &TokTrie, tokens: &[(usize, &[u8], u32)], skip: usize) -> Vec<Length> {
    let mut out = Vec::new();
    let mut above = 0;
    for limit in LENGTHS.into_iter().chain([usize::MAX]) {
        let mut set = trie.alloc_token_set();
        let mut longest = 0;
        for (length, _, id) in tokens.iter().filter(|(length, ..)| (above + 1..=limit).contains(length)) {
            set.allow_token(*id);
            longest = longest.max(*length);
        }
        if longest > 0 {
            set.trim_trailing_zeros();
            let longer = tokens.iter().filter(|(length, ..)| *length > above);
            let from_here =
                Trie::new(longer.map(|(_, bytes, id)| (bytes.get(skip..).unwrap_or_default(), *id)));
            out.push(Length { longest, tokens: set, from_here });
        }
        above = limit;
    }
    out
}

/// The tokens of all runs of letters together.
fn all_letters(trie: &TokTrie, runs: &[Run]) -> Option<Length> {
    let mut tokens = trie.alloc_token_set();
    let mut longest = 0;
    for length in runs.iter().filter(|run| run.kind.is_letters()).flat_map(|run| &run.lengths) {
        tokens.or(&length.tokens);
        longest = longest.max(length.longest);
    }
    tokens.trim_trailing_zeros();
    (longest > 0).then(|| Length { longest, tokens, from_here: Trie::default() })
}

impl Prefix {
    /// Allows the runs that may come next at the position of `reader`.
    fn apply(&self, reader: &mut ParserRecognizer<'_>, allowed: &mut SimpleVob) {
        let state = reader.lexer_state();
        let all_letters = self.letters.as_ref().filter(|letters| {
            taken(reader, state, Kind::Letters, letters.longest, RUN_BUDGET) >= letters.longest
        });
        if let Some(letters) = all_letters {
            allowed.or(&letters.tokens);
        }
        for run in self.runs.iter().filter(|run| all_letters.is_none() || !run.kind.is_letters()) {
            let longest = run.lengths.last().map_or(0, |length| length.longest);
            // Deciding must cost less than reading the tokens.
            let nodes = run.lengths.first().map_or(0, |length| length.from_here.len());
            let taken = taken(reader, state, run.kind, longest, RUN_BUDGET.min(nodes / 2));
            for length in &run.lengths {
                if length.longest <= taken {
                    allowed.or(&length.tokens);
                } else {
                    length.from_here.walk(reader, allowed);
                    break;
                }
            }
        }
    }
}

/// How much plain text may come next at the position of `reader`.
fn plain_room(reader: &mut ParserRecognizer<'_>) -> Option<Room> {
    let state = reader.lexer_state();
    if state.is_dead() || state.has_lowest_match() {
        return None;
    }
    let lexer = reader.lexer_mut();
    let rooms = [Room::ANY, Room { taken: plain::LONGEST, ends: false }];
    let known = lexer.subsume_possible(state).then(|| {
        rooms.into_iter().enumerate().find_map(|(number, room)| {
            lexer.check_subsume(state, number, PLAIN_BUDGET, None).unwrap_or(false).then_some(room)
        })
    });
    known.flatten().or_else(|| room(reader, state, plain::LONGEST, ROOM_BUDGET))
}

impl BiasComputer for SliceBias {
    fn compute_bias(&self, reader: &mut ParserRecognizer<'_>, start: &[u8]) -> SimpleVob {
        let mut allowed = self.trie().alloc_token_set();
        if !start.is_empty() {
            self.trie().add_bias(reader, &mut allowed, start);
            return allowed;
        }
        let room = plain_room(reader);
        reader.trie_started("slices");
        if let Some(room) = room {
            self.plain.allow(room, reader, &mut allowed);
        } else {
            self.rest.walk(reader, &mut allowed);
            for prefix in &self.prefixes {
                match prefix.byte {
                    None => prefix.apply(reader, &mut allowed),
                    Some(byte) if reader.try_push_byte(byte) => {
                        prefix.apply(reader, &mut allowed);
                        reader.pop_bytes(1);
                    }
                    Some(_) => {}
                }
            }
        }
        reader.trie_finished();
        allowed
    }

    fn trie(&self) -> &TokTrie {
        self.env.0.tok_trie()
    }
}
