//! What `calibrate` saw.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Cell, Column, Table, units};

/// Statistics of a model on a text.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Calibration {
    /// The version of this record: 1.
    pub schema: u32,
    /// The model's name.
    pub model: String,
    /// Files and folders that were read, or `built-in`.
    pub texts: Vec<String>,
    /// Where the statistics are.
    pub folder: String,
    /// SHA-256 of all that they depend on.
    pub fingerprint: String,
    /// Sequences that passed the model.
    pub sequences: usize,
    /// Tokens in all of them.
    pub tokens: usize,
    /// Tokens of the vocabulary that were among them.
    pub distinct_tokens: usize,
    /// Tokens in the vocabulary.
    pub vocabulary_size: usize,
    /// One for each layer.
    pub layers: Vec<CalibratedLayer>,
    /// Layers that an earlier run had finished.
    pub reused_layers: usize,
    /// Files of an earlier run that were damaged and made again.
    pub damaged: Vec<String>,
    /// The importance matrix that was written.
    pub imatrix: Option<String>,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Tokens through the whole model by the whole wall time; none if an earlier run has done a part.
    pub tokens_per_second: Option<f64>,
    /// Most memory that the process held, in bytes.
    pub peak_memory: Option<u64>,
}

/// What was seen in one layer: the features of each input, and how much the layer does.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CalibratedLayer {
    /// From 0.
    pub layer: usize,
    /// Features that the query, key and value projections read.
    pub attention_input: Option<usize>,
    /// Features that the attention's output projection reads.
    pub attention_output: Option<usize>,
    /// Features that the gate and up projections read.
    pub ffn_input: Option<usize>,
    /// Features that the down projection reads.
    pub ffn_down: Option<usize>,
    /// 1 less the mean cosine of hidden states before and after the layer.
    pub block_influence: f64,
}

impl Calibration {
    /// A row for each layer.
    pub fn table(&self) -> Table {
        let width = |width: Option<usize>| width.map_or(Cell::Empty, |width| Cell::Whole(width as u64));
        let row = |layer: &CalibratedLayer| {
            vec![
                Cell::Whole(layer.layer as u64),
                width(layer.attention_input),
                width(layer.attention_output),
                width(layer.ffn_input),
                width(layer.ffn_down),
                Cell::Number(layer.block_influence, 4),
            ]
        };
        Table {
            title: format!("{}: {} tokens in {} sequences", self.model, self.tokens, self.sequences),
            columns: vec![
                Column::new("layer", "layer"),
                Column::new("attention in", "attention_input"),
                Column::new("attention out", "attention_output"),
                Column::new("ffn in", "ffn_input"),
                Column::new("ffn down", "ffn_down"),
                Column::new("block influence", "block_influence"),
            ],
            rows: self.layers.iter().map(row).collect(),
        }
    }

    /// What people read below the table, a line each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.damaged.iter().map(|path| format!("{path} was damaged and is made again")).collect();
        notes.push(format!(
            "{} of {} tokens of the vocabulary occur in {}",
            self.distinct_tokens,
            self.vocabulary_size,
            self.texts.join(", ")
        ));
        if self.reused_layers > 0 {
            notes.push(format!(
                "{} of {} layers were there from an earlier run",
                self.reused_layers,
                self.layers.len()
            ));
        }
        if let Some(path) = &self.imatrix {
            notes.push(format!("{path} for llama-quantize --imatrix"));
        }
        let rate = self.tokens_per_second.map_or_else(String::new, |rate| format!(", {rate:.0} tokens/s"));
        notes.push(format!("statistics in {} after {}{rate}", self.folder, units::seconds(self.seconds)));
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    fn calibration() -> Calibration {
        Calibration {
            schema: 1,
            model: "tiny".to_owned(),
            texts: vec!["built-in".to_owned()],
            folder: "out".to_owned(),
            fingerprint: "00".to_owned(),
            sequences: 2,
            tokens: 1024,
            distinct_tokens: 300,
            vocabulary_size: 1000,
            layers: vec![CalibratedLayer {
                layer: 0,
                attention_input: None,
                attention_output: None,
                ffn_input: Some(160),
                ffn_down: Some(256),
                block_influence: 0.12345,
            }],
            reused_layers: 0,
            damaged: vec![],
            imatrix: None,
            seconds: 2.0,
            tokens_per_second: Some(512.0),
            peak_memory: None,
        }
    }

    #[test]
    fn a_layer_without_attention_has_no_width_there() {
        let expected = "layer,attention_input,attention_output,ffn_input,ffn_down,block_influence\n0,,,160,256,0.12345\n";
        assert_eq!(Format::Csv.render(&calibration().table()), expected);
    }

    #[test]
    fn notes_tell_what_was_there_already() {
        let whole = calibration().notes();
        assert_eq!(whole.len(), 2);
        assert_eq!(whole[1], "statistics in out after 2.00 s, 512 tokens/s");
        let resumed = Calibration { reused_layers: 1, damaged: vec!["layer".to_owned()], ..calibration() };
        let notes = resumed.notes();
        assert_eq!(notes[0], "layer was damaged and is made again");
        assert_eq!(notes[2], "1 of 1 layers were there from an earlier run");
    }
}
