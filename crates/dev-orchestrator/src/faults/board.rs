//! The switches of all faults, the decisions for single requests, and the runs until their verdicts. No I/O.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rxon::WorkerId;
use serde::{Serialize, Serializer};

use super::kept::{Ended, FaultRow};
use super::recent::Recent;
use super::run::Run;
use super::switch::Setting;
use super::table::Fault;
use super::verdict::FaultVerdict;
use crate::clock::Now;
use crate::store::Assignment;

/// The number of tasks that wait to be given a second time.
const MAX_COPIES: usize = 10_000;

/// The state of a fault at one moment.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FaultState {
    /// The fault.
    #[serde(skip)]
    pub fault: Fault,
    /// Whether it is on.
    pub on: bool,
    /// The share of requests that it hits.
    pub rate: f64,
    /// The time after which it is switched off, in seconds; `None` if it is never.
    #[serde(rename = "for")]
    pub duration: Option<f64>,
    /// The rest of that time, in seconds.
    pub left: Option<f64>,
    /// The only worker that it hits; `None` stands for all.
    pub worker: Option<WorkerId>,
    /// The delay of answers in seconds, if the fault is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<f64>,
    /// The time at which it was switched on, in seconds since 1970.
    pub since: Option<f64>,
    /// The number of times that it hit something since it was last switched on.
    pub hits: u64,
    /// A sentence that says what it does.
    pub about: &'static str,
    /// A sentence that says what a good worker does meanwhile.
    pub good_worker: &'static str,
    /// The judgement on its last run; `None` while it is on, and until the judgement is made.
    pub verdict: Option<Arc<FaultVerdict>>,
}

/// The states of faults, which are written by their names in the order of the table.
#[derive(Debug)]
pub(crate) struct FaultStates(pub(crate) Vec<FaultState>);

impl Serialize for FaultStates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|state| (state.fault, state)))
    }
}

/// All switches.
#[derive(Debug)]
pub(super) struct Board {
    /// One for each fault, in their order.
    slots: Vec<Slot>,
    /// The tasks whose result `lose_ack` has decided on.
    acknowledged: Recent,
    /// The tasks that `duplicate` has decided on.
    doubled: Recent,
    /// The tasks to be given a second time, by their worker.
    copies: HashMap<WorkerId, VecDeque<Assignment>>,
    random: fastrand::Rng,
}

#[derive(Debug, Default)]
struct Slot {
    /// The values while the fault is on.
    setting: Option<Setting>,
    /// The time at which it is switched off.
    until: Option<Instant>,
    hits: u64,
    /// The number of answers that alternate.
    turns: u64,
    /// The number of times that the fault was switched on.
    runs: u64,
    /// The last run, until its verdict.
    run: Option<Run>,
    /// Whether the run was taken to be judged.
    judging: bool,
    verdict: Option<Arc<FaultVerdict>>,
}

impl Board {
    pub(super) fn new() -> Self {
        Self {
            slots: Fault::ALL.iter().map(|_| Slot::default()).collect(),
            acknowledged: Recent::default(),
            doubled: Recent::default(),
            copies: HashMap::new(),
            random: fastrand::Rng::new(),
        }
    }

    /// Switches a fault on, or changes its values. Returns whether a run begins: it was off, or for another worker.
    pub(super) fn switch_on(&mut self, fault: Fault, setting: Setting, there: &[WorkerId], now: Now) -> bool {
        let slot = &mut self.slots[fault as usize];
        let begins = slot.setting.as_ref().is_none_or(|before| before.worker != setting.worker);
        if begins {
            (slot.hits, slot.turns, slot.verdict, slot.judging) = (0, 0, None, false);
            slot.runs += 1;
            slot.run = Some(Run::new(fault, setting.worker.clone(), there, now));
        }
        slot.until = setting.duration.map(|duration| now.instant + duration);
        slot.setting = Some(setting);
        begins
    }

    /// Switches a fault off, and begins to wait for its verdict. Returns whether it was on.
    pub(super) fn switch_off(&mut self, fault: Fault, polling: &HashSet<WorkerId>, now: Now) -> bool {
        let slot = &mut self.slots[fault as usize];
        slot.until = None;
        let was_on = slot.setting.take().is_some();
        if was_on && let Some(run) = &mut slot.run {
            run.end(polling, now);
        }
        if fault == Fault::Duplicate {
            self.copies.clear();
        }
        was_on
    }

    /// Returns the row of a fault.
    pub(super) fn row(&self, fault: Fault, now: Now) -> FaultRow {
        let slot = &self.slots[fault as usize];
        let left = slot.until.map(|until| until.saturating_duration_since(now.instant));
        FaultRow {
            setting: slot.setting.clone(),
            until: left.map(|left| now.unix + left.as_secs_f64()),
            since: slot.run.as_ref().map(|run| run.from.unix),
            ended: slot
                .run
                .as_ref()
                .and_then(|run| Some(Ended { at: run.to?.unix, worker: run.only.clone() })),
            verdict: slot.verdict.clone(),
        }
    }

    /// Puts a fault into the state of a row; its time has gone on meanwhile.
    pub(super) fn restore(&mut self, fault: Fault, row: FaultRow, there: &[WorkerId], now: Now) {
        let slot = &mut self.slots[fault as usize];
        slot.verdict = row.verdict;
        // What was seen of the workers before is not known any more.
        let from = Now { unix: row.since.unwrap_or(now.unix), ..now };
        if let Some(Ended { at, worker }) = row.ended.filter(|_| row.setting.is_none()) {
            let mut run = Run::new(fault, worker, there, from);
            // The workers have all of their time again: nobody listened meanwhile.
            run.end(&HashSet::new(), Now { unix: at, ..now });
            slot.run = Some(run);
            slot.runs += 1;
        }
        if let Some(setting) = row.setting {
            slot.run = Some(Run::new(fault, setting.worker.clone(), there, from));
            slot.runs += 1;
            slot.until = row.until.map(|until| now.instant_at(until));
            slot.setting = Some(setting);
        }
    }

    /// Returns the faults whose time is over.
    pub(super) fn over(&self, now: Now) -> Vec<Fault> {
        let over =
            |fault: &Fault| self.slots[*fault as usize].until.is_some_and(|until| until <= now.instant);
        Fault::ALL.into_iter().filter(over).collect()
    }

    /// Takes the runs that can be judged: their workers have recovered, or had their time.
    pub(super) fn take_ended(&mut self, now: Now) -> Vec<Run> {
        let ended = |run: &mut Run| run.is_recovered() || run.due().is_some_and(|due| due <= now.instant);
        let taken = self.slots.iter_mut().filter_map(|slot| {
            let run = slot.run.take_if(ended)?;
            slot.judging = true;
            Some(run)
        });
        taken.collect()
    }

    /// Keeps a verdict, unless the fault was switched on again meanwhile.
    pub(super) fn conclude(&mut self, verdict: Arc<FaultVerdict>) {
        let slot = &mut self.slots[verdict.fault as usize];
        if slot.judging {
            (slot.judging, slot.verdict) = (false, Some(verdict));
        }
    }

    /// The time at which [`Board::over`] or [`Board::take_ended`] next has something to return.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let due = |slot: &Slot| slot.run.as_ref().and_then(Run::due);
        self.slots.iter().flat_map(|slot| slot.until.into_iter().chain(due(slot))).min()
    }

    /// Whether a request has to be looked at: a fault is on, or a verdict is awaited.
    pub(super) fn is_active(&self) -> bool {
        self.slots.iter().any(|slot| slot.run.is_some())
    }

    /// Whether a verdict will be made.
    pub(super) fn is_pending(&self, fault: Fault) -> bool {
        let slot = &self.slots[fault as usize];
        slot.run.is_some() || slot.judging
    }

    pub(super) fn verdict(&self, fault: Fault) -> Option<Arc<FaultVerdict>> {
        self.slots[fault as usize].verdict.clone()
    }

    /// The number of times that a fault was switched on.
    pub(super) fn runs(&self, fault: Fault) -> u64 {
        self.slots[fault as usize].runs
    }

    /// Returns the values of a fault that is on, if it concerns this worker.
    pub(super) fn setting(&self, fault: Fault, worker: Option<&str>) -> Option<&Setting> {
        self.slots[fault as usize].setting.as_ref().filter(|setting| setting.concerns(worker))
    }

    /// Decides whether a fault hits a request of this worker, and counts the hit.
    pub(super) fn hits(&mut self, fault: Fault, worker: Option<&str>) -> bool {
        let Some(setting) = self.setting(fault, worker) else { return false };
        let rate = setting.rate.unwrap_or(1.0);
        // `f64` is below 1, so that a rate of 1 always hits, and a rate of 0 never.
        let hit = self.random.f64() < rate;
        self.slots[fault as usize].hits += u64::from(hit);
        hit
    }

    /// The same for a fault of the storage, whose requests name no worker.
    pub(super) fn hits_storage(&mut self, fault: Fault) -> bool {
        let only = self.slots[fault as usize].setting.as_ref().and_then(|setting| setting.worker.clone());
        self.hits(fault, only.as_ref().map(WorkerId::as_str))
    }

    /// Returns how late the storage answers a request.
    pub(super) fn storage_delay(&mut self) -> Option<Duration> {
        let delay = self.slots[Fault::StorageSlow as usize].setting.as_ref()?.delay;
        self.hits_storage(Fault::StorageSlow).then_some(delay)
    }

    /// Counts hits that were not decided by [`Board::hits`].
    pub(super) fn count(&mut self, fault: Fault, hits: u64) {
        self.slots[fault as usize].hits += hits;
    }

    /// Returns the number of earlier calls for this fault, for answers that alternate.
    pub(super) fn turn(&mut self, fault: Fault) -> u64 {
        let turns = &mut self.slots[fault as usize].turns;
        *turns += 1;
        *turns - 1
    }

    /// Decides whether the answer to a result is lost: only ever the first one.
    pub(super) fn loses_answer(&mut self, worker: Option<&str>, task: &str) -> bool {
        let on = self.setting(Fault::LoseAck, worker).is_some();
        on && self.acknowledged.is_new(task) && self.hits(Fault::LoseAck, worker)
    }

    /// Decides whether a delivered task is given a second time: only once.
    pub(super) fn on_delivered(&mut self, worker: &WorkerId, assignment: &Assignment) {
        let on = self.setting(Fault::Duplicate, Some(worker.as_str())).is_some();
        let room = on && self.copies.values().map(VecDeque::len).sum::<usize>() < MAX_COPIES;
        if room
            && self.doubled.is_new(assignment.task_id.as_str())
            && self.hits(Fault::Duplicate, Some(worker.as_str()))
        {
            self.copies.entry(worker.clone()).or_default().push_back(assignment.clone());
        }
    }

    /// Returns a task that this worker is to be given a second time.
    pub(super) fn copy_for(&mut self, worker: &WorkerId) -> Option<Assignment> {
        let copies = self.copies.get_mut(worker)?;
        let copy = copies.pop_front();
        if copies.is_empty() {
            self.copies.remove(worker);
        }
        copy
    }

    /// Returns the runs whose verdict is not made.
    pub(super) fn open_runs(&mut self) -> impl Iterator<Item = &mut Run> {
        self.slots.iter_mut().filter_map(|slot| slot.run.as_mut())
    }

    pub(super) fn state(&self, fault: Fault, now: Now) -> FaultState {
        let slot = &self.slots[fault as usize];
        let setting = slot.setting.as_ref();
        let left = slot.until.map(|until| until.saturating_duration_since(now.instant));
        let since = slot.run.as_ref().filter(|_| setting.is_some()).map(|run| run.from.unix);
        FaultState {
            fault,
            on: setting.is_some(),
            rate: setting.and_then(|setting| setting.rate).unwrap_or(1.0),
            duration: setting.and_then(|setting| setting.duration).map(|time| time.as_secs_f64()),
            left: left.map(|time| time.as_secs_f64()),
            worker: setting.and_then(|setting| setting.worker.clone()),
            delay: setting.filter(|_| fault.has_delay()).map(|setting| setting.delay.as_secs_f64()),
            since,
            hits: slot.hits,
            about: fault.about(),
            good_worker: fault.good_worker(),
            verdict: slot.verdict.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::FaultSwitch;

    fn now() -> Now {
        Now { instant: Instant::now(), unix: 1000.0 }
    }

    fn worker(id: &str) -> WorkerId {
        WorkerId::new(id).expect("valid")
    }

    fn on(board: &mut Board, switch: FaultSwitch, now: Now) -> bool {
        let setting = switch.check(Fault::Cut).expect("valid").expect("on");
        board.switch_on(Fault::Cut, setting, &[worker("v"), worker("w")], now)
    }

    #[test]
    fn other_values_continue_a_run_and_another_worker_begins_one() {
        let (mut board, now) = (Board::new(), now());
        assert!(on(&mut board, FaultSwitch::on(), now));
        assert!(board.hits(Fault::Cut, Some("v")));
        assert!(!on(&mut board, FaultSwitch::on().with_rate(0.0), now));
        assert!(!board.hits(Fault::Cut, Some("v")));
        assert_eq!((board.state(Fault::Cut, now).hits, board.runs(Fault::Cut)), (1, 1));
        assert!(on(&mut board, FaultSwitch::on().with_worker("w"), now));
        assert!(!board.hits(Fault::Cut, Some("v")) && board.hits(Fault::Cut, Some("w")));
        assert_eq!((board.state(Fault::Cut, now).hits, board.runs(Fault::Cut)), (1, 2));
    }

    #[test]
    fn the_time_of_a_fault_begins_anew_with_other_values() {
        let (mut board, now) = (Board::new(), now());
        let second = Duration::from_secs(1);
        on(&mut board, FaultSwitch::on().with_duration(second), now);
        assert_eq!(board.next_wake(), Some(now.instant + second));
        on(&mut board, FaultSwitch::on().with_duration(second), now.after(second / 2));
        assert!(board.over(now.after(second)).is_empty());
        assert_eq!(board.over(now.after(second * 3 / 2)), [Fault::Cut]);
        on(&mut board, FaultSwitch::on(), now);
        assert_eq!(board.next_wake(), None);
    }

    #[test]
    fn a_run_is_judged_when_its_workers_are_back_or_had_their_time() {
        let (mut board, now) = (Board::new(), now());
        on(&mut board, FaultSwitch::on(), now);
        assert!(board.switch_off(Fault::Cut, &HashSet::from([worker("v")]), now));
        assert!(!board.switch_off(Fault::Cut, &HashSet::new(), now), "it is off");
        board.open_runs().for_each(|run| {
            run.on_heartbeat("v");
            run.on_heartbeat("w");
        });
        assert!(board.take_ended(now).is_empty(), "`w` has not polled");
        assert_eq!(board.next_wake(), Some(now.instant + Fault::Cut.patience()));
        board.open_runs().for_each(|run| run.on_result("w", "t", false));
        board.open_runs().for_each(|run| run.on_poll("w"));
        assert!(board.take_ended(now).is_empty(), "a result waits");
        board.open_runs().for_each(|run| run.on_result("w", "t", true));
        assert!(board.take_ended(now)[0].is_recovered());
        assert!(board.is_pending(Fault::Cut) && !board.is_active());

        on(&mut board, FaultSwitch::on(), now);
        board.switch_off(Fault::Cut, &HashSet::new(), now);
        let late = now.after(Fault::Cut.patience());
        let run = board.take_ended(late).pop().expect("its time is over");
        assert!(!run.is_recovered());
        assert_eq!(run.missing(), ["`v`: no heartbeat was accepted", "`w`: no heartbeat was accepted"]);
    }

    #[test]
    fn only_the_first_answer_to_a_result_is_lost() {
        let (mut board, now) = (Board::new(), now());
        let setting = FaultSwitch::on().check(Fault::LoseAck).expect("valid").expect("on");
        board.switch_on(Fault::LoseAck, setting, &[], now);
        assert!(board.loses_answer(Some("w"), "t") && !board.loses_answer(Some("w"), "t"));
        assert!(board.loses_answer(None, "u"));
        board.switch_off(Fault::LoseAck, &HashSet::new(), now);
        assert!(!board.loses_answer(Some("w"), "s"));
    }
}
