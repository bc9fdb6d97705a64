//! The processes that descend from this one.

use std::collections::HashMap;
use std::fs;

use rustix::process::Pid;

/// A process that runs, or has ended and was not waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    id: i32,
    parent: i32,
    group: i32,
    has_ended: bool,
}

impl Process {
    /// The process id.
    pub(super) fn id(self) -> Option<Pid> {
        Pid::from_raw(self.id)
    }

    /// Whether it runs in this process group.
    pub(super) fn runs_in(self, group: Pid) -> bool {
        !self.has_ended && self.group == group.as_raw_pid()
    }
}

/// Adopts the orphans among the descendants of this process, from now on.
pub(super) fn adopt_orphans() -> rustix::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Returns everything that descends from this process. Only Linux says so; elsewhere this is empty.
pub(super) fn descendants() -> Vec<Process> {
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| {
        let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
        parse(id, &fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    });
    below(rustix::process::getpid().as_raw_pid(), processes.collect())
}

fn below(root: i32, processes: Vec<Process>) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(children.remove(&process.id).unwrap_or_default());
        next += 1;
    }
    found
}

/// Reads `/proc/ID/stat`: `ID (name) state parent group …`. The name may contain anything.
fn parse(id: i32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X");
    let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Process { id, parent, group, has_ended })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_name_does_not_hide_the_parent() {
        let process = parse(7, "7 (a) R 1 (b) Z 3 5 5 0 -1").expect("a process");
        assert_eq!(process, Process { id: 7, parent: 3, group: 5, has_ended: true });
        assert_eq!(parse(7, "7 (a"), None);
    }

    #[test]
    fn grandchildren_are_found_and_others_are_not() {
        let process = |id, parent| Process { id, parent, group: id, has_ended: false };
        let all = vec![process(4, 3), process(2, 1), process(3, 2), process(5, 1), process(9, 8)];
        let mut found: Vec<i32> = below(2, all).iter().map(|process| process.id).collect();
        found.sort_unstable();
        assert_eq!(found, [3, 4]);
    }
}
