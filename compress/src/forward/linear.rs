//! Linear layers: the only part of the pass that may leave the processor.

use candle_core::{CpuStorage, Device, Result, Storage, Tensor};

/// One or several linear layers that read the same input, stacked.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `[out_features, in_features]`
    weight: Tensor,
    /// `[out_features]`
    bias: Option<Tensor>,
    in_features: usize,
}

impl Linear {
    /// `weight` is `[out_features, in_features]`, `bias` is `[out_features]`.
    pub fn new(
        weight: Vec<f32>,
        bias: Option<Vec<f32>>,
        in_features: usize,
        device: &Device,
    ) -> Result<Self> {
        let out_features = weight.len() / in_features;
        Ok(Self {
            weight: Tensor::from_vec(weight, (out_features, in_features), &Device::Cpu)?.to_device(device)?,
            bias: bias.map(|bias| Tensor::from_vec(bias, out_features, device)).transpose()?,
            in_features,
        })
    }

    /// Other weights, `[out_features, in_features]`; the bias stays.
    pub fn replace_weight(&mut self, weight: Vec<f32>) -> Result<()> {
        let device = self.weight.device().clone();
        self.weight = Tensor::from_vec(weight, self.weight.shape(), &Device::Cpu)?.to_device(&device)?;
        Ok(())
    }

    /// `input` is `[tokens, in_features]`; gives `[tokens, out_features]` on the processor.
    pub fn apply(&self, input: Vec<f32>) -> Result<Tensor> {
        let tokens = input.len() / self.in_features;
        let input = Tensor::from_vec(input, (tokens, self.in_features), &Device::Cpu)?;
        let product = input.to_device(self.weight.device())?.matmul(&self.weight.t()?)?;
        let sum = match &self.bias {
            Some(bias) => product.broadcast_add(bias)?,
            None => product,
        };
        sum.to_device(&Device::Cpu)
    }

    /// From the gradient at what [`apply`](Self::apply) gives, `[tokens, out_features]`, to that at its input,
    /// `[tokens, in_features]`, on the processor.
    pub fn back(&self, gradient: Vec<f32>) -> Result<Tensor> {
        let out_features = self.weight.dim(0)?;
        let tokens = gradient.len() / out_features;
        let gradient = Tensor::from_vec(gradient, (tokens, out_features), &Device::Cpu)?;
        gradient.to_device(self.weight.device())?.matmul(&self.weight)?.to_device(&Device::Cpu)
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
