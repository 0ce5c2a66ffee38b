//! The spellings of JSON that are read and written.

/// How a value is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonStyle {
    /// Strict JSON in, Python's `json.dumps` spelling out.
    Normalised,
    /// Strict JSON in, the same characters out.
    Verbatim,
    /// JSON or a Python dict literal (`'quotes'`, `True`, `False`, `None`) in, `json.dumps` spelling out.
    Python,
}
