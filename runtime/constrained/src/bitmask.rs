//! Bitmasks over the vocabulary: bit `id % 32` of word `id / 32`.

/// Whether the mask allows `id`; ids beyond the mask are not allowed.
pub fn get(mask: &[u32], id: u32) -> bool {
    mask.get(id as usize / 32).is_some_and(|word| word & (1 << (id % 32)) != 0)
}

/// Copies `words` into `mask` and clears the remaining bits, including those of ids from `vocab_size` on.
pub(crate) fn copy(words: &[u32], mask: &mut [u32], vocab_size: usize) {
    let len = words.len().min(mask.len());
    let (head, tail) = mask.split_at_mut(len);
    head.copy_from_slice(&words[..len]);
    tail.fill(0);
    let (last, rest) = (vocab_size / 32, vocab_size % 32);
    if let Some(word) = mask.get_mut(last) {
        *word &= (1u32 << rest) - 1;
    }
    if let Some(beyond) = mask.get_mut(last + 1..) {
        beyond.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_past_the_vocabulary_are_cleared() {
        let mut mask = [7u32; 4];
        copy(&[u32::MAX, u32::MAX], &mut mask, 40);
        assert_eq!(mask, [u32::MAX, 0xff, 0, 0]);
        assert!(get(&mask, 39) && !get(&mask, 40) && !get(&mask, 4000));
        let mut mask = [7u32; 2];
        copy(&[u32::MAX; 3], &mut mask, 64);
        assert_eq!(mask, [u32::MAX; 2]);
    }
}
