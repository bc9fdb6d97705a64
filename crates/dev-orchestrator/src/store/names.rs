//! The ids that this orchestrator assigns.

use rxon::{JobId, TaskId};

/// Makes and reads ids. A task id consists of the job's number and the number of the try, so no table of ids is needed.
#[derive(Debug)]
pub(crate) struct Names {
    /// Random, new for every orchestrator that does not go on with the state of an earlier one: workers remember the ids
    /// of tasks past a restart.
    run: String,
}

impl Names {
    pub(crate) fn new() -> Self {
        let mut run = rxon::id::random_uuid();
        run.truncate(8);
        Self { run }
    }

    /// Makes and reads the ids of an earlier orchestrator.
    pub(super) fn of(run: String) -> Self {
        Self { run }
    }

    pub(super) fn run(&self) -> &str {
        &self.run
    }

    pub(crate) fn job(&self, number: u64) -> JobId {
        JobId::received(format!("job-{}-{number}", self.run)).expect("it begins with `job-`")
    }

    pub(crate) fn task(&self, number: u64, attempt: u32) -> TaskId {
        TaskId::received(format!("task-{}-{number}-{attempt}", self.run)).expect("it begins with `task-`")
    }

    /// Returns the number of a job from an id that this orchestrator has assigned.
    pub(crate) fn read_job(&self, id: &str) -> Option<u64> {
        let number =
            id.strip_prefix("job-")?.strip_prefix(self.run.as_str())?.strip_prefix('-')?.parse().ok()?;
        // `parse` also accepts `+7` and `007`, which we never write.
        (self.job(number).as_str() == id).then_some(number)
    }

    /// Returns the number of a job and of a try from a task id that this orchestrator has assigned.
    pub(crate) fn read_task(&self, id: &str) -> Option<(u64, u32)> {
        let rest = id.strip_prefix("task-")?.strip_prefix(self.run.as_str())?.strip_prefix('-')?;
        let (number, attempt) = rest.split_once('-')?;
        let (number, attempt) = (number.parse().ok()?, attempt.parse().ok()?);
        (self.task(number, attempt).as_str() == id).then_some((number, attempt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_written_and_in_no_other_form() {
        let names = Names::new();
        assert_eq!(names.read_job(names.job(17).as_str()), Some(17));
        assert_eq!(names.read_task(names.task(17, 3).as_str()), Some((17, 3)));
        assert!(rxon::id::is_identifier(names.task(u64::MAX, u32::MAX).as_str()));
        let run = &names.run;
        for unknown in ["", "job-", "job-x-1", &format!("job-{run}-01"), &format!("job-{run}-+1"), "ключ"]
        {
            assert_eq!(names.read_job(unknown), None, "{unknown}");
        }
        for unknown in [&format!("task-{run}-1"), &format!("task-{run}-1-2-3"), &format!("task-{run}-1-02")] {
            assert_eq!(names.read_task(unknown), None, "{unknown}");
        }
        assert_eq!(
            Names::new().read_job(names.job(1).as_str()),
            None,
            "the ids of another run are not accepted"
        );
    }
}
