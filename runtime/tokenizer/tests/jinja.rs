//! Compares small templates with Jinja2's rendering in transformers' environment (scripts/fixtures.d/jinja.py).
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use serde_json::{Map, Value};
use sglang_tokenizer::{ChatTemplate, TemplateError};

/// Templates that intentionally render differently here, and why.
const INTENDED: [(&str, &str); 24] = [
    (
        "{{ ['1', 'x']|map('int', default=9)|list }}",
        "minijinja's `map` keeps `default` for missing attributes",
    ),
    ("{{ 'see https://example.org/x and www.example.org, or me@example.org.'|urlize }}", NO_LINKS),
    ("{{ 'http://a.b/c?d=1&e=2'|urlize(10) }}", NO_LINKS),
    ("{{ 'https://x.y'|urlize(nofollow=true) }}", NO_LINKS),
    ("{{ 'https://x.y'|urlize(target='_blank') }}", NO_LINKS),
    ("{{ 'urlize' is filter }}", NO_LINKS),
    ("{{ lipsum(n=1, html=false, min=5, max=6)|wordcount > 3 }}", NO_FILLER),
    ("{{ lipsum(n=2)|length > 20 }}", NO_FILLER),
    ("{% macro m() %}{% endmacro %}{{ m is callable }}", MACROS),
    ("{% macro m(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ m(1, 2, 3) }}", MACROS),
    ("{% macro m(a) %}{{ a }}{{ kwargs }}{% endmacro %}{{ m(1, z=9) }}", MACROS),
    ("{{ namespace() is mapping }}", "minijinja's namespaces are mappings"),
    ("{{ self is defined }}", "minijinja's `self` is a name only where a block is called"),
    ("{{ -yes }}", "minijinja negates numbers alone"),
    ("{{ l < 5 }}", LENIENT),
    ("{{ none < 1 }}", LENIENT),
    ("{% for x in none %}{{ x }}{% endfor %}", LENIENT),
    ("{{ n is odd is false }}", LENIENT),
    ("{{ n.real }}", NUMBERS),
    ("{{ n.imag }}", NUMBERS),
    ("{{ n.numerator }}", NUMBERS),
    ("{{ d.keys() }}", VIEWS),
    ("{{ d.values() }}", VIEWS),
    ("{{ d.items() }}", VIEWS),
];
const NO_LINKS: &str = "`urlize` makes links in HTML, which no prompt is";
const NO_FILLER: &str = "`lipsum` makes random filler text";
const MACROS: &str = "minijinja's macros take what they name, and are no callables to the test";
const LENIENT: &str = "minijinja gives an answer where Python raises an exception";
const NUMBERS: &str = "minijinja's numbers have no attributes";
const VIEWS: &str = "views of mappings are written as lists";

fn render(template: &str, values: &Map<String, Value>) -> Result<String, TemplateError> {
    let messages = values["messages"].as_array().unwrap();
    ChatTemplate::new(template, None, None, &[])?.render(messages, None, false, values)
}

#[test]
fn small_templates_render_as_with_jinja2() {
    let fixture = common::json("jinja.json");
    let rows = fixture["rows"].as_array().unwrap();
    assert!(rows.len() > 800, "{} templates", rows.len());
    let values = fixture["values"].as_object().unwrap();
    let (mut wrong, mut unneeded) = (Vec::new(), Vec::new());
    for row in rows {
        let template = row["template"].as_str().unwrap();
        let found = render(template, values);
        let fits = match (&found, row["text"].as_str(), row["error"].as_str()) {
            (Ok(text), Some(expected), _) => text == expected,
            (Err(TemplateError::Raised(message)), _, Some(error)) => {
                error.strip_prefix("TemplateError: ") == Some(message)
            }
            (Err(_), _, Some(_)) => true,
            _ => false,
        };
        let intended = INTENDED.iter().any(|(intended, _)| *intended == template);
        if !fits && !intended {
            let expected = row.get("text").unwrap_or(&row["error"]);
            wrong.push(format!("{template:?}\n   found    {found:?}\n   expected {expected}"));
        } else if fits && intended {
            unneeded.push(template);
        }
    }
    assert!(INTENDED.iter().all(|(_, why)| !why.is_empty()));
    assert!(unneeded.is_empty(), "no difference any more: {unneeded:?}");
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}
