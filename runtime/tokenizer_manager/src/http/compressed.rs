//! Bodies that a client has compressed (reference: `http_request_decompression.py`; on with
//! `SGLANG_ENABLE_REQUEST_DECOMPRESSION`). The header `x-body-compressed` names the method.

use std::io::Read;

use actix_web::HttpRequest;
use ruzstd::decoding::StreamingDecoder;

use super::errors::ApiError;
use super::extract::{MAX_BODY_BYTES, too_large};
use crate::app::App;
use crate::requests::python::str_repr;

/// Bodies up to this many bytes are unpacked where they are read, longer ones on a thread of their own.
const INLINE_BYTES: usize = 16 << 10;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Compression {
    /// Not at all.
    None,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// What the request says, where the server listens to it.
    ///
    /// # Errors
    /// A method that there is not.
    pub(super) fn of(request: &HttpRequest, app: Option<&App>) -> Result<Self, ApiError> {
        let header = request.headers().get("x-body-compressed");
        match header.filter(|_| app.is_some_and(|app| app.env.request_decompression)).map(|h| h.as_bytes()) {
            None => Ok(Self::None),
            Some(b"zstd") => Ok(Self::Zstd),
            Some(other) => {
                let method = str_repr(&String::from_utf8_lossy(other));
                let detail = format!("unsupported x-body-compressed {method}; supported: ['zstd']");
                Err(ApiError::Http { status: 400, detail })
            }
        }
    }

    /// The body as it was.
    ///
    /// # Errors
    /// The bytes are no such stream, or unpacked they are more than a body may have.
    pub(super) async fn unpack(self, body: Vec<u8>) -> Result<Vec<u8>, ApiError> {
        match self {
            Self::None => Ok(body),
            Self::Zstd if body.len() <= INLINE_BYTES => unpack_zstd(&body),
            Self::Zstd => {
                tokio::task::spawn_blocking(move || unpack_zstd(&body)).await.unwrap_or_else(|_| failed())
            }
        }
    }
}

fn failed() -> Result<Vec<u8>, ApiError> {
    Err(ApiError::Http { status: 400, detail: "decompress failed".into() })
}

/// Every frame of the stream.
fn unpack_zstd(mut packed: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while !packed.is_empty() {
        let Ok(decoder) = StreamingDecoder::new(&mut packed) else { return failed() };
        let room = (MAX_BODY_BYTES + 1).saturating_sub(body.len()) as u64;
        if decoder.take(room).read_to_end(&mut body).is_err() {
            return failed();
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(too_large());
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    #[test]
    fn streams_are_unpacked_and_none_grows_beyond_the_limit() {
        let text = br#"{"text": "a a a a a a a a a a a a"}"#;
        let frame = compress_to_vec(&text[..], CompressionLevel::Fastest);
        assert_eq!(unpack_zstd(&frame).unwrap(), text);
        let two = [&frame[..], &frame[..]].concat();
        assert_eq!(unpack_zstd(&two).unwrap(), text.repeat(2));
        assert_eq!(unpack_zstd(b"").unwrap(), b"");
        for broken in [&text[..], &frame[..frame.len() / 2], b"\x28\xb5\x2f\xfd"] {
            assert_eq!(unpack_zstd(broken), failed());
        }
        let zeros =
            compress_to_vec(std::io::repeat(0).take(MAX_BODY_BYTES as u64 + 1), CompressionLevel::Fastest);
        assert!(zeros.len() < 1 << 20);
        assert_eq!(unpack_zstd(&zeros), Err(too_large()));
    }
}
