//! The operations whose instructions `cargo xtask counts` counts, each done as often as the command line says.
//!
//! Counted twice, with different numbers of repetitions, the difference is what the operation costs, without the start and
//! the end of the program. The whole path of a task runs against the scripted server in a process of its own, which is
//! not counted.

mod parts;
mod path;
mod server;

use std::env;
use std::process::ExitCode;

use avtomatika_worker::WorkerConfig;
use avtomatika_worker::config::LogFormat;
use testkit::Generation;

/// As long as real tokens are: log lines are searched for it.
const TOKEN: &str = "a3f1c5e79b2d48600f6e1a7c3d9b5284";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            print_error(&problem);
            ExitCode::from(2)
        }
    }
}

fn run(words: &[&str]) -> Result<(), String> {
    match words {
        ["server", generation, tasks] => server::serve(self::generation(generation)?, number(tasks)?),
        ["path", url, slots, log, tasks] => path::run(url, number(slots)?, Log::parse(log)?, number(tasks)?),
        ["parse", times] => parts::parse(number(times)?),
        ["seal", times] => parts::seal(number(times)?),
        ["log", log, times] => parts::log(Log::parse(log)?, number(times)?),
        ["files", times] => parts::files(number(times)?),
        _ => Err(format!("`{}` is no operation", words.join(" "))),
    }
}

/// The log of the process.
#[derive(Debug, Clone, Copy)]
enum Log {
    Off,
    Lines(LogFormat),
}

impl Log {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "text" => Ok(Self::Lines(LogFormat::Text)),
            "json" => Ok(Self::Lines(LogFormat::Json)),
            other => Err(format!("`{other}` is no log, expected `off`, `text` or `json`")),
        }
    }

    /// Installs the log, at its default level.
    fn install(self, config: WorkerConfig) -> (WorkerConfig, Option<avtomatika_worker::logging::LogGuard>) {
        match self {
            Self::Off => (config, None),
            Self::Lines(format) => {
                let config = config.log_format(format);
                let guard = avtomatika_worker::logging::init(&config);
                (config, Some(guard))
            }
        }
    }
}

fn generation(text: &str) -> Result<Generation, String> {
    match text {
        "older" => Ok(Generation::Older),
        "newer" => Ok(Generation::Newer),
        other => Err(format!("`{other}` is no generation, expected `older` or `newer`")),
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

/// A task of about 400 bytes.
fn task(number: usize) -> String {
    format!(
        r#"{{"job_id":"job-{number:08}","task_id":"task-{number:08}","type":"nothing","params":{{"source":"{}","width":640,"height":480,"ratio":0.1}},"tracing_context":{{}},"priority":0,"metadata":{{}},"step":1}}"#,
        "x".repeat(200)
    )
}

/// A runtime with one thread, as the order of work on several is left to chance.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())
}

#[expect(clippy::print_stderr, reason = "the error that ends the program")]
fn print_error(problem: &str) {
    eprintln!("error: {problem}");
}
