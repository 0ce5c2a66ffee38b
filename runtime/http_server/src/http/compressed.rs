//! Compressed bodies: with `Content-Encoding`, or with `x-body-compressed` (reference: `http_request_decompression.py`;
//! enabled by `SGLANG_ENABLE_REQUEST_DECOMPRESSION`).

use std::io::Read;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_ENCODING;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::StreamingDecoder;
use sglang_tokenizer_manager::requests::python::str_repr;

use super::body_limit::{MAX_BODY_BYTES, too_large};
use super::errors::ApiError;
use crate::app::App;

/// Bodies up to this size in bytes are unpacked at once, larger ones on a separate thread.
const INLINE_BYTES: usize = 16 << 10;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Compression {
    /// Not at all.
    None,
    /// By the header `x-body-compressed`: Zstandard (RFC 8878).
    Zstd,
    /// By the header `Content-Encoding`.
    Encoding(Encoding),
}

/// The supported values of `Content-Encoding`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Deflate,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    fn by_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }
}

impl Compression {
    /// The compression that the request declares, if the server supports it there.
    ///
    /// # Errors
    /// If the method is unknown.
    pub(super) fn of(request: &HttpRequest, app: Option<&App>) -> Result<Self, ApiError> {
        let header = request.headers().get("x-body-compressed");
        match header.filter(|_| app.is_some_and(|app| app.env.request_decompression)).map(|h| h.as_bytes()) {
            None => Self::by_encoding(request),
            Some(b"zstd") => Ok(Self::Zstd),
            Some(other) => {
                let method = str_repr(&String::from_utf8_lossy(other));
                let detail = format!("unsupported x-body-compressed {method}; supported: ['zstd']");
                Err(ApiError::Http { status: 400, detail })
            }
        }
    }

    fn by_encoding(request: &HttpRequest) -> Result<Self, ApiError> {
        let values = request.headers().get_all(CONTENT_ENCODING);
        let text =
            values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(",");
        let named = text.split(',').map(str::trim);
        let mut named = named.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
        match (named.next(), named.next()) {
            (None, _) => Ok(Self::None),
            (Some(name), None) if let Some(encoding) = Encoding::by_name(name) => {
                Ok(Self::Encoding(encoding))
            }
            _ => Err(ApiError::Http {
                status: 400,
                detail: format!(
                    "Content-Encoding {} is not supported; gzip, deflate, zstd or no such header would be.",
                    str_repr(&text)
                ),
            }),
        }
    }

    /// The unpacked body.
    ///
    /// # Errors
    /// If the bytes are not such a stream, or unpacked exceed the size limit.
    pub(super) async fn unpack(self, body: Vec<u8>) -> Result<Vec<u8>, ApiError> {
        if self == Self::None || body.len() <= INLINE_BYTES {
            return self.unpack_here(body);
        }
        tokio::task::spawn_blocking(move || self.unpack_here(body)).await.unwrap_or_else(|_| failed())
    }

    fn unpack_here(self, body: Vec<u8>) -> Result<Vec<u8>, ApiError> {
        match self {
            Self::None => Ok(body),
            Self::Zstd => unpack_zstd(&body),
            Self::Encoding(encoding) => {
                let unpacked = match encoding {
                    Encoding::Gzip => read_all(MultiGzDecoder::new(body.as_slice())),
                    Encoding::Deflate => read_all(ZlibDecoder::new(body.as_slice())),
                    Encoding::Zstd => unpack_zstd(&body),
                };
                unpacked.map_err(|error| match error {
                    error if error == too_large() => error,
                    _ => mislabelled(encoding),
                })
            }
        }
    }
}

/// The error for a body that does not match its header.
fn mislabelled(encoding: Encoding) -> ApiError {
    let name = encoding.name();
    ApiError::Http {
        status: 400,
        detail: format!("The header Content-Encoding says {name}, but the body is not valid {name}."),
    }
}

/// Reads everything from a decoder, up to the size limit.
fn read_all(decoder: impl Read) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    if decoder.take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut body).is_err() {
        return failed();
    }
    if body.len() > MAX_BODY_BYTES { Err(too_large()) } else { Ok(body) }
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

    fn gzip(bytes: impl Read) -> Vec<u8> {
        let mut packed = Vec::new();
        flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
        packed
    }

    fn read(encoding: &str, body: &[u8]) -> Result<String, String> {
        let request = actix_web::test::TestRequest::default().insert_header((CONTENT_ENCODING, encoding));
        let compression = Compression::of(&request.to_http_request(), None).map_err(|e| e.to_string())?;
        let unpacked = compression.unpack_here(body.to_vec()).map_err(|e| e.to_string())?;
        Ok(String::from_utf8(unpacked).unwrap())
    }

    #[test]
    fn a_body_is_what_its_header_says_or_an_error_names_the_header() {
        let text = br#"{"text": "a"}"#;
        let mut zlib = Vec::new();
        flate2::read::ZlibEncoder::new(&text[..], flate2::Compression::fast())
            .read_to_end(&mut zlib)
            .unwrap();
        let zstd = compress_to_vec(&text[..], CompressionLevel::Fastest);
        for (encoding, body) in [
            ("gzip", &gzip(&text[..])),
            ("X-GZIP", &gzip(&text[..])),
            ("identity, gzip", &gzip(&text[..])),
            ("deflate", &zlib),
            ("zstd", &zstd),
            ("identity", &text.to_vec()),
            ("", &text.to_vec()),
        ] {
            assert_eq!(read(encoding, body).unwrap().as_bytes(), text, "{encoding}");
            if !["identity", ""].contains(&encoding) {
                for wrong in [&text[..], &body[..body.len() - 3]] {
                    let error = read(encoding, wrong).unwrap_err();
                    assert!(error.contains("Content-Encoding says"), "{encoding}: {error}");
                }
            }
        }
        for encoding in ["br", "gzip, gzip", "gzip; q=1", "nonsense"] {
            let error = read(encoding, text).unwrap_err();
            assert!(error.contains("Content-Encoding '") && error.contains("gzip, deflate, zstd"), "{error}");
        }
        let bomb = gzip(std::io::repeat(0).take(MAX_BODY_BYTES as u64 + 1));
        assert!(bomb.len() < 1 << 20);
        assert!(read("gzip", &bomb).unwrap_err().contains("larger than"));
    }
}
