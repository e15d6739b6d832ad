//! One file per way to be wrong, made byte by byte.

use std::fs;
use std::path::Path;

use super::*;
use crate::stored::{NewTensor, StoredTensor};
use crate::{ModelError, TensorType};

/// A file with this header and so many bytes of data, `1, 2, 3…`.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend((1..=data).map(|byte| byte as u8));
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<StoredTensor>, SafetensorsError> {
    read_header(bytes, bytes.len() as u64, 0)
}

fn error(header: &str, data: usize) -> SafetensorsError {
    read(&file(header, data)).unwrap_err()
}

const TWO: &str = r#"{"__metadata__":{"format":"pt"},
"b":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]},
"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;

#[test]
fn tensors_come_in_the_order_of_their_data() {
    let tensors = read(&file(TWO, 14)).unwrap();
    let start = 8 + TWO.len() as u64;
    let expected =
        [("a", vec![1, 2], TensorType::F32, start, 8), ("b", vec![3], TensorType::BF16, start + 8, 6)];
    let expected = expected.map(|(name, shape, tensor_type, offset, bytes)| StoredTensor {
        name: name.to_owned(),
        shape,
        tensor_type,
        file: 0,
        offset,
        bytes,
    });
    assert_eq!(tensors, expected);
}

#[test]
fn a_file_without_tensors_has_no_tensors() {
    assert!(read(&file("{}", 0)).unwrap().is_empty());
}

#[test]
fn every_shorter_file_is_an_error() {
    let whole = file(TWO, 14);
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "{length}");
    }
    assert!(matches!(read(&whole[..7]), Err(SafetensorsError::TooShort { file_bytes: 7 })));
    assert!(matches!(read(&whole[..20]), Err(SafetensorsError::HeaderOutsideFile { remaining: 12, .. })));
    let shorter = read(&whole[..whole.len() - 1]).unwrap_err();
    assert!(matches!(shorter, SafetensorsError::DataBytes { expected: 14, found: 13 }));
}

#[test]
fn a_reader_that_ends_early_is_an_error() {
    let whole = file(TWO, 14);
    let error = read_header(&whole[..20], whole.len() as u64, 0).unwrap_err();
    assert!(matches!(error, SafetensorsError::Io(_)));
}

#[test]
fn data_behind_the_tensors_are_refused() {
    assert!(matches!(error(TWO, 15), SafetensorsError::DataBytes { expected: 14, found: 15 }));
}

#[test]
fn a_huge_header_is_refused_before_it_is_read() {
    let length = 200_000_000_u64.to_le_bytes();
    let error = read_header(&length[..], 300_000_000, 0).unwrap_err();
    assert!(matches!(
        error,
        SafetensorsError::HeaderTooLarge { header_bytes: 200_000_000, limit: 100_000_000 }
    ));
}

#[test]
fn the_header_is_an_object_of_tensors() {
    for header in [
        "",
        "[]",
        "{",
        "{}x",
        r#"{"a":1}"#,
        r#"{"a":{"dtype":"Q4_K","shape":[1],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1]}}"#,
        r#"{"__metadata__":{"format":1}}"#,
    ] {
        assert!(matches!(error(header, 4), SafetensorsError::BadHeader(_)), "{header}");
    }
    assert!(matches!(read(b"\x02\0\0\0\0\0\0\0\xff\xfe"), Err(SafetensorsError::BadHeader(_))));
}

#[test]
fn a_name_comes_once() {
    let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    assert!(matches!(error(header, 8), SafetensorsError::DuplicateTensor { name } if name == "a"));
}

#[test]
fn other_numbers_are_refused_by_name() {
    let header = r#"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
    let found = error(header, 8);
    assert_eq!(found.to_string(), "tensor `a` has numbers of type I64; only F32, F16 and BF16 can be read");
    assert!(matches!(found, SafetensorsError::UnsupportedType { .. }));
}

#[test]
fn shape_and_range_agree() {
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#;
    assert!(matches!(error(header, 4), SafetensorsError::TensorBytes { expected: 8, found: 4, .. }));
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#;
    assert!(matches!(error(header, 8), SafetensorsError::BackwardRange { start: 8, end: 0, .. }));
}

#[test]
fn sizes_beyond_counting_are_refused() {
    let header = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#;
    assert!(matches!(error(header, 4), SafetensorsError::TensorTooLarge { name, .. } if name == "a"));
    // one tensor beyond what can be counted in bits
    let header =
        r#"{"a":{"dtype":"F16","shape":[9223372036854775807],"data_offsets":[0,18446744073709551614]}}"#;
    assert!(matches!(error(header, 4), SafetensorsError::Places(_)));
    // together they end so late that adding the length of the header would overflow
    let bytes = (1_u64 << 61) - 2;
    let tensors: Vec<String> = (0..8_u64)
        .map(|index| {
            let (start, end) = (index * bytes, (index + 1) * bytes);
            format!(r#""{index}":{{"dtype":"F16","shape":[{}],"data_offsets":[{start},{end}]}}"#, bytes / 2)
        })
        .collect();
    let header = format!("{{{}}}", tensors.join(","));
    assert!(matches!(error(&header, 4), SafetensorsError::DataBytes { found: 4, .. }));
}

#[test]
fn data_have_no_gaps_and_no_overlaps() {
    for second in ["[8,12]", "[0,4]"] {
        let header = format!(
            r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},"b":{{"dtype":"F32","shape":[1],"data_offsets":{second}}}}}"#
        );
        assert!(matches!(error(&header, 12), SafetensorsError::Places(_)), "{second}");
    }
}

fn new_tensor(name: &str, shape: &[usize], tensor_type: TensorType) -> NewTensor {
    NewTensor { name: name.to_owned(), shape: shape.to_owned(), tensor_type }
}

#[test]
fn the_header_is_written_in_order_and_aligned() {
    let tensors = [new_tensor("b", &[2], TensorType::F16), new_tensor("a", &[1, 3], TensorType::F16)];
    let layout = SafetensorsLayout::new(&tensors).unwrap();
    let mut writer = layout.start(Vec::new()).unwrap();
    writer.begin("b").unwrap();
    writer.write_all(b"bbbb").unwrap();
    writer.begin("a").unwrap();
    writer.write_all(b"aaaaaa").unwrap();
    let bytes = writer.finish().unwrap();
    assert_eq!(bytes.len() as u64, layout.file_bytes());
    let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"a":{"dtype":"F16","shape":[1,3],"data_offsets":[4,10]}}"#;
    let text = std::str::from_utf8(&bytes[8..]).unwrap();
    assert!(text.starts_with(header), "{text}");
    assert!(text.ends_with("bbbbaaaaaa"));
    assert_eq!((bytes.len() - 10) % 8, 0);
    // the reference implementation
    let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(read.tensor("a").unwrap().data(), b"aaaaaa");
}

#[test]
fn wider_numbers_come_first_so_that_all_are_aligned() {
    let tensors = [
        new_tensor("odd", &[3], TensorType::BF16),
        new_tensor("wide", &[1], TensorType::F32),
        new_tensor("half", &[1], TensorType::F16),
    ];
    let layout = SafetensorsLayout::new(&tensors).unwrap();
    let names: Vec<&str> = layout.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["wide", "odd", "half"]);
}

#[test]
fn what_the_reader_refuses_is_not_written() {
    let error = |tensors: &[NewTensor]| SafetensorsLayout::new(tensors).unwrap_err();
    let one = |name: &str| new_tensor(name, &[1], TensorType::F32);
    assert!(matches!(error(&[one("a"), one("a")]), SafetensorsError::DuplicateTensor { .. }));
    assert!(matches!(error(&[one("__metadata__")]), SafetensorsError::ReservedName));
    let quantized = [new_tensor("a", &[32], TensorType::Q8_0)];
    assert!(matches!(
        error(&quantized),
        SafetensorsError::UnwritableType { tensor_type: TensorType::Q8_0, .. }
    ));
    let large = [new_tensor("a", &[1 << 32, 1 << 32], TensorType::F32)];
    assert!(matches!(error(&large), SafetensorsError::TensorTooLarge { .. }));
    let together = ["a", "b", "c", "d"].map(|name| new_tensor(name, &[1 << 60], TensorType::F32));
    assert!(matches!(error(&together), SafetensorsError::TensorTooLarge { name, .. } if name == "d"));
    let long = [one(&"x".repeat(100_000_000))];
    assert!(matches!(error(&long), SafetensorsError::HeaderTooLarge { .. }));
}

mod folders {
    use super::*;

    fn write_weights(folder: &Path, max_shard_bytes: u64) -> HfWeights {
        let tensors = ["a", "b", "c"].map(|name| new_tensor(name, &[2, 2], TensorType::F32));
        let layout = HfWeightsLayout::new(&tensors, max_shard_bytes).unwrap();
        let (total_bytes, order) = (layout.total_bytes(), layout.tensors().cloned().collect::<Vec<_>>());
        let mut names: Vec<String> = layout.file_names().map(str::to_owned).collect();
        let mut writer = layout.start(folder).unwrap();
        for tensor in order {
            writer.begin(&tensor.name).unwrap();
            writer.write_all(tensor.name.repeat(16).as_bytes()).unwrap();
        }
        assert_eq!(visible(folder), Vec::<String>::new());
        writer.finish().unwrap();
        names.sort();
        assert_eq!(visible(folder), names);
        let written: u64 = names.iter().map(|name| fs::metadata(folder.join(name)).unwrap().len()).sum();
        assert_eq!(written, total_bytes);
        HfWeights::open(folder).unwrap()
    }

    fn visible(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn check(weights: &HfWeights) {
        let names: Vec<&str> = weights.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        for tensor in &weights.tensors {
            assert_eq!(*weights.files.map(tensor).unwrap(), *tensor.name.repeat(16).as_bytes());
        }
    }

    #[test]
    fn what_fits_one_file_is_one_file() {
        let folder = folder();
        check(&write_weights(folder.path(), 48));
        assert_eq!(visible(folder.path()), ["model.safetensors"]);
    }

    #[test]
    fn what_does_not_fit_is_cut_between_tensors() {
        let folder = folder();
        check(&write_weights(folder.path(), 47));
        let index = fs::read_to_string(folder.path().join(INDEX_FILE)).unwrap();
        let expected = r#"{
  "metadata": {
    "total_size": 48
  },
  "weight_map": {
    "a": "model-00001-of-00002.safetensors",
    "b": "model-00001-of-00002.safetensors",
    "c": "model-00002-of-00002.safetensors"
  }
}
"#;
        assert_eq!(index, expected);
    }

    #[test]
    fn a_tensor_larger_than_the_limit_has_its_own_file() {
        let folder = folder();
        check(&write_weights(folder.path(), 1));
        assert_eq!(visible(folder.path()).len(), 4);
    }

    #[test]
    fn a_missing_tensor_leaves_no_files() {
        for max_shard_bytes in [48, 16] {
            let folder = folder();
            let tensors = ["a", "b", "c"].map(|name| new_tensor(name, &[2, 2], TensorType::F32));
            let layout = HfWeightsLayout::new(&tensors, max_shard_bytes).unwrap();
            let mut writer = layout.start(folder.path()).unwrap();
            writer.begin("a").unwrap();
            writer.write_all(&[0; 16]).unwrap();
            let error = writer.finish().unwrap_err();
            let ModelError::TensorWrite { source, .. } = error else { panic!("{error}") };
            assert_eq!(source.to_string(), "tensor `b` is missing");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    fn open_error(folder: &Path) -> ModelError {
        HfWeights::open(folder).unwrap_err()
    }

    /// A folder with `one.safetensors` (tensor `a`), `two.safetensors` (tensor `b`) and an index with this map.
    fn indexed(weight_map: &str) -> tempfile::TempDir {
        let folder = folder();
        for (name, tensor) in [("one", "a"), ("two", "b")] {
            let header = format!(r#"{{"{tensor}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
            fs::write(folder.path().join(format!("{name}.safetensors")), file(&header, 4)).unwrap();
        }
        fs::write(folder.path().join(INDEX_FILE), format!(r#"{{"weight_map":{weight_map}}}"#)).unwrap();
        folder
    }

    fn index_error(weight_map: &str) -> SafetensorsError {
        match open_error(indexed(weight_map).path()) {
            ModelError::Safetensors { source, .. } => source,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn an_index_and_its_files_agree() {
        let folder = indexed(r#"{"a":"one.safetensors","b":"two.safetensors"}"#);
        let weights = HfWeights::open(folder.path()).unwrap();
        assert_eq!(weights.tensors.iter().map(|tensor| tensor.file).collect::<Vec<_>>(), [0, 1]);

        let error = index_error(r#"{"a":"one.safetensors","b":"two.safetensors","c":"two.safetensors"}"#);
        assert!(
            matches!(error, SafetensorsError::MissingTensor { tensor, file } if tensor == "c" && file == "two.safetensors")
        );
        let error = index_error(r#"{"b":"one.safetensors","a":"two.safetensors"}"#);
        assert!(
            matches!(error, SafetensorsError::SurplusTensor { tensor, file } if tensor == "a" && file == "one.safetensors")
        );
        let error = index_error(r#"{"a":"one.safetensors","b":"three.safetensors"}"#);
        assert!(matches!(error, SafetensorsError::MissingShard { file } if file == "three.safetensors"));
    }

    #[test]
    fn an_index_names_files_of_its_own_folder() {
        for name in ["../one.safetensors", "/etc/passwd", "sub/one.safetensors", "..", ""] {
            let error = index_error(&format!(r#"{{"a":"{name}"}}"#));
            assert!(matches!(error, SafetensorsError::NotAFileName { file, .. } if file == name));
        }
    }

    #[test]
    fn an_index_is_an_object_with_tensors() {
        assert!(matches!(index_error("[]"), SafetensorsError::BadIndex(_)));
        assert!(matches!(index_error("{}"), SafetensorsError::EmptyIndex));
        let folder = folder();
        // a sparse file: long without taking space
        let index = fs::File::create(folder.path().join(INDEX_FILE)).unwrap();
        index.set_len(100_000_001).unwrap();
        let ModelError::Safetensors { source, .. } = open_error(folder.path()) else { panic!() };
        assert!(matches!(source, SafetensorsError::IndexTooLarge { found: 100_000_001, .. }));
    }

    #[test]
    fn one_file_goes_before_an_index() {
        let folder = indexed(r#"{"a":"one.safetensors"}"#);
        fs::copy(folder.path().join("two.safetensors"), folder.path().join(SINGLE_FILE)).unwrap();
        assert_eq!(HfWeights::open(folder.path()).unwrap().tensors[0].name, "b");
    }

    #[test]
    fn pickle_is_never_loaded() {
        for name in
            ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "a.pt", "b.PTH", "c.pkl", "d.ckpt"]
        {
            let folder = folder();
            fs::write(folder.path().join(name), "cos\nsystem\n").unwrap();
            let error = open_error(folder.path());
            assert!(matches!(&error, ModelError::OnlyPickle { files, .. } if files == &[name]), "{error}");
            assert!(error.to_string().contains("pickle can run any program and is never loaded"));
        }
    }

    #[test]
    fn a_folder_without_weights_is_an_error() {
        let folder = folder();
        fs::write(folder.path().join("training_args.bin"), "").unwrap();
        assert!(matches!(open_error(folder.path()), ModelError::NoWeights { .. }));
        assert!(matches!(open_error(&folder.path().join("none")), ModelError::Io { .. }));
    }
}
