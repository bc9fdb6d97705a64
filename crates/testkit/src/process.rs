//! Programs that a test starts, watches and ends.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::patience::{eventually, give_up};

/// The variables that [`Program::clean_env`] keeps.
const KEPT: [&str; 4] = ["PATH", "HOME", "LANG", "LLVM_PROFILE_FILE"];

/// A program to start.
#[derive(Debug)]
pub struct Program {
    command: Command,
    name: OsString,
}

impl Program {
    /// A program by its path, or by its name in `PATH`, with the environment of the test.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let name = program.as_ref().to_owned();
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { command, name }
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets several variables of the environment.
    pub fn envs(
        mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Self {
        self.command.envs(variables);
        self
    }

    /// Removes the environment of the test, except for `PATH`, `HOME` and the like. Call it before `env`.
    pub fn clean_env(mut self) -> Self {
        self.command.env_clear();
        self.command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        self
    }

    /// Sets the working directory.
    pub fn current_dir(mut self, folder: impl AsRef<std::path::Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Starts the program.
    ///
    /// # Panics
    /// If the program cannot be started.
    #[track_caller]
    pub fn start(mut self) -> Process {
        let name = self.name.to_string_lossy().into_owned();
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot start `{name}`: {error}"),
        };
        let output = Arc::new(Output::default());
        let mut readers = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            readers.spawn(read_lines(stdout, output.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.spawn(read_lines(stderr, output.clone()));
        }
        Process { name, child, output, readers }
    }
}

/// A running program. Killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
    readers: JoinSet<()>,
}

/// Lines of stdout and stderr, in the order in which they were read.
#[derive(Default)]
struct Output {
    lines: Mutex<Vec<String>>,
    changed: Notify,
}

impl Process {
    /// Returns the lines printed so far, on stdout and stderr.
    pub fn lines(&self) -> Vec<String> {
        self.output.lock().clone()
    }

    /// Returns true if a line with this text has been printed.
    pub fn printed(&self, text: &str) -> bool {
        self.output.lock().iter().any(|line| line.contains(text))
    }

    /// The process id; `None` after [`wait`](Self::wait) has returned.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for a line with this text, earlier lines included, and returns it.
    ///
    /// # Panics
    /// When the time limit passes, with everything that was printed.
    #[track_caller]
    pub fn wait_for_line(&self, text: &str) -> impl Future<Output = String> + Send + use<> {
        let caller = Location::caller();
        let output = self.output.clone();
        let wanted = format!("a line with `{text}` from `{}`", self.name);
        let text = text.to_owned();
        async move {
            let find = || output.lock().iter().find(|line| line.contains(&text)).cloned();
            match eventually(&output.changed, find).await {
                Some(line) => line,
                None => give_up(caller, &wanted, &output.lock().join("\n")),
            }
        }
    }

    /// Asks the program to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Kills the program (SIGKILL).
    pub fn kill(&self) {
        self.signal("KILL");
    }

    /// Sends a signal by its name without `SIG`: `INT`, `STOP`, `CONT`. Does nothing after [`wait`](Self::wait) has
    /// returned.
    ///
    /// # Panics
    /// If there is no such signal.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let Some(id) = self.child.id() else { return };
        // The built-in `kill` of the shell exists everywhere, and needs neither a package nor unsafe code.
        let sent = std::process::Command::new("sh")
            .args(["-c", &format!("kill -s {name} {id}")])
            .stderr(Stdio::null())
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to `{}`", self.name);
    }

    /// Waits until the program has ended and all of its output has been read.
    ///
    /// # Panics
    /// If the program has not ended within `limit`, with everything that it printed.
    pub async fn wait(&mut self, limit: Duration) -> ExitStatus {
        let Ok(status) = tokio::time::timeout(limit, self.child.wait()).await else {
            panic!("`{}` has not ended in {limit:?}; it printed:\n{}", self.name, self.lines().join("\n"))
        };
        // A grandchild may keep the pipes open, so the wait for its output is limited.
        let _ = tokio::time::timeout(Duration::from_secs(1), async {
            while self.readers.join_next().await.is_some() {}
        })
        .await;
        status.expect("a child of this process")
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Process")
            .field("name", &self.name)
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read_lines(pipe: impl AsyncRead + Unpin, output: Arc<Output>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    // Bytes, not text: the output of a program may not be UTF-8.
    while matches!(pipe.read_until(b'\n', &mut line).await, Ok(1..)) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        output.lock().push(text);
        output.changed.notify_waiters();
        line.clear();
    }
}
