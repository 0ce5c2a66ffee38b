//! The `{% generation %}` block of transformers marks the assistant's text for training. It does not affect rendering,
//! so it is replaced by `{% with %}`, which keeps white-space control unchanged.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

static TAG: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").ok());

/// The source with every generation tag replaced.
pub(super) fn replace(source: &str) -> String {
    let replaced =
        TAG.as_ref().map_or(Cow::Borrowed(source), |tag| tag.replace_all(source, "{%$1 ${2}with $3%}"));
    replaced.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_keep_their_white_space_control() {
        assert_eq!(replace("a{%- generation %}b{%endgeneration-%}"), "a{%- with %}b{% endwith -%}");
        assert_eq!(replace("{% if add_generation_prompt %}"), "{% if add_generation_prompt %}");
    }
}
