//! Python's string methods.

use minijinja::Error;
use minijinja::value::{Tuple, Value, ValueKind};

use super::arguments::{bind_all, integer, invalid, required, text, width};
use super::letters::{changed_case, is_method, is_space};
use super::padding::centered;
use super::{python, str_format};

/// Which ends of a text are stripped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Both,
    Left,
    Right,
}

/// Python's `strip`, `lstrip`, `rstrip`.
pub(super) fn strip<'a>(text: &'a str, chars: Option<&str>, ends: Ends) -> &'a str {
    let drop = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if ends == Ends::Right { text } else { text.trim_start_matches(drop) };
    if ends == Ends::Left { text } else { text.trim_end_matches(drop) }
}

/// Python's `splitlines`.
pub(super) fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest
        .find(['\n', '\r', '\u{B}', '\u{C}', '\u{1C}', '\u{1D}', '\u{1E}', '\u{85}', '\u{2028}', '\u{2029}'])
    {
        let (line, tail) = rest.split_at(at);
        let end = if tail.starts_with("\r\n") { 2 } else { tail.chars().next().map_or(1, char::len_utf8) };
        let (_, after) = tail.split_at(end);
        out.push(if keep_ends { rest.get(..at + end).unwrap_or(line) } else { line });
        rest = after;
    }
    if !rest.is_empty() {
        out.push(rest);
    }
    out
}

/// Calls a method that minijinja lacks or implements differently.
pub(super) fn call(value: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let ends = match method {
        "strip" => Some(Ends::Both),
        "lstrip" => Some(Ends::Left),
        "rstrip" => Some(Ends::Right),
        _ => None,
    };
    if let Some(ends) = ends {
        let [chars] = bind_all(args, ["chars"])?;
        let chars = chars.filter(|c| !c.is_none());
        return Ok(Some(strip(value, chars.as_ref().map(text).transpose()?, ends).into()));
    }
    if let Some(answer) = is_method(value, method) {
        let [] = bind_all(args, [])?;
        return Ok(Some(answer.into()));
    }
    if let Some(changed) = changed_case(value, method) {
        let [] = bind_all(args, [])?;
        return Ok(Some(changed.into()));
    }
    Ok(Some(match method {
        "split" | "rsplit" => split(value, method == "rsplit", args)?,
        "splitlines" => {
            let [keep] = bind_all(args, ["keepends"])?;
            lines(value, keep.is_some_and(|k| k.is_true())).into_iter().collect()
        }
        "partition" | "rpartition" => partition(value, method == "rpartition", args)?,
        "find" | "rfind" | "index" | "rindex" | "count" => search(value, method, args)?,
        "startswith" | "endswith" => begins(value, method == "startswith", args)?.into(),
        "removeprefix" | "removesuffix" => {
            let [part] = bind_all(args, ["affix"])?;
            let part = required(part, "affix")?;
            let part = text(&part)?;
            let rest =
                if method == "removeprefix" { value.strip_prefix(part) } else { value.strip_suffix(part) };
            rest.unwrap_or(value).into()
        }
        "join" => join(value, args)?.into(),
        "format" => str_format::format(value, args)?.into(),
        "zfill" | "ljust" | "rjust" | "center" => padded(value, method, args)?.into(),
        "expandtabs" => {
            let [size] = bind_all(args, ["tabsize"])?;
            expand_tabs(value, width(size.as_ref(), 8)?).into()
        }
        "translate" => translate(value, args)?.into(),
        "encode" => {
            let [encoding, _errors] = bind_all(args, ["encoding", "errors"])?;
            let name = encoding.map_or_else(|| "utf-8".to_owned(), |e| python::to_str(&e).to_lowercase());
            let is_utf8 = matches!(name.as_str(), "utf-8" | "utf8" | "utf_8");
            if !is_utf8 && (name != "ascii" || !value.is_ascii()) {
                return Err(invalid(format!("encode: expected utf-8, found {name}")));
            }
            Value::from_bytes(value.as_bytes().to_vec())
        }
        _ => return Ok(None),
    }))
}

fn tuple(parts: [&str; 3]) -> Value {
    Value::from(Tuple::from(parts.map(Value::from)))
}

fn partition(value: &str, from_right: bool, args: &[Value]) -> Result<Value, Error> {
    let [separator] = bind_all(args, ["sep"])?;
    let separator = required(separator, "sep")?;
    let separator = text(&separator)?;
    if separator.is_empty() {
        return Err(invalid("empty separator"));
    }
    let found = if from_right { value.rsplit_once(separator) } else { value.split_once(separator) };
    Ok(match found {
        Some((head, tail)) => tuple([head, separator, tail]),
        None if from_right => tuple(["", "", value]),
        None => tuple([value, "", ""]),
    })
}

fn split(value: &str, from_right: bool, args: &[Value]) -> Result<Value, Error> {
    let [separator, count] = bind_all(args, ["sep", "maxsplit"])?;
    // A negative count means no limit.
    let limit = integer(count.as_ref())?.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let Some(separator) = separator.filter(|s| !s.is_none()) else {
        return Ok(split_words(value, limit, from_right).into_iter().collect());
    };
    let separator = text(&separator)?;
    if separator.is_empty() {
        return Err(invalid("empty separator"));
    }
    let limit = limit.saturating_add(1);
    if !from_right {
        return Ok(value.splitn(limit, separator).collect());
    }
    let mut parts: Vec<_> = value.rsplitn(limit, separator).collect();
    parts.reverse();
    Ok(parts.into_iter().collect())
}

/// Splits at runs of white space, at most `limit` times.
fn split_words(value: &str, limit: usize, from_right: bool) -> Vec<&str> {
    let ends = if from_right { Ends::Right } else { Ends::Left };
    let mut parts = Vec::new();
    let mut rest = strip(value, None, ends);
    while !rest.is_empty() {
        if parts.len() == limit {
            parts.push(rest);
            break;
        }
        if from_right {
            let at =
                rest.char_indices().rev().find(|(_, c)| is_space(*c)).map_or(0, |(at, c)| at + c.len_utf8());
            let (head, part) = rest.split_at(at);
            parts.push(part);
            rest = strip(head, None, ends);
        } else {
            let (part, tail) = rest.split_at(rest.find(is_space).unwrap_or(rest.len()));
            parts.push(part);
            rest = strip(tail, None, ends);
        }
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// The part of a text between two positions, and where it begins. Positions count characters; negative ones count from
/// the end.
fn region<'a>(
    value: &'a str,
    start: Option<&Value>,
    end: Option<&Value>,
) -> Result<Option<(&'a str, usize)>, Error> {
    let count = value.chars().count() as i64;
    let place = |given: Option<i64>, default: i64| {
        given.map_or(default, |n| if n < 0 { (n + count).max(0) } else { n })
    };
    let start = place(integer(start)?, 0);
    let end = place(integer(end)?, count).min(count);
    if start > end {
        return Ok(None);
    }
    let byte = |at: i64| value.char_indices().nth(at as usize).map_or(value.len(), |(byte, _)| byte);
    Ok(value.get(byte(start)..byte(end)).map(|part| (part, start as usize)))
}

fn search(value: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let [wanted, start, end] = bind_all(args, ["sub", "start", "end"])?;
    let wanted = required(wanted, "sub")?;
    let wanted = text(&wanted)?;
    let region = region(value, start.as_ref(), end.as_ref())?;
    if method == "count" {
        return Ok(region.map_or(0, |(part, _)| part.matches(wanted).count()).into());
    }
    let found = region.and_then(|(part, begin)| {
        let at = if method.starts_with('r') { part.rfind(wanted) } else { part.find(wanted) }?;
        Some(begin + part.get(..at)?.chars().count())
    });
    match found {
        Some(at) => Ok(at.into()),
        None if method.ends_with("find") => Ok((-1).into()),
        None => Err(invalid("substring not found")),
    }
}

fn begins(value: &str, from_start: bool, args: &[Value]) -> Result<bool, Error> {
    let [affixes, start, end] = bind_all(args, ["prefix", "start", "end"])?;
    let affixes = required(affixes, "prefix")?;
    let Some((part, _)) = region(value, start.as_ref(), end.as_ref())? else { return Ok(false) };
    let fits = |affix: &str| if from_start { part.starts_with(affix) } else { part.ends_with(affix) };
    if affixes.kind() != ValueKind::Seq {
        return text(&affixes).map(fits);
    }
    for affix in affixes.try_iter()?.checked() {
        if fits(text(&affix?)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn join(value: &str, args: &[Value]) -> Result<String, Error> {
    let [items] = bind_all(args, ["iterable"])?;
    let mut out = String::new();
    for (i, item) in required(items, "iterable")?.try_iter()?.checked().enumerate() {
        let item = item?;
        let part = item
            .as_str()
            .ok_or_else(|| invalid(format!("sequence item {i}: expected a text, found {}", item.kind())))?;
        if i > 0 {
            out.push_str(value);
        }
        out.push_str(part);
    }
    Ok(out)
}

fn padded(value: &str, method: &str, args: &[Value]) -> Result<String, Error> {
    let [columns, fill] = bind_all(args, ["width", "fillchar"])?;
    let columns = width(Some(&required(columns, "width")?), 0)?;
    let fill = fill.map_or_else(|| Ok(" ".to_owned()), |fill| text(&fill).map(str::to_owned))?;
    if fill.chars().count() != 1 {
        return Err(invalid("the fill character must be exactly one character long"));
    }
    let padding = |fill: &str| fill.repeat(columns.saturating_sub(value.chars().count()));
    Ok(match method {
        "ljust" => format!("{value}{}", padding(&fill)),
        "rjust" => format!("{}{value}", padding(&fill)),
        "center" => centered(value, columns, &fill),
        _ => {
            let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
            let sign = value.get(..value.len() - digits.len()).unwrap_or_default();
            format!("{sign}{}{digits}", padding("0"))
        }
    })
}

fn expand_tabs(value: &str, size: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for c in value.chars() {
        match c {
            '\t' if size > 0 => {
                let spaces = size - column % size;
                out.push_str(&" ".repeat(spaces));
                column += spaces;
            }
            '\t' => {}
            c => {
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
                out.push(c);
            }
        }
    }
    out
}

/// `translate(table)`: the table maps code points to strings, code points or nothing.
fn translate(value: &str, args: &[Value]) -> Result<String, Error> {
    let [table] = bind_all(args, ["table"])?;
    let table = required(table, "table")?;
    let mut out = String::new();
    for c in value.chars() {
        let to = table.get_item(&Value::from(c as u32))?;
        match to.kind() {
            ValueKind::Undefined => out.push(c),
            ValueKind::None => {}
            ValueKind::Number => out.extend(char::from_u32(u32::try_from(to)?)),
            _ => out.push_str(text(&to)?),
        }
    }
    Ok(out)
}
