//! `secateur whatif`, as typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secateur_model::types::TypeChoice;
use secateur_profiles::ByteSize;

#[derive(Debug, Args)]
pub struct WhatIfArguments {
    /// A Hugging Face folder, a bare config.json, a GGUF file, or `demo`
    #[arg(required_unless_present = "params", conflicts_with = "params")]
    pub model: Option<String>,
    /// Instead of a model: a decoder of the usual proportions with so many parameters, for example 7B
    #[arg(long, value_name = "COUNT", value_parser = parameters)]
    pub params: Option<f64>,
    /// A profile's id, a profile's file, or `all`; can be repeated
    #[arg(long = "profile", value_name = "PROFILE", required = true, value_delimiter = ',')]
    pub profiles: Vec<String>,
    /// Runtime of the profile [default: its first]
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<String>,
    /// Type of all matrices or a mix, as in `compress`, or `all`; can be repeated [default: as stored]
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Longest context in tokens; can be repeated [default: 2048, or the model's if that is shorter]
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', value_parser = tokens)]
    pub context: Vec<usize>,
    /// Tokens of the prompt
    #[arg(long, value_name = "TOKENS", default_value = "256", value_parser = tokens)]
    pub prompt: usize,
    /// An image before the prompt, in pixels, as BlueLM-V-3B cuts it into tiles
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = pixels)]
    pub image: Option<(usize, usize)>,
    /// How keys and values are cached
    #[arg(long, value_enum, default_value_t)]
    pub cache_type: CacheTypeArgument,
    /// The file is read into memory, not mapped
    #[arg(long)]
    pub loaded: bool,
    /// Exit with 1 if a row's file is larger, for example 80MB
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<ByteSize>,
    /// Exit with 1 if a row needs more memory
    #[arg(long, value_name = "SIZE")]
    pub max_memory: Option<ByteSize>,
    /// Exit with 1 if a row decodes fewer tokens per second
    #[arg(long, value_name = "SPEED", value_parser = positive)]
    pub min_decode: Option<f64>,
    /// Exit with 1 if a row reads fewer prompt tokens per second
    #[arg(long, value_name = "SPEED", value_parser = positive)]
    pub min_prefill: Option<f64>,
    /// Exit with 1 if a row's first token comes later, for example 2s
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub max_ttft: Option<f64>,
    /// Exit with 1 if a row takes more joules for a decoded token, for example 0.5
    #[arg(long, value_name = "JOULES", value_parser = positive)]
    pub max_energy: Option<f64>,
    /// Order of the rows [default: as asked]
    #[arg(long, value_enum)]
    pub sort: Option<Sort>,
    /// Show the formula of each row with its numbers
    #[arg(long)]
    pub explain: bool,
    /// Draw speed over context, in the terminal, or as SVG into a file
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    #[allow(clippy::option_option)] // absent, without and with a file
    pub chart: Option<Option<PathBuf>>,
}

/// What rows are sorted by, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    Decode,
    Prefill,
    Ttft,
    Memory,
    Size,
}

/// As `--cache-type` takes it.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
#[value(rename_all = "lower")]
#[allow(non_camel_case_types)] // llama.cpp's own names
pub enum CacheTypeArgument {
    F32,
    #[default]
    F16,
    #[value(name = "q8_0")]
    Q8_0,
    #[value(name = "q4_0")]
    Q4_0,
}

/// What `--type` asks for, checked.
pub fn type_choices(names: &[String]) -> anyhow::Result<Vec<TypeChoice>> {
    let mut choices = Vec::new();
    for name in names {
        if name == "all" {
            choices.extend(TypeChoice::all());
        } else {
            choices.push(name.parse()?);
        }
    }
    Ok(choices)
}

fn parameters(text: &str) -> Result<f64, String> {
    let scale = match text.chars().last().map(|c| c.to_ascii_uppercase()) {
        Some('B') => 1e9,
        Some('M') => 1e6,
        Some('K') => 1e3,
        _ => 1.0,
    };
    let digits = if scale == 1.0 { text } else { &text[..text.len() - 1] };
    match digits.parse::<f64>() {
        Ok(number) if (1e6..=2e12).contains(&(number * scale)) => Ok(number * scale),
        _ => Err("expected a number of parameters from 1M to 2000B, for example 7B".to_owned()),
    }
}

fn tokens(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(tokens @ 1..=100_000_000) => Ok(tokens),
        _ => Err("expected a number of tokens from 1".to_owned()),
    }
}

fn pixels(text: &str) -> Result<(usize, usize), String> {
    let sides =
        text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    match sides {
        Some((width @ 1..=100_000, height @ 1..=100_000)) => Ok((width, height)),
        _ => Err("expected width and height in pixels, for example 1080x2400".to_owned()),
    }
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("expected a positive number".to_owned()),
    }
}

pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let (digits, scale) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1e-3),
        (None, Some(digits)) => (digits, 1.0),
        (None, None) => (text, 1.0),
    };
    positive(digits.trim())
        .map(|number| number * scale)
        .map_err(|_| "expected a time, for example 2s or 500ms".to_owned())
}
