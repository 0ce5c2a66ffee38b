//! Rewrites `pattern` and `format`.

use serde_json::{Map, Value, json};

use super::{Also, Rewriter, pattern};

/// The formats that the library supports.
const KNOWN: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];

/// A pattern for a format that the library does not support; `None` if the format is only an annotation.
fn pattern_of(format: &str) -> Option<String> {
    let pattern = match format {
        "uri-reference" => return Some(uri_reference()),
        "uri-template" => {
            r#"^(?:[^\x00-\x20"'<>%\\^`{|}\x7f]|%[0-9A-Fa-f]{2}|\{[+#./;?&=,!@|]?(?:[A-Za-z0-9_.%]+(?::[1-9][0-9]{0,3}|\*)?)(?:,[A-Za-z0-9_.%]+(?::[1-9][0-9]{0,3}|\*)?)*\})*$"#
        }
        "json-pointer" => r"^(?:/(?:[^/~]|~[01])*)*$",
        "relative-json-pointer" => r"^(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^/~]|~[01])*)*)$",
        _ => return None,
    };
    Some(pattern.into())
}

/// RFC 3986, section 4.1, without addresses in brackets.
fn uri_reference() -> String {
    let other = "%[0-9A-Fa-f]{2}";
    let name = format!("(?:[A-Za-z0-9._~!$&'()*+,;=-]|{other})*");
    let authority = format!("//(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|{other})*@)?{name}(?::[0-9]{{0,4}})?");
    let part = format!("(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{other})");
    let parts = format!("(?:/{part}*)*");
    let path = format!("/(?:{part}+{parts})?");
    let scheme = format!("[A-Za-z][A-Za-z0-9+.-]*:(?:{authority}{parts}|{path}|{part}+{parts}|)");
    let relative = format!("(?:[A-Za-z0-9._~!$&'()*+,;=@-]|{other})+{parts}");
    let rest = format!("(?:{part}|[/?])*");
    format!("^(?:{scheme}|{authority}{parts}|{path}|{relative}|)(?:\\?{rest})?(?:#{rest})?$")
}

impl Rewriter<'_> {
    /// Rewrites `pattern` or `format`.
    pub(super) fn text(
        &mut self,
        keyword: &str,
        value: &Value,
        place: &str,
        out: &mut Map<String, Value>,
        also: &mut Also,
    ) {
        let Some(text) = value.as_str() else {
            return self.fail(format!("JSON Schema at {place}/{keyword}: a string is wanted, got {value}"));
        };
        if keyword == "format" {
            if KNOWN.contains(&text) {
                out.insert("format".into(), value.clone());
            } else if let Some(pattern) = pattern_of(text) {
                also.push(json!({"pattern": pattern}));
            }
            return;
        }
        let read = pattern::read(text);
        for dropped in read.dropped {
            self.ignore(place, "pattern", &dropped);
        }
        let mut patterns = read.patterns.into_iter();
        if let Some(first) = patterns.next() {
            out.insert("pattern".into(), first.into());
        }
        also.extend(patterns.map(|pattern| json!({"pattern": pattern})));
    }
}
