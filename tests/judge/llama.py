"""Stock llama.cpp through its C interface: just what the judge needs of it, as Python objects.

The structures are those of the release that `fixtures.py` pins. No header comes with its shared
libraries, so `_expect_defaults` compares our layout with the default values that the library itself
returns, and refuses to go on when they differ.
"""

import ctypes
import os
from ctypes import POINTER, byref, c_bool, c_char_p, c_float, c_int8, c_int32
from ctypes import c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

import numpy

THREADS = 2
"""Threads of every computation: fixed, since the order of sums depends on it."""

FILE_TYPES = {
    name: number
    for number, name in enumerate(
        "F32 F16 Q4_0 Q4_1 - - - Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K "
        "IQ2_XXS IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16 - - - "
        "TQ1_0 TQ2_0 MXFP4_MOE NVFP4 Q1_0 Q2_0".split()
    )
    if name != "-"
}
"""`enum llama_ftype` under the names that llama-quantize takes; the gaps are types it no longer has."""

LOG_ERROR, LOG_CONTINUED = 4, 5

TYPE_F32, FLASH_ATTENTION_OFF = 0, 0


class LlamaError(Exception):
    """llama.cpp refused something; the text holds its own words where it gave any."""


class ModelParams(ctypes.Structure):
    """`struct llama_model_params`"""

    _fields_ = [
        ("devices", c_void_p),
        ("tensor_buft_overrides", c_void_p),
        ("n_gpu_layers", c_int32),
        ("split_mode", c_int32),
        ("load_mode", c_int32),
        ("lazy_mode", c_int32),
        ("main_gpu", c_int32),
        ("tensor_split", c_void_p),
        ("progress_callback", c_void_p),
        ("progress_callback_user_data", c_void_p),
        ("kv_overrides", c_void_p),
        ("vocab_only", c_bool),
        ("check_tensors", c_bool),
        ("use_extra_bufts", c_bool),
        ("no_host", c_bool),
        ("no_alloc", c_bool),
        ("load_mtp", c_bool),
    ]


class ContextParams(ctypes.Structure):
    """`struct llama_context_params`"""

    _fields_ = [
        ("n_ctx", c_uint32),
        ("n_batch", c_uint32),
        ("n_ubatch", c_uint32),
        ("n_seq_max", c_uint32),
        ("n_rs_seq", c_uint32),
        ("n_outputs_max", c_uint32),
        ("n_outputs_max_per_seq", c_uint32),
        ("n_threads", c_int32),
        ("n_threads_batch", c_int32),
        ("ctx_type", c_int32),
        ("rope_scaling_type", c_int32),
        ("pooling_type", c_int32),
        ("attention_type", c_int32),
        ("flash_attn_type", c_int32),
        ("rope_freq_base", c_float),
        ("rope_freq_scale", c_float),
        ("yarn_ext_factor", c_float),
        ("yarn_attn_factor", c_float),
        ("yarn_beta_fast", c_float),
        ("yarn_beta_slow", c_float),
        ("yarn_orig_ctx", c_uint32),
        ("defrag_thold", c_float),
        ("cb_eval", c_void_p),
        ("cb_eval_user_data", c_void_p),
        ("type_k", c_int32),
        ("type_v", c_int32),
        ("abort_callback", c_void_p),
        ("abort_callback_data", c_void_p),
        ("embeddings", c_bool),
        ("offload_kqv", c_bool),
        ("no_perf", c_bool),
        ("op_offload", c_bool),
        ("swa_full", c_bool),
        ("kv_unified", c_bool),
        ("samplers", c_void_p),
        ("n_samplers", c_size_t),
        ("ctx_other", c_void_p),
    ]


class QuantizeParams(ctypes.Structure):
    """`struct llama_model_quantize_params`"""

    _fields_ = [
        ("nthread", c_int32),
        ("ftype", c_int32),
        ("output_tensor_type", c_int32),
        ("token_embedding_type", c_int32),
        ("allow_requantize", c_bool),
        ("quantize_output_tensor", c_bool),
        ("only_copy", c_bool),
        ("pure", c_bool),
        ("keep_split", c_bool),
        ("dry_run", c_bool),
        ("imatrix", c_void_p),
        ("kv_overrides", c_void_p),
        ("tt_overrides", c_void_p),
        ("prune_layers", c_void_p),
        ("max_buf_size", c_size_t),
    ]


class TensorOverride(ctypes.Structure):
    """`struct llama_model_tensor_override`: the type of every tensor whose name matches a pattern"""

    _fields_ = [("pattern", c_char_p), ("type", c_int32)]


class Batch(ctypes.Structure):
    """`struct llama_batch`"""

    _fields_ = [
        ("n_tokens", c_int32),
        ("token", POINTER(c_int32)),
        ("embd", POINTER(c_float)),
        ("pos", POINTER(c_int32)),
        ("n_seq_id", POINTER(c_int32)),
        ("seq_id", POINTER(POINTER(c_int32))),
        ("logits", POINTER(c_int8)),
    ]


LogCallback = ctypes.CFUNCTYPE(None, ctypes.c_int, c_char_p, c_void_p)

# name: (what it returns, what it takes)
SIGNATURES = {
    "llama_log_set": (None, [LogCallback, c_void_p]),
    "llama_version": (c_char_p, []),
    "llama_backend_init": (None, []),
    "llama_model_default_params": (ModelParams, []),
    "llama_context_default_params": (ContextParams, []),
    "llama_model_quantize_default_params": (QuantizeParams, []),
    "llama_load_mode_from_str": (c_int32, [c_char_p]),
    "llama_model_load_from_file": (c_void_p, [c_char_p, ModelParams]),
    "llama_model_free": (None, [c_void_p]),
    "llama_model_desc": (c_int32, [c_void_p, c_char_p, c_size_t]),
    "llama_model_meta_val_str": (c_int32, [c_void_p, c_char_p, c_char_p, c_size_t]),
    "llama_model_n_params": (c_uint64, [c_void_p]),
    "llama_model_size": (c_uint64, [c_void_p]),
    "llama_model_n_layer": (c_int32, [c_void_p]),
    "llama_model_n_embd": (c_int32, [c_void_p]),
    "llama_model_n_ctx_train": (c_int32, [c_void_p]),
    "llama_model_get_vocab": (c_void_p, [c_void_p]),
    "llama_vocab_n_tokens": (c_int32, [c_void_p]),
    "llama_vocab_bos": (c_int32, [c_void_p]),
    "llama_vocab_get_add_bos": (c_bool, [c_void_p]),
    "llama_vocab_get_add_eos": (c_bool, [c_void_p]),
    "llama_vocab_is_eog": (c_bool, [c_void_p, c_int32]),
    "llama_tokenize": (c_int32, [c_void_p, c_char_p, c_int32, POINTER(c_int32), c_int32, c_bool, c_bool]),
    "llama_detokenize": (c_int32, [c_void_p, POINTER(c_int32), c_int32, c_char_p, c_int32, c_bool, c_bool]),
    "llama_init_from_model": (c_void_p, [c_void_p, ContextParams]),
    "llama_free": (None, [c_void_p]),
    "llama_get_memory": (c_void_p, [c_void_p]),
    "llama_memory_clear": (None, [c_void_p, c_bool]),
    "llama_batch_init": (Batch, [c_int32, c_int32, c_int32]),
    "llama_batch_free": (None, [Batch]),
    "llama_decode": (c_int32, [c_void_p, Batch]),
    "llama_get_logits": (POINTER(c_float), [c_void_p]),
    "llama_model_quantize": (c_uint32, [c_char_p, c_char_p, POINTER(QuantizeParams)]),
}


class Llama:
    """The libraries in one folder, loaded once for the process."""

    def __init__(self, folder):
        folder = Path(folder)
        # ggml tells what it was built for; the best variant of its CPU backend is a library beside it
        ggml = ctypes.CDLL(str(only(folder, "libggml.*so*")))
        self.base = ctypes.CDLL(str(only(folder, "libggml-base.so*")))
        self.base.ggml_type_name.restype = c_char_p
        self.library = ctypes.CDLL(str(only(folder, "libllama.*so*")))
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(self.library, name)
            function.restype, function.argtypes = result, arguments
        self.messages, self._level = [], None  # the errors logged so far, and the level of the last line
        self._log_callback = LogCallback(self._log)  # llama.cpp keeps only a pointer: this keeps it alive
        self.library.llama_log_set(self._log_callback, None)
        ggml.ggml_backend_load_all_from_path.argtypes = [c_char_p]
        ggml.ggml_backend_load_all_from_path(os.fsencode(folder))
        self.library.llama_backend_init()
        _expect_defaults(self.library)

    def __getattr__(self, name):
        return getattr(self.library, "llama_" + name)

    def version(self):
        """The release that the libraries say they are."""
        return self.library.llama_version().decode()

    def tensor_type(self, name):
        """The number of the tensor type of this name, in any case (`q4_K`, `Q4_K`)."""
        for number in range(self.library.llama_model_quantize_default_params().output_tensor_type):
            if self.base.ggml_type_name(number).decode().lower() == name.lower():
                return number
        raise LlamaError(f"no tensor type is named {name}")

    def quantize(self, source, target, params, rules, imatrix=None):
        """Write `source` again under `params`; each rule is a pattern of tensor names and their type."""
        if imatrix is not None:
            params.imatrix = ctypes.cast(imatrix, c_void_p)
        overrides = [TensorOverride(pattern.encode(), self.tensor_type(name)) for pattern, name in rules]
        if overrides:
            table = (TensorOverride * (len(overrides) + 1))(*overrides)  # the last, all zero, ends it
            params.tt_overrides = ctypes.cast(table, c_void_p)
        if self.model_quantize(os.fsencode(source), os.fsencode(target), byref(params)) != 0:
            raise self.complaint(f"{source} was not quantized")

    def complaint(self, refusal):
        """An error of ours, with what llama.cpp has said of it."""
        return LlamaError(": ".join([refusal, *map(str.strip, self.messages)]))

    def _log(self, level, text, _user_data):
        text = text.decode(errors="replace")
        if level == LOG_ERROR:
            self.messages.append(text)
        elif level == LOG_CONTINUED and self._level == LOG_ERROR:
            self.messages[-1] += text
        if level != LOG_CONTINUED:
            self._level = level


class Model:
    """A model file, loaded whole and with its tensors checked, or its vocabulary alone. With a `load_mode` of llama.cpp (`mmap`, `none`), it
    is loaded as llama.cpp's own tools do: nothing is checked."""

    def __init__(self, llama, path, vocabulary_only=False, load_mode=None):
        self.llama = llama
        params = llama.model_default_params()
        params.vocab_only = vocabulary_only
        params.check_tensors = load_mode is None
        if load_mode:
            params.load_mode = llama.load_mode_from_str(load_mode.encode())
        self.handle = llama.model_load_from_file(os.fsencode(path), params)
        if not self.handle:
            raise llama.complaint(f"{path} does not load")
        self.vocabulary = llama.model_get_vocab(self.handle)
        self.vocabulary_size = llama.vocab_n_tokens(self.vocabulary)

    def description(self):
        """What llama.cpp says of the model, as plain values."""
        text = ctypes.create_string_buffer(256)
        self.llama.model_desc(self.handle, text, len(text))
        return {
            "description": text.value.decode(),
            "architecture": self.metadata("general.architecture"),
            "parameters": self.llama.model_n_params(self.handle),
            "tensor_bytes": self.llama.model_size(self.handle),
            "layers": self.llama.model_n_layer(self.handle),
            "embedding": self.llama.model_n_embd(self.handle),
            "vocabulary": self.vocabulary_size,
            "context": self.llama.model_n_ctx_train(self.handle),
            "adds_bos": self.llama.vocab_get_add_bos(self.vocabulary),
        }

    def metadata(self, key):
        """The value of a metadata key as text."""
        text = ctypes.create_string_buffer(4096)
        if self.llama.model_meta_val_str(self.handle, key.encode(), text, len(text)) < 0:
            raise LlamaError(f"the model has no metadata {key}")
        return text.value.decode()

    def tokenize(self, text, add_special=True, parse_special=False):
        """The token ids of a text; `add_special` adds what the model wants at its ends (BOS, EOS)."""
        data = text.encode()
        room = len(data) + 8  # a token covers a byte at least, but for the few that are added
        ids = (c_int32 * room)()
        count = self.llama.tokenize(self.vocabulary, data, len(data), ids, room, add_special, parse_special)
        if count < 0:
            raise LlamaError(f"the text has {-count} tokens, more than its bytes")
        return list(ids[:count])

    def text(self, ids):
        """The text of token ids, special tokens included."""
        room = 256 * len(ids) + 1
        text = ctypes.create_string_buffer(room)
        count = self.llama.detokenize(self.vocabulary, (c_int32 * len(ids))(*ids), len(ids), text, room, False, True)
        if count < 0:
            raise LlamaError(f"the text of {len(ids)} tokens needs {-count} bytes")
        return text.raw[:count].decode(errors="replace")


class Context:
    """One sequence being computed. Flash attention is left to llama.cpp, as its own tools do by default; where it should be `exact`,
    keys and values are kept in f32, and where a `cache` type is named, in that. A callback sees every tensor of the graph. `windowed` layers cache their window alone, as in llama.cpp's
    tools; the library's own default is the whole context."""

    def __init__(self, model, length, callback=None, threads=THREADS, exact=False, windowed=False, cache=None):
        self.llama, self.model, self.length = model.llama, model, length
        params = self.llama.context_default_params()
        params.n_ctx = params.n_batch = length  # the most tokens of one call; computed 512 at a time, as by default
        params.n_threads = params.n_threads_batch = threads
        params.swa_full = not windowed
        self.callback = callback  # llama.cpp keeps only a pointer: this keeps it alive
        if callback:
            params.cb_eval = ctypes.cast(callback, c_void_p)
        if callback or exact:
            # nothing rounded on the way to what is looked at
            params.type_k = params.type_v = TYPE_F32
            params.flash_attn_type = FLASH_ATTENTION_OFF
        if cache:
            params.type_k = params.type_v = self.llama.tensor_type(cache)
        self.handle = self.llama.init_from_model(model.handle, params)
        if not self.handle:
            raise self.llama.complaint(f"no context of {length} tokens")
        self.batch = self.llama.batch_init(length, 0, 1)
        self.position = 0

    def clear(self):
        """Forget the sequence."""
        self.llama.memory_clear(self.llama.get_memory(self.handle), True)
        self.position = 0

    def logits(self, tokens, first=0):
        """Continue the sequence by `tokens`, and give the logits after each of them from `first` on:
        `[len(tokens) - first, vocabulary]`, as copied f32."""
        if self.position + len(tokens) > self.length:
            raise LlamaError(f"{self.position + len(tokens)} tokens in a context of {self.length}")
        outside = [token for token in tokens if not 0 <= token < self.model.vocabulary_size]
        if outside:
            raise LlamaError(f"token {outside[0]} is not in a vocabulary of {self.model.vocabulary_size}")
        batch = self.batch
        batch.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = self.position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = index >= first
        status = self.llama.decode(self.handle, batch)
        if status != 0:
            raise self.llama.complaint(f"decoding {len(tokens)} tokens ended with status {status}")
        self.position += len(tokens)
        shape = (len(tokens) - first, self.model.vocabulary_size)
        return numpy.ctypeslib.as_array(self.llama.get_logits(self.handle), shape).copy()


def only(folder, pattern):
    """The one file of a name that ends with a version or not."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise LlamaError(f"{folder} holds {len(found)} files {pattern}, not one")
    return found[0]


def _expect_defaults(library):
    """Refuse a release whose structures are laid out otherwise than ours."""
    model = library.llama_model_default_params()
    context = library.llama_context_default_params()
    quantize = library.llama_model_quantize_default_params()
    expected = [
        ("n_gpu_layers", model.n_gpu_layers, -1),
        ("kv_overrides", model.kv_overrides, None),
        ("vocab_only", model.vocab_only, False),
        ("check_tensors", model.check_tensors, False),
        ("use_extra_bufts", model.use_extra_bufts, True),
        ("n_ctx", context.n_ctx, 512),
        ("n_batch", context.n_batch, 2048),
        ("n_threads", context.n_threads, 4),
        ("flash_attn_type", context.flash_attn_type, -1),
        ("yarn_beta_slow", context.yarn_beta_slow, -1.0),
        ("type_k", context.type_k, 1),
        ("offload_kqv", context.offload_kqv, True),
        ("kv_unified", context.kv_unified, False),
        ("ctx_other", context.ctx_other, None),
        ("ftype", quantize.ftype, 7),
        ("token_embedding_type", quantize.token_embedding_type, quantize.output_tensor_type),
        ("quantize_output_tensor", quantize.quantize_output_tensor, True),
        ("pure", quantize.pure, False),
        ("prune_layers", quantize.prune_layers, None),
        ("max_buf_size", quantize.max_buf_size, 8 << 30),
    ]
    for name, found, value in expected:
        if found != value:
            raise LlamaError(f"this llama.cpp has another layout: {name} is {found} by default, not {value}")
