//! Reads the JSON files of a checkpoint, including what Python and hand editing leave in them.

mod file;
mod lenient;
mod value;

use std::path::Path;

use serde_json::Value;

pub(crate) use file::JsonFile;
pub use value::number;
pub(crate) use value::shorten;

use crate::error::CheckpointError;

/// Parses JSON and tolerates common deviations: a byte-order mark, comments, trailing commas, and the numbers that
/// Python writes as `NaN` and `Infinity`. Such numbers become `{"__float__": "NaN"}`, as in transformers' files; typed
/// look-ups reject them.
///
/// # Errors
/// Says what is wrong and where if the text is neither JSON nor JSON5.
pub fn parse(bytes: &[u8]) -> Result<Value, String> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    serde_json::from_slice(bytes).or_else(|strict| {
        let text = std::str::from_utf8(bytes).map_err(|_| strict.to_string())?;
        lenient::parse(text).ok_or_else(|| strict.to_string())
    })
}

/// Reads and parses a file.
///
/// # Errors
/// [`CheckpointError`] with the name of the file.
pub fn read(path: &Path) -> Result<Value, CheckpointError> {
    let bytes = std::fs::read(path).map_err(|e| CheckpointError::io(path, e))?;
    parse(&bytes).map_err(|found| CheckpointError::malformed(path, "content", "valid JSON", found))
}

/// Reads a file that may be absent.
///
/// # Errors
/// [`CheckpointError`] with the name of the file.
pub fn read_optional(path: &Path) -> Result<Option<Value>, CheckpointError> {
    if path.is_file() { read(path).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_python_and_editors_leave_in_json_is_read() {
        let special = |name: &str| json!({"__float__": name});
        let text = "\u{feff}{ // a comment, with \"quotes\"\n \"a\": NaN, /* , */ \"b\": [Infinity, -Infinity, 1e400],\n \
                    \"c\": \"// no comment, NaN\", \"d\": 9223372036854775807, \"e\": 1e-5, \"f\": 2.0, }";
        let expected = json!({
            "a": special("NaN"), "b": [special("Infinity"), special("-Infinity"), special("Infinity")],
            "c": "// no comment, NaN", "d": 9_223_372_036_854_775_807_u64, "e": 1e-5, "f": 2.0,
        });
        assert_eq!(parse(text.as_bytes()), Ok(expected));
        assert_eq!(parse("\u{feff}[1, 2.0, null, true]".as_bytes()), Ok(json!([1, 2.0, null, true])));
    }

    #[test]
    fn invalid_json_is_refused_with_its_position() {
        for (text, expected) in [
            ("{\"a\": ", "EOF while parsing a value at line 1 column 6"),
            ("{\n\"a\": nan}", "expected ident at line 2 column 7"),
            ("{} {}", "trailing characters at line 1 column 4"),
            ("", "EOF while parsing a value at line 1 column 0"),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(expected.to_owned()), "{text}");
        }
        assert!(parse(&[b'"', 0xFF, b'"']).is_err());
        for deep in ["[".repeat(100_000), "{\"a\":".repeat(100_000), format!("{}NaN", "[".repeat(100_000))] {
            assert!(parse(deep.as_bytes()).unwrap_err().contains("recursion limit"));
        }
    }

    #[test]
    fn nan_and_infinity_are_refused_where_a_number_is_needed() {
        let path = Path::new("config.json");
        let value = parse(b"{\"eps\": Infinity, \"size\": NaN}").unwrap();
        let file = JsonFile::new(path, &value);
        let error = file.f64("eps").unwrap_err().to_string();
        assert_eq!(error, "config.json: key `eps`: expected a number, found Infinity");
        assert!(file.usize("size").unwrap_err().to_string().ends_with("found NaN"));
    }
}
