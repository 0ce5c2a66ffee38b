//! Text in the middle of a field.

/// A text with fill on both sides; where the fill is odd, Python's rule says which side gets more.
pub(super) fn centered(text: &str, width: usize, fill: &str) -> String {
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2 + (missing & width & 1);
    format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left))
}
