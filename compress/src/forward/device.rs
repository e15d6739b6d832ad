//! Where the matrix products run.

use candle_core::{Device, Result};

/// The device that the program was built for: feature `cuda`, else `metal`, else the processor.
pub(super) fn device() -> Result<Device> {
    if cfg!(feature = "cuda") {
        Device::new_cuda(0)
    } else if cfg!(feature = "metal") {
        Device::new_metal(0)
    } else {
        Ok(Device::Cpu)
    }
}
