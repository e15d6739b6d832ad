//! The keys and values of a GGUF header, in the order of the file.

use indexmap::IndexMap;

use super::{GgufError, MetadataValue};

/// Keys with their values; each key once, order kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    entries: IndexMap<String, MetadataValue>,
}

impl Metadata {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&MetadataValue> {
        self.entries.get(key)
    }

    /// Sets a key: in its place if it is there already, else at the end.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<MetadataValue>) {
        self.entries.insert(key.into(), value.into());
    }

    /// Removes a key and keeps the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<MetadataValue> {
        self.entries.shift_remove(key)
    }

    /// Keys and values in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &MetadataValue)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a key that must be there, for example `metadata.require::<u32>("llama.block_count")?`.
    ///
    /// # Errors
    /// When the key is missing or its value has another type.
    pub fn require<'a, T: FromMetadata<'a>>(&'a self, key: &str) -> Result<T, GgufError> {
        self.optional(key)?.ok_or_else(|| GgufError::MissingKey { key: key.to_owned() })
    }

    /// The value of a key that may be missing, but must have the right type if it is there.
    ///
    /// # Errors
    /// When the value has another type.
    pub fn optional<'a, T: FromMetadata<'a>>(&'a self, key: &str) -> Result<Option<T>, GgufError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match T::from_metadata(value) {
            Some(converted) => Ok(Some(converted)),
            None => Err(GgufError::WrongType {
                key: key.to_owned(),
                expected: T::EXPECTED,
                found: value.type_name(),
            }),
        }
    }
}

/// Rust types that metadata values can be read as.
pub trait FromMetadata<'a>: Sized {
    /// What a value must be, for the error message.
    const EXPECTED: &'static str;

    /// The value as this type, if it is one.
    fn from_metadata(value: &'a MetadataValue) -> Option<Self>;
}

macro_rules! from_metadata {
    ($($rust:ty, $expected:literal, $getter:ident;)*) => {$(
        impl<'a> FromMetadata<'a> for $rust {
            const EXPECTED: &'static str = $expected;

            fn from_metadata(value: &'a MetadataValue) -> Option<Self> {
                value.$getter()
            }
        }
    )*};
}

from_metadata! {
    u32, "an integer from 0 to 4294967295", as_u32;
    u64, "an integer from 0", as_u64;
    usize, "an integer from 0", as_usize;
    i64, "an integer", as_i64;
    f32, "a float", as_f32;
    bool, "a truth value", as_bool;
    &'a str, "a string", as_str;
    &'a [String], "an array of strings", as_strings;
    &'a [bool], "an array of truth values", as_bools;
    Vec<f32>, "an array of floats", as_f32s;
    Vec<u32>, "an array of integers from 0 to 4294967295", as_u32s;
    Vec<i32>, "an array of 32-bit integers", as_i32s;
    Vec<u64>, "an array of integers from 0", as_u64s;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(metadata: &Metadata) -> Vec<&str> {
        metadata.iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn the_order_survives_setting_and_removing() {
        let mut metadata = Metadata::new();
        for key in ["c", "a", "b", "d"] {
            metadata.set(key, 1_u32);
        }
        metadata.set("a", 2_u32);
        assert_eq!(metadata.remove("c"), Some(MetadataValue::U32(1)));
        assert_eq!(keys(&metadata), ["a", "b", "d"]);
        assert_eq!(metadata.get("a"), Some(&MetadataValue::U32(2)));
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = Metadata::new().require::<u32>("llama.block_count").unwrap_err();
        assert!(matches!(error, GgufError::MissingKey { key } if key == "llama.block_count"));
        assert_eq!(Metadata::new().optional::<u32>("llama.block_count").unwrap(), None);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_an_error_even_where_it_is_optional() {
        let mut metadata = Metadata::new();
        metadata.set("a", vec![1_u16]);
        let error = metadata.optional::<&str>("a").unwrap_err();
        assert_eq!(error.to_string(), "has array of u16 at `a`, expected a string");
        assert_eq!(metadata.require::<Vec<u32>>("a").unwrap(), [1]);
    }
}
