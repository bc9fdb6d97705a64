//! The names of the disasters, and their order.

use std::fmt::{self, Display};
use std::str::FromStr;

use avtomatika_dev::Fault;

use crate::exit::Failure;

/// The guide that describes each disaster under its name.
const GUIDE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/drill.md");

/// What a worker is taken through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disaster {
    /// A fault of the server or of its storage.
    Fault(Fault),
    /// SIGTERM while tasks run, and a new start.
    Deploy,
    /// SIGKILL while tasks run, and a new start.
    KillInTask,
    /// SIGKILL between a result and its acknowledgement, and a new start.
    KillBeforeAck,
    /// A task is cancelled while it runs.
    Cancel,
    /// The token of the worker is refused for a while.
    ExpiredToken,
    /// SIGSTOP for a while.
    Stopped,
    /// The disk of the worker is full for a while.
    FullDisk,
}

impl Disaster {
    /// All of them, in their order. `too_many` is the last one: a good worker is silent for a minute after it.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let own = [
            Self::Deploy,
            Self::KillInTask,
            Self::KillBeforeAck,
            Self::Cancel,
            Self::ExpiredToken,
            Self::Stopped,
            Self::FullDisk,
            Self::Fault(Fault::TooMany),
        ];
        let faults = Fault::ALL.into_iter().filter(|fault| *fault != Fault::TooMany).map(Self::Fault);
        faults.chain(own)
    }

    /// Returns the disasters of these names; all without a name.
    pub(super) fn chosen(names: &[String]) -> Result<Vec<Self>, Failure> {
        let wanted = names.iter().map(|name| name.parse()).collect::<Result<Vec<Self>, _>>();
        let wanted = wanted.map_err(Failure::usage)?;
        Ok(Self::all().filter(|disaster| wanted.is_empty() || wanted.contains(disaster)).collect())
    }

    /// The name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.as_str(),
            Self::Deploy => "deploy",
            Self::KillInTask => "kill_in_task",
            Self::KillBeforeAck => "kill_before_ack",
            Self::Cancel => "cancel",
            Self::ExpiredToken => "expired_token",
            Self::Stopped => "stopped",
            Self::FullDisk => "full_disk",
        }
    }

    /// The address of the description.
    pub(super) fn read(self) -> String {
        format!("{GUIDE}#{}", self.name())
    }

    /// Whether it is a fault in the answers of the server, after which the worker goes on as before within seconds.
    pub(super) fn is_of_server(self) -> bool {
        matches!(self, Self::Fault(fault) if !fault.is_of_storage() && fault != Fault::TooMany)
    }
}

impl Display for Disaster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Disaster {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::all().find(|disaster| disaster.name() == text).ok_or_else(|| {
            let known: Vec<String> = Self::all().map(|disaster| format!("`{disaster}`")).collect();
            anyhow::anyhow!("`--only` is `{text}`, expected one of {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_disaster_is_read_by_its_name() {
        assert_eq!(Disaster::all().count(), Fault::ALL.len() + 7);
        for disaster in Disaster::all() {
            assert_eq!(disaster.name().parse::<Disaster>().expect("its name"), disaster);
        }
    }
}
