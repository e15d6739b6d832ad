//! `inspect`, against what llama.cpp says of the same files, and on a model that no memory holds.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use secateur_tests::binary;
use secateur_tests::fixtures::{GEMMA, SMOLLM2, fixture};
use secateur_tests::judge;
use serde_json::{Map, Value, json};

fn inspect(model: &Path) -> Value {
    let ran = binary::run(&["inspect".as_ref(), "--json".as_ref(), model.as_os_str()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn says_of_real_models_what_llama_cpp_says() {
    for (name, family) in [(SMOLLM2, "llama"), (GEMMA, "gemma3")] {
        let path = fixture(name);
        let (found, judged) = (inspect(&path), judge::load(&path).unwrap());
        assert_eq!(found["family"], family);
        assert_eq!(found["parameters"], judged.parameters);
        assert_eq!(found["tensor_bytes"], judged.tensor_bytes);
        assert_eq!(found["layers"], judged.layers);
        assert_eq!(found["hidden_size"], judged.embedding);
        assert_eq!(found["vocabulary_size"], judged.vocabulary);
        assert_eq!(found["context_length"], judged.context);
        assert_eq!(found["tied_embeddings"], true);
        let sum = |rows: &str, key: &str| -> u64 {
            found[rows].as_array().unwrap().iter().map(|row| row[key].as_u64().unwrap()).sum()
        };
        for rows in ["roles", "types"] {
            assert_eq!(sum(rows, "parameters"), judged.parameters, "{rows}");
            assert_eq!(sum(rows, "bytes"), judged.tensor_bytes, "{rows}");
        }
    }
    // rows of 576 fill no blocks of 256, rows of 1536 do
    let found = inspect(&fixture(SMOLLM2));
    let legal = |role: &str| {
        let rows = found["roles"].as_array().unwrap();
        rows.iter().find(|row| row["role"] == role).unwrap()["legal_types"].to_string()
    };
    assert!(!legal("attention_query").contains("q4_k") && legal("attention_query").contains("iq4_nl"));
    assert!(legal("ffn_down").contains("q4_k"));
}

/// A Llama of 70 billion weights whose file has a header and holes.
fn sparse_llama(folder: &Path) {
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 8192,
        "intermediate_size": 28672, "max_position_embeddings": 8192, "num_attention_heads": 64,
        "num_hidden_layers": 80, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_theta": 500_000.0,
        "tie_word_embeddings": false, "vocab_size": 128_256,
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![128_256_u64, 8192]),
        ("lm_head.weight".to_owned(), vec![128_256, 8192]),
        ("model.norm.weight".to_owned(), vec![8192]),
    ];
    for layer in 0..80 {
        for (name, shape) in [
            ("input_layernorm", vec![8192]),
            ("post_attention_layernorm", vec![8192]),
            ("self_attn.q_proj", vec![8192, 8192]),
            ("self_attn.k_proj", vec![1024, 8192]),
            ("self_attn.v_proj", vec![1024, 8192]),
            ("self_attn.o_proj", vec![8192, 8192]),
            ("mlp.gate_proj", vec![28672, 8192]),
            ("mlp.up_proj", vec![28672, 8192]),
            ("mlp.down_proj", vec![8192, 28672]),
        ] {
            shapes.push((format!("model.layers.{layer}.{name}.weight"), shape));
        }
    }
    let (mut header, mut offset) = (Map::new(), 0);
    for (name, shape) in shapes {
        let end = offset + 2 * shape.iter().product::<u64>();
        header.insert(name, json!({"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}));
        offset = end;
    }
    let header = Value::Object(header).to_string();
    let mut file = File::create(folder.join("model.safetensors")).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + offset).unwrap();
}

#[test]
fn a_model_that_no_memory_holds_is_inspected_from_its_header() {
    let folder = tempfile::tempdir().unwrap();
    sparse_llama(folder.path());
    let found = inspect(folder.path());
    assert_eq!(found["parameters"], 70_553_706_496_u64);
    assert_eq!(found["tensor_bytes"], 2 * 70_553_706_496_u64);
    assert_eq!(found["layers"], 80);
    assert_eq!(found["attention"][0]["kv_heads"], 8);
}
