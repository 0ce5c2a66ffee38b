//! The Python methods that chat templates call on values.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, State};

use super::arguments::{bind_all, integer, invalid, required};
use super::{globals, python, strings};

/// Methods that minijinja lacks. A method that is not found here is looked up in minijinja's own collection.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let known = match value.kind() {
        ValueKind::String => match value.as_str() {
            Some(text) => strings::call(text, method, args)?,
            None => None,
        },
        ValueKind::Seq => sequence_method(value, method, args)?,
        ValueKind::Map => mapping_method(value, method, args)?,
        ValueKind::Number => number_method(value, method, args)?,
        _ => None,
    };
    match known {
        Some(result) => Ok(result),
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn sequence_method(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "index" => index(value, args).map(Some),
        "copy" => {
            let [] = bind_all(args, [])?;
            Ok(Some(value.clone()))
        }
        _ => Ok(None),
    }
}

fn mapping_method(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "copy" => {
            let [] = bind_all(args, [])?;
            Ok(Some(value.clone()))
        }
        "fromkeys" => globals::from_keys(args).map(Some),
        _ => Ok(None),
    }
}

fn number_method(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let answer: Value = match method {
        "bit_length" if value.is_integer() => {
            let size = i128::try_from(value.clone())?.unsigned_abs();
            (u128::BITS - size.leading_zeros()).into()
        }
        "is_integer" if value.is_integer() => true.into(),
        "is_integer" => f64::try_from(value.clone()).is_ok_and(|x| x.is_finite() && x.fract() == 0.0).into(),
        _ => return Ok(None),
    };
    let [] = bind_all(args, [])?;
    Ok(Some(answer))
}

/// `index(value, start=0, stop=None)`.
fn index(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [wanted, start, stop] = bind_all(args, ["value", "start", "stop"])?;
    let wanted = required(wanted, "value")?;
    let length = value.len().unwrap_or(0) as i64;
    let place = |given: Option<i64>, default: i64| {
        given.map_or(default, |n| if n < 0 { (n + length).max(0) } else { n })
    };
    let start = place(integer(start.as_ref())?, 0);
    let stop = place(integer(stop.as_ref())?, length);
    for (i, item) in (0..stop).zip(value.try_iter()?.checked()) {
        if i >= start && item? == wanted {
            return Ok(i.into());
        }
    }
    Err(invalid(format!("{} is not in list", python::repr(&wanted))))
}
