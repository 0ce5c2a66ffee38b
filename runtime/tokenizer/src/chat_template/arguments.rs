//! Binds arguments to parameters as Python does.

use minijinja::value::{Kwargs, Rest, Value, from_args};
use minijinja::{Error, ErrorKind};

/// Binds the arguments to the given names: positional ones first, then named ones. `None` for those left out.
pub(super) fn bind<const N: usize>(
    positional: &[Value],
    kwargs: &Kwargs,
    names: [&str; N],
) -> Result<[Option<Value>; N], Error> {
    if positional.len() > N {
        let what = format!("expected at most {N} arguments, found {}", positional.len());
        return Err(Error::new(ErrorKind::TooManyArguments, what));
    }
    let mut bound: [Option<Value>; N] = std::array::from_fn(|i| positional.get(i).cloned());
    for (slot, name) in bound.iter_mut().zip(names) {
        if slot.is_none() && kwargs.has(name) {
            *slot = Some(kwargs.get::<Value>(name)?);
        }
    }
    kwargs.assert_all_used()?;
    Ok(bound)
}

/// [`bind`] for the arguments of a function or method.
pub(super) fn bind_all<const N: usize>(
    args: &[Value],
    names: [&str; N],
) -> Result<[Option<Value>; N], Error> {
    let (positional, kwargs): (Rest<Value>, Kwargs) = from_args(args)?;
    bind(&positional, &kwargs, names)
}

/// [`bind`] for minijinja's filters that accept only named arguments.
pub(super) fn named<const N: usize>(
    positional: &[Value],
    kwargs: &Kwargs,
    names: [&'static str; N],
) -> Result<Kwargs, Error> {
    let bound = bind(positional, kwargs, names)?;
    Ok(names.into_iter().zip(bound).filter_map(|(name, value)| Some((name, value?))).collect())
}

/// An argument that must be given.
pub(super) fn required(argument: Option<Value>, name: &str) -> Result<Value, Error> {
    argument.ok_or_else(|| Error::new(ErrorKind::MissingArgument, format!("argument `{name}` is missing")))
}

/// A string argument.
pub(super) fn text(value: &Value) -> Result<&str, Error> {
    value.as_str().ok_or_else(|| invalid(format!("expected a text, found {}", value.kind())))
}

/// An integer, if given; as in Python, a boolean counts as a number.
pub(super) fn integer(value: Option<&Value>) -> Result<Option<i64>, Error> {
    match value {
        None => Ok(None),
        Some(value) if value.is_none() || value.is_undefined() => Ok(None),
        Some(value) => i64::try_from(value.clone()).map(Some),
    }
}

/// The largest width that a template may ask for, so that a small template cannot produce a huge text.
const LARGEST_WIDTH: i64 = 4096;

/// A width in characters; negative ones become zero.
pub(super) fn width(value: Option<&Value>, default: usize) -> Result<usize, Error> {
    Ok(integer(value)?.map_or(default, |n| n.clamp(0, LARGEST_WIDTH) as usize))
}

pub(super) fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}
