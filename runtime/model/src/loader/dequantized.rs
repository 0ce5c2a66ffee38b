//! Dequantises tensors to float32 with several threads.

use sglang_checkpoint::GgmlType;
use sglang_checkpoint::gguf::dequant::DequantError;

use crate::error::{ModelError, Result};

/// Numbers per thread for which another thread pays off.
const PER_THREAD: usize = 1 << 17;

/// The float32 values of whole blocks. Several threads share the work if there is enough.
pub(crate) fn dequantized(storage: GgmlType, data: &[u8], count: usize) -> Result<Vec<f32>> {
    let mut values = vec![0.0; count];
    let wrong = |e: DequantError| ModelError::Kernel(e.to_string());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let blocks = count.div_ceil(storage.block_len());
    let each = blocks.div_ceil(threads.min(count / PER_THREAD).max(1)).max(1);
    // If lengths do not fit together, the whole call fails here.
    if each >= blocks || storage.bytes_for(count) != Some(data.len()) {
        sglang_checkpoint::dequantize(storage, data, &mut values).map_err(wrong)?;
        return Ok(values);
    }
    let pieces = data.chunks(each * storage.block_bytes()).zip(values.chunks_mut(each * storage.block_len()));
    let results = std::thread::scope(|scope| {
        let read = |(data, values)| scope.spawn(move || sglang_checkpoint::dequantize(storage, data, values));
        let threads: Vec<_> = pieces.map(read).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    for result in results {
        let panicked = || ModelError::Kernel("a thread that read blocks panicked".to_owned());
        result.map_err(|_| panicked())?.map_err(wrong)?;
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_alike_by_one_thread_and_by_several() {
        let count = 5 * PER_THREAD + 3 * 256;
        let storage = GgmlType::Q2_K;
        let data: Vec<u8> = (0..storage.bytes_for(count).unwrap()).map(|i| (i % 59) as u8).collect();
        let mut expected = vec![0.0; count];
        sglang_checkpoint::dequantize(storage, &data, &mut expected).unwrap();
        assert_eq!(dequantized(storage, &data, count).unwrap(), expected);
        assert!(dequantized(storage, &data, count + 256).is_err());
        assert!(dequantized(storage, &data[1..], count).is_err());
    }
}
