//! One file per way to be wrong, made byte by byte.

use super::*;
use crate::TensorType;
use crate::stored::{FileBytes, NewTensor};

/// A file under construction.
struct Bytes(Vec<u8>);

impl Bytes {
    /// Version 3 with these counts.
    fn start(tensors: u64, keys: u64) -> Self {
        Self::version(3, tensors, keys)
    }

    fn version(version: u32, tensors: u64, keys: u64) -> Self {
        Self(b"GGUF".to_vec()).u32(version).u64(tensors).u64(keys)
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u32(self, value: u32) -> Self {
        self.raw(&value.to_le_bytes())
    }

    fn u64(self, value: u64) -> Self {
        self.raw(&value.to_le_bytes())
    }

    fn text(self, text: &str) -> Self {
        self.u64(text.len() as u64).raw(text.as_bytes())
    }

    fn u32_key(self, key: &str, value: u32) -> Self {
        self.text(key).u32(4).u32(value)
    }

    fn tensor(mut self, name: &str, dimensions: &[u64], type_id: u32, offset: u64) -> Self {
        self = self.text(name).u32(dimensions.len() as u32);
        for &size in dimensions {
            self = self.u64(size);
        }
        self.u32(type_id).u64(offset)
    }

    /// Pads to 32 bytes, then adds data.
    fn data(mut self, bytes: usize) -> Self {
        let start = self.0.len().next_multiple_of(32);
        self.0.resize(start + bytes, 0);
        self
    }

    fn parse(&self) -> Result<GgufHeader, GgufError> {
        GgufHeader::parse(&self.0)
    }

    fn error(&self) -> GgufError {
        self.parse().unwrap_err()
    }
}

const F32: u32 = 0;
const Q8_0: u32 = 8;

#[test]
fn versions_two_and_three_are_read() {
    for version in [2, 3] {
        let file = Bytes::version(version, 1, 1).u32_key("a", 7).tensor("t", &[32, 2], Q8_0, 0).data(68);
        let header = file.parse().unwrap();
        assert_eq!(header.version, version);
        assert_eq!(header.metadata.require::<u32>("a").unwrap(), 7);
        let expected = TensorInfo {
            name: "t".to_owned(),
            dimensions: vec![32, 2],
            tensor_type: TensorType::Q8_0,
            offset: 0,
            bytes: 68,
        };
        assert_eq!(header.tensors, [expected]);
        assert_eq!(header.tensors[0].shape(), [2, 32]);
        assert_eq!(header.data_offset, file.0.len() as u64 - 68);
    }
}

#[test]
fn a_vocabulary_only_file_needs_no_padding() {
    let file = Bytes::start(0, 1).u32_key("a", 7);
    assert!(file.parse().unwrap().tensors.is_empty());
}

#[test]
fn the_alignment_of_the_metadata_counts() {
    let wide = |offset| {
        Bytes::start(2, 1)
            .u32_key(ALIGNMENT_KEY, 64)
            .tensor("a", &[1], F32, 0)
            .tensor("b", &[1], F32, offset)
            .data(256)
    };
    let header = wide(64).parse().unwrap();
    assert_eq!((header.alignment, header.data_offset % 64), (64, 0));
    assert!(
        matches!(wide(32).error(), GgufError::Misaligned { name, offset: 32, alignment: 64 } if name == "b")
    );
}

#[test]
fn other_files_are_not_gguf() {
    assert!(
        matches!(GgufHeader::parse(b"PK\x03\x04").unwrap_err(), GgufError::NotGguf { found } if &found == b"PK\x03\x04")
    );
    let message = GgufHeader::parse(b"PK\x03\x04").unwrap_err().to_string();
    assert_eq!(message, r"is not a GGUF file: it starts with `PK\x03\x04`, expected `GGUF`");
}

#[test]
fn other_versions_are_refused_by_name() {
    assert!(matches!(Bytes::version(1, 0, 0).error(), GgufError::VersionOne));
    assert!(matches!(Bytes::version(3_u32.swap_bytes(), 0, 0).error(), GgufError::BigEndian));
    assert!(matches!(Bytes::version(4, 0, 0).error(), GgufError::UnknownVersion { found: 4 }));
    assert!(matches!(Bytes::version(0, 0, 0).error(), GgufError::UnknownVersion { found: 0 }));
}

#[test]
fn every_shorter_file_is_an_error() {
    let whole =
        Bytes::start(1, 1).text("a").u32(9).u32(8).u64(1).text("b").tensor("t", &[8], F32, 0).data(32).0;
    assert!(GgufHeader::parse(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(GgufHeader::parse(&whole[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_string_longer_than_the_file_is_an_error_that_says_where() {
    let error = Bytes::start(0, 1).text("a").u32(8).u64(u64::MAX).raw(&[b'x'; 10]).error();
    assert_eq!(
        error.to_string(),
        "ends within the value of `a`: 18446744073709551615 bytes needed at byte 45, 10 left"
    );
    assert!(matches!(error, GgufError::TooShort { place: Place::Value(_), offset: 45, remaining: 10, .. }));
}

#[test]
fn a_reader_that_ends_early_is_an_error() {
    let file = Bytes::start(0, 1).u32_key("a", 7).0;
    let error = GgufHeader::read(&file[..30], file.len() as u64).unwrap_err();
    assert!(matches!(error, GgufError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof));
}

#[test]
fn counts_that_cannot_fit_are_refused() {
    let keys = Bytes::start(0, 2).u32_key("a", 7).error();
    assert!(matches!(keys, GgufError::CountTooLarge { items: "metadata keys", count: 2, remaining: 17 }));
    let tensors = Bytes::start(u64::MAX, 0).data(64).error();
    assert!(matches!(tensors, GgufError::CountTooLarge { items: "tensors", count: u64::MAX, .. }));
    // u32 elements whose bytes overflow 64 bits
    let elements = Bytes::start(0, 1).text("a").u32(9).u32(4).u64(1 << 62).data(64).error();
    assert!(matches!(elements, GgufError::CountTooLarge { items: "array elements", .. }));
}

#[test]
fn text_must_be_utf8_everywhere() {
    let bad = |file: Bytes| file.u64(2).raw(b"\xff\xfe").data(64).error();
    let error = bad(Bytes::start(0, 1).text("a.key").u32(8));
    assert!(matches!(error, GgufError::NotUtf8 { place: Place::Value(key), offset: 49 } if key == "a.key"));
    let error = bad(Bytes::start(0, 1).text("a.key").u32(9).u32(8).u64(1));
    assert!(matches!(error, GgufError::NotUtf8 { place: Place::Value(key), .. } if key == "a.key"));
    assert!(matches!(bad(Bytes::start(0, 1)), GgufError::NotUtf8 { place: Place::Key(0), .. }));
    assert!(matches!(bad(Bytes::start(1, 0)), GgufError::NotUtf8 { place: Place::TensorName(0), .. }));
}

#[test]
fn zero_bytes_and_spaces_in_text_are_kept() {
    let header = Bytes::start(0, 1).text("a").u32(8).text(" \0\u{2581} \0").parse().unwrap();
    assert_eq!(header.metadata.require::<&str>("a").unwrap(), " \0\u{2581} \0");
}

#[test]
fn keys_have_a_name_and_come_once() {
    assert!(matches!(Bytes::start(0, 1).u32_key("", 7).error(), GgufError::EmptyKey { index: 0 }));
    let error = Bytes::start(0, 2).u32_key("a", 7).u32_key("a", 7).error();
    assert!(matches!(error, GgufError::DuplicateKey { key } if key == "a"));
}

#[test]
fn unknown_value_types_are_refused() {
    let scalar = Bytes::start(0, 1).text("a").u32(13).u64(0).error();
    assert!(matches!(scalar, GgufError::UnknownValueType { key, id: 13 } if key == "a"));
    let element = Bytes::start(0, 1).text("a").u32(9).u32(99).u64(0).error();
    assert!(matches!(element, GgufError::UnknownValueType { key, id: 99 } if key == "a"));
}

#[test]
fn truth_values_are_zero_or_one() {
    let scalar = Bytes::start(0, 1).text("a").u32(7).raw(&[2]).error();
    assert!(matches!(scalar, GgufError::NotBool { found: 2, .. }));
    let array = Bytes::start(0, 1).text("a").u32(9).u32(7).u64(3).raw(&[0, 1, 255]).error();
    assert!(matches!(array, GgufError::NotBool { found: 255, .. }));
}

#[test]
fn arrays_nest_four_deep_and_no_deeper() {
    /// `a` is an array of this depth; the innermost one has no elements.
    fn nested(depth: usize) -> Bytes {
        let mut file = Bytes::start(0, 1).text("a").u32(9);
        for _ in 1..depth {
            file = file.u32(9).u64(1);
        }
        file.u32(0).u64(0)
    }
    assert!(nested(4).parse().is_ok());
    assert!(matches!(nested(5).error(), GgufError::NestedTooDeep { limit: 4, .. }));
    assert!(matches!(nested(100_000).error(), GgufError::NestedTooDeep { .. }));
}

#[test]
fn the_alignment_is_a_power_of_two_in_32_bits() {
    for found in [0, 3, 48] {
        let error = Bytes::start(0, 1).u32_key(ALIGNMENT_KEY, found).error();
        assert!(matches!(error, GgufError::BadAlignment { found: bad } if bad == found));
    }
    let error = Bytes::start(0, 1).text(ALIGNMENT_KEY).u32(10).u64(32).error();
    assert!(matches!(error, GgufError::WrongType { found, .. } if found == "u64"));
}

#[test]
fn tensors_have_one_to_four_dimensions_none_of_them_empty() {
    let error = Bytes::start(1, 0).tensor("t", &[], F32, 0).data(64).error();
    assert!(matches!(error, GgufError::DimensionCount { found: 0, .. }));
    let error = Bytes::start(1, 0).tensor("t", &[1, 1, 1, 1, 1], F32, 0).data(64).error();
    assert!(matches!(error, GgufError::DimensionCount { name, found: 5 } if name == "t"));
    let error = Bytes::start(1, 0).tensor("t", &[4, 0], F32, 0).data(64).error();
    assert!(matches!(error, GgufError::EmptyDimension { dimensions, .. } if dimensions == [4, 0]));
}

#[test]
fn sizes_beyond_counting_are_refused() {
    for dimensions in [&[1 << 32, 1 << 32][..], &[1 << 62, 3], &[1 << 63], &[1 << 62]] {
        let error = Bytes::start(1, 0).tensor("t", dimensions, F32, 0).data(64).error();
        assert!(matches!(error, GgufError::TensorTooLarge { .. }), "{dimensions:?}: {error}");
    }
}

#[test]
fn unknown_tensor_types_are_named_with_their_number() {
    let error = Bytes::start(1, 0).tensor("t", &[32], 4, 0).data(64).error();
    assert_eq!(error.to_string(), "tensor `t` has type number 4, which is not a type we know");
    assert!(matches!(error, GgufError::UnknownTensorType { id: 4, .. }));
}

#[test]
fn rows_fill_whole_blocks() {
    let error = Bytes::start(1, 0).tensor("t", &[16, 2], Q8_0, 0).data(64).error();
    assert!(matches!(error, GgufError::RowNotBlocks { tensor_type: TensorType::Q8_0, row_len: 16, .. }));
}

#[test]
fn tensors_lie_inside_the_file() {
    let file = |offset, data| Bytes::start(1, 0).tensor("t", &[8], F32, offset).data(data);
    assert!(file(32, 64).parse().is_ok());
    assert!(matches!(file(32, 63).error(), GgufError::OutsideFile { bytes: 32, .. }));
    assert!(matches!(file(u64::MAX - 31, 64).error(), GgufError::OutsideFile { .. }));
    // llama.cpp writes padding behind the last tensor, others do not
    assert!(file(0, 32).parse().is_ok());
}

#[test]
fn tensors_do_not_share_names_or_bytes() {
    let two = |second: &str, offset| {
        Bytes::start(2, 0).tensor("a", &[16], F32, 32).tensor(second, &[8], F32, offset).data(128)
    };
    assert!(two("b", 0).parse().is_ok());
    assert!(matches!(two("a", 0).error(), GgufError::DuplicateTensor { name } if name == "a"));
    for offset in [32, 64] {
        let error = two("b", offset).error();
        assert!(matches!(error, GgufError::Overlap { first, second } if first == "a" && second == "b"));
    }
}

fn new_tensor(name: &str, shape: &[usize], tensor_type: TensorType) -> NewTensor {
    NewTensor { name: name.to_owned(), shape: shape.to_owned(), tensor_type }
}

fn layout_error(metadata: &Metadata, tensors: &[NewTensor]) -> GgufError {
    GgufLayout::new(metadata, tensors).unwrap_err()
}

#[test]
fn the_size_is_known_before_the_file() {
    let mut metadata = Metadata::new();
    metadata.set("general.architecture", "llama");
    metadata.set(ALIGNMENT_KEY, 64_u32);
    let tensors = [new_tensor("a", &[2, 32], TensorType::Q8_0), new_tensor("b", &[3], TensorType::F32)];
    let layout = GgufLayout::new(&metadata, &tensors).unwrap();
    let mut writer = layout.start(Vec::new()).unwrap();
    writer.begin("a").unwrap();
    writer.write_all(&[1; 68]).unwrap();
    writer.begin("b").unwrap();
    writer.write_all(&[2; 12]).unwrap();
    let file = writer.finish().unwrap();
    assert_eq!(file.len() as u64, layout.file_bytes());
    let header = GgufHeader::parse(&file).unwrap();
    assert_eq!((header.data_offset, &header.metadata), (layout.data_offset(), &metadata));
    assert_eq!(header.tensors, layout.tensors());
    let data = &file[layout.data_offset() as usize..];
    assert_eq!(data, [&[1; 68][..], &[0; 60], &[2; 12], &[0; 52]].concat());
}

#[test]
fn what_the_reader_refuses_is_not_written() {
    let empty = Metadata::new();
    let with = |key: &str, value: MetadataValue| {
        let mut metadata = Metadata::new();
        metadata.set(key, value);
        metadata
    };
    assert!(matches!(layout_error(&with("", 1_u32.into()), &[]), GgufError::EmptyKey { index: 0 }));
    assert!(matches!(
        layout_error(&with(ALIGNMENT_KEY, 20_u32.into()), &[]),
        GgufError::BadAlignment { found: 20 }
    ));
    assert!(matches!(layout_error(&with(ALIGNMENT_KEY, 32_u64.into()), &[]), GgufError::WrongType { .. }));
    let mut array = MetadataArray::U8(vec![1]);
    for _ in 0..4 {
        array = MetadataArray::Array(vec![array]);
    }
    assert!(matches!(layout_error(&with("a", array.into()), &[]), GgufError::NestedTooDeep { .. }));

    let twice = [new_tensor("a", &[1], TensorType::F32), new_tensor("a", &[1], TensorType::F32)];
    assert!(matches!(layout_error(&empty, &twice), GgufError::DuplicateTensor { .. }));
    let rows = [new_tensor("a", &[32, 2], TensorType::Q8_0)];
    assert!(matches!(layout_error(&empty, &rows), GgufError::RowNotBlocks { row_len: 2, .. }));
    let many = [new_tensor("a", &[1; 5], TensorType::F32)];
    assert!(matches!(layout_error(&empty, &many), GgufError::DimensionCount { found: 5, .. }));
    let name = "x".repeat(64);
    assert!(matches!(
        layout_error(&empty, &[new_tensor(&name, &[1], TensorType::F32)]),
        GgufError::NameTooLong { .. }
    ));
    assert!(GgufLayout::new(&empty, &[new_tensor(&name[1..], &[1], TensorType::F32)]).is_ok());
}

#[test]
fn a_file_beyond_counting_is_refused() {
    // each has 2^62 bytes, so the third one reaches the end of what 64 bits can count
    let tensors = ["a", "b", "c", "d"].map(|name| new_tensor(name, &[1 << 30, 1 << 30], TensorType::F32));
    assert!(
        matches!(layout_error(&Metadata::new(), &tensors), GgufError::TensorTooLarge { name, .. } if name == "d")
    );
    let mut almost = tensors.to_vec();
    almost.pop();
    almost.push(new_tensor("d", &[(1 << 60) - 8], TensorType::F32));
    assert!(matches!(layout_error(&Metadata::new(), &almost), GgufError::FileTooLarge));
}

mod split {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::ModelError;

    /// Bytes of one part with one tensor, `numbers` as `[split.no, split.count, split.tensors.count]`.
    fn part(numbers: [u32; 3], tensor: &str) -> Vec<u8> {
        let [number, count, tensors] = numbers;
        let file = Bytes::start(1, 4)
            .text("general.architecture")
            .u32(8)
            .text("llama")
            // gguf-split writes these two as u16 and the third as i32
            .text("split.no")
            .u32(2)
            .raw(&(number as u16).to_le_bytes())
            .text("split.count")
            .u32(2)
            .raw(&(count as u16).to_le_bytes())
            .text("split.tensors.count")
            .u32(5)
            .u32(tensors);
        file.tensor(tensor, &[8], F32, 0).data(0).raw(&[number as u8; 32]).0
    }

    fn write_parts(parts: &[([u32; 3], &str)]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let count = parts.len();
        let paths = parts.iter().enumerate().map(|(index, (numbers, tensor))| {
            let path = folder.path().join(format!("model-{:05}-of-{count:05}.gguf", index + 1));
            fs::write(&path, part(*numbers, tensor)).unwrap();
            path
        });
        let paths = paths.collect();
        (folder, paths)
    }

    fn error(path: &Path) -> GgufError {
        match Gguf::open(path).unwrap_err() {
            ModelError::Gguf { source, .. } => source,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn any_part_opens_the_whole_model() {
        let (_folder, paths) = write_parts(&[([0, 3, 3], "a"), ([1, 3, 3], "b"), ([2, 3, 3], "c")]);
        for path in &paths {
            let model = Gguf::open(path).unwrap();
            let names: Vec<&str> = model.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
            assert_eq!(names, ["a", "b", "c"]);
            assert!(model.files.paths().eq(&paths));
            for (number, tensor) in model.tensors.iter().enumerate() {
                assert_eq!(*model.files.map(tensor).unwrap(), [number as u8; 32]);
            }
            let keys: Vec<&str> = model.metadata.iter().map(|(key, _)| key).collect();
            assert_eq!(keys, ["general.architecture"]);
        }
    }

    #[test]
    fn a_missing_part_is_named() {
        let (_folder, paths) = write_parts(&[([0, 2, 2], "a"), ([1, 2, 2], "b")]);
        fs::remove_file(&paths[1]).unwrap();
        assert!(matches!(error(&paths[0]), GgufError::MissingPart { part } if part == paths[1]));
    }

    #[test]
    fn a_part_of_another_model_is_refused() {
        let (_folder, paths) = write_parts(&[([0, 2, 2], "a"), ([1, 2, 9], "b")]);
        let found = error(&paths[0]);
        assert!(
            matches!(found, GgufError::ForeignPart { part, key: "split.tensors.count", expected: 2, found: 9 } if part == paths[1])
        );
        let (_folder, paths) = write_parts(&[([0, 2, 2], "a"), ([0, 2, 2], "b")]);
        assert!(matches!(
            error(&paths[0]),
            GgufError::ForeignPart { key: "split.no", expected: 1, found: 0, .. }
        ));
        let (_folder, paths) = write_parts(&[([0, 2, 2], "a"), ([1, 4, 2], "b")]);
        assert!(matches!(error(&paths[0]), GgufError::ForeignPart { key: "split.count", .. }));
    }

    #[test]
    fn a_part_that_is_not_split_is_an_error_of_that_part() {
        let (_folder, paths) = write_parts(&[([0, 2, 2], "a"), ([1, 2, 2], "b")]);
        fs::write(&paths[1], Bytes::start(0, 0).0).unwrap();
        let error = Gguf::open(&paths[0]).unwrap_err();
        assert!(
            matches!(error, ModelError::Gguf { path, source: GgufError::MissingKey { key } } if path == paths[1] && key == "split.count")
        );
    }

    #[test]
    fn parts_together_have_all_tensors_once() {
        let (_folder, paths) = write_parts(&[([0, 2, 3], "a"), ([1, 2, 3], "b")]);
        assert!(matches!(error(&paths[0]), GgufError::PartsIncomplete { expected: 3, found: 2 }));
        let (_folder, paths) = write_parts(&[([0, 2, 2], "a"), ([1, 2, 2], "a")]);
        assert!(matches!(error(&paths[0]), GgufError::DuplicateTensor { name } if name == "a"));
    }

    #[test]
    fn a_part_under_another_name_is_refused() {
        let (folder, paths) = write_parts(&[([0, 2, 2], "a"), ([1, 2, 2], "b")]);
        let renamed = folder.path().join("model.gguf");
        fs::rename(&paths[0], &renamed).unwrap();
        assert!(
            matches!(error(&renamed), GgufError::PartName { part: 1, count: 2, expected } if expected == "-00001-of-00002.gguf")
        );
        let beyond = folder.path().join("model-00003-of-00002.gguf");
        fs::write(&beyond, part([2, 2, 2], "a")).unwrap();
        assert!(matches!(error(&beyond), GgufError::PartName { part: 3, .. }));
    }

    #[test]
    fn a_part_in_memory_cannot_find_the_others() {
        let bytes = FileBytes::Shared(part([0, 2, 2], "a").into());
        let error = Gguf::from_memory("model-00001-of-00002.gguf", bytes).unwrap_err();
        assert!(matches!(error, ModelError::Gguf { source: GgufError::PartInMemory, .. }));
    }

    #[test]
    fn a_model_in_memory_gives_its_tensors() {
        let bytes = FileBytes::Shared(part([0, 1, 1], "a").into());
        let model = Gguf::from_memory("demo", bytes).unwrap();
        assert_eq!(*model.files.map(&model.tensors[0]).unwrap(), [0; 32]);
    }

    #[test]
    fn a_folder_is_not_a_file_and_nothing_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Gguf::open(folder.path()), Err(ModelError::NotAFile { .. })));
        assert!(matches!(Gguf::open(&folder.path().join("none")), Err(ModelError::Io { .. })));
    }
}
