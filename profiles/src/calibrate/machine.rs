//! What this machine is made of, as far as the system says.

use crate::chip::{Chip, CoreCluster, Instructions};
use crate::fit::Kind;

/// This machine.
#[derive(Debug, Clone, PartialEq)]
pub struct ThisMachine {
    /// Its processor, in the system's words.
    pub name: String,
    /// Its cores; the bandwidth is not known yet.
    pub chip: Chip,
    /// Memory in GiB.
    pub memory: f64,
    /// What is free of it, in GiB.
    pub usable_memory: f64,
}

impl ThisMachine {
    /// Which devices it resembles.
    pub fn kind(&self) -> Kind {
        match self.chip.clusters.first().map(|cluster| cluster.instructions) {
            Some(Instructions::Avx2 | Instructions::Vnni | Instructions::Scalar) => Kind::X86Processor,
            _ if cfg!(target_vendor = "apple") => Kind::AppleProcessor,
            _ => Kind::ArmProcessor,
        }
    }
}

/// Asks the system. `cpuinfo` and `meminfo` are the texts of Linux's `/proc`; elsewhere they are empty and defaults hold.
pub fn detect(cpuinfo: &str, meminfo: &str, threads: usize) -> ThisMachine {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let flags = field("flags").or_else(|| field("Features")).unwrap_or_default();
    let has = |flag: &str| flags.split(' ').any(|word| word == flag);
    let (core, instructions, lanes) = if has("avx512_vnni") || has("avx_vnni") {
        ("x86 with VNNI", Instructions::Vnni, 5.0)
    } else if has("avx2") {
        ("x86 with AVX2", Instructions::Avx2, 4.0)
    } else if has("i8mm") {
        ("ARM with i8mm", Instructions::MatrixProduct, 3.0)
    } else if has("asimddp") || cfg!(target_vendor = "apple") {
        ("ARM with dot products", Instructions::DotProduct, 2.0)
    } else if cfg!(target_arch = "aarch64") {
        ("ARM", Instructions::Neon, 1.0)
    } else {
        ("a processor without vectors", Instructions::Scalar, 1.0)
    };
    let clock = field("cpu MHz")
        .and_then(|text| text.parse::<f64>().ok())
        .map_or(2.5, |megahertz| megahertz / 1000.0);
    let siblings = field("siblings").and_then(|text| text.parse::<f64>().ok());
    let cores = field("cpu cores").and_then(|text| text.parse::<f64>().ok());
    let per_core = siblings.zip(cores).map_or(1.0, |(siblings, cores)| (siblings / cores.max(1.0)).max(1.0));
    let count = ((threads as f64 / per_core).round() as usize).max(1);
    let cluster =
        CoreCluster { core: core.to_owned(), count, clock, lanes, reach: f64::INFINITY, instructions };
    let memory = |name: &str| {
        let line = meminfo.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0 / 1024.0)
    };
    let all = memory("MemTotal").unwrap_or(8.0);
    ThisMachine {
        name: field("model name").unwrap_or_else(|| "this machine".to_owned()),
        chip: Chip {
            name: "this machine".to_owned(),
            clusters: vec![cluster],
            bandwidth: 0.0,
            bandwidth_is_derived: false,
            source: None,
        },
        memory: all,
        usable_memory: memory("MemAvailable").unwrap_or(0.8 * all).clamp(0.05, all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_of_one_core_are_one_core() {
        let cpuinfo = "model name\t: Some CPU\ncpu MHz\t\t: 3000.0\nsiblings\t: 8\ncpu cores\t: 4\nflags\t\t: fma avx2 avx512_vnni\n";
        let machine = detect(cpuinfo, "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n", 8);
        let cluster = &machine.chip.clusters[0];
        assert_eq!((cluster.count, cluster.clock, cluster.instructions), (4, 3.0, Instructions::Vnni));
        assert_eq!((machine.memory, machine.usable_memory), (16.0, 8.0));
    }
}
