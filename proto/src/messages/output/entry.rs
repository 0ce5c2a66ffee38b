//! What the lists of a batch are read with.

use serde::Deserializer;

/// How an entry of a list gets into its row.
pub(super) trait Entry<R> {
    /// Reads one entry into `row`.
    fn read<'de, D: Deserializer<'de>>(&self, row: &mut R, deserializer: D) -> Result<(), D::Error>;
}
