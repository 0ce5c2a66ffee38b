//! Converts rows to lists and back. Lists are written directly from the rows and read directly into them, so neither
//! direction builds a list in memory.

use serde::de::{DeserializeOwned, DeserializeSeed, Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserializer, Serialize, Serializer};

use super::entry::Entry;

/// Most rows of a batch. Needed because a few bytes in a frame allocate a much larger row.
const MAX_ROWS: usize = 1 << 17;

/// Writes a list with one entry per row.
pub(super) struct Column<'r, R, F>(&'r [R], F);

impl<'r, R, F, S> Column<'r, R, F>
where
    F: Fn(&'r R) -> S,
{
    /// The list whose entries `entry` computes from the rows.
    pub fn new(rows: &'r [R], entry: F) -> Self {
        Self(rows, entry)
    }
}

impl<'r, R, F, S> Serialize for Column<'r, R, F>
where
    F: Fn(&'r R) -> S,
    S: Serialize,
{
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// Reads the entry into a field of the row.
pub(super) struct Field<R, T>(pub fn(&mut R) -> &mut T);

impl<R, T: DeserializeOwned> Entry<R> for Field<R, T> {
    fn read<'de, D: Deserializer<'de>>(&self, row: &mut R, deserializer: D) -> Result<(), D::Error> {
        *(self.0)(row) = T::deserialize(deserializer)?;
        Ok(())
    }
}

/// Reads one entry of a list.
struct EntrySeed<'r, R, E>(&'r mut R, &'r E);

impl<'de, R, E: Entry<R>> DeserializeSeed<'de> for EntrySeed<'_, R, E> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.1.read(self.0, deserializer)
    }
}

/// Reads a list into existing rows. If it is shorter, the other rows keep their default; if it is longer, the other
/// entries are skipped.
pub(super) struct Entries<'r, R, E> {
    /// One per request.
    pub rows: &'r mut [R],
    /// How to read an entry into its row.
    pub entry: E,
    /// Whether the list may be null.
    pub nullable: bool,
}

impl<'de, R, E: Entry<R>> DeserializeSeed<'de> for Entries<'_, R, E> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R, E: Entry<R>> Visitor<'de> for Entries<'_, R, E> {
    type Value = ();
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.nullable { "a list or null" } else { "a list" })
    }
    fn visit_unit<E2: Error>(self) -> Result<(), E2> {
        match self.nullable {
            true => Ok(()),
            false => Err(E2::invalid_type(serde::de::Unexpected::Unit, &self)),
        }
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for row in self.rows {
            if seq.next_element_seed(EntrySeed(row, &self.entry))?.is_none() {
                return Ok(());
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Reads the list of request ids, which creates the rows.
pub(super) struct Rids<'r, R> {
    /// The rows; empty before.
    pub rows: &'r mut Vec<R>,
    /// The field for the id.
    pub field: Field<R, String>,
}

impl<'de, R: Default> DeserializeSeed<'de> for Rids<'_, R> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, R: Default> Visitor<'de> for Rids<'_, R> {
    type Value = ();
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a list of request ids, {MAX_ROWS} at most")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.rows.reserve(seq.size_hint().unwrap_or(0).min(1 << 10));
        while let Some(rid) = seq.next_element::<String>()? {
            if self.rows.len() == MAX_ROWS {
                return Err(A::Error::invalid_length(MAX_ROWS + 1, &self));
            }
            let mut row = R::default();
            *(self.field.0)(&mut row) = rid;
            self.rows.push(row);
        }
        Ok(())
    }
}

/// Declares a batch message: the type of its rows, and its lists in wire order. Lists after the `;` may be missing.
/// Lists after `own` do not exist in the reference and are sent in the extension.
///
/// | kind | on the wire |
/// |---|---|
/// | `Rids` | the ids that name the rows, never null |
/// | `List` | an entry per row, never null |
/// | `Optional` | the same; read as defaults when null |
/// | `Sparse` | null when no row has the field |
/// | `Values`, `Ids`, `TopValues`, `TopIds` | one half of a list of log-probabilities; null when no row has any |
/// | `Blank` | empty texts: of no use here, but the reference's decoder wants them |
/// | `Unused` | null, and ignored |
macro_rules! columns {
    (
        $(#[$meta:meta])*
        $message:ident of $row:ty:
        $( $rname:ident : $rkind:ident $(= $($rpath:ident).+)? , )* ;
        $( $name:ident : $kind:ident $(= $($path:ident).+)? , )*
        ; own
        $( $oname:ident : $okind:ident = $($opath:ident).+ , )*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $message {
            /// One per request.
            pub rows: Vec<$row>,
        }

        impl $crate::wire::Message for $message {
            const CLASS: &'static str = stringify!($message);
            const FIELDS: usize = [$( stringify!($rname), )* $( stringify!($name) ),*].len();

            fn write_own(&self, to: &mut Vec<u8>) -> Result<(), rmp_serde::encode::Error> {
                struct Own<'r>(&'r [$row]);
                impl serde::Serialize for Own<'_> {
                    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                        use serde::ser::SerializeTuple;
                        let mut tuple = serializer.serialize_tuple([$( stringify!($oname) ),*].len())?;
                        let rows = self.0;
                        $( columns!(@write $okind tuple rows = $($opath).+); )*
                        tuple.end()
                    }
                }
                rmp_serde::encode::write(to, &Own(&self.rows))
            }

            fn read_own(&mut self, from: &[u8]) -> Result<(), rmp_serde::decode::Error> {
                struct Own<'r>(&'r mut [$row]);
                impl<'de> serde::de::Visitor<'de> for Own<'_> {
                    type Value = ();
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("our own lists of ", stringify!($message)))
                    }
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
                        let rows = self.0;
                        // If a list is missing, all later ones are missing too.
                        $( let _ = columns!(@read $okind seq rows $row = $($opath).+); )*
                        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                        Ok(())
                    }
                }
                if from.is_empty() {
                    return Ok(());
                }
                let mut fields = rmp_serde::Deserializer::from_read_ref(from);
                serde::Deserializer::deserialize_seq(&mut fields, Own(&mut self.rows))
            }
        }

        impl serde::Serialize for $message {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple;
                let mut tuple = serializer.serialize_tuple(1 + <Self as $crate::wire::Message>::FIELDS)?;
                tuple.serialize_element(stringify!($message))?;
                let rows = &self.rows[..];
                $( columns!(@write $rkind tuple rows $(= $($rpath).+)?); )*
                $( columns!(@write $kind tuple rows $(= $($path).+)?); )*
                tuple.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $message {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $message;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("the lists of ", stringify!($message), " in declared order"))
                    }
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<$message, A::Error> {
                        use serde::de::Error;
                        $crate::wire::read_class(&mut seq, stringify!($message))?;
                        let mut rows: Vec<$row> = Vec::new();
                        $(
                            if columns!(@read $rkind seq rows $row $(= $($rpath).+)?).is_none() {
                                return Err(A::Error::missing_field(stringify!($rname)));
                            }
                        )*
                        // If a list is missing, all later ones are missing too.
                        $( let _ = columns!(@read $kind seq rows $row $(= $($path).+)?); )*
                        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                        Ok($message { rows })
                    }
                }
                deserializer.deserialize_seq(Visitor)
            }
        }
    };

    (@write Unused $tuple:ident $rows:ident) => { $tuple.serialize_element(&())?; };
    (@write Blank $tuple:ident $rows:ident) => {
        $tuple.serialize_element(&$crate::messages::output::columns::Column::new($rows, |_| ""))?;
    };
    (@write Rids $tuple:ident $rows:ident = $($path:ident).+) => {
        columns!(@write List $tuple $rows = $($path).+);
    };
    (@write Optional $tuple:ident $rows:ident = $($path:ident).+) => {
        columns!(@write List $tuple $rows = $($path).+);
    };
    (@write List $tuple:ident $rows:ident = $($path:ident).+) => {
        $tuple.serialize_element(&$crate::messages::output::columns::Column::new($rows, |row| &row.$($path).+))?;
    };
    (@write Sparse $tuple:ident $rows:ident = $($path:ident).+) => {
        let any = $rows.iter().any(|row| row.$($path).+.is_some());
        let column = $crate::messages::output::columns::Column::new($rows, |row| &row.$($path).+);
        $tuple.serialize_element(&any.then_some(column))?;
    };
    (@write $half:ident $tuple:ident $rows:ident = $list:ident) => {
        let any = $rows.iter().any(|row| row.output.logprobs.is_some());
        let column = $crate::messages::output::columns::Column::new($rows, |row| {
            let lists = row.output.logprobs.as_deref();
            let list = lists.and_then(|lists| lists.$list.as_deref());
            list.map(<$crate::messages::output::logprobs::$half as $crate::messages::output::logprobs::Half>::write)
        });
        $tuple.serialize_element(&any.then_some(column))?;
    };

    (@read Unused $seq:ident $rows:ident $row:ty) => {
        $seq.next_element::<serde::de::IgnoredAny>()?.map(drop)
    };
    (@read Blank $seq:ident $rows:ident $row:ty) => { columns!(@read Unused $seq $rows $row) };
    (@read Rids $seq:ident $rows:ident $row:ty = $($path:ident).+) => {
        $seq.next_element_seed($crate::messages::output::columns::Rids {
            rows: &mut $rows,
            field: $crate::messages::output::columns::Field(|row: &mut $row| &mut row.$($path).+),
        })?
    };
    (@read List $seq:ident $rows:ident $row:ty = $($path:ident).+) => {
        columns!(@entries $seq $rows false
            $crate::messages::output::columns::Field(|row: &mut $row| &mut row.$($path).+))
    };
    (@read Optional $seq:ident $rows:ident $row:ty = $($path:ident).+) => {
        columns!(@entries $seq $rows true
            $crate::messages::output::columns::Field(|row: &mut $row| &mut row.$($path).+))
    };
    (@read Sparse $seq:ident $rows:ident $row:ty = $($path:ident).+) => {
        columns!(@read Optional $seq $rows $row = $($path).+)
    };
    (@read $half:ident $seq:ident $rows:ident $row:ty = $list:ident) => {
        columns!(@entries $seq $rows true $crate::messages::output::logprobs::List {
            half: std::marker::PhantomData::<$crate::messages::output::logprobs::$half>,
            lists: |row: &mut $row| &mut row.output.logprobs,
            list: |lists| &mut lists.$list,
        })
    };
    (@entries $seq:ident $rows:ident $nullable:literal $entry:expr) => {
        $seq.next_element_seed($crate::messages::output::columns::Entries {
            rows: &mut $rows[..],
            entry: $entry,
            nullable: $nullable,
        })?
    };
}
pub(super) use columns;

/// Declares a batch message of generation outputs: the given lists, then the lists that both such messages share.
macro_rules! generation_columns {
    ($($head:tt)*) => {
        columns! {
            $($head)*
            input_token_logprobs_val: Values = input_token,
            input_token_logprobs_idx: Ids = input_token,
            output_token_logprobs_val: Values = output_token,
            output_token_logprobs_idx: Ids = output_token,
            input_top_logprobs_val: TopValues = input_top,
            input_top_logprobs_idx: TopIds = input_top,
            output_top_logprobs_val: TopValues = output_top,
            output_top_logprobs_idx: TopIds = output_top,
            input_token_ids_logprobs_val: TopValues = input_token_ids,
            input_token_ids_logprobs_idx: TopIds = input_token_ids,
            output_token_ids_logprobs_val: TopValues = output_token_ids,
            output_token_ids_logprobs_idx: TopIds = output_token_ids,
            output_token_entropy_val: Unused, output_token_sampling_mask: Unused,
            output_hidden_states: Sparse = output.hidden_states,
            routed_experts: Unused, indexer_topk: Unused,
            placeholder_tokens_idx: Unused, placeholder_tokens_val: Unused,
            ;
            retraction_counts: Optional = output.counts.num_retractions,
            beam_search_output: Unused,
            weight_versions: Optional = output.weight_versions,
            token_steps: Unused, customized_info: Unused,
            cached_tokens_details: Sparse = output.cached_tokens_details,
            dp_ranks: Sparse = output.dp_rank,
            time_stats: Unused, image_tokens: Unused, audio_tokens: Unused, video_tokens: Unused,
            spec_verify_ct: Unused, spec_num_correct_drafts: Unused, spec_num_block_accept_tokens: Unused,
            spec_num_cap_tokens: Unused, spec_correct_drafts_histogram: Unused, spec_cap_lens_histogram: Unused,
            input_top_logprobs_val_flat: Unused, input_top_logprobs_idx_flat: Unused,
            input_top_logprobs_flat_null_prefix: Unused,
            ; own
            output_offsets: Sparse = output.output_offset,
            req_time_stats: Sparse = output.time_stats,
            attempts: Sparse = output.attempt,
        }
    };
}
pub(super) use generation_columns;
