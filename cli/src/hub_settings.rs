//! What the environment says about the Hub, in the variables of huggingface_hub.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use secateur_hub::{Cache, DEFAULT_ENDPOINT, HttpSettings, HubError, Token};

/// How long a server may be silent, as in huggingface_hub.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the Hub is, where its cache is, and whether the network may be asked.
#[derive(Debug)]
pub struct HubSettings {
    pub http: HttpSettings,
    pub cache: Cache,
    pub offline: bool,
}

impl HubSettings {
    /// From the environment of this process; `offline` is what the command line says.
    ///
    /// # Errors
    /// When the token cannot be one.
    pub fn from_environment(offline: bool) -> Result<Self, HubError> {
        let value = |name: &str| std::env::var_os(name);
        Self::resolve(offline, &Environment { value: &value, home: std::env::home_dir() })
    }

    fn resolve(offline: bool, environment: &Environment) -> Result<Self, HubError> {
        let home = environment.hugging_face_home();
        let cache = environment.path("HF_HUB_CACHE").or_else(|| environment.path("HUGGINGFACE_HUB_CACHE"));
        let seconds = environment.text("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|text| text.parse().ok());
        Ok(Self {
            http: HttpSettings {
                endpoint: environment.text("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
                token: environment.token(&home)?,
                timeout: seconds.filter(|&seconds| seconds > 0).map_or(DEFAULT_TIMEOUT, Duration::from_secs),
                certificates: environment.path("SSL_CERT_FILE"),
            },
            cache: Cache {
                folder: cache.unwrap_or_else(|| home.join("hub")),
                symlinks: !environment.is_true("HF_HUB_DISABLE_SYMLINKS"),
            },
            offline: offline
                || environment.is_true("HF_HUB_OFFLINE")
                || environment.is_true("TRANSFORMERS_OFFLINE"),
        })
    }
}

/// Variables by name, and the user's home.
struct Environment<'a> {
    value: &'a dyn Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
}

impl Environment<'_> {
    /// A variable that is set and not empty.
    fn os(&self, name: &str) -> Option<OsString> {
        (self.value)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.os(name).and_then(|value| value.into_string().ok())
    }

    /// A path; `~` at its start is the user's home, as huggingface_hub has it where no shell has replaced it.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.os(name)?);
        match (path.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) => Some(home.join(rest)),
            _ => Some(path),
        }
    }

    fn is_true(&self, name: &str) -> bool {
        let value = self.text(name).unwrap_or_default().to_uppercase();
        ["1", "ON", "YES", "TRUE"].contains(&value.as_str())
    }

    fn hugging_face_home(&self) -> PathBuf {
        let cache = || {
            let home = self.home.clone().unwrap_or_default();
            self.path("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache")).join("huggingface")
        };
        self.path("HF_HOME").unwrap_or_else(cache)
    }

    /// `HF_TOKEN`, or else what `hf auth login` stored.
    fn token(&self, home: &std::path::Path) -> Result<Option<Token>, HubError> {
        if self.is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            return Ok(None);
        }
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            if let Some(token) = self.os(name) {
                let text = token.into_string().map_err(|_| HubError::TokenText)?;
                return Token::new(&text);
            }
        }
        let file = self.path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        // no file, no token; one that cannot be read is as good as none for public models
        std::fs::read_to_string(file).map_or(Ok(None), |text| Token::new(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        let value = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value))
        };
        let environment = Environment { value: &value, home: Some("/home/user".into()) };
        HubSettings::resolve(false, &environment).unwrap()
    }

    #[test]
    fn the_cache_is_where_huggingface_hub_has_it() {
        for (variables, folder) in [
            (vec![], "/home/user/.cache/huggingface/hub"),
            (vec![("XDG_CACHE_HOME", "/c")], "/c/huggingface/hub"),
            (vec![("HF_HOME", "~/hf"), ("XDG_CACHE_HOME", "/c")], "/home/user/hf/hub"),
            (vec![("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HOME", "/hf")], "/old"),
            (vec![("HF_HUB_CACHE", "/new"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/new"),
            (vec![("HF_HUB_CACHE", "")], "/home/user/.cache/huggingface/hub"),
        ] {
            assert_eq!(settings(&variables).cache.folder, PathBuf::from(folder), "{variables:?}");
        }
    }

    #[test]
    fn a_token_comes_from_the_variable_or_the_file() {
        let folder = tempfile_with("hf_from_file\n");
        let path = folder.to_str().unwrap();
        let of = |variables: &[(&str, &str)]| settings(variables).http.token;
        let token = |text: &str| Token::new(text).unwrap();
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("HF_TOKEN_PATH", path)]), token("hf_from_file"));
        assert_eq!(of(&[("HF_TOKEN_PATH", path), ("HF_TOKEN", "hf_x")]), token("hf_x"));
        assert_eq!(of(&[("HF_TOKEN", "hf_x"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "yes")]), None);
        std::fs::remove_file(folder).unwrap();
    }

    fn tempfile_with(text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("secateur-token-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn offline_is_what_python_calls_true() {
        for (value, expected) in [("1", true), ("on", true), ("True", true), ("0", false), ("no", false)] {
            assert_eq!(settings(&[("HF_HUB_OFFLINE", value)]).offline, expected, "{value}");
        }
    }
}
