//! No bytes make the GGUF reader panic; a file that it accepts can be laid out again and comes back the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use secateur_model::gguf::{GgufHeader, GgufLayout};
use secateur_model::stored::NewTensor;

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = GgufHeader::parse(bytes) else { return };
    let tensors: Vec<NewTensor> = header
        .tensors
        .iter()
        .map(|tensor| NewTensor {
            name: tensor.name.clone(),
            shape: tensor.shape(),
            tensor_type: tensor.tensor_type,
        })
        .collect();
    // names longer than llama.cpp takes are read but not written
    let Ok(layout) = GgufLayout::new(&header.metadata, &tensors) else { return };
    // an alignment may be as large as 2 GiB, and sizes are only bounded by the file together with it
    if layout.file_bytes() > 1 << 20 {
        return;
    }
    let mut writer = layout.start(Vec::new()).expect("memory takes all bytes");
    for (tensor, info) in tensors.iter().zip(&header.tensors) {
        let start = (header.data_offset + info.offset) as usize;
        writer.begin(&tensor.name).expect("the order is the same");
        writer.write_all(&bytes[start..start + info.bytes as usize]).expect("the size is the same");
    }
    let file = writer.finish().expect("all tensors are there");
    assert_eq!(file.len() as u64, layout.file_bytes());
    let again = GgufHeader::parse(&file).expect("what was written can be read");
    // as text, because a NaN is not equal to itself
    assert_eq!(format!("{:?}", again.metadata), format!("{:?}", header.metadata));
    assert_eq!(again.tensors, layout.tensors());
});
