//! Makes a *reference checkpoint* for quality work from a quantized GGUF, since the originals of small models are not always at
//! hand: every quantized number plus a uniform dither of half a quantization step, `x + step * 0.5 * (u - 0.5)` with `u`
//! uniform in 0..1, so that no type is trivially exact. Written as f16, as GGUF and as a Hugging Face folder.
//!
//! `cargo run --release -p secateur-tests --bin reference-checkpoint -- MODEL.gguf --out DIR [--seed N]`

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use secateur_compress::progress::Silent;
use secateur_compress::{Execution, compress, plan};
use secateur_model::atomic_file::AtomicFile;
use secateur_model::gguf::{Gguf, GgufLayout};
use secateur_model::stored::NewTensor;
use secateur_model::types::{TypeChoice, TypeRequest};
use secateur_model::{Checkpoint, TensorType, dequantize_row};
use secateur_quantize::quantize_tensor;
use secateur_tests::random::Random;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match arguments().and_then(|(model, out, seed)| make(&model, &out, seed)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            #[allow(clippy::print_stderr)] // a developer's command
            {
                eprintln!("reference-checkpoint: {failure}");
            }
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<(PathBuf, PathBuf, u64), Failure> {
    let (mut model, mut out, mut seed) = (None, None, 0);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--out" => out = arguments.next().map(PathBuf::from),
            "--seed" => seed = arguments.next().ok_or("--seed needs a number")?.parse()?,
            _ => model = Some(PathBuf::from(argument)),
        }
    }
    Ok((model.ok_or("which MODEL.gguf?")?, out.ok_or("--out DIR is missing")?, seed))
}

fn make(model: &Path, out: &Path, seed: u64) -> Result<(), Failure> {
    let folder =
        tempfile::tempdir_in(out.parent().filter(|parent| parent.is_dir()).unwrap_or(Path::new(".")))?;
    let dithered = folder.path().join("dithered.gguf");
    write_dithered(model, &dithered, seed)?;
    let checkpoint = Checkpoint::open(&dithered)?;
    let request = TypeRequest { base: TypeChoice::Uniform(TensorType::F16), overrides: Vec::new() };
    compress(
        &checkpoint,
        &plan(&checkpoint, &request)?,
        out,
        &Execution { seed, ..Execution::default() },
        &Silent,
    )?;
    Ok(())
}

/// The same model with quantized tensors as dithered f16.
fn write_dithered(model: &Path, target: &Path, seed: u64) -> Result<(), Failure> {
    let gguf = Gguf::open(model)?;
    let mut metadata = gguf.metadata.clone();
    metadata.set("general.file_type", 1_u32);
    let new_tensors: Vec<NewTensor> = gguf
        .tensors
        .iter()
        .map(|tensor| NewTensor {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            tensor_type: if tensor.tensor_type.is_float() { tensor.tensor_type } else { TensorType::F16 },
        })
        .collect();
    let mut writer = GgufLayout::new(&metadata, &new_tensors)?.start(AtomicFile::create(target)?)?;
    for (index, tensor) in gguf.tensors.iter().enumerate() {
        writer.begin(&tensor.name)?;
        let bytes = gguf.files.map(tensor)?;
        if tensor.tensor_type.is_float() {
            writer.write_all(&bytes)?;
            continue;
        }
        let mut random = Random::new(seed.wrapping_add(index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let row_len = *tensor.shape.last().ok_or("a tensor without dimensions")?;
        let row_bytes = tensor.tensor_type.row_bytes(row_len).ok_or("rows that are no blocks")?;
        for row in bytes.chunks_exact(row_bytes) {
            let values = dithered_row(tensor.tensor_type, row, row_len, &mut random)?;
            writer.write_all(&quantize_tensor(TensorType::F16, &values, row_len, None)?)?;
        }
    }
    let mut file = writer.finish()?;
    file.flush()?;
    file.commit()?;
    Ok(())
}

fn dithered_row(
    tensor_type: TensorType,
    row: &[u8],
    row_len: usize,
    random: &mut Random,
) -> Result<Vec<f32>, Failure> {
    let mut values = vec![0.0; row_len];
    dequantize_row(tensor_type, row, &mut values)?;
    let steps = steps(tensor_type, row, row_len)?;
    for (value, step) in values.iter_mut().zip(steps) {
        *value += step * 0.5 * (random.uniform() as f32 - 0.5);
    }
    Ok(values)
}

/// The distance of neighbouring levels at each number: what one more of its code adds.
fn steps(tensor_type: TensorType, row: &[u8], row_len: usize) -> Result<Vec<f32>, Failure> {
    // where the low bits of the codes are in a block, and the byte that is one more for every number in it
    let (codes, one): (Range<usize>, u8) = match tensor_type {
        TensorType::Q4_0 => (2..18, 0x11),
        TensorType::Q4_1 => (4..20, 0x11),
        TensorType::Q5_0 => (6..22, 0x11),
        TensorType::Q5_1 => (8..24, 0x11),
        TensorType::Q8_0 => (2..34, 0x01),
        TensorType::Q4_K => (16..144, 0x11),
        TensorType::Q5_K => (48..176, 0x11),
        TensorType::Q6_K => (0..128, 0x11),
        other => return Err(format!("tensors in {other} have no even steps").into()),
    };
    let with_codes = |code: u8| {
        let mut row = row.to_vec();
        for block in row.chunks_exact_mut(tensor_type.block_bytes()) {
            block[codes.clone()].fill(code);
        }
        let mut values = vec![0.0; row_len];
        dequantize_row(tensor_type, &row, &mut values).map(|()| values)
    };
    let (low, high) = (with_codes(0)?, with_codes(one)?);
    Ok(low.iter().zip(&high).map(|(low, high)| (high - low).abs()).collect())
}
