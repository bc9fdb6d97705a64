//! One browser with its driver, both ended with it.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{Capabilities, ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::wait::LIMIT;

const DRIVER: &str = "chromedriver";
const BROWSER: &str = "chromium";

/// Without a screen, without the sandbox that root cannot have, and without talking to anybody but the server.
const ARGUMENTS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--js-flags=--expose-gc",
];

/// What differs between tests.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Options {
    /// Whether every request and every message of the page is noted. A test with 100,000 of them does without.
    pub is_noted: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { is_noted: true }
    }
}

impl Options {
    /// The same without a note of each request.
    #[must_use]
    pub fn unnoted(self) -> Self {
        Self { is_noted: false }
    }
}

/// A running browser.
#[derive(Debug)]
pub(crate) struct Browser {
    /// Gone when the browser was ended in order; else its destructor ends the browser. It is dropped before the driver.
    session: Option<WebDriver>,
    driver: Child,
    /// Of the browser, which the driver has started.
    process: Option<Pid>,
    directory: TempDir,
}

impl Browser {
    pub(crate) async fn start(options: Options) -> Self {
        // Another test of the process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (driver, port) = start_driver().await;
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let capabilities = capabilities(&directory, options);
        let builder = WebDriver::builder(format!("http://127.0.0.1:{port}"), capabilities);
        let session = builder.request_timeout(Duration::from_secs(60)).connect().await;
        let session = session.expect("the driver starts the browser");
        let process = session.capabilities().get("goog:processID").and_then(Value::as_i64);
        let process = process.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self { session: Some(session), driver, process, directory }
    }

    pub(crate) fn session(&self) -> &WebDriver {
        self.session.as_ref().expect("the browser runs")
    }

    pub(crate) async fn end(mut self) {
        if let Some(session) = self.session.take() {
            session.quit().await.expect("the browser ends");
        }
        self.driver.kill().await.expect("the driver runs until now");
    }
}

/// The end of a test that has failed.
impl Drop for Browser {
    fn drop(&mut self) {
        // Its destructor tells the driver to end the browser, which may not listen any more.
        if self.session.take().is_none() {
            return;
        }
        let Some(process) = self.process else { return };
        let command = fs::read(format!("/proc/{}/cmdline", process.as_raw_nonzero())).unwrap_or_default();
        // The number may belong to another process by now.
        if String::from_utf8_lossy(&command).contains(&*self.directory.path().to_string_lossy()) {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// Starts the driver on a free port, which it prints.
async fn start_driver() -> (Child, u16) {
    let mut command = Command::new(DRIVER);
    command.arg("--port=0").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut driver = command.spawn().unwrap_or_else(|error| {
        panic!("cannot start `{DRIVER}`: {error}; hint: apt-get install chromium chromium-driver")
    });
    let mut lines = BufReader::new(driver.stdout.take().expect("it is piped")).lines();
    let port = async {
        while let Some(line) = lines.next_line().await.expect("the driver prints text") {
            // "ChromeDriver was started successfully on port 40123."
            if let Some(port) = line.strip_suffix('.').and_then(|line| line.rsplit(' ').next()?.parse().ok())
            {
                return port;
            }
        }
        panic!("`{DRIVER}` ended before it was ready");
    };
    let port = tokio::time::timeout(LIMIT, port).await.expect("the driver is ready in time");
    (driver, port)
}

fn capabilities(directory: &TempDir, options: Options) -> Capabilities {
    let mut chrome = DesiredCapabilities::chrome();
    chrome.set_binary(&binary()).expect("a path");
    for argument in ARGUMENTS {
        chrome.add_arg(argument).expect("an argument");
    }
    chrome.add_arg(&format!("--user-data-dir={}", directory.path().display())).expect("an argument");
    let mut capabilities: Capabilities = chrome.into();
    let mut logs = json!({ "browser": "ALL" });
    if options.is_noted {
        logs["performance"] = Value::from("ALL");
    }
    capabilities.set("goog:loggingPrefs", logs).expect("an object");
    capabilities
}

/// The path of the browser, for which the driver would look elsewhere.
fn binary() -> String {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join(BROWSER)).find(|path| path.exists());
    let found =
        found.unwrap_or_else(|| panic!("no `{BROWSER}`; hint: apt-get install chromium chromium-driver"));
    found.display().to_string()
}
