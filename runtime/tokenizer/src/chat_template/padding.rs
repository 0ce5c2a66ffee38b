//! Centred text.

/// The text centred in a field; Python's rule decides which side gets the extra character of an odd fill.
pub(super) fn centered(text: &str, width: usize, fill: &str) -> String {
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2 + (missing & width & 1);
    format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left))
}
