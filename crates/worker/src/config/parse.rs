//! From text to values. An error is the text of what was expected.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::InstalledModel;
use rxon::transport::http::OrchestratorUrl;

use super::Secret;

pub(super) type Parsed<T> = Result<T, String>;

/// How a full worker reports itself. The guide tells when to use which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapacityReporting {
    /// Busy when full, as the reference promises. The real orchestrators quarantine a job within milliseconds when
    /// no worker is idle.
    Strict,
    /// Idle even when full, only polling less: tasks wait in the orchestrator's queue for this worker.
    Queue,
}

/// What becomes of polls that are open at shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownPolls {
    /// Awaited where a successor with the same id could lose a task to them, else let go.
    Auto,
    /// Always awaited, within the shutdown limit.
    Await,
    /// Always let go, 1 s after the orchestrator acknowledged that the worker is busy.
    Drop,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// From which level on log lines are written.
pub type LogLevel = tracing::Level;

pub(super) fn worker_id(text: &str) -> Parsed<Option<WorkerId>> {
    WorkerId::new(text.trim()).map(Some).map_err(|_| "1 to 128 characters of `a-z A-Z 0-9 _ -`".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the same signature as every other parser")]
pub(super) fn text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the same signature as every other parser")]
pub(super) fn optional_text(text: &str) -> Parsed<Option<String>> {
    Ok(Some(text.to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "the same signature as every other parser")]
pub(super) fn secret(text: &str) -> Parsed<Secret> {
    Ok(Secret::new(text))
}

#[expect(clippy::unnecessary_wraps, reason = "the same signature as every other parser")]
pub(super) fn optional_secret(text: &str) -> Parsed<Option<Secret>> {
    Ok(Some(Secret::new(text)))
}

#[expect(clippy::unnecessary_wraps, reason = "the same signature as every other parser")]
pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    Ok(PathBuf::from(text))
}

#[expect(clippy::unnecessary_wraps, reason = "the same signature as every other parser")]
pub(super) fn optional_path(text: &str) -> Parsed<Option<PathBuf>> {
    Ok(Some(PathBuf::from(text)))
}

pub(super) fn host(text: &str) -> Parsed<IpAddr> {
    match text.trim() {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        address => address.parse().map_err(|_| "an IP address or `localhost`".to_owned()),
    }
}

pub(super) fn url(text: &str) -> Parsed<Option<OrchestratorUrl>> {
    text.parse().map(Some).map_err(|error: rxon::transport::http::InvalidAddress| {
        // Its own text begins with `expected`, too.
        let how = error.expected.trim_start_matches("expected ");
        format!("the address of an orchestrator, {how}")
    })
}

pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text.trim().to_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("true, false, 1, 0, yes, no, on or off".to_owned()),
    }
}

pub(super) fn port(text: &str) -> Parsed<u16> {
    text.trim().parse().map_err(|_| "a port, 0 to 65535".to_owned())
}

pub(super) fn count<const LOW: usize, const HIGH: usize>(text: &str) -> Parsed<usize> {
    text.trim()
        .parse()
        .ok()
        .filter(|count| (LOW..=HIGH).contains(count))
        .ok_or_else(|| format!("a whole number, {LOW} to {HIGH}"))
}

pub(super) fn gigabytes(text: &str) -> Parsed<f64> {
    number(text).filter(|number| *number >= 0.0).ok_or_else(|| "a number of GB, at least 0".to_owned())
}

/// At least 0.
pub(super) fn delay(text: &str) -> Parsed<Duration> {
    seconds(text).ok_or_else(|| "a number of seconds, at least 0".to_owned())
}

/// More than 0.
pub(super) fn timeout(text: &str) -> Parsed<Duration> {
    seconds(text).filter(|time| !time.is_zero()).ok_or_else(|| "a number of seconds above 0".to_owned())
}

pub(super) fn optional_timeout(text: &str) -> Parsed<Option<Duration>> {
    timeout(text).map(Some)
}

pub(super) fn heartbeat_interval(text: &str) -> Parsed<Duration> {
    seconds(text)
        .filter(|interval| *interval >= Duration::from_millis(50))
        .ok_or_else(|| "a number of seconds, at least 0.05".to_owned())
}

fn seconds(text: &str) -> Option<Duration> {
    // A century: what is longer is a slip, and would overflow timers.
    const LONGEST: f64 = 100.0 * 366.0 * 86_400.0;
    number(text).filter(|number| (0.0..=LONGEST).contains(number)).map(Duration::from_secs_f64)
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

pub(super) fn capacity_reporting(text: &str) -> Parsed<CapacityReporting> {
    match text.trim().to_lowercase().as_str() {
        "strict" => Ok(CapacityReporting::Strict),
        "queue" => Ok(CapacityReporting::Queue),
        _ => Err("strict or queue".to_owned()),
    }
}

pub(super) fn shutdown_polls(text: &str) -> Parsed<ShutdownPolls> {
    match text.trim().to_lowercase().as_str() {
        "auto" => Ok(ShutdownPolls::Auto),
        "await" => Ok(ShutdownPolls::Await),
        "drop" => Ok(ShutdownPolls::Drop),
        _ => Err("auto, await or drop".to_owned()),
    }
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text.trim().to_lowercase().as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json".to_owned()),
    }
}

pub(super) fn log_level(text: &str) -> Parsed<LogLevel> {
    match text.trim().to_lowercase().as_str() {
        "error" => Ok(LogLevel::ERROR),
        "warn" | "warning" => Ok(LogLevel::WARN),
        "info" => Ok(LogLevel::INFO),
        "debug" => Ok(LogLevel::DEBUG),
        "trace" => Ok(LogLevel::TRACE),
        _ => Err("error, warn, info, debug or trace".to_owned()),
    }
}

/// Options whose bad JSON is a warning and the default, as the reference has it.
pub(super) fn costs(text: &str) -> Parsed<BTreeMap<String, f64>> {
    json(text, "a JSON object of names and costs")
}

pub(super) fn software(text: &str) -> Parsed<BTreeMap<String, String>> {
    json(text, "a JSON object of names and versions")
}

pub(super) fn models(text: &str) -> Parsed<Vec<InstalledModel>> {
    json(text, "a JSON list of objects with `name` and `version`")
}

fn json<T: serde::de::DeserializeOwned>(text: &str, expected: &str) -> Parsed<T> {
    serde_json::from_str(text).map_err(|error| format!("{expected} ({error})"))
}
