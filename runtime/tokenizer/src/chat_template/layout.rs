//! Filters that lay out text: `center`, `indent`, `truncate`, `wordwrap`.

use minijinja::Error;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};

use super::arguments::{bind, invalid, width};
use super::padding::centered;
use super::python;
use super::strings::lines;

fn is_set(value: Option<&Value>, default: bool) -> bool {
    value.map_or(default, Value::is_true)
}

/// `center(width=80)`.
pub(super) fn center(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let [columns] = bind(&positional, &kwargs, ["width"])?;
    Ok(centered(&python::to_str(value), width(columns.as_ref(), 80)?, " "))
}

/// `indent(width=4, first=False, blank=False)`.
pub(super) fn indent(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let [by, first, blank] = bind(&positional, &kwargs, ["width", "first", "blank"])?;
    let indention = match &by {
        Some(text) if text.kind() == ValueKind::String => text.as_str().unwrap_or_default().to_owned(),
        by => " ".repeat(width(by.as_ref(), 4)?),
    };
    let text = python::to_str(value) + "\n";
    let blank = is_set(blank.as_ref(), false);
    let mut out = if is_set(first.as_ref(), false) { indention.clone() } else { String::new() };
    for (i, line) in lines(&text, false).iter().enumerate() {
        if i > 0 {
            out.push('\n');
            if blank || !line.is_empty() {
                out.push_str(&indention);
            }
        }
        out.push_str(line);
    }
    Ok(out)
}

/// `truncate(length=255, killwords=False, end='...', leeway=5)`.
pub(super) fn truncate(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let [length, killwords, end, leeway] =
        bind(&positional, &kwargs, ["length", "killwords", "end", "leeway"])?;
    let length = width(length.as_ref(), 255)?;
    let leeway = width(leeway.as_ref(), 5)?;
    let end = end.map_or_else(|| "...".to_owned(), |end| python::to_str(&end));
    let text = python::to_str(value);
    let kept = length.checked_sub(end.chars().count()).ok_or_else(|| {
        invalid(format!("truncate: expected a length of at least that of {end:?}, found {length}"))
    })?;
    if text.chars().count() <= length + leeway {
        return Ok(text);
    }
    let mut out: String = text.chars().take(kept).collect();
    if !is_set(killwords.as_ref(), false)
        && let Some((whole_words, _)) = out.rsplit_once(' ')
    {
        out = whole_words.to_owned();
    }
    Ok(out + &end)
}

/// `wordwrap(width=79, break_long_words=True, wrapstring='\n', break_on_hyphens=True)`.
pub(super) fn wordwrap(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let names = ["width", "break_long_words", "wrapstring", "break_on_hyphens"];
    let [columns, break_long, between, hyphens] = bind(&positional, &kwargs, names)?;
    let columns = width(columns.as_ref(), 79)?;
    if columns == 0 {
        return Err(invalid("wordwrap: expected a width above 0"));
    }
    let between = between.filter(|v| !v.is_none()).map_or_else(|| "\n".to_owned(), |v| python::to_str(&v));
    let (break_long, hyphens) = (is_set(break_long.as_ref(), true), is_set(hyphens.as_ref(), true));
    let text = python::to_str(value);
    let wrapped: Vec<String> = lines(&text, false)
        .iter()
        .map(|line| wrap(line, columns, break_long, hyphens).join(&between))
        .collect();
    Ok(wrapped.join(&between))
}

/// Splits a line into white space and words; words are also split after hyphens between letters.
fn chunks(line: &str, hyphens: bool) -> Vec<Vec<char>> {
    let mut chunks: Vec<Vec<char>> = Vec::new();
    let chars: Vec<char> = line.chars().collect();
    let letter = |i: Option<usize>| i.and_then(|i| chars.get(i)).is_some_and(|c| c.is_alphabetic());
    let word =
        |i: Option<usize>| i.and_then(|i| chars.get(i)).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let mut cut = true;
    for (i, c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|b| chars.get(b));
        cut |= before.is_none_or(|b| b.is_whitespace() != c.is_whitespace());
        match chunks.last_mut() {
            Some(chunk) if !cut => chunk.push(*c),
            _ => chunks.push(vec![*c]),
        }
        let between =
            letter(i.checked_sub(1)) && word(i.checked_sub(2)) && word(Some(i + 1)) && letter(Some(i + 2));
        cut = hyphens && *c == '-' && between;
    }
    chunks
}

/// Splits a line into lines of at most `columns` characters (Python's `textwrap.wrap`).
fn wrap(line: &str, columns: usize, break_long: bool, hyphens: bool) -> Vec<String> {
    let is_space = |chunk: &[char]| chunk.iter().all(|c| c.is_whitespace());
    let mut rest: Vec<Vec<char>> = chunks(line, hyphens);
    rest.reverse();
    let mut out: Vec<String> = Vec::new();
    while !rest.is_empty() {
        let mut current: Vec<Vec<char>> = Vec::new();
        let mut length = 0;
        if !out.is_empty() && rest.last().is_some_and(|chunk| is_space(chunk)) {
            rest.pop();
        }
        while let Some(chunk) = rest.pop_if(|chunk| length + chunk.len() <= columns) {
            length += chunk.len();
            current.push(chunk);
        }
        if let Some(long) = rest.pop_if(|chunk| chunk.len() > columns) {
            let room = columns - length;
            if break_long {
                let hyphen = long.iter().take(room).rposition(|c| *c == '-').filter(|at| *at > 0);
                let end = hyphen.filter(|_| hyphens).map_or(room, |at| at + 1);
                let (head, tail) = long.split_at(end.min(long.len()));
                current.push(head.to_vec());
                rest.push(tail.to_vec());
            } else if current.is_empty() {
                current.push(long);
            } else {
                rest.push(long);
            }
        }
        if current.last().is_some_and(|chunk| is_space(chunk)) {
            current.pop();
        }
        if !current.is_empty() {
            out.push(current.concat().into_iter().collect());
        }
    }
    out
}
