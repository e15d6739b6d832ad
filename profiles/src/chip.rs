//! What is known of a chip from its specification: cores, clocks, vector units, memory.

const CHIPS: &str = include_str!("../data/chips.tsv");
const CORES: &str = include_str!("../data/cores.tsv");

/// Which instructions multiply small integers; kernels of one group behave alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Instructions {
    /// No vector instructions that runtimes use.
    Scalar,
    /// 128-bit NEON without dot products.
    Neon,
    /// NEON with dot products of bytes.
    DotProduct,
    /// NEON with dot and matrix products of bytes.
    MatrixProduct,
    /// 256-bit AVX2 without VNNI.
    Avx2,
    /// AVX-VNNI or AVX512-VNNI.
    Vnni,
    /// A graphics processor.
    Gpu,
    /// A neural processor.
    Npu,
}

impl Instructions {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "scalar" => Self::Scalar,
            "neon" => Self::Neon,
            "dotprod" => Self::DotProduct,
            "i8mm" => Self::MatrixProduct,
            "avx2" => Self::Avx2,
            "vnni" => Self::Vnni,
            _ => return None,
        })
    }

    /// As profiles name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::DotProduct => "dotprod",
            Self::MatrixProduct => "i8mm",
            Self::Avx2 => "avx2",
            Self::Vnni => "vnni",
            Self::Gpu => "gpu",
            Self::Npu => "npu",
        }
    }
}

/// Cores of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct CoreCluster {
    /// Microarchitecture, for example `cortex-a76`.
    pub core: String,
    /// How many.
    pub count: usize,
    /// Clock in GHz.
    pub clock: f64,
    /// Vector operations of 128 bits per cycle.
    pub lanes: f64,
    /// GB/s that all cores of the chip can reach for each of these cores.
    pub reach: f64,
    /// What they can do.
    pub instructions: Instructions,
}

impl CoreCluster {
    /// Vector operations of 128 bits per second, in billions.
    pub fn rate(&self) -> f64 {
        self.lanes * self.clock
    }
}

/// A chip by its specification.
#[derive(Debug, Clone, PartialEq)]
pub struct Chip {
    /// Its name.
    pub name: String,
    /// Fastest cores first.
    pub clusters: Vec<CoreCluster>,
    /// Theoretical memory bandwidth, GB/s.
    pub bandwidth: f64,
    /// The bandwidth follows from a published memory configuration; else from what such devices usually have.
    pub bandwidth_is_derived: bool,
    /// Address of a page with its cores and memory, if one was looked up for the chip alone.
    pub source: Option<String>,
}

impl Chip {
    /// The chip with this name. An unknown name gives an average phone.
    pub fn of_name(name: &str) -> Option<Self> {
        let row = CHIPS.lines().skip(1).find(|line| line.split('\t').next() == Some(name))?;
        let mut fields = row.split('\t').skip(1);
        let clusters = fields.next()?.split(' ').map(cluster).collect::<Option<Vec<_>>>()?;
        let bandwidth = fields.next()?.parse().ok()?;
        let bandwidth_is_derived = fields.next()? == "derived";
        let source = fields.next().filter(|address| !address.is_empty()).map(ToOwned::to_owned);
        Some(Self { name: name.to_owned(), clusters, bandwidth, bandwidth_is_derived, source })
    }

    /// Names of all known chips.
    pub fn names() -> impl Iterator<Item = &'static str> {
        CHIPS.lines().skip(1).filter_map(|line| line.split('\t').next()).filter(|name| !name.is_empty())
    }

    /// GB/s that the processor cores can draw, by the specification: the memory's, or what the cores' own paths carry.
    pub fn processor_bandwidth(&self) -> f64 {
        let reach: f64 = self.clusters.iter().map(|cluster| cluster.reach * cluster.count as f64).sum();
        self.bandwidth.min(reach)
    }
}

/// `4x cortex-a76@2.4`, with the space left out.
fn cluster(text: &str) -> Option<CoreCluster> {
    let (count, rest) = text.split_once('x')?;
    let (core, clock) = rest.split_once('@')?;
    let row = CORES.lines().skip(1).find(|line| line.split('\t').next() == Some(core))?;
    let mut fields = row.split('\t').skip(1);
    let instructions = Instructions::from_name(fields.next()?)?;
    let (lanes, reach) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let (count, clock) = (count.parse().ok()?, clock.parse().ok()?);
    Some(CoreCluster { core: core.to_owned(), count, clock, lanes, reach, instructions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chip_of_the_table_can_be_read() {
        for name in Chip::names() {
            assert!(Chip::of_name(name).is_some(), "{name}");
        }
    }
}
