//! Which values of its type a flag takes.

use std::fmt;

use serde_json::Value;

/// The valid values of a flag, which `--help` and the error about another value both name.
#[derive(Debug, Clone, Copy)]
pub enum Range {
    /// Every value of the flag's type.
    Any,
    /// This whole number or a larger one.
    AtLeast(i64),
    /// This whole number or a larger one, or -1, which does what the text says: "to keep all".
    AtLeastOrMinusOne(i64, &'static str),
    /// Whole numbers from the first to the last, both included.
    FromTo(i64, i64),
    /// Decimal numbers above this one.
    Above(f64),
    /// Decimal numbers between these two, neither included.
    Between(f64, f64),
    /// Texts that pass a test, and the words that describe them.
    Text(&'static str, fn(&str) -> bool),
}

impl Range {
    /// Whether a value is valid. `value` is in the form of [`super::ServerArgs::to_json`]: null for a flag that was not
    /// given, which is valid. Each item of a list must be valid.
    pub fn contains(self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(items) => items.iter().all(|item| self.contains(item)),
            Value::String(text) => match self {
                Range::Text(_, holds) => holds(text),
                _ => true,
            },
            Value::Number(number) => match self {
                Range::Any | Range::Text(..) => true,
                Range::AtLeast(least) => at_least(value, least),
                Range::AtLeastOrMinusOne(least, _) => at_least(value, least) || value.as_i64() == Some(-1),
                Range::FromTo(first, last) => value.as_i64().is_some_and(|n| (first..=last).contains(&n)),
                Range::Above(limit) => number.as_f64().is_some_and(|n| n > limit),
                Range::Between(low, high) => number.as_f64().is_some_and(|n| n > low && n < high),
            },
            Value::Bool(_) | Value::Object(_) => true,
        }
    }
}

/// Compares numbers up to `u64::MAX`, which do not fit into an `i64`.
fn at_least(value: &Value, least: i64) -> bool {
    value.as_i64().map_or(value.is_u64(), |n| n >= least)
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Range::Any => Ok(()),
            Range::AtLeast(least) => write!(f, "{least} or more"),
            Range::AtLeastOrMinusOne(least, why) => write!(f, "{least} or more, or -1 {why}"),
            Range::FromTo(first, last) => write!(f, "from {first} to {last}"),
            Range::Above(limit) => write!(f, "above {limit}"),
            Range::Between(low, high) => write!(f, "above {low} and below {high}"),
            Range::Text(words, _) => f.write_str(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_range_holds_its_limits_and_nothing_beyond() {
        let short = Range::Text("one letter", |text| text.len() == 1);
        let cases: [(Range, &[Value], &[Value]); 6] = [
            (Range::AtLeast(1), &[json!(1), json!(u64::MAX)], &[json!(0), json!(-1)]),
            (Range::AtLeastOrMinusOne(1, "for all"), &[json!(1), json!(-1)], &[json!(0), json!(-2)]),
            (Range::FromTo(2, 4), &[json!(2), json!(4)], &[json!(1), json!(5), json!(u64::MAX)]),
            (Range::Above(0.0), &[json!(0.001)], &[json!(0.0), json!(-1.0)]),
            (Range::Between(0.0, 1.0), &[json!(0.5)], &[json!(0.0), json!(1.0)]),
            (short, &[json!("a"), json!(["a", "b"])], &[json!(""), json!(["a", "bc"])]),
        ];
        for (range, inside, outside) in cases {
            assert!(range.contains(&Value::Null), "{range}");
            assert!(inside.iter().all(|value| range.contains(value)), "{range}");
            assert!(outside.iter().all(|value| !range.contains(value)), "{range}");
        }
    }
}
