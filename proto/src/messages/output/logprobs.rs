//! Log-probabilities of one request. On the wire, values and ids are separate lists.

use std::marker::PhantomData;

use serde::de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::entry::Entry;

/// Log-probability and token id. The first prompt token has no log-probability.
pub type TokenLogprob = (Option<f32>, u32);
/// The most likely or requested tokens of one position; `None` for a position without.
pub type TopLogprobs = Option<Vec<(f32, u32)>>;

/// New log-probabilities of a request, by position. A list is `None` if the request does not want it, or if this output
/// does not contain it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logprobs {
    /// Prompt tokens. The lists of the prompt are sent once.
    pub input_token: Option<Vec<TokenLogprob>>,
    /// New output tokens.
    pub output_token: Option<Vec<TokenLogprob>>,
    /// Most likely tokens per prompt position.
    pub input_top: Option<Vec<TopLogprobs>>,
    /// Most likely tokens per new output position.
    pub output_top: Option<Vec<TopLogprobs>>,
    /// Requested tokens per prompt position.
    pub input_token_ids: Option<Vec<TopLogprobs>>,
    /// Requested tokens per new output position.
    pub output_token_ids: Option<Vec<TopLogprobs>>,
}

/// The values or the ids of a list, which have separate lists on the wire.
pub(super) trait Half {
    /// Type of the list's entries.
    type Position;

    /// Writes this half of each position.
    fn write(list: &[Self::Position]) -> impl Serialize;

    /// Reads this half into a list that may already contain the other half.
    fn read<'de, D: Deserializer<'de>>(
        list: &mut Option<Vec<Self::Position>>,
        deserializer: D,
    ) -> Result<(), D::Error>;
}

/// Values of a list with one token per position.
pub(super) struct Values;
/// Ids of a list with one token per position. They come after the values and are dropped without them.
pub(super) struct Ids;
/// Values of a list with several tokens per position.
pub(super) struct TopValues;
/// Ids of a list with several tokens per position.
pub(super) struct TopIds;

impl Half for Values {
    type Position = TokenLogprob;
    fn write(list: &[TokenLogprob]) -> impl Serialize {
        Each(list.iter().map(|(value, _)| value))
    }
    fn read<'de, D: Deserializer<'de>>(
        list: &mut Option<Vec<TokenLogprob>>,
        deserializer: D,
    ) -> Result<(), D::Error> {
        let values = Option::<Vec<Value<Option<f32>>>>::deserialize(deserializer)?;
        *list = values.map(|values| values.into_iter().map(|value| value.0).collect());
        Ok(())
    }
}

impl Half for Ids {
    type Position = TokenLogprob;
    fn write(list: &[TokenLogprob]) -> impl Serialize {
        Each(list.iter().map(|(_, id)| id))
    }
    fn read<'de, D: Deserializer<'de>>(
        list: &mut Option<Vec<TokenLogprob>>,
        deserializer: D,
    ) -> Result<(), D::Error> {
        list.fill(deserializer)
    }
}

impl Half for TopValues {
    type Position = TopLogprobs;
    fn write(list: &[TopLogprobs]) -> impl Serialize {
        Each(list.iter().map(|top| top.as_ref().map(|top| Each(top.iter().map(|(value, _)| value)))))
    }
    fn read<'de, D: Deserializer<'de>>(
        list: &mut Option<Vec<TopLogprobs>>,
        deserializer: D,
    ) -> Result<(), D::Error> {
        let values = Option::<Vec<Option<Vec<Value<f32>>>>>::deserialize(deserializer)?;
        let position =
            |top: Option<Vec<Value<f32>>>| top.map(|top| top.into_iter().map(|value| value.0).collect());
        *list = values.map(|values| values.into_iter().map(position).collect());
        Ok(())
    }
}

impl Half for TopIds {
    type Position = TopLogprobs;
    fn write(list: &[TopLogprobs]) -> impl Serialize {
        Each(list.iter().map(|top| top.as_ref().map(|top| Each(top.iter().map(|(_, id)| id)))))
    }
    fn read<'de, D: Deserializer<'de>>(
        list: &mut Option<Vec<TopLogprobs>>,
        deserializer: D,
    ) -> Result<(), D::Error> {
        list.fill(deserializer)
    }
}

/// Writes and reads one half of a list of a row.
pub(super) struct List<R, H: Half> {
    /// The half.
    pub half: PhantomData<H>,
    /// Gets the lists of the row.
    pub lists: fn(&mut R) -> &mut Option<Box<Logprobs>>,
    /// Gets the list.
    pub list: fn(&mut Logprobs) -> &mut Option<Vec<H::Position>>,
}

impl<R, H: Half> Entry<R> for List<R, H> {
    fn read<'de, D: Deserializer<'de>>(&self, row: &mut R, deserializer: D) -> Result<(), D::Error> {
        let lists = (self.lists)(row);
        let mut list = lists.as_mut().and_then(|lists| (self.list)(lists).take());
        H::read(&mut list, deserializer)?;
        if list.is_some() {
            *(self.list)(lists.get_or_insert_default()) = list;
        }
        Ok(())
    }
}

/// Serializes the items of an iterator as a list.
struct Each<I>(I);

impl<I: Iterator<Item: Serialize> + Clone> Serialize for Each<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

/// A value whose id has not been read yet.
struct Value<V>((V, u32));

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Value<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        V::deserialize(deserializer).map(|value| Self((value, 0)))
    }
}

/// A position, or a list of them, that has its values and gets its ids.
trait Slot {
    fn fill<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error>;
}

impl Slot for TokenLogprob {
    fn fill<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        self.1 = Option::deserialize(deserializer)?.unwrap_or_default();
        Ok(())
    }
}

impl Slot for (f32, u32) {
    fn fill<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        self.1 = u32::deserialize(deserializer)?;
        Ok(())
    }
}

/// Skips ids without values, and drops values without ids.
impl<P: Slot> Slot for Option<Vec<P>> {
    fn fill<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        match self {
            None => IgnoredAny::deserialize(deserializer).map(drop),
            Some(_) => deserializer.deserialize_any(Fill(self)),
        }
    }
}

struct Fill<'a, S>(&'a mut S);

impl<'de, S: Slot> DeserializeSeed<'de> for Fill<'_, S> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.fill(deserializer)
    }
}

impl<'de, P: Slot> Visitor<'de> for Fill<'_, Option<Vec<P>>> {
    type Value = ();
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of token ids, or null")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        *self.0 = None;
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some(list) = self.0 else { return Ok(()) };
        for at in 0..list.len() {
            if seq.next_element_seed(Fill(&mut list[at]))?.is_none() {
                list.truncate(at);
                return Ok(());
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<H: Half>(values: &[u8], ids: &[u8]) -> Option<Vec<H::Position>>
    where
        H::Position: Slot,
        Option<Vec<H::Position>>: Slot,
    {
        let mut list = None;
        H::read(&mut list, &mut rmp_serde::Deserializer::new(values)).unwrap();
        list.fill(&mut rmp_serde::Deserializer::new(ids)).unwrap();
        list
    }

    fn packed(value: impl Serialize) -> Vec<u8> {
        rmp_serde::to_vec(&value).unwrap()
    }

    #[test]
    fn values_and_ids_are_joined_as_far_as_both_go() {
        let values = packed([None, Some(-1.5_f32)]);
        assert_eq!(read::<Values>(&values, &packed([7, 8])), Some(vec![(None, 7), (Some(-1.5), 8)]));
        assert_eq!(read::<Values>(&values, &packed([7, 8, 9])).map(|list| list.len()), Some(2));
        assert_eq!(read::<Values>(&values, &packed([7])), Some(vec![(None, 7)]));
        assert_eq!(read::<Values>(&values, &packed(())), None);
        assert_eq!(read::<Values>(&packed(()), &packed([7])), None);
    }

    #[test]
    fn positions_without_tokens_stay_apart_from_those_with_an_empty_list() {
        let values = packed([None, Some(vec![]), Some(vec![-0.5_f32, -1.5])]);
        let ids = packed([None, Some(vec![]), Some(vec![5, 6])]);
        let expected = vec![None, Some(vec![]), Some(vec![(-0.5, 5), (-1.5, 6)])];
        let list = read::<TopValues>(&values, &ids);
        assert_eq!(list.as_ref(), Some(&expected));
        assert_eq!((packed(TopValues::write(&expected)), packed(TopIds::write(&expected))), (values, ids));
    }
}
