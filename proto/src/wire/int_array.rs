//! Token ids as the reference sends them: a Python `array` in MessagePack extension 1, which holds a big-endian length,
//! the type code as MessagePack text, and the raw little-endian items (reference: `utils/msgpack_utils.py`).

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Extension code of a Python `array`.
const EXT_ARRAY: i8 = 1;
/// Metadata of an array of 64-bit integers: its length (2) and the text `q`.
const Q_HEADER: [u8; 6] = [0, 0, 0, 2, 0xa1, b'q'];

/// Bytes of an item.
const ITEM: usize = 8;
/// Most ids that are written without allocating memory.
const FEW: usize = 8;

/// A list of token ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenIds(pub Vec<u32>);

impl From<Vec<u32>> for TokenIds {
    fn from(ids: Vec<u32>) -> Self {
        Self(ids)
    }
}

impl std::ops::Deref for TokenIds {
    type Target = Vec<u32>;
    fn deref(&self) -> &Vec<u32> {
        &self.0
    }
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Serialize for TokenIds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let len = Q_HEADER.len() + self.0.len() * ITEM;
        // Avoid an allocation for the few ids of a step.
        let (mut few, mut many) = ([0; Q_HEADER.len() + FEW * ITEM], Vec::new());
        let payload = match few.get_mut(..len) {
            Some(few) => few,
            None => {
                many.resize(len, 0);
                &mut many[..]
            }
        };
        let (header, items) = payload.split_at_mut(Q_HEADER.len());
        header.copy_from_slice(&Q_HEADER);
        for (item, id) in items.chunks_exact_mut(ITEM).zip(&self.0) {
            item.copy_from_slice(&i64::from(*id).to_le_bytes());
        }
        serializer.serialize_newtype_struct(rmp_serde::MSGPACK_EXT_STRUCT_NAME, &(EXT_ARRAY, Bytes(payload)))
    }
}

/// Bytes of one item per Python array type code, and whether it is signed. `l` and `L` are 8 bytes on Linux.
fn item_layout(code: u8) -> Option<(usize, bool)> {
    Some(match code {
        b'b' => (1, true),
        b'B' => (1, false),
        b'h' => (2, true),
        b'H' => (2, false),
        b'i' => (4, true),
        b'I' => (4, false),
        b'l' | b'q' => (8, true),
        b'L' | b'Q' => (8, false),
        _ => return None,
    })
}

fn read_item(bytes: &[u8], signed: bool) -> Option<u32> {
    let mut wide = [0u8; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    if signed && bytes.last().is_some_and(|b| b & 0x80 != 0) {
        return None;
    }
    u32::try_from(u64::from_le_bytes(wide)).ok()
}

fn parse(payload: &[u8]) -> Result<TokenIds, String> {
    let (len, rest) = payload.split_first_chunk::<4>().ok_or("array extension is missing its metadata")?;
    let meta_len = u32::from_be_bytes(*len) as usize;
    let meta = rest.get(..meta_len).ok_or("array extension is shorter than its metadata")?;
    let data = &rest[meta_len..];
    let [0xa1, code] = meta else { return Err("array extension has no one-letter type code".into()) };
    let (size, signed) = item_layout(*code).ok_or_else(|| format!("array type code {:?}", *code as char))?;
    if data.len() % size != 0 {
        return Err(format!("array of {size}-byte items has {} bytes", data.len()));
    }
    data.chunks_exact(size)
        .map(|item| read_item(item, signed))
        .collect::<Option<Vec<u32>>>()
        .map(TokenIds)
        .ok_or_else(|| "token id is not in [0, 2^32)".into())
}

impl<'de> Deserialize<'de> for TokenIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ext;
        impl<'de> Visitor<'de> for Ext {
            type Value = TokenIds;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array extension or a list of token ids")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<TokenIds, D::Error> {
                let (code, payload): (i8, Payload) = Deserialize::deserialize(deserializer)?;
                if code != EXT_ARRAY {
                    return Err(D::Error::custom(format!("extension {code} is not an array")));
                }
                payload.0.map_err(D::Error::custom)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<TokenIds, A::Error> {
                let mut ids = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1 << 16));
                while let Some(id) = seq.next_element()? {
                    ids.push(id);
                }
                Ok(TokenIds(ids))
            }
        }
        deserializer.deserialize_any(Ext)
    }
}

/// The ids in the bytes of an array, or why these are invalid.
struct Payload(Result<TokenIds, String>);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Raw;
        impl Visitor<'_> for Raw {
            type Value = Payload;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Payload, E> {
                Ok(Payload(parse(bytes)))
            }
        }
        deserializer.deserialize_bytes(Raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_the_extension() {
        for n in [0, 1, FEW, FEW + 1, 1000] {
            let ids = TokenIds([0, 1, 49151, u32::MAX].into_iter().cycle().take(n).collect());
            let bytes = rmp_serde::to_vec(&ids).unwrap();
            assert_eq!(rmp_serde::from_slice::<TokenIds>(&bytes).unwrap(), ids);
        }
    }

    #[test]
    fn plain_lists_are_read_too() {
        let bytes = rmp_serde::to_vec(&vec![5u32, 6]).unwrap();
        assert_eq!(rmp_serde::from_slice::<TokenIds>(&bytes).unwrap().0, [5, 6]);
    }

    #[test]
    fn negative_and_torn_arrays_are_errors() {
        assert!(parse(&[0, 0, 0, 2, 0xa1, b'b', 0xff]).is_err());
        assert!(parse(&[0, 0, 0, 2, 0xa1, b'q', 1, 2, 3]).is_err());
        assert!(parse(&[0, 0, 0, 9]).is_err());
        assert!(parse(&[]).is_err());
        assert_eq!(parse(&[0, 0, 0, 2, 0xa1, b'b', 7]).unwrap().0, [7]);
    }
}
