#!/usr/bin/env python3
"""Makes the small tokenizers beside it, and what other programs say of them. Only needed to change them.

    pip install tokenizers sentencepiece gguf && python3 model/tests/data/tokenizers/make.py

byte_pair/       byte-level BPE in the manner of Llama 3, trained by `tokenizers`
sentence_piece/  BPE with byte fallback in the manner of Llama 2, trained by `sentencepiece`
expected.json in each: texts with the ids of the program that trained it, and what the `gguf` package, of which
llama.cpp's converter is made, reads from the configs.
"""

import json
from pathlib import Path

import gguf
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
LINES = [json.loads(line) for line in (HERE / "../../../../tests/data/lines.jsonl").resolve().open()]
TEXTS = [
    "", " ", "Hello world", "  two  spaces\n\n\tand tabs\r\n", "I'll say: don't, DON'T, 'ſ!", "1234567 3.14 x2",
    "Größe, naïve, ΑΒΓ, привет, 日本語, हिन्दी, 👩‍👩‍👧", "a\x00b\x7f\u00a0c\ufeff", "for (int i=0;i<n;++i) { a[i]+=1; }",
    "            ", "===---...!!!???", "e\u0301 vs é",
]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


class Notes:
    """Stands for a GGUF writer and notes what is written."""

    def __init__(self):
        self.notes = {}

    def __getattr__(self, name):
        return lambda value: self.notes.__setitem__(name, value)


def write(folder, config, tokenizer_config, texts):
    (folder / "config.json").write_text(json.dumps(config) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config, indent=1) + "\n")
    notes = Notes()
    gguf.SpecialVocab(folder, n_vocab=config["vocab_size"]).add_to_gguf(notes, quiet=True)
    expected = {"special": notes.notes, "texts": texts}
    (folder / "expected.json").write_text(json.dumps(expected, indent=0) + "\n")


def byte_pair():
    folder = HERE / "byte_pair"
    folder.mkdir(exist_ok=True)
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        LINES, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens(["<|begin|>", "<|end|>"])
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("<|tool|>", normalized=False)])
    begin = tokenizer.token_to_id("<|begin|>")
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                "<|begin|> $A", "<|begin|> $A <|begin|> $B:1", special_tokens=[("<|begin|>", begin)]
            ),
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {"model_type": "llama", "vocab_size": tokenizer.get_vocab_size() + 3, "eos_token_id": [begin + 1]}
    tokenizer_config = {
        "bos_token": "<|begin|>",
        "eos_token": {"content": "<|end|>", "special": True},
        "pad_token": "<tool>",
        "chat_template": [{"name": "default", "template": "{{ a }}"}, {"name": "tool-use", "template": "{{ b }}"}],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    texts = [*TEXTS, "<|begin|>a<|end|>", "a<tool>b <|tool|>"]
    write(folder, config, tokenizer_config, [[text, tokenizer.encode(text).ids] for text in texts])


def sentence_piece():
    folder = HERE / "sentence_piece"
    folder.mkdir(exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for line in LINES if max(line, default="") < "\u0180" and "\0" not in line]),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=560,
        character_coverage=0.995,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        user_defined_symbols=["<tool>"],
        minloglevel=2,
    )
    (folder / "tokenizer.vocab").unlink()
    model = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model"))
    config = {"model_type": "llama", "vocab_size": 563, "bos_token_id": 1, "eos_token_id": 2}
    tokenizer_config = {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "add_eos_token": False}
    write(folder, config, tokenizer_config, [[text, [1, *model.encode(text)]] for text in TEXTS])


byte_pair()
sentence_piece()
