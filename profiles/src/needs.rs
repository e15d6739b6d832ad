//! What an artifact needs of a device, and what a device lacks of it (after "On-device Online Learning and Semantic Management of TinyML
//! Systems", where devices and models describe themselves and a query matches them).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::{Profile, Simd};

/// What goes into a model, or comes out of a device's sensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the words themselves
pub enum Modality {
    Text,
    Image,
    Audio,
}

impl Modality {
    /// As profiles write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::Audio => "audio",
        }
    }
}

/// What an artifact needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// Bytes of memory at the peak.
    pub memory: u64,
    /// Bytes of storage.
    pub storage: u64,
    /// Instructions that every core must have.
    pub simd: Option<Simd>,
    /// The runtime that it is made for, or the beginning of its name.
    pub runtime: Option<String>,
    /// What it is fed with.
    pub modalities: Vec<Modality>,
}

/// One need that a device does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// Bytes needed, and bytes that an app may use.
    Memory {
        /// At the peak.
        needed: u64,
        /// By the profile.
        there: u64,
    },
    /// Bytes needed, and bytes that are free.
    Storage {
        /// Size of the file.
        needed: u64,
        /// By the profile.
        there: u64,
    },
    /// Instructions that some core does not have.
    Simd {
        /// Asked for.
        needed: Simd,
        /// What that core has.
        there: Simd,
        /// The core.
        core: String,
    },
    /// No runtime of that name is known on the device.
    Runtime {
        /// Asked for.
        needed: String,
        /// Those of the profile.
        there: Vec<String>,
    },
    /// The device has no such sensor.
    Modality {
        /// Asked for.
        needed: Modality,
    },
}

impl Simd {
    /// True if a core with these instructions has the needed ones too.
    pub fn includes(self, needed: Self) -> bool {
        let ladders: [&[Self]; 3] = [
            &[Self::Scalar, Self::Neon, Self::Dotprod, Self::I8mm],
            &[Self::Scalar, Self::Avx2, Self::Vnni],
            &[Self::Gpu],
        ];
        let holds = |ladder: &[Self]| {
            let step = |simd: Self| ladder.iter().position(|of| *of == simd);
            step(self).zip(step(needed)).is_some_and(|(has, needs)| has >= needs)
        };
        self == needed || ladders.into_iter().any(holds)
    }

    /// As profiles write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::Dotprod => "dotprod",
            Self::I8mm => "i8mm",
            Self::Avx2 => "avx2",
            Self::Vnni => "vnni",
            Self::Gpu => "gpu",
            Self::Npu => "npu",
        }
    }
}

const GIB: f64 = 1_073_741_824.0;

impl Needs {
    /// Every need that the device does not meet; none if the artifact can run there.
    pub fn lacks(&self, profile: &Profile) -> Vec<Lack> {
        let hardware = &profile.hardware;
        let bytes = |gibibytes: f64| (gibibytes * GIB) as u64;
        let mut lacks = Vec::new();
        let memory = bytes(hardware.usable_memory.value);
        if self.memory > memory {
            lacks.push(Lack::Memory { needed: self.memory, there: memory });
        }
        let storage = bytes(hardware.free_storage.value);
        if self.storage > storage {
            lacks.push(Lack::Storage { needed: self.storage, there: storage });
        }
        if let Some(needed) = self.simd
            && let Some(cluster) = hardware.clusters.iter().find(|cluster| !cluster.simd.includes(needed))
        {
            lacks.push(Lack::Simd { needed, there: cluster.simd, core: cluster.core.clone() });
        }
        if let Some(needed) = &self.runtime
            && profile.runtime(Some(needed)).is_none()
        {
            let there = profile.runtimes.iter().map(|runtime| runtime.name.clone()).collect();
            lacks.push(Lack::Runtime { needed: needed.clone(), there });
        }
        let missing = self.modalities.iter().filter(|needed| !hardware.inputs.contains(needed));
        lacks.extend(missing.map(|&needed| Lack::Modality { needed }));
        lacks
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gibibytes = |bytes: &u64| *bytes as f64 / GIB;
        match self {
            Self::Memory { needed, there } => {
                write!(f, "memory: needs {:.2} GiB, has {:.2}", gibibytes(needed), gibibytes(there))
            }
            Self::Storage { needed, there } => {
                write!(f, "storage: needs {:.2} GiB, has {:.2} free", gibibytes(needed), gibibytes(there))
            }
            Self::Simd { needed, there, core } => {
                write!(f, "instructions: needs {}, {core} has {}", needed.name(), there.name())
            }
            Self::Runtime { needed, there } => {
                write!(f, "runtime: needs {needed}, has {}", there.join(", "))
            }
            Self::Modality { needed } => write!(f, "modality: no {} input", needed.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;

    #[test]
    fn later_instructions_include_earlier_ones_of_their_family() {
        assert!(Simd::I8mm.includes(Simd::Dotprod) && Simd::Vnni.includes(Simd::Avx2));
        assert!(!Simd::Dotprod.includes(Simd::I8mm) && !Simd::I8mm.includes(Simd::Avx2));
        assert!(!Simd::Gpu.includes(Simd::Neon) && Simd::Npu.includes(Simd::Npu));
    }

    #[test]
    fn every_need_that_is_not_met_is_told() {
        let board = library::find("raspberry-pi-zero-2-w").unwrap();
        let needs = Needs {
            memory: 1 << 30,
            storage: 1 << 45,
            simd: Some(Simd::I8mm),
            runtime: Some("mlx".to_owned()),
            modalities: vec![Modality::Text, Modality::Image],
        };
        let lacks: Vec<String> = needs.lacks(&board).iter().map(ToString::to_string).collect();
        let starts = [
            "memory: needs 1.00 GiB",
            "storage:",
            "instructions: needs i8mm",
            "runtime: needs mlx",
            "modality: no image",
        ];
        assert_eq!(lacks.len(), starts.len(), "{lacks:?}");
        assert!(lacks.iter().zip(starts).all(|(lack, start)| lack.starts_with(start)), "{lacks:?}");
        assert!(Needs::default().lacks(&board).is_empty());
    }
}
