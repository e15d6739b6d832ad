//! What a search may choose from, where a user says it.

use regex::Regex;
use secateur_compress::CompressError;
use secateur_compress::allocation::MatrixOptions;
use secateur_compress::forward::{ForwardError, cannot_cache};
use secateur_compress::shape::{Importance, Layers, ShapeRequest};
use secateur_model::shape::Repair;
use secateur_model::{CacheType, Checkpoint, ModelSpec, TensorType};
use serde::{Deserialize, Serialize};

use crate::error::PlansError;
use crate::plans::Care;

/// Widths of the feed-forward part, in twelfths of the model's.
const TWELFTHS: [usize; 4] = [11, 10, 9, 8];

/// Widths come in steps of this, so that types in small blocks stay legal.
const WIDTH_STEP: usize = 32;

/// The same for types in large blocks.
pub(crate) const LARGE_STEP: usize = 256;

/// Layers of fewer large blocks of channels than this have nothing to choose from in such steps.
const LEAST_BLOCKS: usize = 4;

/// How many layers may go, as a divisor of how many there are.
const LAYER_SHARES: [usize; 2] = [15, 8];

/// Sizes of vocabularies, in twenty-fourths of what the model has; few, as one more size costs a pass.
const VOCABULARY_PARTS: [usize; 7] = [18, 15, 12, 9, 6, 4, 3];

/// What a search may choose from beside the model as it is, which is always among it. What is left out, the program chooses; an empty list offers
/// nothing more than the model has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// How many layers stay.
    pub layers: Option<Vec<usize>>,
    /// How many query heads each layer keeps, whole groups of them.
    pub heads: Option<Vec<usize>>,
    /// How many feed-forward channels each layer keeps.
    pub ffn: Option<Vec<usize>>,
    /// Whether each layer may keep a number of its own, `ffn` being the mean; if this does not say, with [`Care::Usual`] where a runtime loads such
    /// layers.
    pub uneven: Option<bool>,
    /// How many tokens stay.
    pub vocabulary: Option<Vec<usize>>,
    /// How keys and values may be kept beside `f16`, where there is a device to fit.
    pub cache: Option<Vec<CacheType>>,
    /// Types of matrices; the first that names a matrix decides. Others may have any type that is legal.
    #[serde(default)]
    pub types: Vec<OfferedTypes>,
}

/// The types that some matrices may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferedTypes {
    /// A regular expression that is searched for in names of tensors, as they are in GGUF.
    pub tensors: String,
    /// Names of types.
    pub types: Vec<String>,
}

/// Sizes of a model that a search may choose beside its own, each list from the largest to the smallest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfferedSizes {
    pub layers: Vec<usize>,
    pub heads: Vec<usize>,
    /// The same for all layers.
    pub widths: Vec<usize>,
    /// On average.
    pub means: Vec<usize>,
    /// What numbers of channels differ by where they do.
    pub steps: Vec<usize>,
    /// Whether layers go by what calibration has told of them.
    pub by_influence: bool,
}

impl Offer {
    /// The sizes of layers that are offered.
    ///
    /// # Errors
    /// If the model cannot have one of them, or nothing that is kept would load it.
    pub(crate) fn sizes(&self, spec: &ModelSpec, care: Care) -> Result<OfferedSizes, CompressError> {
        let layers = spec.layers.len();
        let width = spec.layers.iter().filter_map(|layer| layer.gated()).map(|gated| gated.width).min();
        let heads = spec.layers.iter().filter_map(|layer| layer.attention()).map(|layer| layer.heads).min();
        let own_layers = || -> Vec<usize> {
            let gone = LAYER_SHARES.iter().map(|share| layers / share);
            gone.filter(|&gone| gone > 0 && layers - gone >= 2).map(|gone| layers - gone).collect()
        };
        let own_widths = || -> Vec<usize> {
            let width = width.unwrap_or_default();
            let narrower = TWELFTHS.iter().map(|part| width * part / 12 / WIDTH_STEP * WIDTH_STEP);
            narrower.filter(|&narrower| narrower > 0).collect()
        };
        let nothing = ShapeRequest {
            layers: Layers::All,
            heads: None,
            ffn: None,
            hidden: None,
            uneven: false,
            importance: Importance::Obs,
            repair: Repair::Solve,
        };
        let of_layers = |kept: usize| ShapeRequest { layers: Layers::ByDivergence(kept), ..nothing.clone() };
        let of_heads = |kept: usize| ShapeRequest { heads: Some(kept), ..nothing.clone() };
        let of_width = |kept: usize| ShapeRequest { ffn: Some(kept), ..nothing.clone() };
        let mut widths = possible(self.ffn.as_ref(), own_widths(), width, of_width, spec)?;
        let is_usual = care == Care::Usual && spec.uneven_family().is_some();
        let (mut means, mut steps) = (Vec::new(), Vec::new());
        if self.uneven.unwrap_or(is_usual) {
            means.clone_from(&widths);
            // of rows that fill large blocks, more types are legal
            let fills_blocks = |width: &usize| width.is_multiple_of(LARGE_STEP);
            widths.retain(fills_blocks);
            steps.push(WIDTH_STEP);
            let is_wide = |width: &usize| fills_blocks(width) && *width >= LEAST_BLOCKS * LARGE_STEP;
            steps.extend(width.filter(is_wide).map(|_| LARGE_STEP));
            let uneven = |&mean: &usize| ShapeRequest { uneven: true, ..of_width(mean) }.check(spec);
            means.iter().try_for_each(uneven)?;
        }
        Ok(OfferedSizes {
            layers: possible(self.layers.as_ref(), own_layers(), Some(layers), of_layers, spec)?,
            heads: possible(self.heads.as_ref(), Vec::new(), heads, of_heads, spec)?,
            widths,
            means,
            steps,
            by_influence: care == Care::Quick,
        })
    }

    /// Sizes of vocabularies that are offered to a model of so many tokens.
    pub(crate) fn vocabularies(&self, size: usize) -> Vec<usize> {
        let own = || VOCABULARY_PARTS.map(|part| size * part / 24).to_vec();
        smaller(self.vocabulary.clone().unwrap_or_else(own), Some(size))
    }

    /// The ways to keep keys and values that are offered, `f16` aside.
    ///
    /// # Errors
    /// If one is larger than `f16`, or the model's heads do not fill its blocks.
    pub(crate) fn caches(&self, spec: &ModelSpec) -> Result<Vec<CacheType>, PlansError> {
        let Some(given) = &self.cache else {
            let own = [CacheType::Q8_0].into_iter();
            return Ok(own.filter(|&cache| cannot_cache(spec, cache).is_none()).collect());
        };
        let mut caches = Vec::new();
        for &cache in given {
            if cache == CacheType::F32 {
                return Err(PlansError::LargerCache);
            }
            if let Some((layer, head_size)) = cannot_cache(spec, cache) {
                return Err(CompressError::from(ForwardError::Cache { layer, head_size, cache }).into());
            }
            if cache != CacheType::F16 && !caches.contains(&cache) {
                caches.push(cache);
            }
        }
        Ok(caches)
    }

    /// The options of matrices that are offered.
    ///
    /// # Errors
    /// If a pattern is none or names no matrix, a type is unknown, or a matrix is left without any type that is legal for its rows.
    pub(crate) fn options(
        &self,
        checkpoint: &Checkpoint,
        options: &[MatrixOptions],
    ) -> Result<Vec<MatrixOptions>, PlansError> {
        let table = checkpoint.spec.family.table();
        let mut options = options.to_vec();
        let rules = self.types.iter().map(Rule::new).collect::<Result<Vec<_>, _>>()?;
        let mut is_used = vec![false; rules.len()];
        for matrix in &mut options {
            let name = table.gguf_name(matrix.id).unwrap_or_default();
            let Some(index) = rules.iter().position(|rule| rule.pattern.is_match(&name)) else { continue };
            is_used[index] = true;
            let legal: Vec<&str> = matrix.choices.iter().map(|choice| choice.tensor_type.name()).collect();
            let legal = legal.join(", ");
            matrix.choices.retain(|choice| rules[index].types.contains(&choice.tensor_type));
            if matrix.choices.is_empty() {
                let types = self.types[index].types.join(", ");
                return Err(PlansError::NoTypeLeft { tensor: name, types, legal });
            }
        }
        match is_used.iter().position(|is_used| !is_used) {
            Some(unused) => Err(PlansError::NamesNoMatrix { pattern: self.types[unused].tensors.clone() }),
            None => Ok(options),
        }
    }
}

/// Offered types, understood.
struct Rule {
    pattern: Regex,
    types: Vec<TensorType>,
}

impl Rule {
    fn new(offered: &OfferedTypes) -> Result<Self, PlansError> {
        let pattern = &offered.tensors;
        let compiled = Regex::new(pattern)
            .map_err(|error| PlansError::NoPattern { pattern: pattern.clone(), reason: error.to_string() })?;
        let known = |name: &String| {
            TensorType::from_name(name).ok_or_else(|| PlansError::UnknownType { found: name.clone() })
        };
        Ok(Self { pattern: compiled, types: offered.types.iter().map(known).collect::<Result<_, _>>()? })
    }
}

/// The sizes that a user gave, all of which have to be possible, or those of the program's own that are.
fn possible(
    given: Option<&Vec<usize>>,
    own: Vec<usize>,
    has: Option<usize>,
    request: impl Fn(usize) -> ShapeRequest,
    spec: &ModelSpec,
) -> Result<Vec<usize>, CompressError> {
    let check = |&size: &usize| request(size).check(spec);
    let Some(given) = given else {
        return Ok(smaller(own.into_iter().filter(|size| check(size).is_ok()).collect(), has));
    };
    let sizes = smaller(given.clone(), has);
    sizes.iter().try_for_each(check)?;
    Ok(sizes)
}

/// From the largest to the smallest, without what the model has itself.
fn smaller(mut sizes: Vec<usize>, own: Option<usize>) -> Vec<usize> {
    sizes.retain(|&size| Some(size) != own);
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use secateur_compress::allocation::Choice;
    use secateur_model::spec::Mixer;
    use secateur_model::stored::FileBytes;
    use secateur_model::{Role, TensorId, demo};

    use super::*;

    fn demo() -> Checkpoint {
        Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF)).unwrap()
    }

    fn offer(text: &[(&str, &[&str])]) -> Offer {
        let types = text.iter().map(|(tensors, types)| OfferedTypes {
            tensors: (*tensors).to_owned(),
            types: types.iter().map(|name| (*name).to_owned()).collect(),
        });
        Offer { types: types.collect(), ..Offer::default() }
    }

    #[test]
    fn lists_stand_beside_what_the_model_has() {
        let spec = demo().spec;
        let (layers, width) = (spec.layers.len(), spec.layers[0].gated().unwrap().width);
        let offer = Offer { layers: Some(vec![2, layers, 3]), ffn: Some(Vec::new()), ..Offer::default() };
        let sizes = offer.sizes(&spec, Care::Usual).unwrap();
        assert_eq!((sizes.layers, sizes.heads, sizes.widths), (vec![3, 2], Vec::new(), Vec::new()));
        let own = Offer::default().sizes(&spec, Care::Usual).unwrap();
        assert!(own.means.iter().all(|&narrower| narrower < width) && !own.means.is_empty());
        assert!(own.widths.iter().all(|narrower| narrower % 256 == 0), "{own:?}");
        assert_eq!(own.steps, [32], "256 channels of the demo model fill one large block");
        let even = Offer { uneven: Some(false), ..Offer::default() }.sizes(&spec, Care::Usual).unwrap();
        assert_eq!((&even.widths, &even.means), (&own.means, &Vec::new()));
        let quick = Offer::default().sizes(&spec, Care::Quick).unwrap();
        assert_eq!(quick, OfferedSizes { by_influence: true, ..even });
        let quick = Offer { uneven: Some(true), ..Offer::default() }.sizes(&spec, Care::Quick).unwrap();
        assert_eq!(quick, OfferedSizes { by_influence: true, ..own });
        assert_eq!(Offer::default().vocabularies(4800), [3600, 3000, 2400, 1800, 1200, 800, 600]);
    }

    #[test]
    fn what_the_model_cannot_have_is_refused() {
        let spec = demo().spec;
        let refused = |offer: Offer| assert!(offer.sizes(&spec, Care::Usual).is_err(), "{offer:?}");
        refused(Offer { layers: Some(vec![spec.layers.len() + 1]), ..Offer::default() });
        refused(Offer { heads: Some(vec![0]), ..Offer::default() });
        refused(Offer { ffn: Some(vec![1 << 20]), ..Offer::default() });
    }

    #[test]
    fn caches_are_those_that_heads_fill() {
        let demo = demo().spec;
        let cut = |spec: &ModelSpec, cache: &[CacheType]| {
            Offer { cache: Some(cache.to_vec()), ..Offer::default() }.caches(spec)
        };
        // heads of 40 fill no blocks of 32
        assert_eq!(Offer::default().caches(&demo).unwrap(), []);
        assert_eq!(cut(&demo, &[CacheType::F16]).unwrap(), []);
        let error = cut(&demo, &[CacheType::Q8_0]).unwrap_err().to_string();
        assert!(error.contains("heads of layer 0 have 40 numbers") && error.contains("q8_0"), "{error}");
        assert!(matches!(cut(&demo, &[CacheType::F32]), Err(PlansError::LargerCache)));
        let mut wider = demo.clone();
        for layer in &mut wider.layers {
            if let Mixer::Attention(attention) = &mut layer.mixer {
                attention.head_size = 64;
            }
        }
        assert_eq!(Offer::default().caches(&wider).unwrap(), [CacheType::Q8_0]);
        let twice = [CacheType::Q4_0, CacheType::F16, CacheType::Q4_0];
        assert_eq!(cut(&wider, &twice).unwrap(), [CacheType::Q4_0]);
    }

    #[test]
    fn matrices_keep_the_types_that_are_offered() {
        let demo = demo();
        let choice = |tensor_type| Choice { tensor_type, bytes: 1, damage: 0.0 };
        let types = [TensorType::Q4_0, TensorType::Q8_0, TensorType::Q5_0];
        let ids = [TensorId::global(Role::TokenEmbedding), TensorId::in_layer(0, Role::FfnUp)];
        let options = ids.map(|id| MatrixOptions { id, choices: types.map(choice).to_vec() });
        let left = |offer: &Offer| -> Result<Vec<Vec<TensorType>>, PlansError> {
            let options = offer.options(&demo, &options)?;
            let types =
                |matrix: &MatrixOptions| matrix.choices.iter().map(|choice| choice.tensor_type).collect();
            Ok(options.iter().map(types).collect())
        };
        let of = offer(&[("token_embd", &["q8_0", "q5_0"]), ("", &["q4_0"])]);
        assert_eq!(left(&of).unwrap(), [types[1..].to_vec(), vec![TensorType::Q4_0]]);
        let error = |of: &[(&str, &[&str])]| left(&offer(of)).unwrap_err().to_string();
        assert!(error(&[("attn_z", &["q8_0"])]).contains("attn_z"));
        assert!(error(&[("(", &["q8_0"])]).contains("regular expression"));
        assert!(error(&[("ffn", &["q9"])]).contains("q9"));
        assert!(error(&[("ffn", &["q6_k"])]).contains("q4_0, q8_0, q5_0"));
    }
}
