//! Global functions of Jinja2 that create objects: `cycler`, `dict`, `joiner`, `range`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, Rest, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use super::arguments::{bind, bind_all, integer, invalid, required};

/// Most steps of a range, as in Jinja2's sandbox.
const LONGEST_RANGE: u64 = 100_000;

/// `cycler(*items)`.
#[derive(Debug)]
pub(super) struct Cycler {
    items: Vec<Value>,
    position: AtomicUsize,
}

impl Cycler {
    pub(super) fn make(items: Rest<Value>) -> Result<Value, Error> {
        if items.is_empty() {
            return Err(invalid("at least one item has to be provided"));
        }
        Ok(Value::from_object(Self { items: items.0, position: AtomicUsize::new(0) }))
    }

    fn current(&self) -> Value {
        self.items.get(self.position.load(Ordering::Relaxed)).cloned().unwrap_or_default()
    }
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str() == Some("current")).then(|| self.current())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let () = from_args(args)?;
        match method {
            "next" => {
                let item = self.current();
                let next = (self.position.load(Ordering::Relaxed) + 1) % self.items.len();
                self.position.store(next, Ordering::Relaxed);
                Ok(item)
            }
            "reset" => {
                self.position.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// `joiner(sep=', ')`: returns an empty text at the first call.
#[derive(Debug)]
pub(super) struct Joiner {
    separator: Value,
    is_used: AtomicBool,
}

impl Joiner {
    pub(super) fn make(positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
        let [separator] = bind(&positional, &kwargs, ["sep"])?;
        let separator = separator.unwrap_or_else(|| Value::from(", "));
        Ok(Value::from_object(Self { separator, is_used: AtomicBool::new(false) }))
    }
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let () = from_args(args)?;
        Ok(if self.is_used.swap(true, Ordering::Relaxed) { self.separator.clone() } else { Value::from("") })
    }
}

/// The type `dict`, which creates mappings.
#[derive(Debug)]
pub(super) struct Dict;

impl Object for Dict {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (source, kwargs): (Option<Value>, Kwargs) = from_args(args)?;
        let mut pairs = match source {
            Some(source) => pairs(&source)?,
            None => Vec::new(),
        };
        for name in kwargs.args() {
            pairs.push((Value::from(name), kwargs.get::<Value>(name)?));
        }
        Ok(mapping(pairs))
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "fromkeys" => from_keys(args),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// `dict.fromkeys(iterable, value=None)`.
pub(super) fn from_keys(args: &[Value]) -> Result<Value, Error> {
    let [keys, value] = bind_all(args, ["iterable", "value"])?;
    let value = value.unwrap_or_else(|| Value::from(()));
    let keys = required(keys, "iterable")?;
    let pairs: Result<Vec<_>, Error> =
        keys.try_iter()?.checked().map(|key| key.map(|key| (key, value.clone()))).collect();
    Ok(mapping(pairs?))
}

/// A mapping, ordered by the first occurrence of each key.
pub(super) fn mapping(pairs: Vec<(Value, Value)>) -> Value {
    let mut out: Vec<(Value, Value)> = Vec::with_capacity(pairs.len());
    let mut places = std::collections::BTreeMap::new();
    for (key, value) in pairs {
        let place = *places.entry(key.clone()).or_insert(out.len());
        match out.get_mut(place) {
            Some((_, old)) => *old = value,
            None => out.push((key, value)),
        }
    }
    Value::from_pairs(out)
}

/// The pairs of a mapping, or of a list of pairs.
pub(super) fn pairs(source: &Value) -> Result<Vec<(Value, Value)>, Error> {
    let mut out = Vec::new();
    for item in source.try_iter()?.checked() {
        let item = item?;
        if source.kind() == ValueKind::Map {
            out.push((item.clone(), source.get_item(&item)?));
            continue;
        }
        match item.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?.as_slice() {
            [key, value] => out.push((key.clone(), value.clone())),
            other => return Err(invalid(format!("expected pairs, found {} values", other.len()))),
        }
    }
    Ok(out)
}

/// `range(stop)`, `range(start, stop, step)`.
#[derive(Debug)]
pub(super) struct Range {
    start: i64,
    stop: i64,
    step: i64,
    length: u64,
}

impl Range {
    pub(super) fn make(args: Rest<Value>) -> Result<Value, Error> {
        let number = |i: usize, default: i64| integer(args.get(i)).map(|n| n.unwrap_or(default));
        let (start, stop) = match args.len() {
            1 => (0, number(0, 0)?),
            2 | 3 => (number(0, 0)?, number(1, 0)?),
            n => return Err(invalid(format!("range: expected one to three numbers, found {n}"))),
        };
        let step = number(2, 1)?;
        if step == 0 {
            return Err(invalid("range: the step must not be 0"));
        }
        let distance = if step > 0 {
            i128::from(stop) - i128::from(start)
        } else {
            i128::from(start) - i128::from(stop)
        };
        let length = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs().into());
        match u64::try_from(length) {
            Ok(length) if length <= LONGEST_RANGE => {
                Ok(Value::from_object(Self { start, stop, step, length }))
            }
            _ => Err(invalid(format!("range: expected at most {LONGEST_RANGE} steps, found {length}"))),
        }
    }

    /// The range as Python writes it.
    pub(super) fn repr_text(&self) -> String {
        let Self { start, stop, step, .. } = self;
        if *step == 1 { format!("range({start}, {stop})") } else { format!("range({start}, {stop}, {step})") }
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = key.as_usize().filter(|at| (*at as u64) < self.length)?;
        Some(Value::from(self.start + self.step * at as i64))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.length as usize)
    }
}

/// Whether a value can be called. As in Jinja2, an undefined value fails only when it is called.
pub(super) fn is_callable(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Undefined => true,
        ValueKind::Plain => value.downcast_object_ref::<Cycler>().is_none(),
        _ => false,
    }
}
