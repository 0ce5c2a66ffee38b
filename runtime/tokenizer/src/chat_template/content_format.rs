//! Detects whether a template expects a message's content as one text or as a list of parts.

use std::sync::LazyLock;

use regex::Regex;

/// Words that occur only in templates of multimodal models (reference: `parser/jinja_template_utils.py`).
const MEDIA: [&str; 4] = ["image", "audio", "video", "vision"];

/// A loop over the content of a message, possibly sliced or filtered.
static LOOP: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"\{%[-+]?\s*for\s+[\w\s,()]+?\s+in\s+\(*\s*(message|msg|m)\s*(\.\s*content\b|\[\s*['"]content['"]\s*\])\s*\)*\s*(-?%\}|\||\[[^\]]*:|if\b)"#,
    )
    .ok()
});

/// Whether the template loops over the parts of `message.content`.
pub(super) fn takes_parts(source: &str) -> bool {
    MEDIA.iter().any(|word| source.contains(word)) || LOOP.as_ref().is_some_and(|l| l.is_match(source))
}

#[cfg(test)]
mod tests {
    use super::takes_parts;

    #[test]
    fn loops_over_content_ask_for_parts() {
        assert!(takes_parts("{%- for part in message['content'] -%}{{ part.text }}{%- endfor %}"));
        assert!(takes_parts(
            "{% for item in msg.content | selectattr('type', 'equalto', 'text') %}{% endfor %}"
        ));
        assert!(takes_parts("{% for p in m[\"content\"][1:] %}{% endfor %}"));
        assert!(takes_parts("<|vision_start|>"));
    }

    #[test]
    fn other_uses_of_content_take_text() {
        assert!(!takes_parts("{% for message in messages %}{{ message['content'] }}{% endfor %}"));
        assert!(!takes_parts("{% for x in other.content %}{% endfor %}"));
        assert!(!takes_parts("{% for line in message.content.split(',') %}{% endfor %}"));
    }
}
