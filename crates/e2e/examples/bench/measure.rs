//! The time, processor time and memory of a stretch of work, as the kernel counts them.

use std::fs;
use std::time::Instant;

/// The kernel counts processor time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// The beginning of a stretch of work.
#[derive(Debug)]
pub(crate) struct Stretch {
    began: Instant,
    cpu: f64,
}

impl Stretch {
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), cpu: cpu_seconds() }
    }

    /// Prints the figures of `tasks` tasks for the process that started this one.
    #[expect(clippy::print_stdout, reason = "its output is one line")]
    pub(crate) fn end(&self, tasks: usize) {
        let seconds = self.began.elapsed().as_secs_f64();
        let cpu = cpu_seconds() - self.cpu;
        let tasks = tasks as f64;
        println!("{} {} {}", tasks / seconds, cpu / tasks * 1e6, peak_memory_mib());
    }
}

/// Returns the user and system time of all threads so far.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in brackets, which may contain spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

fn peak_memory_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
