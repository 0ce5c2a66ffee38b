//! Frames between the compiler and its helper: a length (u32, little endian), then MessagePack.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::compiler_config::CompilerConfig;
use crate::environment::TokenEnvironment;
use crate::spec::GrammarSpec;

/// Largest frame in bytes: a vocabulary of two million tokens, or the largest grammar.
const MAX_BYTES: usize = 256 << 20;

/// The first frame: everything that the helper needs to compile like the scheduler.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StartFrame {
    /// See [`TokenEnvironment::new`].
    pub(crate) vocab: Vec<(u32, Vec<u8>, bool)>,
    pub(crate) vocab_size: usize,
    pub(crate) eos: Vec<u32>,
    pub(crate) config: CompilerConfig,
}

impl StartFrame {
    pub(crate) fn of(env: &TokenEnvironment, config: &CompilerConfig) -> Self {
        Self {
            vocab: env.vocabulary().collect(),
            vocab_size: env.vocab_size(),
            eos: env.eos().to_vec(),
            config: config.clone(),
        }
    }
}

/// A grammar to try.
pub(crate) type TryFrame = GrammarSpec;

/// The answer to each frame: why the vocabulary or the grammar was refused; `None` if it is fine.
pub(crate) type AnswerFrame = Option<String>;

/// The bytes of a frame.
///
/// # Errors
/// If the frame is too long.
pub(crate) fn encode(frame: &impl Serialize) -> io::Result<Vec<u8>> {
    let body = rmp_serde::to_vec(frame).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_BYTES);
    let length = length.ok_or_else(|| io::Error::other("the frame is too long"))?;
    Ok([&length.to_le_bytes(), body.as_slice()].concat())
}

/// Reads the next frame; `None` at the end of the input.
///
/// # Errors
/// If the input fails, or is not a frame.
pub(crate) fn read<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    if let Err(e) = input.read_exact(&mut length) {
        return if e.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(e) };
    }
    let mut body = vec![0; body_length(length)?];
    input.read_exact(&mut body)?;
    decode(&body).map(Some)
}

/// Length of the body that follows these four bytes.
///
/// # Errors
/// If it is longer than any frame.
pub(crate) fn body_length(length: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_BYTES { Err(io::Error::other("the frame is too long")) } else { Ok(length) }
}

/// Reads a frame's body.
///
/// # Errors
/// If it is not the expected kind of frame.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(body).map_err(io::Error::other)
}

/// Writes a frame.
///
/// # Errors
/// If the output fails.
pub(crate) fn write(output: &mut impl Write, frame: &impl Serialize) -> io::Result<()> {
    output.write_all(&encode(frame)?)?;
    output.flush()
}
