//! The wire form: MessagePack arrays, positional, as the reference's `msgspec` structs encode themselves
//! (`array_like=True`; messages carry their class name first). Missing trailing fields take their default, unknown
//! trailing elements are ignored. Fields that the reference does not have are in one [`extension`] after them.

pub mod extension;
mod frame;
mod int_array;
mod string_list;

pub use extension::{Origin, Role};
pub use frame::{FrameError, class_of, decode, encode};
pub use int_array::TokenIds;
pub use string_list::StringList;

/// A message between processes.
pub trait Message: serde::Serialize + serde::de::DeserializeOwned {
    /// The reference's class name, which is the first element of the array.
    const CLASS: &'static str;
    /// Number of the reference's fields, without the class name.
    const FIELDS: usize;

    /// Writes the fields that the reference does not have.
    ///
    /// # Errors
    /// A value cannot be serialized.
    fn write_own(&self, _to: &mut Vec<u8>) -> Result<(), rmp_serde::encode::Error> {
        Ok(())
    }

    /// Reads the fields that the reference does not have, as written by [`Message::write_own`] of a version that may
    /// have fewer or more of them.
    ///
    /// # Errors
    /// The data is malformed, or a field has another type.
    fn read_own(&mut self, _from: &[u8]) -> Result<(), rmp_serde::decode::Error> {
        Ok(())
    }
}

/// Reads the class name of a message, which must be `class`.
pub(crate) fn read_class<'de, A: serde::de::SeqAccess<'de>>(
    seq: &mut A,
    class: &str,
) -> Result<(), A::Error> {
    let found: Option<std::borrow::Cow<'_, str>> = seq.next_element()?;
    if found.as_deref() == Some(class) {
        return Ok(());
    }
    Err(serde::de::Error::custom(format!("expected class {class}, found {found:?}")))
}

/// Adds the name of the field to an error.
pub(crate) fn of_field<E: serde::de::Error>(field: &str, error: E) -> E {
    E::custom(format_args!("{field}: {error}"))
}

/// Declares a struct that is a positional array on the wire. A field with `= value` may be absent at the end of the
/// array; other fields are required. `unused(a, b = 0)` declares elements of the reference that this project does not
/// use: they are written as null or as the given value, and skipped when reading. Fields in `own { … }` at the end do
/// not exist in the reference: they are sent in the extension, and only to a peer that reads it.
macro_rules! positional {
    ( $(#[$meta:meta])* pub struct $name:ident { $($body:tt)* } ) => {
        $crate::wire::wire_struct! { @parse { none $(#[$meta])* $name } {} {} $($body)* , }
    };
}
pub(crate) use positional;

/// Declares a message: a positional struct after its class name.
macro_rules! message {
    ( $(#[$meta:meta])* pub struct $name:ident { $($body:tt)* } ) => {
        $crate::wire::wire_struct! { @parse { named $(#[$meta])* $name } {} {} $($body)* , }
    };
}
pub(crate) use message;

/// Shared part of [`positional!`] and [`message!`]: `@parse` collects the fields of the struct and the elements of the
/// array from the body, and `@emit` generates the code.
macro_rules! wire_struct {
    (@parse $head:tt $fields:tt $elements:tt $(,)?) => {
        $crate::wire::wire_struct! { @emit $head $fields $elements {} }
    };
    (@parse $head:tt $fields:tt $elements:tt own {
        $( $(#[$meta:meta])* pub $field:ident : $ty:ty = $default:expr ),* $(,)?
    } $(,)?) => {
        $crate::wire::wire_struct! { @emit $head $fields $elements
            { $( ($(#[$meta])* $field $ty = $default) )* } }
    };
    (@parse $head:tt $fields:tt $elements:tt , $($rest:tt)+) => {
        $crate::wire::wire_struct! { @parse $head $fields $elements $($rest)+ }
    };
    (@parse $head:tt $fields:tt { $($elements:tt)* }
        unused( $($element:ident $(= $value:expr)?),* $(,)? ) $($rest:tt)*
    ) => {
        $crate::wire::wire_struct! { @parse $head $fields
            { $($elements)* $( (unused $element $($value)?) )* } $($rest)* }
    };
    (@parse $head:tt { $($fields:tt)* } { $($elements:tt)* }
        $(#[$meta:meta])* pub $field:ident : $ty:ty = $default:expr , $($rest:tt)*
    ) => {
        $crate::wire::wire_struct! { @parse $head
            { $($fields)* ($(#[$meta])* $field $ty = $default) }
            { $($elements)* (optional $field $ty = $default) } $($rest)* }
    };
    (@parse $head:tt { $($fields:tt)* } { $($elements:tt)* }
        $(#[$meta:meta])* pub $field:ident : $ty:ty , $($rest:tt)*
    ) => {
        $crate::wire::wire_struct! { @parse $head
            { $($fields)* ($(#[$meta])* $field $ty = Default::default()) }
            { $($elements)* (required $field $ty) } $($rest)* }
    };

    (@emit { $class:ident $(#[$meta:meta])* $name:ident }
        { $( ($(#[$fmeta:meta])* $field:ident $ty:ty = $default:expr) )* }
        { $( ($kind:ident $element:ident $($detail:tt)*) )* }
        { $( ($(#[$ometa:meta])* $ofield:ident $oty:ty = $odefault:expr) )* }
    ) => {
        $(#[$meta])*
        pub struct $name {
            $( $(#[$fmeta])* pub $field : $ty, )*
            $( $(#[$ometa])* pub $ofield : $oty, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* $( $ofield: $odefault, )* }
            }
        }

        $crate::wire::wire_struct! { @class $class $name [$( $element )*] [$( $ofield )*] }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple;
                const NAMED: usize = $crate::wire::wire_struct!(@count $class);
                const LEN: usize = $crate::wire::wire_struct!(@len $( $element )*) + NAMED;
                let mut tuple = serializer.serialize_tuple(LEN)?;
                if NAMED == 1 {
                    tuple.serialize_element(stringify!($name))?;
                }
                $( $crate::wire::wire_struct!(@write $kind tuple self $element $($detail)*); )*
                tuple.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("the fields of ", stringify!($name), " in declared order"))
                    }
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<$name, A::Error> {
                        const NAMED: usize = $crate::wire::wire_struct!(@count $class);
                        if NAMED == 1 {
                            $crate::wire::read_class(&mut seq, stringify!($name))?;
                        }
                        $( $crate::wire::wire_struct!(@read $kind seq A $element $($detail)*); )*
                        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                        Ok($name { $( $field, )* $( $ofield: $odefault, )* })
                    }
                }
                deserializer.deserialize_seq(Visitor)
            }
        }
    };

    (@count named) => { 1 };
    (@count none) => { 0 };
    (@len $( $element:ident )*) => { { const NAMES: &[&str] = &[$( stringify!($element) ),*]; NAMES.len() } };
    (@class none $name:ident $elements:tt $own:tt) => {};
    (@class named $name:ident [$( $element:ident )*] [$( $own:ident )*]) => {
        impl $crate::wire::Message for $name {
            const CLASS: &'static str = stringify!($name);
            const FIELDS: usize = $crate::wire::wire_struct!(@len $( $element )*);
            $crate::wire::wire_struct! { @own $( $own )* }
        }
    };
    (@own) => {};
    (@own $( $own:ident )+) => {
        fn write_own(&self, to: &mut Vec<u8>) -> Result<(), rmp_serde::encode::Error> {
            const LEN: usize = $crate::wire::wire_struct!(@len $( $own )*);
            rmp::encode::write_array_len(to, LEN as u32)
                .map_err(|e| rmp_serde::encode::Error::InvalidValueWrite(e))?;
            $( rmp_serde::encode::write(to, &self.$own)?; )+
            Ok(())
        }

        fn read_own(&mut self, from: &[u8]) -> Result<(), rmp_serde::decode::Error> {
            let mut fields = $crate::wire::extension::OwnFields::new(from)?;
            $( fields.read(&mut self.$own)?; )+
            Ok(())
        }
    };

    (@write unused $tuple:ident $self:ident $element:ident) => { $tuple.serialize_element(&())?; };
    (@write unused $tuple:ident $self:ident $element:ident $value:expr) => { $tuple.serialize_element(&$value)?; };
    (@write $kind:ident $tuple:ident $self:ident $element:ident $($detail:tt)*) => {
        $tuple.serialize_element(&$self.$element)?;
    };

    (@read unused $seq:ident $access:ident $element:ident $($value:expr)?) => {
        let _ = $seq.next_element::<serde::de::IgnoredAny>()?;
    };
    (@read optional $seq:ident $access:ident $element:ident $ty:ty = $default:expr) => {
        let next = $seq.next_element().map_err(|e| $crate::wire::of_field(stringify!($element), e));
        let $element: $ty = match next? {
            Some(value) => value,
            None => $default,
        };
    };
    (@read required $seq:ident $access:ident $element:ident $ty:ty) => {
        let next = $seq.next_element::<$ty>();
        let next = next.map_err(|e| $crate::wire::of_field(stringify!($element), e));
        let Some($element) = next? else {
            return Err(<$access::Error as serde::de::Error>::missing_field(stringify!($element)));
        };
    };
}
pub(crate) use wire_struct;
