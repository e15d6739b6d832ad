//! ggml's own codecs, from its shared library: the judge of ours.
#![allow(clippy::expect_used)] // support of tests: a failure is a failed test

use std::ffi::{c_char, c_int, c_void};
use std::path::{Path, PathBuf};

use libloading::Library;
use secateur_model::TensorType;

/// `ggml_quantize_chunk(type, src, dst, start, rows, row_len, importance) -> bytes`
type QuantizeChunk = unsafe extern "C" fn(c_int, *const f32, *mut c_void, i64, i64, i64, *const f32) -> usize;
/// `ggml_get_type_traits(type)`
type GetTypeTraits = unsafe extern "C" fn(c_int) -> *const TypeTraits;
/// `ggml_to_float_t(stored, out, numbers)`
type ToFloat = unsafe extern "C" fn(*const c_void, *mut f32, i64);

/// `struct ggml_type_traits`
#[repr(C)]
struct TypeTraits {
    type_name: *const c_char,
    block_len: i64,
    block_len_interleave: i64,
    block_bytes: usize,
    is_quantized: bool,
    to_float: Option<ToFloat>,
    from_float: *const c_void,
}

/// A loaded `libggml-base.so`.
pub struct Ggml {
    library: Library,
}

/// Where the `./test` script puts llama.cpp's library.
pub fn default_library() -> PathBuf {
    let fixtures = std::env::var_os("SECATEUR_FIXTURES").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/secateur/fixtures"),
        PathBuf::from,
    );
    fixtures.join("llama.cpp/libggml-base.so")
}

impl Ggml {
    /// Loads the library.
    ///
    /// # Errors
    /// If the file is missing, no library, or not ggml.
    pub fn load(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: the initializers of ggml's base library set up tables and touch nothing of ours.
        let library = unsafe { Library::new(path) }?;
        // SAFETY: only the presence of the symbols is checked here.
        unsafe {
            library.get::<QuantizeChunk>("ggml_quantize_chunk")?;
            library.get::<GetTypeTraits>("ggml_get_type_traits")?;
        }
        Ok(Self { library })
    }

    /// What `ggml_quantize_chunk` makes of whole rows.
    ///
    /// # Panics
    /// If the rows do not fill blocks.
    pub fn quantize(
        &self,
        tensor_type: TensorType,
        values: &[f32],
        row_len: usize,
        importance: Option<&[f32]>,
    ) -> Vec<u8> {
        let row_bytes = tensor_type.row_bytes(row_len).expect("rows fill blocks");
        let mut out = vec![0; values.len() / row_len * row_bytes];
        self.quantize_into(tensor_type, values, row_len, importance, &mut out);
        out
    }

    /// As [`Self::quantize`], into memory that is there already.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    pub fn quantize_into(
        &self,
        tensor_type: TensorType,
        values: &[f32],
        row_len: usize,
        importance: Option<&[f32]>,
        out: &mut [u8],
    ) {
        let rows = values.len() / row_len;
        assert_eq!(rows * row_len, values.len());
        assert_eq!(Some(out.len()), tensor_type.row_bytes(row_len).map(|bytes| rows * bytes));
        assert!(importance.is_none_or(|weights| weights.len() == row_len));
        // SAFETY: the signature is that of `ggml.h`; source, importance and output have the sizes that it asks for.
        let written = unsafe {
            let quantize =
                self.library.get::<QuantizeChunk>("ggml_quantize_chunk").expect("checked by `load`");
            quantize(
                tensor_type.ggml_id() as c_int,
                values.as_ptr(),
                out.as_mut_ptr().cast(),
                0,
                rows as i64,
                row_len as i64,
                importance.map_or(std::ptr::null(), <[f32]>::as_ptr),
            )
        };
        assert_eq!(written, out.len(), "{tensor_type}");
    }

    /// What ggml reads from stored numbers.
    ///
    /// # Panics
    /// If the bytes are no whole blocks.
    pub fn dequantize(&self, tensor_type: TensorType, bytes: &[u8]) -> Vec<f32> {
        assert!(bytes.len().is_multiple_of(tensor_type.block_bytes()));
        let mut out = vec![0.0; bytes.len() / tensor_type.block_bytes() * tensor_type.block_len()];
        if tensor_type == TensorType::F32 {
            // ggml has no function for what needs none
            for (value, &stored) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(stored);
            }
            return out;
        }
        let to_float = self.traits(tensor_type).to_float.expect("every type but f32 has it");
        // SAFETY: the signature is that of `ggml.h`; `out` has one number for every number in `bytes`.
        unsafe { to_float(bytes.as_ptr().cast(), out.as_mut_ptr(), out.len() as i64) };
        out
    }

    /// Numbers per block and bytes per block, as ggml has them.
    pub fn block(&self, tensor_type: TensorType) -> (usize, usize) {
        let traits = self.traits(tensor_type);
        (traits.block_len as usize, traits.block_bytes)
    }

    /// The name that ggml has for the type.
    pub fn name(&self, tensor_type: TensorType) -> String {
        // SAFETY: the name is a static string that ends in a zero byte.
        unsafe { std::ffi::CStr::from_ptr(self.traits(tensor_type).type_name) }.to_string_lossy().into_owned()
    }

    fn traits(&self, tensor_type: TensorType) -> &TypeTraits {
        // SAFETY: the signature and the structure are those of `ggml.h`; the result points into a static table, and
        // the number is one that ggml knows.
        unsafe {
            let get = self.library.get::<GetTypeTraits>("ggml_get_type_traits").expect("checked by `load`");
            &*get(tensor_type.ggml_id() as c_int)
        }
    }
}
