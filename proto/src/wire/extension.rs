//! Our addition to the reference's frames: one MessagePack extension object as the last element.
//!
//! The reference's decoder ignores trailing elements, but later versions append new fields there. Therefore the object
//! has no fixed index: its length is at the end of the frame, so it can be found from there, whatever comes before it.
//! It is only sent to a peer that is known to read it, except for the hello.
//!
//! Form: MessagePack `ext 32` with type code 100. Its content, big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version of this form |
//! | 1 | role of the sender |
//! | 8 | life of the sender |
//! | 8 | sequence number on its link |
//! | … | fields of the message that the reference does not have, as a MessagePack array; may be empty |
//! | 4 | length of all this |

use serde::Deserialize;

/// Version of the form. An extension with another version is ignored.
pub const VERSION: u8 = 1;

/// Extension code; the reference uses 1 to 5.
const CODE: u8 = 100;
const EXT32: u8 = 0xc9;
/// Bytes of marker, length and code.
const HEAD: usize = 6;
/// Bytes of version, role, life and sequence number.
const FIXED: usize = 18;
/// Bytes of the length at the end.
const FOOT: usize = 4;

/// A kind of process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Receives requests of clients.
    TokenizerManager = 1,
    /// Runs requests.
    Scheduler = 2,
    /// Converts output ids to text.
    Detokenizer = 3,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::TokenizerManager, Self::Scheduler, Self::Detokenizer];

    /// Name in logs, flags and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::TokenizerManager => "tokenizer_manager",
            Self::Scheduler => "scheduler",
            Self::Detokenizer => "detokenizer",
        }
    }

    fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as u8 == number)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Sender of a frame, and the frame's sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Role of the sender.
    pub role: Role,
    /// Number of the sender's life; the next process with this role has a larger one.
    pub life: u64,
    /// Index among the frames that this life has sent over this link, starting at 0.
    pub seq: u64,
}

/// The extension of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    pub origin: Origin,
    /// Encoded fields that the reference does not have.
    pub own: &'a [u8],
    /// Byte offset of the extension in the frame.
    pub start: usize,
}

/// Appends an extension. `write` appends the fields that the reference does not have.
pub(super) fn append<E>(
    frame: &mut Vec<u8>,
    origin: Origin,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = frame.len();
    frame.extend_from_slice(&[EXT32, 0, 0, 0, 0, CODE, VERSION, origin.role as u8]);
    frame.extend_from_slice(&origin.life.to_be_bytes());
    frame.extend_from_slice(&origin.seq.to_be_bytes());
    write(frame)?;
    // A frame is far below 4 GiB: the links refuse longer ones.
    let len = ((frame.len() - start - HEAD + FOOT) as u32).to_be_bytes();
    frame.extend_from_slice(&len);
    if let Some(place) = frame.get_mut(start + 1..start + 5) {
        place.copy_from_slice(&len);
    }
    Ok(())
}

/// The extension of a frame, if it has one of this version.
///
/// Other data cannot look like one: the last bytes of a frame are a string, a number or a list of those, and the marker
/// is not a byte of a string before a length below 2^31.
pub(super) fn find(frame: &[u8]) -> Option<Extension<'_>> {
    let foot = frame.last_chunk::<FOOT>()?;
    let len = usize::try_from(u32::from_be_bytes(*foot)).ok()?;
    let start = frame.len().checked_sub(len.checked_add(HEAD)?)?;
    let (head, payload) = frame.get(start..)?.split_first_chunk::<HEAD>()?;
    if head[0] != EXT32 || head[1..5] != *foot || head[5] != CODE {
        return None;
    }
    let (fixed, rest) = payload.split_first_chunk::<FIXED>()?;
    let [version, role, numbers @ ..] = fixed;
    let (life, seq) = numbers.split_first_chunk::<8>()?;
    let origin = Origin {
        role: Role::of(*role)?,
        life: u64::from_be_bytes(*life),
        seq: u64::from_be_bytes(seq.try_into().ok()?),
    };
    let own = rest.get(..rest.len().checked_sub(FOOT)?)?;
    (*version == VERSION).then_some(Extension { origin, own, start })
}

/// Reads fields in order. Fields that the peer did not send keep their default; additional ones are ignored.
pub struct OwnFields<'a> {
    left: u32,
    fields: rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'a, [u8]>>,
}

impl<'a> OwnFields<'a> {
    /// Starts reading what [`super::Message::write_own`] wrote.
    ///
    /// # Errors
    /// The data is not an array.
    pub fn new(mut from: &'a [u8]) -> Result<Self, rmp_serde::decode::Error> {
        let left = match from {
            [] => 0,
            _ => rmp::decode::read_array_len(&mut from)?,
        };
        Ok(Self { left, fields: rmp_serde::Deserializer::from_read_ref(from) })
    }

    /// Reads the next field into `field`, if there is one.
    ///
    /// # Errors
    /// The field has another type.
    pub fn read<T: Deserialize<'a>>(&mut self, field: &mut T) -> Result<(), rmp_serde::decode::Error> {
        if self.left > 0 {
            self.left -= 1;
            *field = T::deserialize(&mut self.fields)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { role: Role::Detokenizer, life: u64::MAX, seq: 1 << 40 };

    fn with(frame: &[u8], own: &[u8]) -> Vec<u8> {
        let mut frame = frame.to_vec();
        append::<()>(&mut frame, ORIGIN, |to| {
            to.extend_from_slice(own);
            Ok(())
        })
        .unwrap();
        frame
    }

    #[test]
    fn it_is_found_from_the_end_whatever_comes_before() {
        for (before, own) in [(&b"\x90"[..], &b""[..]), (b"", b"\x91\xc0"), (&[0xc9; 300], &[7; 70_000])] {
            let frame = with(before, own);
            let found = find(&frame).unwrap();
            assert_eq!((found.origin, found.own, found.start), (ORIGIN, own, before.len()));
        }
    }

    #[test]
    fn another_version_code_role_or_a_torn_one_is_none() {
        let whole = with(b"\x90", b"\x91\xc0");
        for at in [1, 6, 7, 8] {
            let mut other = whole.clone();
            other[at] ^= 0x55;
            assert_eq!(find(&other), None, "byte {at}");
        }
        for cut in 0..whole.len() {
            assert_eq!(find(&whole[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn fields_that_are_missing_keep_their_default_and_further_ones_are_left() {
        let sent = rmp_serde::to_vec(&(5, "x", true)).unwrap();
        let mut number = 0u64;
        let mut fields = OwnFields::new(&sent).unwrap();
        fields.read(&mut number).unwrap();
        assert_eq!(number, 5);
        let short = rmp_serde::to_vec(&(5,)).unwrap();
        let (mut number, mut text) = (0u64, String::from("default"));
        let mut fields = OwnFields::new(&short).unwrap();
        fields.read(&mut number).unwrap();
        fields.read(&mut text).unwrap();
        assert_eq!((number, text.as_str()), (5, "default"));
        assert!(OwnFields::new(b"\xc0").is_err());
    }
}
