//! Reports of running tasks: their progress, at a limited rate, and the user's events.
//!
//! Tasks report to a [`ProgressBoard`]; the control path takes reports from it when they are due, and sends them. At most
//! [`MAX_PER_SECOND`] progress reports of a task are sent in any one second: the first of them at once, then only the
//! newest. Events are all sent, one after the other.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rxon::limit::within;
use rxon::model::Progress;
use rxon::{JobId, TaskId};
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::task::events::EventOptions;
use crate::task::ready_made::{ReadyMadeEvent, ReadyMadeEvents};
use crate::threads::{lock, until};

/// The maximum number of progress reports of one task in any one second.
const MAX_PER_SECOND: usize = 10;

const SECOND: Duration = Duration::from_secs(1);

/// The time limit of a result's wait for the last report of its task to be sent.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// The maximum number of events of one task that wait to be sent.
const MAX_EVENTS: usize = 100;

/// A report of one task.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) task_id: TaskId,
    pub(crate) job_id: JobId,
    pub(crate) content: ReportContent,
}

/// The content of a report.
#[derive(Debug, Clone)]
pub(crate) enum ReportContent {
    Progress(Progress),
    Event(Box<NewEvent>),
}

/// An event of the user's that has been checked.
#[derive(Debug, Clone)]
pub(crate) struct NewEvent {
    pub(crate) event_type: String,
    pub(crate) payload: Box<RawValue>,
    pub(crate) trace_context: BTreeMap<String, String>,
    pub(crate) options: EventOptions,
}

/// The reports of one task.
#[derive(Debug, Default)]
struct Throttle {
    /// When the last progress reports were taken for sending: at most [`MAX_PER_SECOND`] times.
    taken: VecDeque<Instant>,
    /// When the last report was taken for sending.
    served: Option<Instant>,
    /// The progress reports that are sent at once: at most [`MAX_PER_SECOND`].
    queue: VecDeque<Report>,
    /// The newest of the progress reports that came too fast.
    newest: Option<Report>,
    /// The events: at most [`MAX_EVENTS`].
    events: VecDeque<Report>,
    /// A report is being sent.
    sending: bool,
    /// The task's result waits for the remaining reports.
    finishing: bool,
}

impl Throttle {
    fn report(&mut self, report: Report, now: Instant) {
        let recent = self.taken.iter().filter(|taken| now.duration_since(**taken) < SECOND).count();
        if self.newest.is_none() && recent + self.queue.len() < MAX_PER_SECOND {
            self.queue.push_back(report);
        } else {
            self.newest = Some(report);
        }
    }

    /// Returns when the next report may be taken, not before `now`. `None` if nothing waits, or one is being sent.
    fn due(&self, now: Instant) -> Option<Instant> {
        if self.sending || self.is_empty() {
            return None;
        }
        let is_limited = self.events.is_empty() && self.taken.len() == MAX_PER_SECOND;
        Some(if is_limited { now.max(self.taken[0] + SECOND) } else { now })
    }

    /// Takes the report that is due: an event before progress.
    fn take(&mut self, now: Instant) -> Option<Report> {
        let event = self.events.pop_front();
        if event.is_none() {
            if self.taken.len() == MAX_PER_SECOND {
                self.taken.pop_front();
            }
            self.taken.push_back(now);
        }
        let report = event.or_else(|| self.queue.pop_front()).or_else(|| self.newest.take())?;
        self.served = Some(now);
        self.sending = true;
        Some(report)
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.queue.is_empty() && self.newest.is_none()
    }

    /// The order in which tasks are served: those whose results wait come first, then the one served longest ago.
    fn turn(&self) -> (bool, Option<Instant>) {
        (!self.finishing, self.served)
    }

    fn is_done(&self) -> bool {
        !self.sending && self.is_empty()
    }
}

/// Whether one task has reports on the board. A task that never reports costs nothing but this.
#[derive(Debug, Default)]
pub(crate) struct ReportsOfTask(AtomicU8);

impl ReportsOfTask {
    /// It has not reported.
    const QUIET: u8 = 0;
    /// It has reported, and the board knows it.
    const REPORTS: u8 = 1;
    /// It has ended: later reports are ignored.
    const ENDED: u8 = 2;

    /// Begins to report. Returns false if the task has ended. Called with the board locked.
    fn begin(&self) -> bool {
        let (quiet, reports) = (Self::QUIET, Self::REPORTS);
        let before = self.0.compare_exchange(quiet, reports, Ordering::AcqRel, Ordering::Acquire);
        before.map_or_else(|before| before == reports, |_| true)
    }

    /// Ends a task that has not reported. Returns false if it has.
    pub(crate) fn end_quiet(&self) -> bool {
        let (quiet, ended) = (Self::QUIET, Self::ENDED);
        let before = self.0.compare_exchange(quiet, ended, Ordering::AcqRel, Ordering::Acquire);
        before.map_or_else(|before| before == ended, |_| true)
    }

    /// Ends a task. Called with the board locked.
    fn end(&self) {
        self.0.store(Self::ENDED, Ordering::Release);
    }
}

/// The reports of all tasks of one orchestrator.
#[derive(Debug, Default)]
pub(crate) struct ProgressBoard {
    tasks: Mutex<HashMap<TaskId, Throttle>>,
    reported: Notify,
    sent: Notify,
    /// No report is sent before then.
    paused_until: Mutex<Option<Instant>>,
    /// The events that belong to no task.
    pub(crate) ready_made: ReadyMadeEvents,
}

impl ProgressBoard {
    /// Accepts a report, or ignores it if its task has ended. Returns false if too many events of the task wait already.
    pub(crate) fn add(
        &self,
        reports: &ReportsOfTask,
        task_id: &TaskId,
        job_id: &JobId,
        content: ReportContent,
    ) -> bool {
        let mut tasks = self.lock();
        if !reports.begin() {
            return true;
        }
        let throttle = tasks.entry(task_id.clone()).or_default();
        let report = Report { task_id: task_id.clone(), job_id: job_id.clone(), content };
        match report.content {
            ReportContent::Progress(_) => throttle.report(report, Instant::now()),
            ReportContent::Event(_) if throttle.events.len() >= MAX_EVENTS => return false,
            ReportContent::Event(_) => throttle.events.push_back(report),
        }
        drop(tasks);
        self.reported.notify_one();
        true
    }

    /// Puts an event that could not be sent back as the first of its task.
    pub(crate) fn put_back(&self, report: Report) {
        match self.lock().get_mut(&report.task_id) {
            Some(throttle) => throttle.events.push_front(report),
            // The task's result was sent meanwhile.
            None => log_lost_events(&report.task_id, 1),
        }
    }

    /// Sends nothing until then, because the orchestrator asked for a pause; the newest progress of each task is kept.
    pub(crate) fn pause(&self, until: Instant) {
        *lock(&self.paused_until) = Some(until);
        self.sent.notify_waiters();
    }

    fn paused_until(&self, now: Instant) -> Option<Instant> {
        lock(&self.paused_until).filter(|until| *until > now)
    }

    /// Takes the next report that is due, or returns the time at which one will be: `None` if none waits.
    fn take_due(&self) -> Result<Report, Option<Instant>> {
        let now = Instant::now();
        if let Some(until) = self.paused_until(now) {
            return Err(Some(until));
        }
        let mut tasks = self.lock();
        let due = tasks.values_mut().filter_map(|throttle| Some((throttle.due(now)?, throttle)));
        match due.min_by_key(|(at, throttle)| (*at, throttle.turn())) {
            Some((at, throttle)) if at <= now => throttle.take(now).ok_or(None),
            later => Err(later.map(|(at, _)| at)),
        }
    }

    /// Waits for the next report that is due.
    ///
    /// # Cancel safety
    /// Nothing is taken before it returns. The caller calls [`sent`](Self::sent) after each report.
    pub(crate) async fn next(&self) -> Report {
        loop {
            match self.take_due() {
                Ok(report) => return report,
                Err(at) => tokio::select! {
                    () = until(at) => {}
                    () = self.reported.notified() => {}
                },
            }
        }
    }

    /// Waits for the next event that belongs to no task, and for the end of a pause.
    ///
    /// # Cancel safety
    /// Nothing is taken before it returns.
    pub(crate) async fn next_ready_made(&self) -> ReadyMadeEvent {
        while let Some(at) = self.paused_until(Instant::now()) {
            until(Some(at)).await;
        }
        self.ready_made.next().await
    }

    /// Records that a report was sent, or could not be sent.
    pub(crate) fn sent(&self, task_id: &TaskId) {
        if let Some(throttle) = self.lock().get_mut(task_id) {
            throttle.sending = false;
        }
        self.sent.notify_waiters();
        // Other reports of the same task may have waited for this one.
        self.reported.notify_one();
    }

    /// Waits until all reports of a task are sent, and forgets the task. Reports that the orchestrator does not accept in
    /// time are dropped: a result is worth more than its progress.
    pub(crate) async fn finish(&self, reports: &ReportsOfTask, task_id: &TaskId) {
        if reports.end_quiet() {
            return;
        }
        match self.lock().get_mut(task_id) {
            Some(throttle) => throttle.finishing = true,
            None => return,
        }
        let all_sent = async {
            loop {
                let sent = self.sent.notified();
                let paused = self.paused_until(Instant::now()).is_some();
                if paused || self.lock().get(task_id).is_none_or(Throttle::is_done) {
                    return;
                }
                sent.await;
            }
        };
        if within(FLUSH_LIMIT, all_sent).await.is_err() {
            tracing::warn!("the last progress could not be sent before the result");
        }
        self.forget(reports, task_id);
    }

    /// Forgets the task and drops its reports.
    pub(crate) fn forget(&self, reports: &ReportsOfTask, task_id: &TaskId) {
        let forgotten = {
            let mut tasks = self.lock();
            reports.end();
            tasks.remove(task_id)
        };
        let events = forgotten.map_or(0, |throttle| throttle.events.len());
        if events > 0 {
            log_lost_events(task_id, events);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Throttle>> {
        lock(&self.tasks)
    }
}

fn log_lost_events(task_id: &TaskId, events: usize) {
    tracing::warn!(task_id = %task_id.shown(), events, "events could not be sent before the result, and are lost");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(step: usize) -> Report {
        Report {
            task_id: TaskId::received("t").expect("not empty"),
            job_id: JobId::received("j").expect("not empty"),
            content: ReportContent::Progress(Progress {
                progress: step as f64 / 50.0,
                message: step.to_string(),
            }),
        }
    }

    fn message(report: &Report) -> String {
        match &report.content {
            ReportContent::Progress(progress) => progress.message.clone(),
            ReportContent::Event(event) => event.event_type.clone(),
        }
    }

    fn tell(board: &ProgressBoard, reports: &ReportsOfTask, report: &Report) {
        board.add(reports, &report.task_id, &report.job_id, report.content.clone());
    }

    fn event(name: &str) -> ReportContent {
        ReportContent::Event(Box::new(NewEvent {
            event_type: name.to_owned(),
            payload: RawValue::from_string("{}".to_owned()).expect("JSON"),
            trace_context: BTreeMap::new(),
            options: EventOptions::default(),
        }))
    }

    #[tokio::test]
    async fn an_event_put_back_after_its_task_is_lost_and_that_is_logged() {
        let logs = testkit::capture::Logs::new();
        let _guard = logs.start();
        let Report { task_id, job_id, .. } = report(0);
        for is_late in [false, true] {
            let (board, reports) = (ProgressBoard::default(), ReportsOfTask::default());
            assert!(board.add(&reports, &task_id, &job_id, event("e")));
            let taken = board.next().await;
            if is_late {
                board.forget(&reports, &task_id);
            }
            board.put_back(taken);
            assert_eq!(logs.count("are lost"), usize::from(is_late), "{logs:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_all_sent_in_order_whatever_the_progress() {
        let board = ProgressBoard::default();
        let Report { task_id, job_id, .. } = report(0);
        let reports = ReportsOfTask::default();
        (0..50).for_each(|step| tell(&board, &reports, &report(step)));
        for number in 0..MAX_EVENTS {
            assert!(board.add(&reports, &task_id, &job_id, event(&format!("e{number}"))));
        }
        assert!(!board.add(&reports, &task_id, &job_id, event("one too many")));
        let began = Instant::now();
        for number in 0..MAX_EVENTS {
            let report = board.next().await;
            assert_eq!(message(&report), format!("e{number}"));
            if number == 7 {
                board.put_back(report.clone());
                board.sent(&task_id);
                assert_eq!(message(&board.next().await), "e7");
            }
            board.sent(&task_id);
        }
        assert!(began.elapsed().is_zero());
        assert_eq!(message(&board.next().await), "0");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_ten_go_at_once_then_the_newest_and_the_last_is_always_sent() {
        let board = ProgressBoard::default();
        let task_id = report(0).task_id;
        let reports = ReportsOfTask::default();
        for step in 1..=50 {
            tell(&board, &reports, &report(step));
        }
        let began = Instant::now();
        let mut seen = Vec::new();
        let courier = async {
            loop {
                let report = board.next().await;
                seen.push((message(&report), began.elapsed()));
                board.sent(&report.task_id);
            }
        };
        tokio::select! {
            () = courier => {}
            () = board.finish(&reports, &task_id) => {}
        }
        let messages: Vec<&str> = seen.iter().map(|(message, _)| message.as_str()).collect();
        assert_eq!(messages, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "50"]);
        assert!(seen[9].1.is_zero() && seen[10].1 >= SECOND, "{seen:?}");
        assert!(board.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_does_not_wait_forever_for_progress_that_is_not_taken() {
        let board = ProgressBoard::default();
        let (reports, report) = (ReportsOfTask::default(), report(1));
        tell(&board, &reports, &report);
        board.finish(&reports, &report.task_id).await;
        tell(&board, &reports, &report);
        assert!(board.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_reports_nothing_leaves_no_trace_and_reports_nothing_after_its_end() {
        let board = ProgressBoard::default();
        let (reports, report) = (ReportsOfTask::default(), report(1));
        let began = Instant::now();
        board.finish(&reports, &report.task_id).await;
        tell(&board, &reports, &report);
        assert!(board.lock().is_empty() && began.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn during_a_pause_results_do_not_wait_for_progress() {
        let board = ProgressBoard::default();
        let (reports, report) = (ReportsOfTask::default(), report(1));
        board.pause(Instant::now() + SECOND * 60);
        tell(&board, &reports, &report);
        let began = Instant::now();
        board.finish(&reports, &report.task_id).await;
        assert!(began.elapsed().is_zero());
    }

    /// A slow orchestrator, and more reports than it takes: no task starves, and one that ends does not wait for others.
    #[tokio::test(start_paused = true)]
    async fn tasks_that_report_all_the_time_starve_no_other_and_one_that_ends_is_first() {
        let board = ProgressBoard::default();
        let ids: Vec<TaskId> =
            (0..100).map(|number| TaskId::received(number.to_string()).expect("not empty")).collect();
        let job_id = report(0).job_id;
        let reports: HashMap<_, _> = ids.iter().map(|id| (id, ReportsOfTask::default())).collect();
        let say = |task_id: &TaskId| {
            board.add(&reports[task_id], task_id, &job_id, report(0).content);
        };
        for task_id in &ids {
            (0..5).for_each(|_| say(task_id));
        }
        let mut served = HashMap::<TaskId, usize>::new();
        for round in 0..300 {
            let report = board.next().await;
            tokio::time::advance(Duration::from_millis(50)).await;
            board.sent(&report.task_id);
            *served.entry(report.task_id.clone()).or_default() += 1;
            assert!(served.values().all(|times| *times <= round / 100 + 1), "round {round}: {served:?}");
            say(&report.task_id);
        }
        for ends in &ids[..10] {
            let mut finish = std::pin::pin!(board.finish(&reports[ends], ends));
            assert!(futures_util::poll!(&mut finish).is_pending());
            // Two of its first five reports, and three of the loop above.
            for _ in 0..5 {
                let report = board.next().await;
                assert_eq!(report.task_id, *ends);
                board.sent(&report.task_id);
            }
            finish.await;
        }
    }

    #[test]
    fn no_window_of_a_second_has_more_than_ten() {
        let mut throttle = Throttle::default();
        let began = Instant::now();
        let mut sent: Vec<Instant> = Vec::new();
        for step in 0..300u32 {
            let now = began + Duration::from_millis(17) * step;
            throttle.report(report(step as usize), now);
            while throttle.due(now) == Some(now) {
                throttle.take(now).expect("one is due");
                throttle.sending = false;
                sent.push(now);
            }
        }
        for window in sent.windows(MAX_PER_SECOND + 1) {
            assert!(window[MAX_PER_SECOND].duration_since(window[0]) >= SECOND);
        }
        assert!(sent.len() > 40, "{}", sent.len());
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_belongs_to_no_task_waits_for_the_end_of_a_pause() {
        let board = ProgressBoard::default();
        let end = Instant::now() + Duration::from_secs(5);
        board.pause(end);
        let event = crate::task::ready_made::ready_made(&serde_json::json!({"event_id": "e"}));
        assert!(board.ready_made.add(event.expect("an event")));
        board.next_ready_made().await;
        assert!(Instant::now() >= end);
    }
}
