//! Converts a token's text to the bytes that it stands for.
//!
//! Byte-level vocabularies write each byte as one printable character (OpenAI's GPT-2 `bytes_to_unicode`): printable
//! Latin-1 stands for itself, the other 68 bytes follow from U+0100 on.

/// How a vocabulary represents bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenForm {
    /// GPT-2's alphabet.
    ByteLevel,
    /// SentencePiece: `▁` is a space, `<0x0A>` is a byte.
    ByteFallback,
    /// Plain text with its own rules for joining tokens (WordPiece and others).
    Plain,
}

/// The first code point for non-printable bytes.
const FIRST_SHIFTED: u32 = 0x100;

/// Whether a byte is represented by itself.
fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The byte a character of a byte-level token stands for.
fn byte_of(c: char) -> Option<u8> {
    let code = u32::from(c);
    if let Ok(byte) = u8::try_from(code) {
        return is_printable(byte).then_some(byte);
    }
    // The n-th non-printable byte, out of 0..=0x20, 0x7F..=0xA0 and 0xAD.
    match code - FIRST_SHIFTED {
        n @ 0..=0x20 => Some(n as u8),
        n @ 0x21..=0x42 => Some((n - 0x21 + 0x7F) as u8),
        0x43 => Some(0xAD),
        _ => None,
    }
}

/// The bytes of a token's text. A byte-level token with a character outside the alphabet is an added token and is taken
/// literally.
pub(crate) fn token_bytes(form: TokenForm, token: &str) -> Vec<u8> {
    match form {
        TokenForm::ByteLevel => {
            let bytes: Option<Vec<u8>> = token.chars().map(byte_of).collect();
            bytes.unwrap_or_else(|| token.as_bytes().to_vec())
        }
        TokenForm::ByteFallback => match byte_token(token) {
            Some(byte) => vec![byte],
            None => token.replace('▁', " ").into_bytes(),
        },
        TokenForm::Plain => token.as_bytes().to_vec(),
    }
}

/// The byte of a token such as `<0x0A>`.
pub(crate) fn byte_token(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if hex.len() == 2 { u8::from_str_radix(hex, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_alphabet_is_a_bijection_on_256_characters() {
        let bytes: Vec<u8> = (0..0x200).filter_map(char::from_u32).filter_map(byte_of).collect();
        let mut sorted = bytes.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..=255).collect::<Vec<u8>>());
        assert_eq!((byte_of('Ġ'), byte_of('Ċ'), byte_of('é')), (Some(b' '), Some(b'\n'), Some(0xE9)));
    }

    #[test]
    fn added_tokens_of_a_byte_level_vocabulary_stand_for_themselves() {
        assert_eq!(token_bytes(TokenForm::ByteLevel, "<｜end｜>"), "<｜end｜>".as_bytes());
        assert_eq!(token_bytes(TokenForm::ByteLevel, "Ġé"), [b' ', 0xE9]);
    }

    #[test]
    fn sentencepiece_tokens_are_bytes_or_text_with_spaces() {
        assert_eq!(token_bytes(TokenForm::ByteFallback, "<0xE2>"), [0xE2]);
        assert_eq!(token_bytes(TokenForm::ByteFallback, "▁the"), b" the");
        assert_eq!(token_bytes(TokenForm::ByteFallback, "<0xZZ>"), b"<0xZZ>");
    }
}
