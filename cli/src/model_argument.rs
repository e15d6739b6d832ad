//! What `MODEL` on the command line may be.

use std::path::{Path, PathBuf};

use secateur_hub::{HttpHub, Hub, HubError, ModelId, Plan, Remote, Selection, StandIn};
use secateur_model::stored::FileBytes;
use secateur_model::{Checkpoint, demo};

use crate::console::Console;
use crate::hub_settings::HubSettings;

/// Why `MODEL` leads to no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelArgumentError {
    #[error(
        "there is no `{found}`; give a model of the Hub (org/name), a Hugging Face folder, a GGUF file, or `demo`"
    )]
    NotFound { found: String },
}

/// A checkpoint whose tensors need not be there.
#[derive(Debug)]
pub struct Headers {
    pub checkpoint: Checkpoint,
    /// What it was read from, if that is only there for the moment.
    _stand_in: Option<StandIn>,
}

/// What a user's word means.
enum Named {
    Demo,
    Path(PathBuf),
    Hub(ModelId),
}

/// Opens the demo model, a folder, a file, or a model of the Hub, which is fetched first.
pub fn open(model: &str, console: &Console) -> anyhow::Result<Checkpoint> {
    match named(model)? {
        Named::Hub(id) => with_hub(console, |hub| {
            let plan = plan(hub, &id, console)?;
            fetch(hub, plan, console)
        }),
        local => open_local(local),
    }
}

/// Opens only to look: of a model of the Hub that is not in the cache, the weights are not fetched.
pub fn open_headers(model: &str, console: &Console) -> anyhow::Result<Headers> {
    match named(model)? {
        Named::Hub(id) => with_hub(console, |hub| {
            let plan = plan(hub, &id, console)?;
            if plan.is_cached() {
                return Ok(Headers { checkpoint: fetch(hub, plan, console)?, _stand_in: None });
            }
            let stand_in = hub.stand_in(&plan, &console.transfer())?;
            let mut checkpoint = Checkpoint::open_headers(stand_in.model())?;
            checkpoint.hub = Some(plan.source);
            Ok(Headers { checkpoint, _stand_in: Some(stand_in) })
        }),
        local => Ok(Headers { checkpoint: open_local(local)?, _stand_in: None }),
    }
}

/// The same for questions about tensors as they are stored: the tokenizer of a local GGUF file stays unread.
pub fn open_tensors(model: &str, console: &Console) -> anyhow::Result<Headers> {
    match named(model)? {
        Named::Path(path) => Ok(Headers { checkpoint: Checkpoint::open_tensors(&path)?, _stand_in: None }),
        _ => open_headers(model, console),
    }
}

/// Does something with the Hub as the environment and the command line describe it.
pub fn with_hub<T>(console: &Console, act: impl FnOnce(&Hub) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let settings = HubSettings::from_environment(console.is_offline())?;
    let remote = if settings.offline { None } else { Some(HttpHub::new(&settings.http)?) };
    act(&Hub::new(remote.as_ref().map(|remote| remote as &dyn Remote), settings.cache))
}

/// Something that is there wins over a model of the Hub with the same name.
fn named(model: &str) -> anyhow::Result<Named> {
    let path = Path::new(model);
    if path.exists() {
        return Ok(Named::Path(path.to_owned()));
    }
    if model == demo::NAME {
        return Ok(Named::Demo);
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    // a file of that name that is not there; `org/name:file.gguf` is another thing
    let is_file = !model.contains(':') && ["gguf", "safetensors"].contains(&extension);
    match model.parse() {
        Ok(id) if !is_file => Ok(Named::Hub(id)),
        _ => Err(ModelArgumentError::NotFound { found: model.to_owned() }.into()),
    }
}

fn open_local(named: Named) -> anyhow::Result<Checkpoint> {
    match named {
        Named::Path(path) => Ok(Checkpoint::open(&path)?),
        Named::Demo => Ok(Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF))?),
        Named::Hub(id) => Err(ModelArgumentError::NotFound { found: id.repo.to_string() }.into()),
    }
}

fn fetch(hub: &Hub, plan: Plan, console: &Console) -> anyhow::Result<Checkpoint> {
    let snapshot = hub.fetch(&plan, &console.transfer())?;
    let model = plan.gguf.as_ref().map_or_else(|| snapshot.clone(), |gguf| snapshot.join(gguf));
    let mut checkpoint = Checkpoint::open(&model)?;
    checkpoint.hub = Some(plan.source);
    Ok(checkpoint)
}

fn plan(hub: &Hub, id: &ModelId, console: &Console) -> anyhow::Result<Plan> {
    let plan = match hub.plan(id, &Selection::default(), &console.transfer()) {
        Err(error @ (HubError::NotFound { .. } | HubError::NotFoundWithoutToken { .. })) => {
            let here = format!("there is no file or folder `{}` here", id.repo);
            return Err(anyhow::Error::from(error).context(here));
        }
        other => other?,
    };
    if let Some(reason) = &plan.unreachable {
        console.note(&format!("{reason}; taking {} from the cache", plan.source.commit));
    }
    Ok(plan)
}
