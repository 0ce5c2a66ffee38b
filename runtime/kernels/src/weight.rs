//! A weight matrix in the storage format of its checkpoint.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{KernelError, Result, check_len};
use crate::quant::QuantType;

/// Bytes that several matrices may share: a mapped file, or memory.
pub type WeightBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A row-major matrix `[rows, cols] = [output features, input features]`, stored in blocks along the columns. Clones
/// share the bytes.
#[derive(Clone)]
pub struct WeightMatrix {
    quant: QuantType,
    rows: usize,
    cols: usize,
    row_bytes: usize,
    bytes: WeightBytes,
    range: Range<usize>,
}

impl fmt::Debug for WeightMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeightMatrix({:?}, {}x{})", self.quant, self.rows, self.cols)
    }
}

/// The bytes of a vector of floats.
struct Floats(Vec<u8>);

impl AsRef<[u8]> for Floats {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl WeightMatrix {
    /// A matrix over `bytes[range]`, which is little-endian and is not copied. Any alignment will do.
    ///
    /// # Errors
    /// `cols` is zero or not a multiple of the block length, or the length of the range does not fit the shape.
    pub fn from_bytes(
        quant: QuantType,
        rows: usize,
        cols: usize,
        bytes: WeightBytes,
        range: Range<usize>,
    ) -> Result<Self> {
        let row_bytes = quant.row_bytes(cols).filter(|&b| b > 0).ok_or_else(|| KernelError::Value {
            name: "columns of a weight",
            got: cols,
            want: format!("a multiple of {} as {quant:?} needs", quant.block_len()),
        })?;
        let want = rows.checked_mul(row_bytes).ok_or_else(|| KernelError::Value {
            name: "rows of a weight",
            got: rows,
            want: "a number whose bytes can be addressed".to_owned(),
        })?;
        let got = bytes.as_ref().as_ref().get(range.clone()).map_or(0, <[u8]>::len);
        check_len("a weight's bytes", got, want, "rows times the bytes of a row")?;
        Ok(Self { quant, rows, cols, row_bytes, bytes, range })
    }

    /// A float32 matrix.
    ///
    /// # Errors
    /// The length is not `rows * cols`, or `cols` is zero.
    pub fn from_f32(rows: usize, cols: usize, values: &[f32]) -> Result<Self> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let range = 0..bytes.len();
        Self::from_bytes(QuantType::F32, rows, cols, Arc::new(Floats(bytes)), range)
    }

    /// Rows `range` of this matrix, sharing its bytes.
    ///
    /// # Errors
    /// `range` is not within the matrix.
    pub fn slice_rows(&self, range: Range<usize>) -> Result<Self> {
        if range.start > range.end || range.end > self.rows {
            return Err(KernelError::Value {
                name: "end of a slice of rows",
                got: range.end,
                want: format!("within {} rows", self.rows),
            });
        }
        let start = self.range.start + range.start * self.row_bytes;
        let end = self.range.start + range.end * self.row_bytes;
        Ok(Self { rows: range.len(), range: start..end, ..self.clone() })
    }

    /// Storage format.
    pub fn quant(&self) -> QuantType {
        self.quant
    }

    /// Output features.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input features.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// All rows.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_ref().as_ref().get(self.range.clone()).unwrap_or(&[])
    }

    /// The bytes, after a check of their number: the memory behind them may have changed its length.
    pub(crate) fn checked_bytes(&self) -> Result<&[u8]> {
        let bytes = self.bytes();
        check_len(
            "a weight's bytes",
            bytes.len(),
            self.rows * self.row_bytes,
            "rows times the bytes of a row",
        )?;
        Ok(bytes)
    }
}
