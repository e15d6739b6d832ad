//! llama-bench, run here: the program of llama.cpp that times a model, for at most so long.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Calibration takes two minutes at most; reading memory and our own arithmetic take some seconds of them.
const LIMIT: Duration = Duration::from_secs(100);
const PAUSE: Duration = Duration::from_millis(50);

/// Why llama-bench gave no report.
#[derive(Debug, thiserror::Error)]
pub enum LlamaBenchError {
    #[error("`{}` cannot be run: {source}", program.display())]
    NotRun { program: PathBuf, source: std::io::Error },
    #[error("`{}` ended with {status}: {message}", program.display())]
    Failed { program: PathBuf, status: std::process::ExitStatus, message: String },
    #[error(
        "`{}` was not done after {} s; give fewer or smaller models, or run it yourself with `-o json` and give its report by --bench",
        program.display(), LIMIT.as_secs()
    )]
    TooSlow { program: PathBuf },
}

/// The program on PATH, if it is there.
pub fn on_path() -> Option<PathBuf> {
    let name = format!("llama-bench{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(&name))
        .find(|path| path.is_file())
}

/// The reports of a prompt and of generation for each model, on one thread and on all.
pub fn reports(program: &Path, models: &[PathBuf], threads: usize) -> Result<Vec<String>, LlamaBenchError> {
    let deadline = Instant::now() + LIMIT;
    models.iter().map(|model| report(program, model, threads, deadline)).collect()
}

fn report(
    program: &Path,
    model: &Path,
    threads: usize,
    deadline: Instant,
) -> Result<String, LlamaBenchError> {
    let not_run = |source| LlamaBenchError::NotRun { program: program.to_owned(), source };
    let counts = if threads > 1 { format!("1,{threads}") } else { "1".to_owned() };
    let mut child = Command::new(program)
        .args(["-p", "64", "-n", "16", "-r", "3", "-ngl", "0", "-o", "json", "-t", &counts, "-m"])
        .arg(model)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_run)?;
    let (output, messages) = (collected(child.stdout.take()), collected(child.stderr.take()));
    let status = ended(&mut child, deadline).map_err(not_run)?;
    let status = status.ok_or_else(|| LlamaBenchError::TooSlow { program: program.to_owned() })?;
    let [output, messages] = [output, messages].map(|reader| reader.join().unwrap_or_default());
    if status.success() {
        return Ok(output);
    }
    let message = messages.trim().lines().next_back().unwrap_or("it said nothing").to_owned();
    Err(LlamaBenchError::Failed { program: program.to_owned(), status, message })
}

/// Everything that comes out of a pipe, read beside the program so that it never waits for us.
fn collected(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // what came before an error is all there is
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// How it ended; `None` if it had to be stopped.
fn ended(child: &mut Child, deadline: Instant) -> std::io::Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}
