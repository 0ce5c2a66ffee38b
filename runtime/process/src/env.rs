//! Settings from environment variables. An invalid value causes a warning that names the variable, and counts as not
//! set (reference: `environ.py`).

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// The variable as a number.
pub fn number<T: FromStr + Display>(name: &str) -> Option<T> {
    read(name, "a number", |text| text.parse().ok())
}

/// The variable as a duration in seconds; `None` if it is negative.
pub fn seconds(name: &str) -> Option<Duration> {
    number::<f64>(name).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// The variable as a boolean.
pub fn switch(name: &str) -> Option<bool> {
    read(name, "true or false", |text| match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Some(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Some(false),
        _ => None,
    })
}

fn read<T>(name: &str, valid: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    let value = std::env::var_os(name)?;
    let value = value.to_string_lossy();
    let parsed = parse(value.trim());
    if parsed.is_none() && !value.is_empty() {
        tracing::warn!("{name} is not used: {valid} would be valid, not {value:?}");
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_counts_as_not_set() {
        // Cargo sets these variables for tests.
        assert_eq!(number::<usize>("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MAJOR").parse().ok());
        assert_eq!((number::<f64>("CARGO_PKG_NAME"), switch("CARGO_PKG_NAME")), (None, None));
        assert_eq!(switch("SGLANG_A_VARIABLE_THAT_NOBODY_SETS"), None);
        let parse = |text: &str| read("CARGO_PKG_NAME", "", |_| text.parse::<i64>().ok());
        assert_eq!((parse("7"), parse("")), (Some(7), None));
    }
}
