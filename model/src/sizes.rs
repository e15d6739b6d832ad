//! From the numbers in a config or a header to a [`ModelSpec`], and back.
//!
//! Both sources speak through [`KeySource`]; the family's table says which key means what.

use crate::family::{FamilyTable, Field, KeyRow};
use crate::spec::{
    AttentionSpec, FeedForward, GatedSpec, LayerSpec, Mixer, ModelSpec, RopeScaling, RopeSpec,
};

/// Upper bounds that no real model reaches; they keep a lying header from asking for absurd work.
const MAX_LAYERS: usize = 4096;
const MAX_SIZE: u64 = 1 << 31;

/// Why a config or a header does not describe a model that we know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A family that has no table.
    #[error("architecture `{found}` is not known; known are: {known}")]
    UnknownArchitecture {
        /// What the file says.
        found: String,
        /// What it could say.
        known: String,
    },
    /// A number that has no default is missing.
    #[error("`{key}` is missing")]
    MissingKey {
        /// The key as the file would name it.
        key: String,
    },
    /// A value of the wrong kind or outside its range.
    #[error("`{key}` is {found}, expected {expected}")]
    BadValue {
        /// The key as the file names it.
        key: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Something that changes what the model computes and that we do not know how to do.
    #[error("`{key}` asks for {found}, which is not supported")]
    Unsupported {
        /// The key as the file names it.
        key: String,
        /// What it asks for.
        found: String,
    },
}

/// Where the numbers come from: a config.json or GGUF metadata.
pub(crate) trait KeySource {
    /// The key as this source names it.
    fn name(&self, row: &KeyRow) -> String;
    /// One integer, or one per layer; `None` if the key is not there.
    fn integers(&self, row: &KeyRow) -> Result<Option<Vec<u64>>, SpecError>;
    /// One number; `None` if the key is not there.
    fn number(&self, row: &KeyRow) -> Result<Option<f64>, SpecError>;
}

/// What the sources tell each in its own way.
pub(crate) struct Particulars {
    pub vocabulary_size: Option<usize>,
    pub tied_embeddings: bool,
    pub qkv_bias: bool,
    pub output_bias: bool,
    pub ffn_bias: bool,
    pub rope_scaling: RopeScaling,
    /// Which layers see a window only; `None`: the family's habit.
    pub windowed_layers: Option<Vec<bool>>,
    /// The source says that the window is not used.
    pub window_off: bool,
}

/// Reads the sizes through the family's table and builds the spec.
pub(crate) fn build_spec(
    table: &FamilyTable,
    source: &dyn KeySource,
    particulars: &Particulars,
) -> Result<ModelSpec, SpecError> {
    let reader = Reader { table, source };
    let layer_count = reader.required_size(Field::LayerCount)?;
    if layer_count > MAX_LAYERS {
        return Err(reader.bad(Field::LayerCount, &format!("at most {MAX_LAYERS}"), layer_count));
    }
    let hidden_size = reader.required_size(Field::HiddenSize)?;
    let heads = reader.per_layer(Field::Heads, layer_count)?;
    let heads = heads.ok_or_else(|| reader.missing(Field::Heads))?;
    let kv_heads = reader.per_layer(Field::KvHeads, layer_count)?.unwrap_or_else(|| heads.clone());
    let widths = reader.per_layer(Field::FfnWidth, layer_count)?;
    let widths = widths.ok_or_else(|| reader.missing(Field::FfnWidth))?;
    let head_size = reader.head_size(hidden_size, heads[0])?;
    let rope_theta = reader.number(Field::RopeTheta)?.unwrap_or(10_000.0) as f32;
    let local_theta = reader.number(Field::LocalRopeTheta)?.map(|theta| theta as f32);
    let local_theta = local_theta.or(table.habits.local_rope_theta).unwrap_or(rope_theta);
    let window = reader.size(Field::Window)?.filter(|_| !particulars.window_off);
    let scale_base = reader.number(Field::AttentionScaleBase)?.unwrap_or(head_size as f64);

    if let Some(cap) = reader.number(Field::AttentionLogitSoftcap)? {
        // transformers and llama.cpp read past it in these families, so nobody can say what the model computes
        let found = format!("attention scores capped at {cap}");
        return Err(SpecError::Unsupported { key: reader.key_name(Field::AttentionLogitSoftcap), found });
    }

    let mut layers = Vec::with_capacity(layer_count);
    for layer in 0..layer_count {
        let windowed = match &particulars.windowed_layers {
            Some(layers) => layers.get(layer).copied().unwrap_or(false),
            None => table.habits.global_every == 0 || (layer + 1) % table.habits.global_every != 0,
        };
        let window = window.filter(|_| windowed);
        let local = table.habits.global_every != 0 && windowed;
        let attention = AttentionSpec {
            heads: heads[layer],
            kv_heads: kv_heads[layer],
            head_size,
            qkv_bias: particulars.qkv_bias,
            output_bias: particulars.output_bias,
            query_key_norm: table.habits.query_key_norm,
            scale: (1.0 / scale_base.sqrt()) as f32,
            logit_softcap: None,
            window,
            rope: RopeSpec {
                theta: if local { local_theta } else { rope_theta },
                // stretching is for the layers that see the whole context
                scaling: if local { RopeScaling::None } else { particulars.rope_scaling.clone() },
            },
        };
        if attention.heads == 0
            || attention.kv_heads == 0
            || !attention.heads.is_multiple_of(attention.kv_heads)
        {
            let expected = format!("a divisor of the {} query heads", attention.heads);
            return Err(reader.bad(Field::KvHeads, &expected, attention.kv_heads));
        }
        layers.push(LayerSpec {
            mixer: Mixer::Attention(attention),
            feed_forward: FeedForward::Gated(GatedSpec {
                width: widths[layer],
                activation: table.habits.activation,
                bias: particulars.ffn_bias,
            }),
            post_norms: table.habits.post_norms,
        });
    }
    let vocabulary_size = match particulars.vocabulary_size {
        Some(size) => size,
        None => reader.required_size(Field::VocabularySize)?,
    };
    Ok(ModelSpec {
        family: table.family,
        hidden_size,
        vocabulary_size,
        context_length: reader.size(Field::ContextLength)?.unwrap_or(2048),
        norm_epsilon: reader.number(Field::NormEpsilon)?.unwrap_or(1e-6) as f32,
        tied_embeddings: particulars.tied_embeddings,
        embedding_scale: if table.habits.scaled_embedding { (hidden_size as f32).sqrt() } else { 1.0 },
        final_logit_softcap: reader.number(Field::FinalLogitSoftcap)?.map(|cap| cap as f32),
        layers,
    })
}

struct Reader<'a> {
    table: &'a FamilyTable,
    source: &'a dyn KeySource,
}

impl Reader<'_> {
    fn row(&self, field: Field) -> Option<&KeyRow> {
        self.table.keys.iter().find(|row| row.field == field)
    }

    fn key_name(&self, field: Field) -> String {
        self.row(field).map_or_else(|| format!("{field:?}"), |row| self.source.name(row))
    }

    fn missing(&self, field: Field) -> SpecError {
        SpecError::MissingKey { key: self.key_name(field) }
    }

    fn bad(&self, field: Field, expected: &str, found: impl std::fmt::Display) -> SpecError {
        SpecError::BadValue {
            key: self.key_name(field),
            expected: expected.to_owned(),
            found: found.to_string(),
        }
    }

    fn checked(&self, field: Field, value: u64) -> Result<usize, SpecError> {
        if value == 0 || value > MAX_SIZE {
            return Err(self.bad(field, "a positive size", value));
        }
        Ok(value as usize)
    }

    /// One value per layer, all positive.
    fn per_layer(&self, field: Field, layers: usize) -> Result<Option<Vec<usize>>, SpecError> {
        let Some(row) = self.row(field) else { return Ok(None) };
        let Some(values) = self.source.integers(row)? else { return Ok(None) };
        if values.len() != 1 && values.len() != layers {
            let expected = format!("one value, or one for each of {layers} layers");
            return Err(self.bad(field, &expected, format!("{} values", values.len())));
        }
        (0..layers)
            .map(|layer| self.checked(field, values[layer % values.len()]))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    fn size(&self, field: Field) -> Result<Option<usize>, SpecError> {
        let Some(row) = self.row(field) else { return Ok(None) };
        match self.source.integers(row)?.as_deref() {
            None => Ok(None),
            Some([value]) => self.checked(field, *value).map(Some),
            Some(values) => Err(self.bad(field, "one value", format!("{} values", values.len()))),
        }
    }

    fn required_size(&self, field: Field) -> Result<usize, SpecError> {
        self.size(field)?.ok_or_else(|| self.missing(field))
    }

    fn number(&self, field: Field) -> Result<Option<f64>, SpecError> {
        let Some(row) = self.row(field) else { return Ok(None) };
        let value = self.source.number(row)?;
        match value {
            Some(value) if !(value.is_finite() && value > 0.0) => {
                Err(self.bad(field, "a positive number", value))
            }
            value => Ok(value),
        }
    }

    /// Elements per head: as stated, or the hidden size shared among the heads.
    fn head_size(&self, hidden_size: usize, heads: usize) -> Result<usize, SpecError> {
        let head_size = match self.size(Field::KeySize)? {
            Some(size) => size,
            None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
            None => {
                return Err(self.bad(
                    Field::Heads,
                    &format!("a divisor of the hidden size {hidden_size}"),
                    heads,
                ));
            }
        };
        for (field, what) in [(Field::ValueSize, "value"), (Field::RopeDimensions, "rotated")] {
            if let Some(size) = self.size(field)?.filter(|&size| size != head_size) {
                return Err(self.bad(field, &format!("{head_size} {what} elements per head"), size));
            }
        }
        if !head_size.is_multiple_of(2) {
            return Err(self.bad(Field::KeySize, "an even number of elements per head", head_size));
        }
        Ok(head_size)
    }
}

/// A number as it goes into a config or a header.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FieldValue {
    Size(usize),
    PerLayer(Vec<usize>),
    Number(f32),
}

/// The value of a field in a spec; `None` if the model has no such thing.
pub(crate) fn field_value(spec: &ModelSpec, field: Field) -> Option<FieldValue> {
    let attention = || spec.layers.iter().find_map(LayerSpec::attention);
    let window =
        || spec.layers.iter().filter_map(LayerSpec::attention).find_map(|attention| attention.window);
    let rope_of = |windowed: bool| {
        let mut layers = spec.layers.iter().filter_map(LayerSpec::attention);
        layers.find(|attention| attention.window.is_some() == windowed).map(|attention| attention.rope.theta)
    };
    match field {
        Field::LayerCount => Some(FieldValue::Size(spec.layers.len())),
        Field::ContextLength => Some(FieldValue::Size(spec.context_length)),
        Field::HiddenSize => Some(FieldValue::Size(spec.hidden_size)),
        Field::VocabularySize => Some(FieldValue::Size(spec.vocabulary_size)),
        Field::FfnWidth => per_layer(spec, |layer| layer.gated().map_or(0, |gated| gated.width)),
        Field::Heads => per_layer(spec, |layer| layer.attention().map_or(0, |attention| attention.heads)),
        Field::KvHeads => {
            per_layer(spec, |layer| layer.attention().map_or(0, |attention| attention.kv_heads))
        }
        Field::KeySize | Field::ValueSize | Field::RopeDimensions => {
            attention().map(|attention| FieldValue::Size(attention.head_size))
        }
        Field::NormEpsilon => Some(FieldValue::Number(spec.norm_epsilon)),
        Field::RopeTheta => rope_of(false).or_else(|| rope_of(true)).map(FieldValue::Number),
        Field::LocalRopeTheta => rope_of(true).map(FieldValue::Number),
        Field::Window => window().map(FieldValue::Size),
        Field::FinalLogitSoftcap => spec.final_logit_softcap.map(FieldValue::Number),
        Field::AttentionLogitSoftcap => None,
        Field::AttentionScaleBase => attention()
            .map(|attention| FieldValue::Size((1.0 / (attention.scale as f64).powi(2)).round() as usize)),
    }
}

/// One value if all layers agree, else one for each.
fn per_layer(spec: &ModelSpec, value: impl Fn(&LayerSpec) -> usize) -> Option<FieldValue> {
    let values: Vec<_> = spec.layers.iter().map(value).collect();
    let first = *values.first()?;
    let uniform = values.iter().all(|&value| value == first);
    Some(if uniform { FieldValue::Size(first) } else { FieldValue::PerLayer(values) })
}

/// True if a reader would assume this value if the key were not there.
pub(crate) fn is_assumed(spec: &ModelSpec, field: Field) -> bool {
    let habits = &spec.family.table().habits;
    let attention = spec.layers.iter().find_map(LayerSpec::attention);
    match field {
        Field::KeySize | Field::ValueSize => {
            attention.is_some_and(|attention| attention.heads * attention.head_size == spec.hidden_size)
        }
        Field::LocalRopeTheta => match field_value(spec, field) {
            Some(FieldValue::Number(theta)) => habits.local_rope_theta == Some(theta),
            _ => true,
        },
        _ => false,
    }
}

/// Which layers see a window only, if that is not what the family's habit gives.
pub(crate) fn unusual_windows(spec: &ModelSpec) -> Option<Vec<bool>> {
    let every = spec.family.table().habits.global_every;
    let windowed: Vec<bool> = spec
        .layers
        .iter()
        .map(|layer| layer.attention().is_some_and(|attention| attention.window.is_some()))
        .collect();
    let usual = |layer: usize| every == 0 || !(layer + 1).is_multiple_of(every);
    let any = windowed.contains(&true);
    (any && windowed.iter().enumerate().any(|(layer, &window)| window != usual(layer))).then_some(windowed)
}

/// Divisors of the rotary frequencies, `[head_size / 2]`: 1 for high frequencies, `factor` for low ones.
///
/// Source: "The Llama 3 Herd of Models" and its reference code; in `f32`, as llama.cpp's converter computes them.
pub fn rope_factors(rope: &RopeSpec, head_size: usize) -> Option<Vec<f32>> {
    match &rope.scaling {
        RopeScaling::Factors(factors) => Some(factors.clone()),
        RopeScaling::Llama3 { factor, low_frequency_factor, high_frequency_factor, original_context } => {
            let original = *original_context as f32;
            let low_wavelength = original / low_frequency_factor;
            let high_wavelength = original / high_frequency_factor;
            let divisor = |pair: usize| {
                let frequency = 1.0 / rope.theta.powf(2.0 * pair as f32 / head_size as f32);
                let wavelength = 2.0 * std::f32::consts::PI / frequency;
                if wavelength < high_wavelength {
                    1.0
                } else if wavelength > low_wavelength {
                    *factor
                } else {
                    let smooth = (original / wavelength - low_frequency_factor)
                        / (high_frequency_factor - low_frequency_factor);
                    1.0 / ((1.0 - smooth) / factor + smooth)
                }
            };
            Some((0..head_size / 2).map(divisor).collect())
        }
        RopeScaling::None | RopeScaling::Linear { .. } => None,
    }
}

/// Finds the Llama 3 parameters that give these divisors: the published factors 1 and 4, and a power of two for the context.
///
/// GGUF keeps only the divisors; Hugging Face needs the parameters.
pub(crate) fn recognise_llama3(factors: &[f32], theta: f32) -> Option<RopeScaling> {
    let factor = factors.iter().copied().fold(1.0, f32::max);
    let mut candidates = (5..=17).map(|exponent| RopeScaling::Llama3 {
        factor,
        low_frequency_factor: 1.0,
        high_frequency_factor: 4.0,
        original_context: 1 << exponent,
    });
    candidates.find(|scaling| {
        let rope = RopeSpec { theta, scaling: scaling.clone() };
        let computed = rope_factors(&rope, factors.len() * 2).unwrap_or_default();
        computed
            .iter()
            .zip(factors)
            .all(|(computed, stored)| (computed - stored).abs() <= 1e-4 * stored.abs())
    })
}
