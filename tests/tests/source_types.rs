//! Without a type or a budget, a smaller vocabulary or shape leaves every matrix in the type that it has.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs;
use std::path::Path;

use secateur_model::plan::Plan;
use secateur_model::{Checkpoint, Role, TensorId, TensorType};
use secateur_tests::binary::{self, compress};
use secateur_tests::fixtures::{GEMMA, fixture};
use secateur_tests::judge;

fn bytes(model: &Checkpoint, id: TensorId, row: usize) -> Vec<u8> {
    model.tensor(id).unwrap().raw_row(row).unwrap().to_vec()
}

fn plan(folder: &Path) -> Plan {
    serde_saphyr::from_str(&fs::read_to_string(folder.join("plan.yaml")).unwrap()).unwrap()
}

#[test]
fn a_quantized_model_loses_tokens_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (fixture(GEMMA), folder.path().join("out"));
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/judge.txt");
    compress(&source, &["--vocab", "16k", "--text", text.to_str().unwrap()], &out);
    let (before, path) = (Checkpoint::open(&source).unwrap(), out.join("model.gguf"));
    let after = Checkpoint::open(&path).unwrap();
    let plan = plan(&out);
    assert_eq!(plan.asked, ["type=source"]);
    // Q4_K_M by name, as the source
    assert_eq!(plan.file_type, 15);
    let kept = plan.vocabulary.as_ref().unwrap().kept.indices().to_vec();
    for tensor in &plan.tensors {
        assert_eq!(Some(tensor.to), before.stored_type(tensor.id), "{}", tensor.name);
        let is_cut = tensor.id == TensorId::global(Role::TokenEmbedding);
        for row in 0..after.tensor(tensor.id).unwrap().rows() {
            let old = if is_cut { kept[row] as usize } else { row };
            assert!(bytes(&after, tensor.id, row) == bytes(&before, tensor.id, old), "{} {row}", tensor.name);
        }
    }
    let prompts = [[2_u32, 100, 101, 102].as_slice().into()];
    assert_eq!(judge::logits(&path, &prompts).unwrap().columns, 16_384, "stock llama.cpp loads it");
}

#[test]
fn what_is_solved_anew_has_the_type_that_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, narrow) = (folder.path().join("whole"), folder.path().join("narrow"));
    let mixed = ["--type", "q4_0", "--tensor-type", "ffn_down=q5_1", "--tensor-type", "token_embd=q8_0"];
    compress(Path::new("demo"), &mixed, &whole);
    compress(&whole.join("model.gguf"), &["--ffn", "192", "--tokens", "2048"], &narrow);
    let plan = plan(&narrow);
    assert!(plan.shape.is_some());
    for tensor in plan.tensors.iter().filter(|tensor| tensor.id.role.is_matrix()) {
        let expected = match tensor.id.role {
            Role::FfnDown => TensorType::Q5_1,
            Role::TokenEmbedding => TensorType::Q8_0,
            _ => TensorType::Q4_0,
        };
        assert_eq!((tensor.from, tensor.to), (expected, expected), "{}", tensor.name);
    }
    // what comes before all that changes keeps its bytes, though all that follows is rounded anew
    let [before, after] = [&whole, &narrow].map(|out| Checkpoint::open(&out.join("model.gguf")).unwrap());
    let is_kept = |id: TensorId| {
        let rows = after.tensor(id).unwrap().rows();
        (0..rows).all(|row| bytes(&before, id, row) == bytes(&after, id, row))
    };
    for role in [Role::AttentionQuery, Role::AttentionKey, Role::AttentionValue, Role::AttentionOutput] {
        assert!(is_kept(TensorId::in_layer(0, role)), "{role:?}");
    }
    assert!(is_kept(TensorId::global(Role::TokenEmbedding)));
    assert!(!is_kept(TensorId::in_layer(1, Role::AttentionQuery)));
}

#[test]
fn full_rounding_leaves_what_is_in_its_type_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (first, again) = (folder.path().join("first"), folder.path().join("again"));
    compress(Path::new("demo"), &["--type", "q4_k"], &first);
    let model = first.join("model.gguf");
    let record = compress(&model, &["--type", "source", "--rounding", "full", "--tokens", "2048"], &again);
    assert_eq!(record["quality"]["divergence"].as_f64(), Some(0.0));
}

#[test]
fn a_whole_model_needs_to_be_told_what_it_is_to_become() {
    let ran = binary::run(&["compress", "demo", "--out", "out"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("--type"), "{}", ran.stderr);
    let folder = tempfile::tempdir().unwrap();
    let (first, again) = (folder.path().join("first"), folder.path().join("again"));
    compress(Path::new("demo"), &["--type", "q4_1"], &first);
    let model = first.join("model.gguf");
    compress(&model, &["--type", "source"], &again);
    let tensors = |folder: &Path| -> Vec<(String, TensorType, u64)> {
        let tensor =
            |tensor: &secateur_model::plan::TensorPlan| (tensor.name.clone(), tensor.to, tensor.bytes);
        plan(folder).tensors.iter().map(tensor).collect()
    };
    assert_eq!(tensors(&again), tensors(&first));
}
