//! The time, processor time and memory of a process, as the kernel counts them.

use std::fs;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// `/proc` counts processor time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// The beginning of a stretch of work of this process.
#[derive(Debug)]
pub(crate) struct Stretch {
    began: Instant,
    cpu: f64,
}

impl Stretch {
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), cpu: cpu_seconds() }
    }

    /// Prints the figures of `tasks` tasks for the process that started this one: tasks/s, microseconds of processor
    /// time per task, and the peak memory in MiB.
    #[expect(clippy::print_stdout, reason = "its output is one line")]
    pub(crate) fn end(&self, tasks: usize) {
        let seconds = self.began.elapsed().as_secs_f64();
        let cpu = cpu_seconds() - self.cpu;
        let tasks = tasks as f64;
        println!("{} {} {}", tasks / seconds, cpu / tasks * 1e6, peak_memory_mib("self"));
    }
}

/// Returns the user and system time of all threads of this process so far.
pub(crate) fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32).as_secs_f64()
}

/// Returns the user and system time of another process so far, in steps of 10 ms.
pub(crate) fn cpu_seconds_of(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The second field is the program's name in brackets, which may contain spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// Returns the most memory that a process (its id, or `self`) has used so far.
pub(crate) fn peak_memory_mib(process: &str) -> f64 {
    memory_mib(process, "VmHWM:")
}

/// Returns a figure of `/proc/PROCESS/status`, such as `VmRSS:`, the memory in use.
pub(crate) fn memory_mib(process: &str, figure: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(figure)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
