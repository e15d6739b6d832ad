//! Special tokens, whether they are added to texts, and chat templates, from the configs of a folder (`SpecialVocab` in
//! llama.cpp's `gguf-py/gguf/vocab.py`).

use std::collections::BTreeMap;

use serde_json::Value;

use super::Token;
use super::files::Folder;
use crate::tokenizer::Special;

/// What the configs say.
#[derive(Default)]
pub(super) struct SpecialTokens {
    pub(super) ids: BTreeMap<Special, u32>,
    pub(super) add_bos: Option<bool>,
    pub(super) add_eos: Option<bool>,
    pub(super) add_sep: Option<bool>,
    pub(super) chat_template: Option<String>,
    pub(super) named_chat_templates: Vec<(String, String)>,
}

/// The roles that configs assign, by the texts of the tokens.
type Texts = BTreeMap<Special, String>;

const ASSIGNED: [Special; 6] = [
    Special::BeginOfSequence,
    Special::EndOfSequence,
    Special::Unknown,
    Special::Separator,
    Special::Padding,
    Special::Mask,
];

/// `fallback` holds for roles that no config assigns.
pub(super) fn read(folder: &Folder, tokens: &[Token], fallback: Vec<(Special, u32)>) -> SpecialTokens {
    let mut special = SpecialTokens::default();
    let mut texts = texts(&folder.tokenizer_config);
    if let Some(json) = &folder.tokenizer_json {
        special.read_post_processor(&json.post_processor, &mut texts, folder.tokenizer_config.is_null());
    }
    special.read_switches(&folder.tokenizer_config);
    special.read_chat_templates(folder);

    let id_of = |text: &String| match &folder.tokenizer_json {
        Some(json) => json.added_tokens.iter().find(|token| token.content == *text).map(|token| token.id),
        None => tokens.iter().position(|token| token.text == *text).map(|id| id as u32),
    };
    let by_text = texts.iter().filter_map(|(&special, text)| Some((special, id_of(text)?)));
    let by_config =
        ASSIGNED.into_iter().filter_map(|special| Some((special, id_in_config(&folder.config, special)?)));
    for (role, id) in by_text.chain(by_config).chain(fallback) {
        if (id as usize) < tokens.len() {
            special.ids.entry(role).or_insert(id);
        }
    }
    special
}

/// The texts of `bos_token` and so on, given as they are or as objects.
fn texts(tokenizer_config: &Value) -> Texts {
    let text = |name: &str| {
        let entry = &tokenizer_config[format!("{name}_token")];
        entry.as_str().or_else(|| entry["content"].as_str()).map(str::to_owned)
    };
    let mut texts: Texts =
        ASSIGNED.into_iter().filter_map(|special| Some((special, text(special.hf_name()?)?))).collect();
    // BERT's names for the two ends of a text
    if let Some(class) = text("cls") {
        texts.entry(Special::BeginOfSequence).or_insert(class);
    }
    if let Some(separator) = texts.get(&Special::Separator).cloned() {
        texts.entry(Special::EndOfSequence).or_insert(separator);
    }
    texts
}

fn id_in_config(config: &Value, special: Special) -> Option<u32> {
    let key = format!("{}_token_id", special.hf_name()?);
    let id = config[&key].as_u64().or_else(|| config["text_config"][&key].as_u64())?;
    u32::try_from(id).ok()
}

impl SpecialTokens {
    /// What a template puts before and after a text tells whether the two ends are added.
    fn read_post_processor(&mut self, processor: &Value, texts: &mut Texts, no_config: bool) {
        let alone = std::slice::from_ref(processor);
        let processors = processor["processors"].as_array().map_or(alone, Vec::as_slice);
        for template in processors.iter().filter(|processor| processor["type"] == "TemplateProcessing") {
            self.read_template(template, texts, no_config);
        }
    }

    fn read_template(&mut self, template: &Value, texts: &mut Texts, no_config: bool) {
        let single = template["single"].as_array().map_or(&[][..], Vec::as_slice);
        let mut first = None;
        let mut last = None;
        if let [head, .., tail] = single {
            first = special_id(head);
            last = special_id(tail);
        }
        if let Some(first) = first {
            if no_config {
                texts.insert(Special::BeginOfSequence, first.to_owned());
            }
            self.add_bos = Some(texts.get(&Special::BeginOfSequence).is_some_and(|bos| bos == first));
        }
        if let Some(last) = last {
            let eos = texts.insert(Special::EndOfSequence, last.to_owned());
            if let Some(eos) = eos.filter(|eos| eos != last) {
                texts.entry(Special::EndOfTurn).or_insert(eos);
            }
            self.add_eos = Some(true);
        }
        self.read_pair(template, first, last, texts);
    }

    /// What a template puts between two texts tells whether a separator is added.
    fn read_pair(&mut self, template: &Value, first: Option<&str>, last: Option<&str>, texts: &Texts) {
        let mut pair = template["pair"].as_array().map_or(&[][..], Vec::as_slice);
        if let [head, rest @ ..] = pair
            && first.is_some()
            && special_id(head) == first
        {
            pair = rest;
        }
        if let [rest @ .., tail] = pair
            && last.is_some()
            && special_id(tail) == last
        {
            pair = rest;
        }
        let [head, between @ .., tail] = pair else { return };
        if between.is_empty() || head["Sequence"]["id"] != "A" || tail["Sequence"]["id"] != "B" {
            return;
        }
        let separates = |entry: &Value| {
            let text = special_id(entry);
            text.is_some()
                && [Special::Separator, Special::EndOfSequence]
                    .iter()
                    .any(|role| texts.get(role).map(String::as_str) == text)
        };
        let by_first = last.is_none() && separates(&between[0]);
        let by_second = between.len() == 2 && separates(&between[1]);
        self.add_sep = Some(by_first || by_second);
    }

    /// `add_bos_token` and so on hold, whatever the template says.
    fn read_switches(&mut self, tokenizer_config: &Value) {
        let switch = |name: &str| tokenizer_config[format!("add_{name}_token")].as_bool();
        self.add_bos = switch("bos").or(self.add_bos);
        self.add_eos = switch("eos").or(self.add_eos);
        self.add_sep = switch("sep").or(self.add_sep);
    }

    fn read_chat_templates(&mut self, folder: &Folder) {
        let of_config =
            Some(&folder.tokenizer_config["chat_template"]).filter(|template| !template.is_null());
        match of_config.or(folder.chat_template.as_ref()) {
            Some(Value::String(template)) => self.chat_template = Some(template.clone()),
            Some(Value::Array(templates)) => {
                for template in templates {
                    if let (Some(name), Some(text)) =
                        (template["name"].as_str(), template["template"].as_str())
                    {
                        self.add_chat_template(name, text);
                    }
                }
            }
            _ => {}
        }
        if of_config.is_none() {
            for (name, text) in &folder.more_chat_templates {
                self.add_chat_template(name, text);
            }
        }
    }

    fn add_chat_template(&mut self, name: &str, text: &str) {
        if name == "default" {
            self.chat_template = Some(text.to_owned());
            return;
        }
        let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
        let name: String = name.chars().map(plain).collect();
        if !name.is_empty() {
            self.named_chat_templates.push((name, text.to_owned()));
        }
    }
}

/// The text of a special token in a template.
fn special_id(entry: &Value) -> Option<&str> {
    entry["SpecialToken"]["id"].as_str()
}
