//! `secateur profiles`

use std::path::{Path, PathBuf};

use anyhow::Context;
use secateur_model::CacheType;
use secateur_model::atomic_file::write_file;
use secateur_profiles::calibrate::{
    self as measure, BenchError, detect, read_bench, read_speeds, vector_rate,
};
use secateur_profiles::chip::Chip;
use secateur_profiles::estimate::estimate;
use secateur_profiles::fit::{
    Description, ExpectedError, Experience, Experiment, Row, Score, error_of, profile, report,
};
use secateur_profiles::measurement::{self, Measurement, MeasurementError};
use secateur_profiles::needs::{Modality, Needs};
use secateur_profiles::profile::{Profile, ProfileError, Simd};
use secateur_profiles::quantity::Basis;
use secateur_profiles::{Usage, library};
use secateur_reports::devices::{Checked, DeviceList, DeviceRow, MatchRow, Matches};
use secateur_reports::fit::FitReport;

use crate::arguments::{MatchBy, ModalityArgument, ProfilesArguments, ProfilesCommand};
use crate::commands::whatif::load_profiles;
use crate::console::Console;
use crate::cost_model::CostModel;
use crate::exit::Exit;
use crate::fit_report::to_report;
use crate::llama_bench;

/// Why devices cannot be matched.
#[derive(Debug, thiserror::Error)]
pub enum ProfilesError {
    #[error("`{found}` is no instruction set; known are: scalar, neon, dotprod, i8mm, avx2, vnni, gpu, npu")]
    UnknownSimd { found: String },
    #[error("`{}` is about {found} devices; fit one at a time: keep the rows of one device", path.display())]
    ManyDevices { path: PathBuf, found: usize },
    #[error("`{}` has no row with the speed of a known model", path.display())]
    NoRows { path: PathBuf },
    #[error("`{}`: {source}", path.display())]
    Table { path: PathBuf, source: MeasurementError },
    #[error("`{}`: {source}", path.display())]
    Bench { path: PathBuf, source: BenchError },
    #[error("`{}` cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
}

/// Lists, shows, checks, matches, fits or scores.
pub fn run(arguments: &ProfilesArguments, console: &Console) -> anyhow::Result<Exit> {
    match &arguments.command {
        ProfilesCommand::List => list(console),
        ProfilesCommand::Show { profile } => {
            console.document(&library::find(profile)?)?;
            Ok(Exit::Done)
        }
        ProfilesCommand::Check { files } => check(files, console),
        ProfilesCommand::Schema => {
            Console::json_document(&Profile::json_schema())?;
            Ok(Exit::Done)
        }
        ProfilesCommand::Match { models, profiles, context, simd, runtime, modalities, by } => {
            let needs = Needs {
                simd: simd.as_deref().map(known_simd).transpose()?,
                runtime: runtime.clone(),
                modalities: modalities.iter().map(|&modality| modality.into()).collect(),
                ..Needs::default()
            };
            matches(models, profiles, *context, &needs, *by, console)
        }
        ProfilesCommand::Calibrate { bench, models, llama_bench, id, out } => {
            let speeds = match bench {
                Some(report) => read_report(report)?,
                None => bench_here(models, llama_bench.as_deref(), console)?,
            };
            calibrate(&speeds, id, out.as_deref(), console)
        }
        ProfilesCommand::Fit { table, id, memory, out } => fit(table, id, *memory, out.as_deref(), console),
        ProfilesCommand::Score { table, unseen } => score(table, *unseen, console),
    }
}

fn list(console: &Console) -> anyhow::Result<Exit> {
    let rows = library::all()?.iter().map(device_row).collect();
    let record = DeviceList { schema: 1, devices: rows };
    console.result(&record, &[record.table()])?;
    Ok(Exit::Done)
}

fn device_row(profile: &Profile) -> DeviceRow {
    let hardware = &profile.hardware;
    let best = hardware.bandwidth.values().max_by(|a, b| a.value.total_cmp(&b.value));
    DeviceRow {
        id: profile.id.clone(),
        name: profile.name.clone(),
        cores: hardware
            .clusters
            .iter()
            .map(|c| format!("{}x {}", c.count, c.core))
            .collect::<Vec<_>>()
            .join(" + "),
        memory_gib: hardware.memory.value,
        bandwidth: best.map_or(hardware.specified_bandwidth.value, |best| best.value),
        basis: match best.map(|best| best.basis) {
            Some(Basis::Measured) => "measured",
            _ => "derived",
        },
        runtimes: profile.runtimes.iter().map(|runtime| runtime.name.clone()).collect(),
    }
}

fn check(files: &[PathBuf], console: &Console) -> anyhow::Result<Exit> {
    let mut checked = Vec::new();
    for path in files {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ProfileError::Unreadable { file: file.clone(), source })?;
        let profile = Profile::from_yaml(&file, &text)?;
        checked.push(device_row(&profile));
    }
    let record = Checked { schema: 1, valid: checked };
    console.result(&record, &[record.table()])?;
    Ok(Exit::Done)
}

fn known_simd(found: &str) -> Result<Simd, ProfilesError> {
    serde_json::from_value(found.into()).map_err(|_| ProfilesError::UnknownSimd { found: found.to_owned() })
}

/// Which devices can run which models, and what the others lack.
fn matches(
    models: &[String],
    profiles: &[String],
    context: usize,
    declared: &Needs,
    by: MatchBy,
    console: &Console,
) -> anyhow::Result<Exit> {
    let profiles = if profiles.is_empty() { library::all()? } else { load_profiles(profiles)? };
    let mut rows = Vec::new();
    for name in models {
        let model = CostModel::open_as_stored(name, console)?;
        let workload = model.workload(None)?;
        let context = context.min(model.context_length());
        let usage = Usage { context, prompt: 256, cache: CacheType::F16, threads: None, loaded: false };
        for profile in &profiles {
            let runtime = profile.runtime(declared.runtime.as_deref()).or_else(|| profile.runtime(None));
            let Some(runtime) = runtime else { continue };
            let estimate = estimate(profile, runtime, &workload, &usage);
            let mut needs = Needs {
                memory: estimate.memory.total() as u64,
                storage: estimate.file_bytes,
                ..declared.clone()
            };
            needs.modalities.extend(model.modalities());
            needs.modalities.sort_unstable();
            needs.modalities.dedup();
            let lacks: Vec<String> = needs.lacks(profile).iter().map(ToString::to_string).collect();
            rows.push(MatchRow {
                model: model.name.clone(),
                profile: profile.id.clone(),
                runs: lacks.is_empty(),
                lacks,
                memory_bytes: needs.memory,
                file_bytes: needs.storage,
                decode_tokens_per_second: estimate.decode,
            });
        }
    }
    if by == MatchBy::Device {
        // stable: models stay in the order in which they were named
        rows.sort_by(|a, b| a.profile.cmp(&b.profile));
    }
    let by_device = by == MatchBy::Device;
    let record = Matches { schema: 1, context, by_device, rows };
    console.result(&record, &[record.table()])?;
    Ok(Exit::Done)
}

impl From<ModalityArgument> for Modality {
    fn from(argument: ModalityArgument) -> Self {
        match argument {
            ModalityArgument::Text => Self::Text,
            ModalityArgument::Image => Self::Image,
            ModalityArgument::Audio => Self::Audio,
        }
    }
}

fn read_table(path: &Path) -> Result<Vec<Measurement>, ProfilesError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ProfilesError::Unreadable { path: path.to_owned(), source })?;
    measurement::read(&text).map_err(|source| ProfilesError::Table { path: path.to_owned(), source })
}

/// A profile of a device that somebody measured, near what its kind lets expect.
fn fit(table: &Path, id: &str, memory: f64, out: Option<&Path>, console: &Console) -> anyhow::Result<Exit> {
    let measurements = read_table(table)?;
    let rows: Vec<Row> = measurements.iter().filter_map(Row::new).collect();
    let first = rows.first().ok_or_else(|| ProfilesError::NoRows { path: table.to_owned() })?;
    let mut devices: Vec<&str> = rows.iter().map(|row| row.device.as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    if devices.len() > 1 {
        return Err(ProfilesError::ManyDevices { path: table.to_owned(), found: devices.len() }.into());
    }
    let published = published_rows()?;
    let all: Vec<&Row> = published.iter().filter(|row| row.device != first.device).chain(&rows).collect();
    let experience = Experience::of(&all);
    let chip = Chip::of_name(&first.chip)
        .or_else(|| Chip::of_name(""))
        .context("no chip stands for unknown ones")?;
    let mut sources: Vec<String> = measurements.iter().map(|row| row.source_url.clone()).collect();
    sources.sort_unstable();
    sources.dedup();
    let about = Description {
        id: id.to_owned(),
        name: first.device.clone(),
        device: first.device.clone(),
        backend: measurements.first().map(|row| row.backend.clone()).unwrap_or_default(),
        memory,
        usable_memory: memory * 0.9,
        storage: None,
        // nobody said: as much as it has memory
        free_storage: memory,
        power: None,
        inputs: vec![Modality::Text],
        source: if chip.name.is_empty() {
            "unknown chip: taken for an average phone".into()
        } else {
            "profiles/data/chips.tsv".into()
        },
        chip,
        measured_in: sources,
    };
    let own: Vec<f64> =
        rows.iter().map(|row| (experience.predict(row).seconds / row.seconds - 1.0).abs() * 100.0).collect();
    let error = ExpectedError {
        unseen_decode: median(own.clone()),
        unseen_prefill: median(own),
        ..ExpectedError::default()
    };
    let profile = profile(&about, &experience, error).context("the table's chip has no such processor")?;
    write_or_print(&profile, out, console)?;
    Ok(Exit::Done)
}

fn read_report(path: &Path) -> Result<Vec<Measurement>, ProfilesError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ProfilesError::Unreadable { path: path.to_owned(), source })?;
    read_bench(&text).map_err(|source| ProfilesError::Bench { path: path.to_owned(), source })
}

/// What llama-bench measures here; nothing if it is not there or no model was given.
fn bench_here(
    models: &[PathBuf],
    program: Option<&Path>,
    console: &Console,
) -> anyhow::Result<Vec<Measurement>> {
    let program = program.map(Path::to_owned).or_else(llama_bench::on_path);
    let Some(program) = program else {
        console.note("there is no llama-bench on PATH: the runtime follows from our own kernels");
        return Ok(Vec::new());
    };
    if models.is_empty() {
        console.note("no --model for llama-bench: the runtime follows from our own kernels");
        return Ok(Vec::new());
    }
    console.note(&format!("running {}", program.display()));
    let mut rows = Vec::new();
    for report in llama_bench::reports(&program, models, threads_here())? {
        let read = read_bench(&report);
        rows.extend(read.map_err(|source| ProfilesError::Bench { path: program.clone(), source })?);
    }
    Ok(rows)
}

fn threads_here() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A profile of this machine.
fn calibrate(rows: &[Measurement], id: &str, out: Option<&Path>, console: &Console) -> anyhow::Result<Exit> {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let machine = detect(&text("/proc/cpuinfo"), &text("/proc/meminfo"), threads_here());
    let speeds = read_speeds(threads_here());
    for speed in &speeds {
        console.note(&format!("{} threads read {:.1} GB/s", speed.threads, speed.gigabytes_per_second));
    }
    let rate = vector_rate();
    console.note(&format!("a core does {rate:.1} billion vector operations of 128 bits per second"));
    let calibrated = measure::calibrate(&machine, &speeds, rate, rows, id)?;
    match calibrated.error {
        Some(error) => console.note(&format!(
            "fitted to {} speeds of llama-bench, median error {}",
            calibrated.rows,
            secateur_reports::units::percent(error)
        )),
        None => console.note("no speed of a runtime was measured: they are marked `derived`"),
    }
    write_or_print(&calibrated.profile, out, console)?;
    Ok(Exit::Done)
}

fn write_or_print(profile: &Profile, out: Option<&Path>, console: &Console) -> anyhow::Result<()> {
    let Some(path) = out else { return console.document(profile) };
    let text = serde_saphyr::to_string(profile)?;
    write_file(path, text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))?;
    console.note(&format!("wrote {}", path.display()));
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn published_rows() -> Result<Vec<Row>, MeasurementError> {
    Ok(measurement::read(measurement::PUBLISHED)?.iter().filter_map(Row::new).collect())
}

/// Predicts the rows of a table from what the published measurements taught.
fn score(table: &Path, unseen: bool, console: &Console) -> anyhow::Result<Exit> {
    let measurements = read_table(table)?;
    let rows: Vec<Row> = measurements.iter().filter_map(Row::new).collect();
    if rows.is_empty() {
        return Err(ProfilesError::NoRows { path: table.to_owned() }.into());
    }
    let published = published_rows()?;
    let known: Vec<&Row> = published.iter().collect();
    let experience = if unseen { Experience::common(&known) } else { Experience::of(&known) };
    let errors = rows.iter().map(|row| {
        let is_seen = published.iter().any(|seen| seen.is_same_measurement(row));
        let experiment = match (is_seen, experience.predict(row).is_fitted) {
            (true, _) => Experiment::Own,
            (false, true) => Experiment::RowLeftOut,
            (false, false) => Experiment::DeviceLeftOut,
        };
        error_of(experiment, row, &experience)
    });
    let score = Score { errors: errors.collect() };
    let record: FitReport = to_report(
        &report::groups(&score),
        &report::worst(&score, 12),
        rows.len(),
        measurements.len() - rows.len(),
    );
    console.result(&record, &record.tables())?;
    Ok(Exit::Done)
}
