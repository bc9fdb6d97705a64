//! Opening the page in a browser.

use std::io;
use std::process::{Command, Stdio};

use crate::output::Printer;

/// The program that opens an address as the user's desktop does.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// The time after which the opener is taken to have succeeded: some browsers run in the foreground.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Opens an address. If that fails, says so.
pub(super) async fn open(address: &str, printer: &Printer) {
    if let Err(error) = start(address).await {
        printer.warning(format_args!("cannot open a browser: {error:#}; the page is {address}"));
    }
}

async fn start(address: &str) -> io::Result<()> {
    let mut opener = Command::new(OPENER);
    opener.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut opener = tokio::process::Command::from(opener);
    // Ctrl-C is for this process only.
    let mut child = opener
        .process_group(0)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("`{OPENER}`: {error}")))?;
    match tokio::time::timeout(PATIENCE, child.wait()).await {
        Ok(status) if !status.as_ref().is_ok_and(std::process::ExitStatus::success) => {
            Err(io::Error::other(format!("`{OPENER}` failed")))
        }
        _ => Ok(()),
    }
}
