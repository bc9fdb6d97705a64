//! Switching faults, and making their verdicts.

use std::collections::HashSet;
use std::sync::Arc;

use rxon::{TaskId, WorkerId};

use super::board::FaultState;
use super::run::Run;
use super::switch::{FaultSwitch, Setting};
use super::table::Fault;
use super::verdict::FaultVerdict;
use crate::clock::Now;
use crate::error::Error;
use crate::events::Event;
use crate::hub::Hub;
use crate::wire::{Operation, Visit};

/// The workers that are registered, and those that poll.
struct Present {
    there: Vec<WorkerId>,
    polling: HashSet<WorkerId>,
}

impl Hub {
    /// Switches faults on and off: all of them, or none if one of the values is invalid.
    pub(crate) fn set_faults(&self, switches: Vec<(Fault, FaultSwitch)>) -> Result<(), Error> {
        let checked = switches.into_iter().map(|(fault, switch)| Ok((fault, switch.check(fault)?)));
        let checked: Vec<(Fault, Option<Setting>)> = checked.collect::<Result<_, Error>>()?;
        self.switch_faults(checked);
        self.judge();
        Ok(())
    }

    /// Returns the states of all faults.
    pub(crate) fn faults(&self) -> Vec<FaultState> {
        let (board, now) = (self.faults.board(), Now::read());
        Fault::ALL.into_iter().map(|fault| board.state(fault, now)).collect()
    }

    /// Waits for the verdict on the last run of a fault. `None` if it was never on, or the orchestrator ends first.
    pub(crate) async fn verdict(&self, fault: Fault) -> Option<Arc<FaultVerdict>> {
        let mut changes = self.faults.changes.subscribe();
        loop {
            {
                let board = self.faults.board();
                if !board.is_pending(fault) {
                    return board.verdict(fault);
                }
            }
            self.stop.run_until_cancelled(changes.changed()).await?.ok()?;
        }
    }

    /// Handles a poll that is open.
    pub(crate) fn on_poll_accepted(&self, worker: &WorkerId) {
        self.observe(|run| run.on_poll(worker.as_str()));
    }

    /// Handles the end of an exchange. It was accepted if its answer was a success that no fault has harmed.
    pub(crate) fn on_exchange_ended(&self, visit: &Visit, answered: bool, accepted: bool) {
        let Some(worker) = visit.worker().filter(|_| self.faults.is_active()) else { return };
        match visit.operation() {
            Operation::Poll if accepted => self.observe(|run| run.on_poll(worker)),
            Operation::Result => {
                let Some(task) = visit.result() else { return };
                self.observe(|run| run.on_result(worker, task, answered));
            }
            // A heartbeat that asks its worker to register again is a success, too.
            Operation::Heartbeat if accepted && self.knows(worker) => {
                self.observe(|run| run.on_heartbeat(worker));
            }
            _ => {}
        }
    }

    /// Handles a fault that has hit a message about a task: its result, or its delivery.
    pub(crate) fn on_task_hit(&self, fault: Fault, task: &str, worker: Option<&str>, is_result: bool) {
        let (task_id, worker_id) = (TaskId::received(task), worker.and_then(WorkerId::received));
        self.record_fault(task, fault.as_str());
        self.publish(Event::FaultHit { name: fault, task_id, worker_id, is_result });
    }

    fn knows(&self, worker: &str) -> bool {
        self.inspect(|jobs, _| jobs.store().workers.contains_key(worker))
    }

    fn observe(&self, observation: impl Fn(&mut Run)) {
        if !self.faults.is_active() {
            return;
        }
        self.faults.board().open_runs().for_each(observation);
        self.judge();
    }

    fn switch_faults(&self, switches: Vec<(Fault, Option<Setting>)>) {
        let Present { there, polling } = self.present();
        let (mut forgotten, mut changed) = (Vec::new(), Vec::new());
        {
            let (mut board, now) = (self.faults.board(), Now::read());
            for (fault, setting) in switches {
                match setting {
                    None if board.switch_off(fault, &polling, now) => {}
                    None => continue,
                    Some(setting) => {
                        let at_once = fault == Fault::Forget && setting.rate.is_none();
                        let only = setting.worker.clone();
                        if board.switch_on(fault, setting, &there, now) && at_once {
                            let hit = there.iter().filter(|id| only.as_ref().is_none_or(|only| only == *id));
                            forgotten.extend(hit.cloned());
                            board.count(fault, forgotten.len() as u64);
                        }
                    }
                }
                changed.push(board.state(fault, now));
                self.hand_over_fault(&board, fault, now);
            }
        }
        self.faults.announce();
        for worker in forgotten {
            self.update(|jobs, now| jobs.forget(&worker, now));
        }
        for state in changed {
            let on = state.on;
            tracing::info!(fault = %state.fault, on, "fault switched");
            self.publish(Event::FaultChanged { name: state.fault, state: Box::new(state) });
        }
    }

    /// Makes the verdicts that can be made.
    fn judge(&self) {
        let runs = self.faults.board().take_ended(Now::read());
        if runs.is_empty() {
            return;
        }
        for run in runs {
            let verdict = Arc::new(self.inspect(|jobs, now| FaultVerdict::of(&run, jobs, now)));
            tracing::info!(fault = %verdict.fault, ok = verdict.ok, "{}", verdict.text);
            {
                let mut board = self.faults.board();
                board.conclude(verdict.clone());
                self.hand_over_fault(&board, verdict.fault, Now::read());
            }
            self.publish(Event::FaultJudged { verdict });
        }
        self.faults.announce();
    }

    fn present(&self) -> Present {
        self.inspect(|jobs, _| Present {
            there: {
                let workers = jobs.store().workers.iter();
                workers.filter(|(_, worker)| worker.is_heard).map(|(id, _)| id.clone()).collect()
            },
            polling: jobs.polling().cloned().collect(),
        })
    }
}

/// Switches faults off when their time is over, and makes verdicts when they are due, until the shutdown.
pub(crate) async fn keep_time(hub: &Hub) {
    let mut changes = hub.faults.changes.subscribe();
    loop {
        let wake = hub.faults.board().next_wake();
        let due = async {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = hub.stop.cancelled() => return,
            _ = changes.changed() => {}
            () = due => {
                let over = hub.faults.board().over(Now::read());
                if !over.is_empty() {
                    hub.switch_faults(over.into_iter().map(|fault| (fault, None)).collect());
                }
                hub.judge();
            }
        }
    }
}
