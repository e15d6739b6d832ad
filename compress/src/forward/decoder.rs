//! One token after the other: texts that continue a prompt, side by side, so that weights are read once for all of them.

use super::attention::KeysAndValues;
use super::rope::RopeTables;
use super::taps::NoTaps;
use super::{Forward, ForwardError, Hidden, norm};

/// A prompt that passed the model, kept to be continued.
#[derive(Debug)]
pub struct Prompt {
    /// One for each layer.
    memories: Vec<KeysAndValues>,
    /// The logits after its last token, `[vocabulary]`.
    logits: Vec<f32>,
    tables: RopeTables,
}

/// Texts that began with the same prompt and have the same length.
#[derive(Debug)]
pub struct Decoder<'a> {
    forward: &'a Forward<'a>,
    tables: &'a RopeTables,
    /// Of each text, one for each layer.
    memories: Vec<Vec<KeysAndValues>>,
}

impl Forward<'_> {
    /// Takes a prompt through the model; there is room for `more` tokens after it.
    ///
    /// # Errors
    /// If the prompt is empty or has unknown tokens, a layer cannot be read, or something is no longer finite.
    pub fn prompt(&self, tokens: &[u32], more: usize) -> Result<Prompt, ForwardError> {
        let Some(last) = tokens.len().checked_sub(1) else { return Err(ForwardError::EmptyPrompt) };
        let capacity = tokens.len() + more;
        let tables = RopeTables::new(self.spec(), capacity)?;
        let layers = self.spec().layers.iter();
        let mut memories: Vec<_> =
            layers.map(|layer| KeysAndValues::new(layer, capacity, self.cache)).collect();
        let mut hidden = self.embed(tokens)?;
        for (layer, memory) in memories.iter_mut().enumerate() {
            self.advance(layer, &mut hidden, &mut [memory], &tables)?;
        }
        Ok(Prompt { memories, logits: self.logits(&hidden, last..last + 1)?, tables })
    }

    /// Takes the next tokens of texts through one layer.
    fn advance(
        &self,
        layer: usize,
        hidden: &mut Hidden,
        memories: &mut [&mut KeysAndValues],
        tables: &RopeTables,
    ) -> Result<(), ForwardError> {
        let rope = tables.of_layer(layer);
        self.with_layer(layer, |layer| Ok(layer.run(hidden.values_mut(), memories, rope, &mut NoTaps)?))?;
        match norm::first_not_finite(hidden.values(), self.spec().hidden_size) {
            Some(_) => Err(ForwardError::NotFinite { layer, text: 0 }),
            None => Ok(()),
        }
    }
}

impl Prompt {
    /// The logits after the prompt, `[vocabulary]`.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Begins so many texts with it.
    pub fn begin<'a>(&'a self, forward: &'a Forward, texts: usize) -> Decoder<'a> {
        Decoder { forward, tables: &self.tables, memories: vec![self.memories.clone(); texts] }
    }
}

impl Decoder<'_> {
    /// Adds a token to each text and gives the logits after it, `[texts, vocabulary]`.
    ///
    /// # Errors
    /// If a token is unknown, a layer cannot be read, or something is no longer finite.
    ///
    /// # Panics
    /// If there is not one token for each text, or no room for it.
    pub fn step(&mut self, tokens: &[u32]) -> Result<Vec<f32>, ForwardError> {
        assert_eq!(tokens.len(), self.memories.len(), "each text gets a token");
        let mut hidden = self.forward.embed(tokens)?;
        for layer in 0..self.forward.spec().layers.len() {
            let mut memories: Vec<_> =
                self.memories.iter_mut().map(|memories| &mut memories[layer]).collect();
            self.forward.advance(layer, &mut hidden, &mut memories, self.tables)?;
        }
        self.forward.logits(&hidden, 0..tokens.len())
    }

    /// Drops the texts that `keep` has `false` for.
    pub fn retain(&mut self, keep: &[bool]) {
        let mut keep = keep.iter();
        self.memories.retain(|_| keep.next().copied().unwrap_or(true));
    }
}
