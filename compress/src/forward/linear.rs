//! Linear layers: the only part of the pass that may leave the processor.

#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

use candle_core::{CpuStorage, Device, Result, Storage, Tensor};

#[cfg(target_arch = "x86_64")]
use super::panels::Panels;

/// One or several linear layers that read the same input, stacked.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Weight,
    /// `[out_features]`
    bias: Option<Vec<f32>>,
    in_features: usize,
    device: Device,
}

/// A matrix where its products are made.
#[derive(Debug)]
enum Weight {
    /// On any device, `[out_features, in_features]`.
    Tensor(Tensor),
    /// On a processor whose instructions are known here; `plain` is the same for [`Linear::back`], made when it is first asked for.
    #[cfg(target_arch = "x86_64")]
    Panels { panels: Panels, plain: OnceLock<Tensor> },
}

impl Weight {
    /// `weight` is `[out_features, in_features]`.
    fn new(weight: Vec<f32>, in_features: usize, device: &Device) -> Result<Self> {
        // who builds with one of these libraries wants its products
        #[cfg(target_arch = "x86_64")]
        if !cfg!(any(feature = "mkl", feature = "accelerate"))
            && let Device::Cpu = device
            && let Some(panels) = Panels::new(&weight, in_features)
        {
            return Ok(Self::Panels { panels, plain: OnceLock::new() });
        }
        let shape = (weight.len() / in_features, in_features);
        Ok(Self::Tensor(Tensor::from_vec(weight, shape, &Device::Cpu)?.to_device(device)?))
    }
}

impl Linear {
    /// `weight` is `[out_features, in_features]`, `bias` is `[out_features]`.
    pub fn new(
        weight: Vec<f32>,
        bias: Option<Vec<f32>>,
        in_features: usize,
        device: &Device,
    ) -> Result<Self> {
        let weight = Weight::new(weight, in_features, device)?;
        Ok(Self { weight, bias, in_features, device: device.clone() })
    }

    /// Other weights, `[out_features, in_features]`; the bias stays.
    pub fn replace_weight(&mut self, weight: Vec<f32>) -> Result<()> {
        self.weight = Weight::new(weight, self.in_features, &self.device)?;
        Ok(())
    }

    /// `input` is `[tokens, in_features]`; gives `[tokens, out_features]` on the processor.
    pub fn apply(&self, input: Vec<f32>) -> Result<Tensor> {
        let tokens = input.len() / self.in_features;
        match &self.weight {
            Weight::Tensor(weight) => {
                let input = Tensor::from_vec(input, (tokens, self.in_features), &Device::Cpu)?;
                let product = input.to_device(&self.device)?.matmul(&weight.t()?)?;
                let sum = match &self.bias {
                    Some(bias) => {
                        product.broadcast_add(&Tensor::from_slice(bias, bias.len(), &self.device)?)?
                    }
                    None => product,
                };
                sum.to_device(&Device::Cpu)
            }
            #[cfg(target_arch = "x86_64")]
            Weight::Panels { panels, .. } => {
                let product = panels.product(&input, self.bias.as_deref());
                Tensor::from_vec(product, (tokens, panels.out_features()), &Device::Cpu)
            }
        }
    }

    /// From the gradient at what [`apply`](Self::apply) gives, `[tokens, out_features]`, to that at its input,
    /// `[tokens, in_features]`, on the processor.
    pub fn back(&self, gradient: Vec<f32>) -> Result<Tensor> {
        let weight = self.plain_weight()?;
        let out_features = weight.dim(0)?;
        let tokens = gradient.len() / out_features;
        let gradient = Tensor::from_vec(gradient, (tokens, out_features), &Device::Cpu)?;
        gradient.to_device(&self.device)?.matmul(&weight)?.to_device(&Device::Cpu)
    }

    /// `[out_features, in_features]`
    fn plain_weight(&self) -> Result<Tensor> {
        match &self.weight {
            Weight::Tensor(weight) => Ok(weight.clone()),
            #[cfg(target_arch = "x86_64")]
            Weight::Panels { panels, plain } => {
                if let Some(weight) = plain.get() {
                    return Ok(weight.clone());
                }
                let shape = (panels.out_features(), self.in_features);
                let weight = Tensor::from_vec(panels.unpacked(), shape, &Device::Cpu)?;
                Ok(plain.get_or_init(|| weight).clone())
            }
        }
    }
}

/// Hands the numbers of a whole `f32` tensor on the processor to `work`, without a copy.
pub(crate) fn with_values<T>(tensor: &Tensor, work: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => Ok(work(&values[start..end])),
        _ => Err(candle_core::Error::RequiresContiguous { op: "with_values" }),
    }
}
