//! Checks links in Markdown files: the file must exist, and so must the heading after `#`.

use std::collections::BTreeSet;
use std::path::Path;

/// Targets of the links and pictures in `markdown`, outside code. Web addresses are left out.
pub fn local_links(markdown: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in prose(markdown) {
        let mut rest = line;
        while let Some(start) = rest.find("](") {
            rest = &rest[start + 2..];
            let Some(end) = rest.find(')') else { break };
            let target = rest[..end].split(' ').next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push(target);
            }
            rest = &rest[end..];
        }
    }
    found
}

/// What is wrong with the link `target` in `file`; `None` if it is valid.
pub fn broken(file: &Path, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let folder = file.parent().unwrap_or(Path::new("."));
    let linked = if path.is_empty() { file.to_owned() } else { folder.join(path) };
    if !linked.exists() {
        return Some(format!("{}: no file {path}", file.display()));
    }
    let anchor = anchor.filter(|_| linked.extension().is_some_and(|extension| extension == "md"))?;
    let text = std::fs::read_to_string(&linked).unwrap_or_default();
    let known = anchors(&text);
    (!known.contains(anchor))
        .then(|| format!("{}: no heading #{anchor} in {}", file.display(), linked.display()))
}

/// Anchors of the headings, as on GitHub: lower case, without punctuation, spaces as hyphens.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in prose(markdown).filter(|line| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = (1..).map(|n| format!("{anchor}-{n}")).find(|name| !found.contains(name));
        match found.contains(&anchor) {
            true => found.extend(again),
            false => drop(found.insert(anchor)),
        }
    }
    found
}

/// The lines outside fenced code.
fn prose(markdown: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    markdown.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}
