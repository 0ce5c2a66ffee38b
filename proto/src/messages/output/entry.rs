//! Reading of list entries.

use serde::Deserializer;

/// Reads an entry of a list into its row.
pub(super) trait Entry<R> {
    /// Reads one entry into `row`.
    fn read<'de, D: Deserializer<'de>>(&self, row: &mut R, deserializer: D) -> Result<(), D::Error>;
}
