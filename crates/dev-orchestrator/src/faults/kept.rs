//! The switches of faults in the database.

use std::sync::Arc;

use rxon::WorkerId;
use serde::{Deserialize, Serialize};

use super::board::Board;
use super::switch::Setting;
use super::table::Fault;
use super::verdict::FaultVerdict;
use super::{Faults, UnknownFault};
use crate::clock::Now;
use crate::hub::Hub;
use crate::persist::{Rows, Table, Unreadable};

/// The row of a fault, by its name.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FaultRow {
    /// The values while it is on.
    pub(super) setting: Option<Setting>,
    /// The time at which it is switched off, in seconds since 1970.
    pub(super) until: Option<f64>,
    /// The time at which it was switched on.
    pub(super) since: Option<f64>,
    /// The end of a run whose verdict is not made.
    pub(super) ended: Option<Ended>,
    pub(super) verdict: Option<Arc<FaultVerdict>>,
}

/// The end of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    /// In seconds since 1970.
    pub(super) at: f64,
    /// The only worker that was concerned.
    pub(super) worker: Option<WorkerId>,
}

/// The faults of an earlier orchestrator.
#[derive(Debug, Default)]
pub(crate) struct KeptFaults(Vec<(Fault, FaultRow)>);

impl KeptFaults {
    /// Reads all rows.
    pub(crate) fn read(rows: &Rows) -> Result<Self, Unreadable> {
        let mut faults = Vec::new();
        rows.each(Table::Faults, |key, value| {
            let fault = String::from_utf8_lossy(key).parse();
            let fault = fault.map_err(|error: UnknownFault| Unreadable::new(error.to_string()))?;
            faults.push((fault, serde_json::from_slice(value)?));
            Ok(())
        })?;
        Ok(Self(faults))
    }
}

impl Faults {
    /// Goes on with the faults of an earlier orchestrator, which knew these workers.
    pub(crate) fn restored(kept: KeptFaults, there: &[WorkerId], now: Now) -> Self {
        let faults = Self::new();
        for (fault, row) in kept.0 {
            faults.board().restore(fault, row, there, now);
        }
        faults.announce();
        faults
    }
}

impl Hub {
    /// Hands the row of a fault over. The board is locked, so that the order of rows is that of changes.
    pub(super) fn hand_over_fault(&self, board: &Board, fault: Fault, now: Now) {
        if let Some(keeper) = &self.keeper {
            let key = fault.as_str().as_bytes().to_vec();
            keeper.change(|batch| batch.put_json(Table::Faults, key, &board.row(fault, now)));
        }
    }
}
