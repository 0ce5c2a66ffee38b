//! Whole frames: encoding with a trailer that carries incarnation and sequence number, and class look-up.
//!
//! The trailer is one extra array element after the declared fields, which the reference's decoder ignores, so frames
//! stay readable by its processes, and theirs (which have none) by ours.

use super::Message;

/// Extension code of the trailer; the reference uses 1 to 5.
const EXT_TRAILER: i8 = 100;
/// Bytes of the trailer: fixext16 marker, code, incarnation, sequence number.
const TRAILER_LEN: usize = 18;
const FIXEXT16: u8 = 0xd8;

/// Who sent a frame and where it stands in that sender's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Number of the sender's life; a restarted process has a larger one.
    pub incarnation: u64,
    /// Position in the sender's stream, from 0.
    pub seq: u64,
}

/// Why a frame was refused.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Not an array that starts with a class name.
    #[error("frame is not a message array: {0}")]
    NotAMessage(&'static str),
    /// The class is not one this receiver knows.
    #[error("unknown message class {0:?}")]
    UnknownClass(String),
    /// The class is right but its fields are not.
    #[error("cannot decode {class}: {error}")]
    Decode {
        /// Class name.
        class: &'static str,
        /// The decoder's words.
        error: String,
    },
    /// The value cannot be written.
    #[error("cannot encode {class}: {error}")]
    Encode {
        /// Class name.
        class: &'static str,
        /// The encoder's words.
        error: String,
    },
}

/// Reads an array header: (number of elements, bytes it took).
fn array_header(frame: &[u8]) -> Option<(usize, usize)> {
    match *frame {
        [b, ..] if b & 0xf0 == 0x90 => Some((usize::from(b & 0x0f), 1)),
        [0xdc, hi, lo, ..] => Some((usize::from(u16::from_be_bytes([hi, lo])), 3)),
        [0xdd, a, b, c, d, ..] => Some((u32::from_be_bytes([a, b, c, d]) as usize, 5)),
        _ => None,
    }
}

/// The class name of a frame, without decoding the rest.
///
/// # Errors
/// [`FrameError::NotAMessage`] when the frame is not an array that starts with text.
pub fn class_of(frame: &[u8]) -> Result<&str, FrameError> {
    let (_, start) = array_header(frame).ok_or(FrameError::NotAMessage("no array header"))?;
    let rest = &frame[start..];
    let (len, at) = match *rest {
        [b, ..] if b & 0xe0 == 0xa0 => (usize::from(b & 0x1f), 1),
        [0xd9, len, ..] => (usize::from(len), 2),
        _ => return Err(FrameError::NotAMessage("no class name")),
    };
    let name = rest.get(at..at + len).ok_or(FrameError::NotAMessage("class name is cut off"))?;
    std::str::from_utf8(name).map_err(|_| FrameError::NotAMessage("class name is not UTF-8"))
}

/// Encodes a message, with a trailer when one is given.
///
/// # Errors
/// [`FrameError::Encode`] when the serializer refuses a value.
pub fn encode<M: Message>(message: &M, trailer: Option<Trailer>) -> Result<Vec<u8>, FrameError> {
    let bytes = rmp_serde::to_vec(message)
        .map_err(|e| FrameError::Encode { class: M::CLASS, error: e.to_string() })?;
    let Some(trailer) = trailer else { return Ok(bytes) };
    let (count, start) = array_header(&bytes).ok_or(FrameError::NotAMessage("no array header"))?;
    let mut frame = Vec::with_capacity(bytes.len() + TRAILER_LEN + 4);
    rmp::encode::write_array_len(&mut frame, count as u32 + 1)
        .map_err(|e| FrameError::Encode { class: M::CLASS, error: e.to_string() })?;
    frame.extend_from_slice(&bytes[start..]);
    frame.extend_from_slice(&[FIXEXT16, EXT_TRAILER as u8]);
    frame.extend_from_slice(&trailer.incarnation.to_be_bytes());
    frame.extend_from_slice(&trailer.seq.to_be_bytes());
    Ok(frame)
}

/// The trailer, when the array has exactly one element more than the class declares and it is one.
fn trailer_of<M: Message>(frame: &[u8]) -> Option<Trailer> {
    let (count, _) = array_header(frame)?;
    if count != M::FIELDS + 2 {
        return None;
    }
    let tail = frame.len().checked_sub(TRAILER_LEN).and_then(|at| frame.get(at..))?;
    let (marker, rest) = tail.split_first_chunk::<2>()?;
    let (incarnation, seq) = rest.split_first_chunk::<8>()?;
    (*marker == [FIXEXT16, EXT_TRAILER as u8]).then_some(Trailer {
        incarnation: u64::from_be_bytes(*incarnation),
        seq: u64::from_be_bytes(seq.try_into().ok()?),
    })
}

/// Decodes a frame of a known class.
///
/// # Errors
/// [`FrameError::Decode`] when fields are missing or of the wrong type.
pub fn decode<M: Message>(frame: &[u8]) -> Result<(M, Option<Trailer>), FrameError> {
    let message = rmp_serde::from_slice(frame)
        .map_err(|e| FrameError::Decode { class: M::CLASS, error: e.to_string() })?;
    Ok((message, trailer_of::<M>(frame)))
}
