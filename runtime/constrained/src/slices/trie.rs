//! A prefix tree of some of the vocabulary's tokens, stored in one array.

use toktrie::{Recognizer, SimpleVob};

const NO_TOKEN: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    token: u32,
    /// Number of nodes in this subtree, including this one.
    size: u32,
    depth: u16,
    byte: u8,
}

/// The nodes in depth-first order, so that adding its size skips a subtree.
#[derive(Debug, Default)]
pub(super) struct Trie {
    nodes: Vec<Node>,
}

impl Trie {
    /// `tokens` in any order; each is `(bytes, id)` with at least one byte and fewer than 2^16. Ids with the same bytes
    /// become siblings.
    pub(super) fn new<'a>(tokens: impl IntoIterator<Item = (&'a [u8], u32)>) -> Self {
        let mut tokens: Vec<(&[u8], u32)> = tokens.into_iter().collect();
        tokens.sort_unstable();
        let mut nodes: Vec<Node> = Vec::new();
        // The nodes from the root to the latest one; a node's size is set when the walk leaves it.
        let mut path: Vec<usize> = Vec::new();
        let mut last: &[u8] = &[];
        for (bytes, id) in tokens {
            let mut shared = bytes.iter().zip(last).take_while(|(a, b)| a == b).count();
            if shared == bytes.len() {
                shared = shared.saturating_sub(1);
            }
            leave(&mut nodes, &mut path, shared);
            for (depth, &byte) in bytes.iter().enumerate().skip(shared) {
                path.push(nodes.len());
                nodes.push(Node { token: NO_TOKEN, size: 1, depth: depth as u16, byte });
            }
            if let Some(node) = nodes.last_mut() {
                node.token = id;
            }
            last = bytes;
        }
        leave(&mut nodes, &mut path, 0);
        Self { nodes }
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Sets the bits of the tokens that `reader` accepts, and leaves `reader` where it was.
    pub(super) fn walk(&self, reader: &mut impl Recognizer, allowed: &mut SimpleVob) {
        let (mut at, mut read, mut walked) = (0, 0, 0);
        while let Some(node) = self.nodes.get(at) {
            let depth = usize::from(node.depth);
            reader.pop_bytes(read - depth);
            read = depth;
            walked += 1;
            if reader.try_push_byte(node.byte) {
                read += 1;
                at += 1;
                if node.token != NO_TOKEN {
                    allowed.allow_token(node.token);
                }
            } else {
                at += node.size as usize;
            }
        }
        reader.pop_bytes(read);
        reader.save_stats(walked);
    }
}

fn leave(nodes: &mut [Node], path: &mut Vec<usize>, depth: usize) {
    let end = nodes.len();
    for at in path.drain(depth.min(path.len())..) {
        nodes[at].size = (end - at) as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts texts in which no letter occurs twice in a row.
    #[derive(Default)]
    struct NoDoubles(Vec<u8>);

    impl Recognizer for NoDoubles {
        fn pop_bytes(&mut self, num: usize) {
            self.0.truncate(self.0.len() - num);
        }
        fn collapse(&mut self) {}
        fn trie_finished(&mut self) {}
        fn try_push_byte(&mut self, byte: u8) -> bool {
            let ok = self.0.last() != Some(&byte);
            if ok {
                self.0.push(byte);
            }
            ok
        }
    }

    #[test]
    fn every_token_is_reached_and_the_reader_is_left_where_it_was() {
        let words = ["abc", "a", "ab", "aab", "ab", "b", "bb", "bab", "c", "abca"];
        let trie = Trie::new(words.iter().enumerate().map(|(id, word)| (word.as_bytes(), id as u32)));
        let mut allowed = SimpleVob::alloc(words.len());
        let mut reader = NoDoubles(b"xc".to_vec());
        trie.walk(&mut reader, &mut allowed);
        let found: Vec<&str> =
            words.iter().enumerate().filter(|(id, _)| allowed.get(*id)).map(|(_, word)| *word).collect();
        assert_eq!(found, ["abc", "a", "ab", "ab", "b", "bab", "abca"]);
        assert_eq!(reader.0, b"xc");
        Trie::default().walk(&mut reader, &mut allowed);
    }
}
