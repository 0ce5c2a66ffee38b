//! Converts bounds and counts to the ranges that the library computes with.

use serde_json::{Map, Number, Value};

use super::Rewriter;

/// The largest double below 2^63; bounds beyond it are clamped to it. The library's ranges are 64 bits wide.
const FAR: f64 = 9_223_372_036_854_774_784.0;
/// From this size on, the library no longer supports half-open ranges.
const LONG: f64 = 1e18;
/// No output is that long, so a larger maximum has no effect.
const NO_MAXIMUM: f64 = 1_048_576.0;

impl Rewriter<'_> {
    /// Rewrites the bounds and counts of a schema.
    pub(super) fn numbers(&mut self, map: &Map<String, Value>, out: &mut Map<String, Value>) {
        for keyword in ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"] {
            if let Some(value) = map.get(keyword) {
                out.insert(keyword.into(), bound(value, keyword.ends_with("aximum")));
            }
        }
        let far = |keyword: &str| out.get(keyword).and_then(Value::as_f64);
        let low = far("minimum").into_iter().chain(far("exclusiveMinimum")).fold(f64::MIN, f64::max);
        let high = far("maximum").into_iter().chain(far("exclusiveMaximum")).fold(f64::MAX, f64::min);
        if low.abs() >= LONG && low != f64::MIN && low > 0.0 && high == f64::MAX {
            out.insert("maximum".into(), number(FAR));
        }
        if high.abs() >= LONG && high != f64::MAX && high < 0.0 && low == f64::MIN {
            out.insert("minimum".into(), number(-FAR));
        }
        let counts = ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"];
        for keyword in counts {
            let Some(value) = map.get(keyword) else { continue };
            let whole = value.as_f64().filter(|count| *count >= 0.0 && count.fract() == 0.0);
            match whole {
                Some(count) if keyword.starts_with("max") && count > NO_MAXIMUM => {}
                Some(count) if count <= NO_MAXIMUM => {
                    out.insert(keyword.into(), (count as u64).into());
                }
                _ => {
                    out.insert(keyword.into(), value.clone());
                }
            }
        }
    }
}

/// A bound that the library can represent; it never allows more than the schema does.
fn bound(value: &Value, upper: bool) -> Value {
    let Some(double) = value.as_f64() else { return value.clone() };
    if double.abs() < (1_i64 << 53) as f64 {
        return value.clone();
    }
    let exact = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    let outside = exact.is_some_and(|exact| match upper {
        true => double as i128 > exact,
        false => (double as i128) < exact,
    });
    let inside = match (outside, upper) {
        (true, true) => double.next_down(),
        (true, false) => double.next_up(),
        (false, _) => double,
    };
    match upper {
        // The library can write no number that satisfies the bound.
        true if inside < -FAR => value.clone(),
        false if inside > FAR => value.clone(),
        _ => number(inside.clamp(-FAR, FAR)),
    }
}

fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() <= FAR {
        return (value as i64).into();
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::bound;

    #[test]
    fn bounds_are_rounded_inwards() {
        for (value, upper, want) in [
            (json!(9_007_199_254_740_993_i64), true, json!(9_007_199_254_740_992_i64)),
            (json!(9_007_199_254_740_993_i64), false, json!(9_007_199_254_740_994_i64)),
            (json!(i64::MAX), true, json!(9_223_372_036_854_774_784_i64)),
            (json!(i64::MIN), false, json!(-9_223_372_036_854_774_784_i64)),
            (json!(u64::MAX), true, json!(9_223_372_036_854_774_784_i64)),
            (json!(3.402_823_5e38), true, json!(9_223_372_036_854_774_784_i64)),
            (json!(-3.402_823_5e38), false, json!(-9_223_372_036_854_774_784_i64)),
            (json!(3.402_823_5e38), false, json!(3.402_823_5e38)),
            (json!(1.5), true, json!(1.5)),
            (json!("x"), true, json!("x")),
        ] {
            assert_eq!(bound(&value, upper), want, "{value}");
        }
    }
}
