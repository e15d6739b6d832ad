//! Peak memory as `whatif` estimates it beside what stock llama.cpp takes: both fixtures in several types, mapped and loaded, at two contexts,
//! each in a process of its own.

#![allow(clippy::print_stdout)] // the table is its output

use std::error::Error;

use secateur_model::types::{TypeChoice, TypeRequest};
use secateur_model::{CacheType, Checkpoint};
use secateur_profiles::cost::Workload;
use secateur_profiles::estimate::estimate;
use secateur_profiles::{Usage, library};
use secateur_reports::{Cell, Column, Format, Table, units};
use secateur_tests::fixtures::{GEMMA, SMOLLM2, fixture};
use secateur_tests::judge;
use secateur_tests::typed::write_typed;

const TYPES: [&str; 4] = ["q4_0", "q4_k_m", "q8_0", "f16"];
const CONTEXTS: [usize; 2] = [512, 2048];
/// Memory of a runtime does not follow from its device; this profile is of the instructions that most x86-64 processors have.
const PROFILE: &str = "server-avx2";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let profile = library::find(PROFILE)?;
    let runtime = profile.runtime(None).ok_or("the profile has no runtime")?;
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for name in [SMOLLM2, GEMMA] {
        let checkpoint = Checkpoint::open(&fixture(name))?;
        for tensor_type in TYPES {
            let base: TypeChoice = tensor_type.parse()?;
            let plan = secateur_compress::plan(&checkpoint, &TypeRequest { base, overrides: Vec::new() })?;
            let workload = Workload::new(&checkpoint.spec, &plan.tensors, plan.gguf_bytes);
            let file = write_typed(&checkpoint, tensor_type, folder.path())?;
            for loaded in [false, true] {
                for context in CONTEXTS {
                    let usage =
                        Usage { context, prompt: context, cache: CacheType::F16, threads: None, loaded };
                    let predicted = estimate(&profile, runtime, &workload, &usage).memory.resident();
                    let mode = if loaded { "none" } else { "mmap" };
                    let measured = judge::peak_memory(&file, mode, context)? as f64;
                    let error = predicted / measured - 1.0;
                    errors.push(error.abs());
                    rows.push(vec![
                        checkpoint.name().as_str().into(),
                        tensor_type.into(),
                        (if loaded { "loaded" } else { "mapped" }).into(),
                        Cell::Text(context.to_string()),
                        Cell::Bytes(measured as u64),
                        Cell::Bytes(predicted as u64),
                        Cell::Share(error),
                    ]);
                }
            }
            std::fs::remove_file(&file)?;
        }
    }
    errors.sort_unstable_by(f64::total_cmp);
    let [median, most] = [errors.len() / 2, errors.len() - 1].map(|at| units::percent(errors[at]));
    let table = Table {
        title: format!("Peak memory: median error {median}, largest {most}"),
        columns: vec![
            Column::new("model", "model"),
            Column::new("type", "type"),
            Column::new("weights", "weights"),
            Column::new("context", "context"),
            Column::new("measured", "measured_bytes"),
            Column::new("estimated", "estimated_bytes"),
            Column::new("error", "error"),
        ],
        rows,
    };
    println!("{}", Format::Markdown.render(&table));
    Ok(())
}
