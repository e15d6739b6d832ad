//! No bytes make the safetensors reader panic; tensors of a file that it accepts lie in it one after the other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use secateur_model::hf::read_header;

fuzz_target!(|bytes: &[u8]| {
    let Ok(tensors) = read_header(bytes, bytes.len() as u64, 0) else { return };
    let Some(first) = tensors.first() else { return };
    let mut end = first.offset;
    for tensor in &tensors {
        assert_eq!(tensor.offset, end);
        let elements: u64 = tensor.shape.iter().map(|&size| size as u64).product();
        assert_eq!(tensor.bytes, elements * tensor.tensor_type.block_bytes() as u64);
        end += tensor.bytes;
    }
    assert_eq!(end, bytes.len() as u64);
});
