//! Numbers as Python prints them.

/// `repr(float)`: the shortest digits that read back as the same double, in plain form for exponents -4..16.
/// `None` for NaN and infinities, which JSON cannot express.
pub(crate) fn float_repr(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    if !(-4..16).contains(&exponent) {
        let direction = if exponent < 0 { '-' } else { '+' };
        return Some(format!("{sign}{mantissa}e{direction}{:02}", exponent.unsigned_abs()));
    }
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let whole_digits = exponent + 1;
    let text = if whole_digits <= 0 {
        format!("0.{}{digits}", "0".repeat(whole_digits.unsigned_abs() as usize))
    } else {
        let whole_digits = whole_digits as usize;
        if digits.len() <= whole_digits {
            format!("{digits}{}.0", "0".repeat(whole_digits - digits.len()))
        } else {
            let (whole, fraction) = digits.split_at(whole_digits);
            format!("{whole}.{fraction}")
        }
    };
    Some(format!("{sign}{text}"))
}

/// A JSON number as `json.dumps(json.loads(number))` writes it; `None` if `text` is not a JSON number. A number too
/// large for a double keeps its spelling, since Python's `Infinity` is not JSON.
pub(crate) fn number_repr(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let exponent_digits = exponent.map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    let well_formed = digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent_digits.is_none_or(digits);
    if !well_formed {
        return None;
    }
    if fraction.is_none() && exponent.is_none() {
        return Some(if text == "-0" { "0".to_owned() } else { text.to_owned() });
    }
    Some(text.parse().ok().and_then(float_repr).unwrap_or_else(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_spelled_as_python_repr_spells_them() {
        let cases: [(f64, &str); 10] = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (1e-4, "0.0001"),
            (1.25e-5, "1.25e-05"),
            (-2.5, "-2.5"),
            (123456.789, "123456.789"),
            (-0.0, "-0.0"),
        ];
        for (value, want) in cases {
            assert_eq!(float_repr(value).as_deref(), Some(want));
        }
        assert_eq!(float_repr(f64::NAN), None);
    }

    #[test]
    fn integers_keep_every_digit() {
        assert_eq!(
            number_repr("123456789012345678901234567890").as_deref(),
            Some("123456789012345678901234567890")
        );
        assert_eq!(number_repr("1e999").as_deref(), Some("1e999"));
        assert_eq!(number_repr("-"), None);
        assert_eq!(number_repr("1e"), None);
    }
}
