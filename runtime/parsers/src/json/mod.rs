//! A streaming JSON reader that writes what it reads as Python's `json.dumps(ensure_ascii=False)` does.

mod number;
mod space;
mod stream;
mod string;
mod style;

pub(crate) use number::float_repr;
pub(crate) use space::is_json_space;
pub(crate) use stream::{JsonStatus, JsonStream};
pub(crate) use style::JsonStyle;

/// `json.dumps(json.loads(text), ensure_ascii=False)`; `None` if `text` is not exactly one JSON value.
pub(crate) fn normalise(text: &str) -> Option<String> {
    let mut stream = JsonStream::new(JsonStyle::Normalised);
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match stream.feed(c, &mut out) {
            JsonStatus::More => {}
            JsonStatus::Done => return chars.all(is_json_space).then_some(out),
            JsonStatus::DoneBefore => return (is_json_space(c) && chars.all(is_json_space)).then_some(out),
            JsonStatus::Malformed => return None,
        }
    }
    stream.finish(&mut out).then_some(out)
}

/// `text` as a JSON string with its quotes.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        string::push_escaped(c, &mut out);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacing_escapes_and_numbers_come_out_as_python_writes_them() {
        let text =
            " {\"a\":[1,2.50,-0,1E5,true ,null],\"b\":{} ,\"c\":\"\\u00e9\\/\\n\\u0001\\ud83d\\ude00\"}\n";
        let want = "{\"a\": [1, 2.5, 0, 100000.0, true, null], \"b\": {}, \"c\": \"é/\\n\\u0001😀\"}";
        assert_eq!(normalise(text).as_deref(), Some(want));
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for bad in [
            "",
            "{",
            "{\"a\" 1}",
            "{\"a\":1,}",
            "[1,]",
            "01",
            "1.",
            "tru",
            "\"a\nb\"",
            "1 2",
            "{'a':1}",
            "\"\\x\"",
        ] {
            assert_eq!(normalise(bad), None, "{bad:?}");
        }
        assert_eq!(normalise(&"[".repeat(100_000)), None);
    }

    #[test]
    fn a_lone_surrogate_keeps_its_escape() {
        assert_eq!(normalise("\"\\ud83dx\"").as_deref(), Some("\"\\ud83dx\""));
        assert_eq!(normalise("\"\\ud83d\\ud83d\\ude00\"").as_deref(), Some("\"\\ud83d😀\""));
    }
}
