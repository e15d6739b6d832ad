//! The values of GGUF metadata: thirteen types, arrays stored compactly.

/// The types of metadata values, with their numbers in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it all
pub enum ValueType {
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    U64 = 10,
    I64 = 11,
    F64 = 12,
}

impl ValueType {
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    /// The type with this number, if there is one.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.get(id as usize).copied()
    }

    /// The number that stands for this type in a file.
    pub fn id(self) -> u32 {
        self as u32
    }

    /// The fewest bytes that a value of this type takes in a file.
    pub(super) fn least_bytes(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            // a string is at least its length
            Self::U64 | Self::I64 | Self::F64 | Self::String => 8,
            // an array is at least its type and its length
            Self::Array => 12,
        }
    }
}

impl std::fmt::Display for ValueType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Array => "array",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        })
    }
}

/// The value of a metadata key.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the names say it all
pub enum MetadataValue {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(MetadataArray),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array of values of one type.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the names say it all
pub enum MetadataArray {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(Vec<String>),
    Array(Vec<MetadataArray>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

impl MetadataValue {
    /// The type of this value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::String(_) => ValueType::String,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// The type as people read it, for example `string` or `array of u32`.
    pub fn type_name(&self) -> String {
        match self {
            Self::Array(array) => format!("array of {}", array.element_type()),
            scalar => scalar.value_type().to_string(),
        }
    }

    /// The value if it is an integer of any width.
    fn integer(&self) -> Option<i128> {
        match *self {
            Self::U8(value) => Some(value.into()),
            Self::I8(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::I16(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::I32(value) => Some(value.into()),
            Self::U64(value) => Some(value.into()),
            Self::I64(value) => Some(value.into()),
            _ => None,
        }
    }

    /// An integer of any width that fits.
    pub fn as_u32(&self) -> Option<u32> {
        self.integer()?.try_into().ok()
    }

    /// An integer of any width that fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.integer()?.try_into().ok()
    }

    /// An integer of any width that fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.integer()?.try_into().ok()
    }

    /// An integer of any width that fits.
    pub fn as_usize(&self) -> Option<usize> {
        self.integer()?.try_into().ok()
    }

    /// A float of either width, rounded to `f32`.
    pub fn as_f32(&self) -> Option<f32> {
        match *self {
            Self::F32(value) => Some(value),
            Self::F64(value) => Some(value as f32),
            _ => None,
        }
    }

    /// A truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// An array of anything.
    pub fn as_array(&self) -> Option<&MetadataArray> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }

    /// An array of texts.
    pub fn as_strings(&self) -> Option<&[String]> {
        match self {
            Self::Array(MetadataArray::String(values)) => Some(values),
            _ => None,
        }
    }

    /// An array of truth values.
    pub fn as_bools(&self) -> Option<&[bool]> {
        match self {
            Self::Array(MetadataArray::Bool(values)) => Some(values),
            _ => None,
        }
    }

    /// An array of floats of either width, rounded to `f32`.
    pub fn as_f32s(&self) -> Option<Vec<f32>> {
        match self {
            Self::Array(MetadataArray::F32(values)) => Some(values.clone()),
            Self::Array(MetadataArray::F64(values)) => {
                Some(values.iter().map(|&value| value as f32).collect())
            }
            _ => None,
        }
    }

    /// An array of integers of any width that all fit.
    pub fn as_u32s(&self) -> Option<Vec<u32>> {
        self.as_array()?.integers()
    }

    /// An array of integers of any width that all fit.
    pub fn as_i32s(&self) -> Option<Vec<i32>> {
        self.as_array()?.integers()
    }

    /// An array of integers of any width that all fit.
    pub fn as_u64s(&self) -> Option<Vec<u64>> {
        self.as_array()?.integers()
    }
}

impl MetadataArray {
    /// The type of the elements.
    pub fn element_type(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::String(_) => ValueType::String,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::String(values) => values.len(),
            Self::Array(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// True if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements at these places, which must be there.
    pub(crate) fn picked(&self, places: &[u32]) -> Self {
        fn pick<T: Clone>(values: &[T], places: &[u32]) -> Vec<T> {
            places.iter().map(|&place| values[place as usize].clone()).collect()
        }
        match self {
            Self::U8(values) => Self::U8(pick(values, places)),
            Self::I8(values) => Self::I8(pick(values, places)),
            Self::U16(values) => Self::U16(pick(values, places)),
            Self::I16(values) => Self::I16(pick(values, places)),
            Self::U32(values) => Self::U32(pick(values, places)),
            Self::I32(values) => Self::I32(pick(values, places)),
            Self::F32(values) => Self::F32(pick(values, places)),
            Self::Bool(values) => Self::Bool(pick(values, places)),
            Self::String(values) => Self::String(pick(values, places)),
            Self::Array(values) => Self::Array(pick(values, places)),
            Self::U64(values) => Self::U64(pick(values, places)),
            Self::I64(values) => Self::I64(pick(values, places)),
            Self::F64(values) => Self::F64(pick(values, places)),
        }
    }

    /// The elements, if they are integers that all fit into `T`.
    fn integers<T: TryFrom<i128>>(&self) -> Option<Vec<T>> {
        fn fit<S: Copy + Into<i128>, T: TryFrom<i128>>(values: &[S]) -> Option<Vec<T>> {
            values.iter().map(|&value| T::try_from(value.into()).ok()).collect()
        }
        match self {
            Self::U8(values) => fit(values),
            Self::I8(values) => fit(values),
            Self::U16(values) => fit(values),
            Self::I16(values) => fit(values),
            Self::U32(values) => fit(values),
            Self::I32(values) => fit(values),
            Self::U64(values) => fit(values),
            Self::I64(values) => fit(values),
            _ => None,
        }
    }
}

/// `u32` becomes `MetadataValue::U32`, `Vec<u32>` becomes an array of them, and so on.
macro_rules! from_rust_types {
    ($($rust:ty => $variant:ident),* $(,)?) => {$(
        impl From<$rust> for MetadataValue {
            fn from(value: $rust) -> Self {
                Self::$variant(value)
            }
        }

        impl From<Vec<$rust>> for MetadataValue {
            fn from(values: Vec<$rust>) -> Self {
                Self::Array(MetadataArray::$variant(values))
            }
        }
    )*};
}

from_rust_types! {
    u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, f32 => F32, bool => Bool,
    String => String, MetadataArray => Array, u64 => U64, i64 => I64, f64 => F64,
}

impl From<&str> for MetadataValue {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_types_lead_back_to_them() {
        for id in 0..13 {
            assert_eq!(ValueType::from_id(id).unwrap().id(), id);
        }
        assert_eq!(ValueType::from_id(13), None);
    }

    #[test]
    fn integers_are_read_at_any_width_that_fits() {
        assert_eq!(MetadataValue::U64(7).as_u32(), Some(7));
        assert_eq!(MetadataValue::I8(7).as_usize(), Some(7));
        assert_eq!(MetadataValue::I8(-7).as_i64(), Some(-7));
        assert_eq!(MetadataValue::I8(-7).as_u64(), None);
        assert_eq!(MetadataValue::U64(1 << 32).as_u32(), None);
        assert_eq!(MetadataValue::from(vec![1_i64, 2]).as_u32s(), Some(vec![1, 2]));
        assert_eq!(MetadataValue::from(vec![1_i64, -2]).as_u32s(), None);
        assert_eq!(MetadataValue::from(vec![3_u8]).as_i32s(), Some(vec![3]));
        assert_eq!(MetadataValue::from(vec![u64::MAX]).as_u64s(), Some(vec![u64::MAX]));
    }

    #[test]
    fn numbers_texts_and_truth_values_are_not_mixed_up() {
        assert_eq!(MetadataValue::F32(1.0).as_u32(), None);
        assert_eq!(MetadataValue::U32(1).as_f32(), None);
        assert_eq!(MetadataValue::U8(1).as_bool(), None);
        assert_eq!(MetadataValue::Bool(true).as_u32(), None);
        assert_eq!(MetadataValue::from("1").as_u32(), None);
        assert_eq!(MetadataValue::F64(0.5).as_f32(), Some(0.5));
        assert_eq!(MetadataValue::from(vec![0.5_f64]).as_f32s(), Some(vec![0.5]));
    }
}
