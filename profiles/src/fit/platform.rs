//! A device and its runtime as the fit sees them: what the specification says, in the units of the formulas.

use crate::chip::{Chip, Instructions};
use crate::cost::effective_cores;
use crate::measurement::Measurement;

/// Devices whose constants are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Processor cores of Apple chips.
    AppleProcessor,
    /// Other ARM and RISC-V processors.
    ArmProcessor,
    /// Intel and AMD processors.
    X86Processor,
    /// Graphics of Apple chips.
    AppleGraphics,
    /// Other graphics.
    OtherGraphics,
    /// Neural processors.
    Neural,
}

/// What a specification says of the processor that was used.
#[derive(Debug, Clone, PartialEq)]
pub struct Platform {
    /// Which constants it shares with others.
    pub kind: Kind,
    /// Which kernels run on it.
    pub instructions: Instructions,
    /// Cores and their speed relative to the fastest, fastest first.
    pub clusters: Vec<(usize, f64)>,
    /// Vector operations per second of the fastest core, in billions.
    pub rate: f64,
    /// GB/s by the specification.
    pub bandwidth: f64,
    /// Threads that a runtime takes when nobody says.
    pub threads: usize,
}

impl Platform {
    /// The platform of a measurement, from the chip's specification. A chip that is not known counts as an average phone.
    pub fn of(row: &Measurement) -> Option<Self> {
        let chip = Chip::of_name(&row.soc).or_else(|| Chip::of_name(""))?;
        Self::new(&chip, &row.device, &row.backend, &row.engine)
    }

    /// The platform of a chip in a device; `backend` is `CPU`, `GPU` or `NPU`, empty for what the engine says.
    pub fn new(chip: &Chip, device: &str, backend: &str, engine: &str) -> Option<Self> {
        let apple = chip.name.starts_with("Apple");
        let metal = engine.contains("Metal") || engine.contains("GPU") || engine.contains("mlx");
        match backend {
            "GPU" => Some(Self::graphics(chip, device, apple)),
            "" if metal || engine.contains("Vulkan") => Some(Self::graphics(chip, device, apple)),
            "NPU" => Some(Self::single(Kind::Neural, Instructions::Npu, 1.0, chip.bandwidth)),
            _ => Self::processor(chip, engine, apple),
        }
    }

    fn single(kind: Kind, instructions: Instructions, rate: f64, bandwidth: f64) -> Self {
        Self { kind, instructions, clusters: vec![(1, 1.0)], rate, bandwidth, threads: 1 }
    }

    fn graphics(chip: &Chip, device: &str, apple: bool) -> Self {
        if !apple {
            // arithmetic grows with the memory that feeds it
            return Self::single(
                Kind::OtherGraphics,
                Instructions::Gpu,
                chip.bandwidth / 8.0,
                chip.bandwidth,
            );
        }
        let cores = graphics_cores(&chip.name, device);
        let bandwidth = match (chip.name.as_str(), cores) {
            ("Apple M3 Max", 30) => 300.0,
            ("Apple M4 Max", 32) => 410.0,
            _ => chip.bandwidth,
        };
        Self {
            kind: Kind::AppleGraphics,
            instructions: Instructions::Gpu,
            clusters: vec![(cores, 1.0)],
            rate: 1.0,
            bandwidth,
            threads: cores,
        }
    }

    fn processor(chip: &Chip, engine: &str, apple: bool) -> Option<Self> {
        // some measurements bind all threads to the small cores
        let skipped = usize::from(engine.contains("E-cores"));
        let used = chip.clusters.get(skipped..).filter(|clusters| !clusters.is_empty())?;
        let first = used.first()?;
        let clusters: Vec<_> =
            used.iter().map(|cluster| (cluster.count, cluster.rate() / first.rate())).collect();
        let threads = clusters.iter().filter(|(_, speed)| *speed >= 0.55).map(|(count, _)| count).sum();
        let x86 = matches!(first.instructions, Instructions::Avx2 | Instructions::Vnni)
            || first.core.starts_with("core2");
        Some(Self {
            kind: match (apple, x86) {
                (true, _) => Kind::AppleProcessor,
                (false, true) => Kind::X86Processor,
                (false, false) => Kind::ArmProcessor,
            },
            instructions: first.instructions,
            clusters,
            rate: first.rate(),
            bandwidth: chip.processor_bandwidth(),
            threads,
        })
    }

    /// True for processors, where the number of threads matters.
    pub fn is_processor(&self) -> bool {
        matches!(self.kind, Kind::AppleProcessor | Kind::ArmProcessor | Kind::X86Processor)
    }

    /// All cores.
    pub fn cores(&self) -> usize {
        self.clusters.iter().map(|(count, _)| count).sum()
    }

    /// The threads of a run, where they are known.
    pub fn threads_or(&self, threads: Option<usize>) -> usize {
        if self.is_processor() { threads.unwrap_or(self.threads) } else { self.threads }
    }

    /// Billions of vector operations per second of this many threads together.
    pub fn rate_of(&self, threads: usize) -> f64 {
        self.rate * effective_cores(&self.clusters, threads)
    }
}

/// `(19-core GPU)` or `76-core` in a device's name, else the chip's full number.
fn graphics_cores(chip: &str, device: &str) -> usize {
    let stated = device.split(['(', ' ']).find_map(|word| word.strip_suffix("-core")?.parse().ok());
    let full = match chip {
        "Apple M1" => 8,
        "Apple M1 Pro" => 16,
        "Apple M1 Max" => 32,
        "Apple M1 Ultra" => 64,
        "Apple M2 Pro" => 19,
        "Apple M2 Max" => 38,
        "Apple M2 Ultra" => 76,
        "Apple M3 Pro" => 18,
        "Apple M3 Max" | "Apple M4 Max" | "Apple M5 Max" => 40,
        "Apple M3 Ultra" => 80,
        "Apple M4 Pro" => 20,
        "Apple A17 Pro" | "Apple A19 Pro" => 6,
        _ => 10,
    };
    match stated {
        Some(cores) if device.contains("GPU") && !device.contains("core CPU") => cores,
        _ => full,
    }
}

/// Runtimes whose kernels are alike: the project, and for llama.cpp the time of the build.
pub fn engine_class(engine: &str) -> &'static str {
    let name = engine.to_ascii_lowercase();
    let known = [
        ("ik_llama", "ik_llama.cpp"),
        ("llamafile", "llamafile"),
        ("t-mac", "t-mac"),
        ("smallthinker fork", "powerinfer"),
        ("powerinfer-2", "powerinfer"),
        ("executorch", "executorch"),
        ("mediapipe", "litert"),
        ("litert", "litert"),
        ("onnx", "onnxruntime"),
        ("mlx", "mlx"),
        ("rknn", "rknn"),
        ("coreml", "coreml"),
        ("core-ai", "coreml"),
        ("cactus", "cactus"),
        ("mnn", "mnn"),
        ("transformer-lite", "mnn"),
        ("nanocamelid", "nanocamelid"),
        ("mlc", "mlc"),
        ("ollama", "llama.cpp"),
    ];
    if let Some((_, class)) = known.into_iter().find(|(part, _)| name.contains(part)) {
        return class;
    }
    if !name.contains("llama") && !name.contains("lm studio") {
        return "other";
    }
    let build = name.split([' ', '[']).find_map(|word| word.strip_prefix('b')?.parse::<u32>().ok());
    match build {
        Some(..2000) => return "llama.cpp 2023",
        Some(2000..4700) => return "llama.cpp 2024",
        Some(_) => return "llama.cpp",
        None => {}
    }
    if name.contains("2023") {
        "llama.cpp 2023"
    } else if name.contains("2024") || name.contains("leaderboard") {
        "llama.cpp 2024"
    } else {
        "llama.cpp"
    }
}

/// The runtime build that a row names, without the remarks behind it.
pub fn runtime_name(engine: &str) -> String {
    let name = engine.split(" [").next().unwrap_or(engine).trim();
    let pinned = if engine.contains("E-cores") { " on small cores" } else { "" };
    format!("{name}{pinned}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_of_one_time_are_one_class() {
        assert_eq!(engine_class("llama.cpp b3441 [CPU]"), "llama.cpp 2024");
        assert_eq!(engine_class("llama.cpp b10154 [CPU]"), "llama.cpp");
        assert_eq!(engine_class("llama.cpp 2023 [CPU]"), "llama.cpp 2023");
        assert_eq!(engine_class("ik_llama.cpp 2024-12 -rtr [CPU]"), "ik_llama.cpp");
        assert_eq!(engine_class("llama.cpp 8e672ef+ [Metal GPU]"), "llama.cpp");
    }

    #[test]
    fn graphics_cores_are_read_from_the_name() {
        assert_eq!(graphics_cores("Apple M2 Pro", "Mac mini M2 Pro 19-core (GPU)"), 19);
        assert_eq!(graphics_cores("Apple M3 Max", "Apple M3 Max (30-core GPU)"), 30);
        assert_eq!(graphics_cores("Apple M4 Max", "Mac M4 Max"), 40);
    }
}
