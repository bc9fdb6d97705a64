//! Invariants under any sequence of events.

use proptest::prelude::*;

use super::*;

/// One event.
#[derive(Debug, Clone, Copy)]
enum Step {
    Submit(usize, i8),
    Register(usize),
    Beat(usize, bool),
    Poll(usize),
    Gone,
    Delivered,
    Undelivered,
    Report(usize, &'static str, Option<&'static str>),
    Cancel(u64),
    Repeat(u64),
    Pass(u64),
}

const WORKERS: [(&str, &[&str]); 3] = [("a", &["x"]), ("b", &["x", "y"]), ("c", &["z"])];
const TASKS: [&str; 3] = ["x", "y", "z"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, -1..2_i8).prop_map(|(name, priority)| Step::Submit(name, priority)),
        1 => (0..3_usize).prop_map(Step::Register),
        1 => (0..3_usize, any::<bool>()).prop_map(|(worker, idle)| Step::Beat(worker, idle)),
        6 => (0..3_usize).prop_map(Step::Poll),
        1 => Just(Step::Gone),
        1 => Just(Step::Delivered),
        1 => Just(Step::Undelivered),
        4 => (0..3_usize, prop_oneof![
            Just(("success", None)),
            Just(("failure", Some("TRANSIENT_ERROR"))),
            Just(("failure", Some("PERMANENT_ERROR"))),
            Just(("cancelled", None)),
        ]).prop_map(|(worker, (status, code))| Step::Report(worker, status, code)),
        1 => (1..20_u64).prop_map(Step::Cancel),
        1 => (1..20_u64).prop_map(Step::Repeat),
        1 => (0..90_u64).prop_map(Step::Pass),
    ]
}

fn take_step(bench: &mut Bench, step: Step) {
    match step {
        Step::Submit(name, priority) => {
            let timeout = Duration::from_secs(70);
            let task = NewTask::new(TASKS[name]).with_priority(f64::from(priority)).with_timeout(timeout);
            bench.submit(task);
        }
        Step::Register(index) => bench.register(WORKERS[index].0, WORKERS[index].1),
        Step::Beat(index, idle) => {
            bench.beat(WORKERS[index].0, with_status(if idle { "idle" } else { "busy" }));
        }
        Step::Poll(index) => {
            bench.poll(WORKERS[index].0);
        }
        Step::Gone => {
            if let Some(poll) = bench.jobs.waiting.keys().next().copied() {
                bench.act(|jobs, _| jobs.on_poll_gone(poll));
            }
        }
        Step::Delivered => {
            if let Some((_, task)) = bench.handed.last().cloned() {
                bench.deliver(&task);
            }
        }
        Step::Undelivered => {
            if let Some((_, task)) = bench.handed.pop() {
                bench.act(|jobs, now| jobs.on_undelivered(task.number, task.attempt, now));
            }
        }
        Step::Report(index, status, code) => {
            if let Some((_, task)) = bench.handed.first().cloned() {
                bench.report(WORKERS[index].0, &task, status, code);
            }
        }
        Step::Cancel(number) => {
            let id = bench.jobs.store().names.job(number);
            let _ = bench.act(|jobs, now| jobs.cancel(id.as_str(), now));
        }
        Step::Repeat(number) => {
            let id = bench.jobs.store().names.job(number);
            let _ = bench.act(|jobs, now| jobs.repeat(id.as_str(), None, now));
        }
        Step::Pass(seconds) => bench.pass(seconds),
    }
}

proptest! {
    #[test]
    fn no_task_is_lost_or_waits_while_a_fitting_poll_is_open(steps in proptest::collection::vec(step(), 0..120)) {
        let mut bench = Bench::with(Settings::new());
        let mut submitted = 0;
        for step in steps {
            let before = bench.jobs.store().jobs().count();
            take_step(&mut bench, step);
            let store = bench.jobs.store();
            submitted += usize::from(matches!(step, Step::Submit(..)));
            submitted += usize::from(matches!(step, Step::Repeat(_))) * (store.jobs().count() - before);
            prop_assert_eq!(store.jobs().count(), submitted);
            prop_assert_eq!(store.weight(), store.jobs().map(Job::weight).sum::<usize>());
            for status in TaskStatus::ALL {
                let found = store.jobs().filter(|job| job.stage.status() == status).count();
                prop_assert_eq!(store.count(status), found, "{}", status);
            }
            for worker in bench.jobs.waiting.values() {
                prop_assert_eq!(store.next_for(worker), None);
            }
            let ended = store.jobs().filter(|job| job.stage.status().is_ended()).count();
            prop_assert_eq!(store.unended(), submitted - ended);
            prop_assert_eq!(bench.ended.len(), ended);
            for job in store.jobs() {
                match &job.stage {
                    Stage::Queued => {}
                    Stage::Resting { until, .. } => {
                        prop_assert!(bench.jobs.next_wake().is_some_and(|wake| wake <= *until));
                    }
                    Stage::Running { worker_id, .. } => {
                        let known = store.workers.get(worker_id);
                        prop_assert!(known.is_some_and(|worker| worker.running.contains(&job.number)));
                    }
                    Stage::Ended(_) => prop_assert!(job.ended_at.is_some()),
                }
            }
        }
        for job in bench.jobs.store().jobs() {
            let story = bench.story(job.number);
            for event in story["events"].as_array().into_iter().flatten() {
                prop_assert!(event["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0), "{}", event);
            }
            for (phase, seconds) in story["durations"].as_object().into_iter().flatten() {
                prop_assert!(seconds.as_f64().is_none_or(|seconds| seconds >= 0.0), "{}: {}", phase, seconds);
            }
        }
    }
}
