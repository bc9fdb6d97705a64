//! The scheduling, driven event by event.

mod choices;
mod invariants;
mod outcomes;
mod records;
mod repeats;
mod scheduling;
mod steps;
mod workers;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rxon::model::Failure;
use rxon::{TaskName, WorkerId};

use super::*;
use crate::store::{Beat, Equipment, Hot, Introduction, Payloads};
use crate::task::NewTask;

/// Jobs with a clock that the test controls, and the tasks they have handed out.
struct Bench {
    jobs: Jobs,
    now: Now,
    polls: u64,
    handed: Vec<(PollId, Assignment)>,
    ended: Vec<TaskView>,
    /// The tries that workers were told to stop: worker, task id, job id.
    stopped: Vec<(String, String, String)>,
    events: Vec<Event>,
}

impl Bench {
    /// Jobs whose retries do not wait.
    fn new() -> Self {
        Self::with(Settings::new().with_retry_delay(Duration::ZERO))
    }

    fn with(settings: Settings) -> Self {
        let now = Now { instant: Instant::now(), unix: 1_700_000_000.0 };
        Self {
            jobs: Jobs::new(settings, now),
            now,
            polls: 0,
            handed: Vec::new(),
            ended: Vec::new(),
            stopped: Vec::new(),
            events: Vec::new(),
        }
    }

    fn act<R>(&mut self, act: impl FnOnce(&mut Jobs, Now) -> R) -> R {
        let answer = act(&mut self.jobs, self.now);
        for action in self.jobs.take_actions() {
            match action {
                Action::Hand(poll, assignment) => self.handed.push((poll, assignment)),
                Action::Ended(_, view) => self.ended.push(*view),
                Action::Stop(worker, task, job) => {
                    self.stopped.push((worker.to_string(), task.to_string(), job.to_string()));
                }
                Action::Publish(event) => self.events.push(event),
            }
        }
        answer
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.act(Jobs::on_time);
    }

    fn submit(&mut self, task: NewTask) -> u64 {
        let task = task.check(&Settings::new()).expect("a task");
        self.act(|jobs, now| jobs.submit(task, now)).expect("room")
    }

    fn register(&mut self, id: &str, tasks: &[&str]) {
        self.introduce(introduction(id, tasks));
    }

    fn introduce(&mut self, hello: Introduction) {
        assert!(self.act(|jobs, now| jobs.on_register(hello, now)));
    }

    fn beat(&mut self, id: &str, beat: Beat) -> Option<Vec<String>> {
        self.act(|jobs, now| jobs.on_heartbeat(&worker(id), Some(beat), now))
    }

    fn poll(&mut self, id: &str) -> PollId {
        self.polls += 1;
        let poll = PollId(self.polls);
        self.act(|jobs, now| jobs.on_poll(poll, &worker(id), now));
        poll
    }

    /// Returns the tasks handed out since the last call.
    fn take(&mut self) -> Vec<(PollId, u64)> {
        self.handed.drain(..).map(|(poll, task)| (poll, task.number)).collect()
    }

    fn take_one(&mut self) -> Assignment {
        let (_, task) = self.handed.pop().expect("a task was handed out");
        assert!(self.handed.is_empty(), "only one task was handed out");
        task
    }

    fn report(&mut self, id: &str, task: &Assignment, status: &str, code: Option<&str>) -> Verdict {
        let report = Report {
            worker_id: worker(id),
            job_id: task.job_id.to_string(),
            task_id: task.task_id.to_string(),
            status: status.to_owned(),
            payloads: Payloads::default(),
            error: code.map(|code| Failure { code: code.into(), message: "why".to_owned(), details: None }),
        };
        self.act(|jobs, now| jobs.on_result(report, now))
    }

    /// Lets a worker run the next waiting task of this name to its end.
    fn run(&mut self, id: &str, status: &str, code: Option<&str>) -> Assignment {
        self.poll(id);
        let task = self.take_one();
        self.deliver(&task);
        self.report(id, &task, status, code);
        task
    }

    fn deliver(&mut self, task: &Assignment) {
        self.act(|jobs, now| jobs.on_delivered(task.number, task.attempt, now));
    }

    fn story(&self, number: u64) -> serde_json::Value {
        let id = self.jobs.store().names.job(number);
        serde_json::to_value(self.jobs.story(id.as_str()).expect("remembered")).expect("JSON")
    }

    /// Returns the names of the events of a story.
    fn told(&self, number: u64) -> Vec<String> {
        let story = self.story(number);
        let events = story["events"].as_array().expect("a list");
        events.iter().map(|event| event["event"].as_str().expect("a text").to_owned()).collect()
    }

    fn view(&self, number: u64) -> TaskView {
        let store = self.jobs.store();
        store.view(store.job(number).expect("remembered"))
    }

    fn status(&self, number: u64) -> TaskStatus {
        self.view(number).status
    }
}

fn introduction(id: &str, tasks: &[&str]) -> Introduction {
    Introduction {
        worker_id: worker(id),
        worker_type: "test".to_owned(),
        tasks: names(tasks),
        accepts: None,
        skills: Vec::new(),
        hot: Hot::default(),
        equipment: Equipment::default(),
    }
}

fn worker(id: &str) -> WorkerId {
    WorkerId::new(id).expect("an identifier")
}

fn names(names: &[&str]) -> BTreeSet<TaskName> {
    names.iter().map(|name| TaskName::new(name).expect("an identifier")).collect()
}

fn with_status(status: &str) -> Beat {
    Beat { status: Some(status.to_owned()), ..Beat::default() }
}

fn reason(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted(_) => "accepted",
        Verdict::Ignored(ignored) => ignored.reason,
    }
}
