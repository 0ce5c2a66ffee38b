//! Encodes and decodes whole frames, with our extension for peers that read it.

use super::Message;
use super::extension::{self, Extension, Origin};

/// Why a frame cannot be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Not an array that starts with a class name.
    #[error("frame is not a message array: {0}")]
    NotAMessage(&'static str),
    /// The class is unknown, or this process does not receive it.
    #[error("a message of class {0:?} is not for this process")]
    UnknownClass(String),
    /// A field is missing or invalid.
    #[error("cannot decode {class}: {error}")]
    Decode {
        /// Class name.
        class: &'static str,
        /// Error of the decoder.
        error: String,
    },
    /// The value cannot be written.
    #[error("cannot encode {class}: {error}")]
    Encode {
        /// Class name.
        class: &'static str,
        /// Error of the encoder.
        error: String,
    },
}

/// Reads an array header. Returns the number of elements and the size of the header in bytes.
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
/// [`FrameError::NotAMessage`]: the frame is not an array that starts with a string.
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

/// Writes an array header.
fn write_array_header<M: Message>(to: &mut Vec<u8>, count: usize) -> Result<(), FrameError> {
    let written = rmp::encode::write_array_len(to, u32::try_from(count).unwrap_or(u32::MAX));
    written.map(|_| ()).map_err(|e| FrameError::Encode { class: M::CLASS, error: e.to_string() })
}

/// Encodes a message. With an `origin`, for a peer that reads our extension, appends it with the fields that the
/// reference does not have.
///
/// # Errors
/// [`FrameError::Encode`]: a value cannot be serialized.
pub fn encode<M: Message>(message: &M, origin: Option<Origin>) -> Result<Vec<u8>, FrameError> {
    let failed = |e: rmp_serde::encode::Error| FrameError::Encode { class: M::CLASS, error: e.to_string() };
    let bytes = rmp_serde::to_vec(message).map_err(failed)?;
    let Some(origin) = origin else { return Ok(bytes) };
    let (count, start) = array_header(&bytes).ok_or(FrameError::NotAMessage("no array header"))?;
    let mut frame = Vec::with_capacity(bytes.len() + 64);
    write_array_header::<M>(&mut frame, count + 1)?;
    frame.extend_from_slice(&bytes[start..]);
    extension::append(&mut frame, origin, |to| message.write_own(to)).map_err(failed)?;
    Ok(frame)
}

/// Decodes a frame of a known class. The origin is `None` if the frame has no extension of ours.
///
/// # Errors
/// [`FrameError::Decode`]: a field is missing or has the wrong type.
pub fn decode<M: Message>(frame: &[u8]) -> Result<(M, Option<Origin>), FrameError> {
    let failed = |e: rmp_serde::decode::Error| FrameError::Decode { class: M::CLASS, error: e.to_string() };
    let (count, start) = array_header(frame).ok_or(FrameError::NotAMessage("no array header"))?;
    let Some(Extension { origin, own, start: end }) = extension::find(frame) else {
        return Ok((rmp_serde::from_slice(frame).map_err(failed)?, None));
    };
    // Name, fields, extension.
    let mut message: M = if count >= M::FIELDS + 2 {
        rmp_serde::from_slice(frame).map_err(failed)?
    } else {
        // The peer knows fewer fields: without this, the extension would be read as the next one.
        let mut shorter = Vec::with_capacity(end);
        write_array_header::<M>(&mut shorter, count.saturating_sub(1))?;
        shorter.extend_from_slice(frame.get(start..end).unwrap_or_default());
        rmp_serde::from_slice(&shorter).map_err(failed)?
    };
    message.read_own(own).map_err(failed)?;
    Ok((message, Some(origin)))
}
