//! The scenarios. Each measures something, and returns a section of the report.
//!
//! A new scenario is a file here with a function `run`, and a line in [`ALL`].

mod busy;
mod clients;
mod dev;
pub(crate) mod files;
mod growth;
mod idle;
mod latency;
mod log;
mod lone;
mod million;
mod outbox;
mod python;
mod start;
mod throughput;

use crate::options::Options;
use crate::report::Section;

/// Something to measure.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// The name for `--only`.
    pub(crate) name: &'static str,
    /// Measures, while it says on standard error how far it is.
    pub(crate) run: fn(&Options) -> Result<Section, String>,
}

/// All scenarios, in the order of the report.
pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "throughput", run: throughput::run },
    Scenario { name: "log", run: log::run },
    Scenario { name: "outbox", run: outbox::run },
    Scenario { name: "latency", run: latency::run },
    Scenario { name: "start", run: start::run },
    Scenario { name: "idle", run: idle::run },
    Scenario { name: "busy", run: busy::run },
    Scenario { name: "growth", run: growth::run },
    Scenario { name: "million", run: million::run },
    Scenario { name: "files", run: files::run },
    Scenario { name: "dev", run: dev::run },
    Scenario { name: "python", run: python::run },
];

/// Lets every client work once in each round, and returns the figures of each client's rounds.
///
/// The order moves on by one in each round, and every second round goes backwards, so that none always follows the same
/// one: on a machine with other load, only figures of the same round can be compared.
pub(crate) fn interleaved<C, F>(
    rounds: usize,
    clients: &[C],
    mut measure: impl FnMut(&C) -> Result<F, String>,
) -> Result<Vec<Vec<F>>, String> {
    let mut figures: Vec<Vec<F>> = clients.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds {
        for place in 0..clients.len() {
            let place = if round % 2 == 0 { place } else { clients.len() - 1 - place };
            let place = (place + round) % clients.len();
            figures[place].push(measure(&clients[place])?);
        }
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_interleaved_and_their_order_moves_on() {
        let mut order = String::new();
        let figures = interleaved(4, &['a', 'b', 'c'], |client| {
            order.push(*client);
            Ok(order.len())
        });
        assert_eq!(order, "abcacbcabcba");
        assert_eq!(figures.unwrap(), [[1, 4, 8, 12], [2, 6, 9, 11], [3, 5, 7, 10]]);
    }

    #[test]
    fn the_names_differ() {
        for (place, scenario) in ALL.iter().enumerate() {
            assert!(ALL[..place].iter().all(|other| other.name != scenario.name), "{}", scenario.name);
        }
    }
}
