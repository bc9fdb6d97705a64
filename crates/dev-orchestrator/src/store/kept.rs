//! Jobs, workers and skills in the database: which of them have changed, their rows, and reading them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rxon::{TaskName, WorkerId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{About, Job, Names, Stage, Store, Worker};
use crate::blueprint::Course;
use crate::clock::Now;
use crate::persist::{Batch, Keeper, Rows, Table, Unreadable, number, numbered};
use crate::story::{Entry, Story, StoryRow};
use crate::view::TaskStatus;

/// The time that a task which was running has after a restart, even if its own is over: its worker could not report
/// meanwhile.
const RESPITE: Duration = Duration::from_secs(5);

/// The ends of the keys of a job with a blueprint, for the parameters that it was submitted with and for its data. The
/// parameters of the present task have the number alone.
const SUBMITTED: u8 = 1;
const DATA: u8 = 2;

/// The key of the row about the numbers of tasks.
const NUMBERS: &[u8] = b"numbers";

/// The row about the numbers of tasks.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Numbers {
    /// The text in all ids.
    run: String,
    last: u64,
}

/// What has changed since the last call of [`Store::hand_over`].
#[derive(Debug, Default)]
pub(super) struct Ledger {
    jobs: BTreeMap<u64, Change>,
    workers: BTreeSet<WorkerId>,
    skills: BTreeSet<TaskName>,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Added,
    /// It has come to the next step of its blueprint.
    Stepped,
    Changed,
    /// Removed; its story had this number of later parts.
    Removed {
        parts: u32,
        has_course: bool,
    },
}

impl Ledger {
    pub(super) fn add(&mut self, job: &mut Job) {
        job.story = std::mem::replace(&mut job.story, Story::new()).tracked();
        self.jobs.insert(job.number, Change::Added);
    }

    pub(super) fn remove(&mut self, job: &Job) {
        let (parts, has_course) = (job.story.last_part(), job.course.is_some());
        self.jobs.insert(job.number, Change::Removed { parts, has_course });
    }

    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.workers.is_empty() && self.skills.is_empty()
    }
}

/// What an earlier orchestrator has left.
#[derive(Debug, Default)]
pub(crate) struct KeptStore {
    numbers: Option<Numbers>,
    /// In order of their numbers.
    jobs: Vec<Job>,
    workers: Vec<(WorkerId, Worker)>,
    skills: Vec<(TaskName, About)>,
}

impl KeptStore {
    /// Reads all rows.
    pub(crate) fn read(rows: &Rows) -> Result<Self, Unreadable> {
        let mut kept = Self::default();
        rows.each(Table::About, |key, value| {
            if key == NUMBERS {
                kept.numbers = Some(serde_json::from_slice(value)?);
            }
            Ok(())
        })?;
        let mut params: HashMap<Vec<u8>, Arc<RawValue>> = HashMap::new();
        rows.each(Table::Params, |key, value| {
            params.insert(key.to_vec(), serde_json::from_slice::<Box<RawValue>>(value)?.into());
            Ok(())
        })?;
        let mut stories: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
        rows.each(Table::Stories, |key, value| {
            let later = serde_json::from_slice::<Vec<Entry>>(value)?;
            stories.entry(numbered_key(key)?).or_default().extend(later);
            Ok(())
        })?;
        rows.each(Table::Jobs, |key, value| {
            let number = numbered_key(key)?;
            let (mut job, story): (Job, StoryRow) = serde_json::from_slice(value)?;
            let missing = || Unreadable::new(format!("task {number} has no parameters"));
            job.params = params.remove(key).ok_or_else(missing)?;
            if let Some(course) = &mut job.course {
                let submitted = params.remove(&text_of_job(number, SUBMITTED)).ok_or_else(missing)?;
                course.restore(submitted, params.remove(&text_of_job(number, DATA)));
            }
            let story = Story::restored(story, stories.remove(&number).unwrap_or_default());
            job.story =
                story.ok_or_else(|| Unreadable::new(format!("the story of task {number} has no order")))?;
            job.number = number;
            kept.jobs.push(job);
            Ok(())
        })?;
        rows.each(Table::Workers, |key, value| {
            let id = text_key(key).and_then(WorkerId::received);
            let id = id.ok_or_else(|| Unreadable::new("a worker has no id"))?;
            kept.workers.push((id, serde_json::from_slice(value)?));
            Ok(())
        })?;
        rows.each(Table::Skills, |key, value| {
            let name = text_key(key).and_then(TaskName::received);
            let name = name.ok_or_else(|| Unreadable::new("a skill has no name"))?;
            kept.skills.push((name, serde_json::from_slice(value)?));
            Ok(())
        })?;
        if kept.numbers.is_none() && !kept.jobs.is_empty() {
            return Err(Unreadable::new("the numbers of tasks are missing"));
        }
        Ok(kept)
    }
}

/// JSON that waits to be written, without a copy: many tasks may share it.
struct Text(Arc<RawValue>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.get().as_bytes()
    }
}

fn put_text(batch: &mut Batch<'_>, key: Vec<u8>, text: &Arc<RawValue>) {
    batch.put(Table::Params, key, Bytes::from_owner(Text(text.clone())));
}

/// Returns the key of a further text of a job.
fn text_of_job(number: u64, which: u8) -> Vec<u8> {
    [&numbered(number)[..], &[which]].concat()
}

fn numbered_key(key: &[u8]) -> Result<u64, Unreadable> {
    number(key).ok_or_else(|| Unreadable::new("a key is too short"))
}

fn text_key(key: &[u8]) -> Option<&str> {
    str::from_utf8(key).ok()
}

impl Store {
    /// Goes on with what an earlier orchestrator has left, and keeps all changes. `grace` is the time between the
    /// deadline of a try and its end.
    pub(crate) fn restored(kept: KeptStore, grace: Duration, now: Now) -> Self {
        let KeptStore { numbers, jobs, workers, skills } = kept;
        let mut store = Self { ledger: Some(Ledger::default()), ..Self::new() };
        if let Some(Numbers { run, last }) = numbers {
            (store.names, store.last) = (Names::of(run), last);
        }
        for (name, about) in skills {
            store.skills.describe(&name, about);
        }
        for (id, mut worker) in workers {
            // The time in which nobody listened is not silence.
            worker.last_contact = now;
            store.silence.insert((now.instant, id.clone()));
            store.workers.insert(id, worker);
        }
        let mut ended = Vec::new();
        for mut job in jobs {
            job.resume(grace, now);
            let number = job.number;
            if let Stage::Ended(_) = job.stage {
                ended.push((job.ended_at.unwrap_or(0.0), number));
            }
            store.weight += job.weight();
            store.counts[job.stage.status() as usize] += 1;
            store.last = store.last.max(number);
            store.jobs.insert(number, Box::new(job));
            store.index(number);
        }
        ended.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        store.ended = ended.into_iter().map(|(_, number)| number).collect();
        debug_assert_eq!(
            store.ended.len(),
            TaskStatus::ALL
                .iter()
                .filter(|status| status.is_ended())
                .map(|status| store.count(*status))
                .sum::<usize>()
        );
        store
    }

    /// Notes that a job has changed.
    pub(super) fn note(&mut self, number: u64) {
        if let Some(ledger) = &mut self.ledger {
            ledger.jobs.entry(number).or_insert(Change::Changed);
        }
    }

    /// Notes that a job has other parameters than before, for the next step of its blueprint.
    pub(crate) fn note_step(&mut self, number: u64) {
        if let Some(ledger) = &mut self.ledger {
            let change = ledger.jobs.entry(number).or_insert(Change::Stepped);
            if let Change::Changed = change {
                *change = Change::Stepped;
            }
        }
    }

    /// Notes that a worker has changed, or is gone.
    pub(super) fn note_worker(&mut self, worker_id: &WorkerId) {
        if let Some(ledger) = &mut self.ledger {
            ledger.workers.insert(worker_id.clone());
        }
    }

    /// Notes that a skill may have changed.
    pub(super) fn note_skill(&mut self, name: &TaskName) {
        if let Some(ledger) = &mut self.ledger {
            ledger.skills.insert(name.clone());
        }
    }

    /// Hands the rows of all that has changed since the last call over.
    pub(crate) fn hand_over(&mut self, keeper: &Keeper) {
        let Some(ledger) = self.ledger.as_mut().filter(|ledger| !ledger.is_empty()) else { return };
        let Ledger { jobs, workers, skills } = std::mem::take(ledger);
        keeper.change(|batch| {
            if jobs.values().any(|change| matches!(change, Change::Added)) {
                let numbers = Numbers { run: self.names.run().to_owned(), last: self.last };
                batch.put_json(Table::About, NUMBERS.to_vec(), &numbers);
            }
            for (number, change) in jobs {
                self.hand_over_job(number, change, batch);
            }
            for id in workers {
                let key = id.as_str().as_bytes().to_vec();
                match self.workers.get(&id) {
                    Some(worker) => batch.put_json(Table::Workers, key, worker),
                    None => batch.remove(Table::Workers, key),
                }
            }
            for name in skills {
                if let Some(about) = self.skills.about(&name) {
                    batch.put_json(Table::Skills, name.as_str().as_bytes().to_vec(), about);
                }
            }
        });
    }

    fn hand_over_job(&mut self, number: u64, change: Change, batch: &mut Batch<'_>) {
        let part_key = |part: u32| [&numbered(number)[..], &part.to_be_bytes()].concat();
        if let Change::Removed { parts, has_course } = change {
            batch.remove(Table::Jobs, numbered(number));
            batch.remove(Table::Params, numbered(number));
            if has_course {
                batch.remove(Table::Params, text_of_job(number, SUBMITTED));
                batch.remove(Table::Params, text_of_job(number, DATA));
            }
            for part in 1..=parts {
                batch.remove(Table::Stories, part_key(part));
            }
            return;
        }
        let Some(job) = self.jobs.get_mut(&number) else { return };
        if let Change::Added | Change::Stepped = change {
            put_text(batch, numbered(number), &job.params);
            if let Some(data) = job.course.as_ref().and_then(Course::own_data) {
                put_text(batch, text_of_job(number, DATA), data);
            }
        }
        if let (Change::Added, Some(course)) = (change, &job.course) {
            put_text(batch, text_of_job(number, SUBMITTED), &course.params);
        }
        for (part, entries) in job.story.take_touched() {
            batch.put_json(Table::Stories, part_key(part), &entries);
        }
        batch.put_json(Table::Jobs, numbered(number), &(&**job, job.story.row()));
    }
}

impl Job {
    /// Computes what follows from the time of day, after a restart.
    fn resume(&mut self, grace: Duration, now: Now) {
        self.submitted = now.instant_at(self.submitted_at);
        match &mut self.stage {
            Stage::Resting { until, retry_at } => *until = now.instant_at(*retry_at),
            Stage::Running { until, deadline, .. } => {
                *until = (now.instant_at(*deadline) + grace).max(now.instant + RESPITE);
            }
            Stage::Queued | Stage::Ended(_) => {}
        }
    }
}
