//! Times a million estimates on one core: every device, a model in several types, growing contexts.

#![allow(clippy::print_stdout)] // the figure is its output

use std::error::Error;
use std::hint::black_box;

use cpu_time::ThreadTime;
use secateur_model::CacheType;
use secateur_profiles::catalog::Sizes;
use secateur_profiles::estimate::{machine, with_machine};
use secateur_profiles::label::labelled;
use secateur_profiles::{Usage, library};

const ESTIMATES: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let spec = Sizes::of_name("Llama-3.2-1B").ok_or("the model is not in the table")?.spec();
    let labels = ["Q4_0", "Q4_K_M", "Q5_K_M", "Q8_0"];
    let workloads: Vec<_> = labels.iter().filter_map(|label| labelled(&spec, label)).collect();
    let profiles = library::all()?;
    let machines: Vec<_> = profiles
        .iter()
        .filter_map(|profile| profile.runtime(None).map(|runtime| (profile, runtime)))
        .map(|(profile, runtime)| (&profile.hardware, runtime, machine(&profile.hardware, runtime, None)))
        .collect();
    let start = ThreadTime::now();
    let mut sum = 0.0;
    for index in 0..ESTIMATES {
        let (hardware, runtime, machine) = &machines[index % machines.len()];
        let workload = &workloads[index / machines.len() % workloads.len()];
        let usage = Usage {
            context: 1 + index % 4096,
            prompt: 256,
            cache: CacheType::F16,
            threads: None,
            loaded: false,
        };
        // every number of the estimate is wanted, not the one that is summed
        sum += black_box(with_machine(hardware, runtime, black_box(machine), workload, &usage)).decode;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{ESTIMATES} estimates in {seconds:.2} s of one core (mean {:.1} tokens/s)",
        sum / ESTIMATES as f64
    );
    Ok(())
}
