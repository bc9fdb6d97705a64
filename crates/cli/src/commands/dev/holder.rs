//! The process that holds a port.

use std::fs;
use std::path::Path;

/// A process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    /// Its name.
    pub(super) name: String,
    /// Its process id.
    pub(super) id: u32,
}

/// The state of a socket that listens, in `/proc/net/tcp`.
const LISTENS: &str = "0A";

impl Holder {
    /// Finds the process that listens on a port. `None` if that cannot be found: on other systems than Linux, and for
    /// processes of other users.
    pub(super) fn of(port: u16) -> Option<Self> {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
        let sockets: Vec<String> = tables
            .iter()
            .flatten()
            .flat_map(|table| table.lines().filter_map(|line| inode(line, port)))
            .map(|inode| format!("socket:[{inode}]"))
            .collect();
        if sockets.is_empty() {
            return None;
        }
        let processes = fs::read_dir("/proc").ok()?.flatten();
        processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find_map(|id: u32| {
            let process = Path::new("/proc").join(id.to_string());
            let mut descriptors = fs::read_dir(process.join("fd")).ok()?.flatten();
            let holds = |link: &Path| sockets.iter().any(|socket| link == Path::new(socket));
            descriptors.find(|entry| fs::read_link(entry.path()).is_ok_and(|link| holds(&link)))?;
            let name = fs::read_to_string(process.join("comm")).ok()?;
            Some(Self { name: name.trim_end().to_owned(), id })
        })
    }
}

/// Returns the inode of a socket that listens on this port. The fields are: number, local address, remote address, state,
/// queues, timer, retransmits, user, timeout, inode.
fn inode(line: &str, port: u16) -> Option<&str> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, hexadecimal) = fields.next()?.rsplit_once(':')?;
    let is_it = u16::from_str_radix(hexadecimal, 16) == Ok(port) && fields.nth(1)? == LISTENS;
    if is_it { fields.nth(5) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_listening_socket_names_its_inode() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 4711 1 0 100";
        assert_eq!(inode(line, 8080), Some("4711"));
        assert_eq!(inode(line, 8081), None);
        assert_eq!(inode(&line.replace(" 0A ", " 01 "), 8080), None);
        assert_eq!(inode("  sl  local_address rem_address   st", 8080), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        assert_eq!(Holder::of(port).map(|holder| holder.id), Some(std::process::id()));
        drop(listener);
        assert_eq!(Holder::of(port), None);
    }
}
