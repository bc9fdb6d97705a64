//! The effects of results, failures and cancellations.

use super::*;

#[test]
fn the_status_of_a_task_depends_on_its_result() {
    let retried = [
        "TRANSIENT_ERROR",
        "TIMEOUT_ERROR",
        "RESOURCE_EXHAUSTED_ERROR",
        "INTERNAL_ERROR",
        "LIMIT_EXCEEDED_ERROR",
        "DEPENDENCY_MISSING_ERROR",
        "NO_SUCH_CODE",
    ];
    let quarantined = ["PERMANENT_ERROR", "SECURITY_ERROR", "DEPENDENCY_ERROR", "CONTRACT_VIOLATION_ERROR"];
    let failed = ["INVALID_INPUT_ERROR", "INTEGRITY_MISMATCH_ERROR"];
    let cases = [("success", None, TaskStatus::Finished), ("needs_review", None, TaskStatus::Finished)]
        .into_iter()
        .chain([("cancelled", None, TaskStatus::Cancelled), ("failure", None, TaskStatus::Queued)])
        .chain(retried.map(|code| ("failure", Some(code), TaskStatus::Queued)))
        .chain(quarantined.map(|code| ("failure", Some(code), TaskStatus::Quarantined)))
        .chain(failed.map(|code| ("failure", Some(code), TaskStatus::Failed)));
    for (status, code, expected) in cases {
        let mut bench = Bench::new();
        bench.register("w", &["x"]);
        bench.poll("w");
        let number = bench.submit(NewTask::new("x"));
        let task = bench.take_one();
        assert_eq!(reason(&bench.report("w", &task, status, code)), "accepted", "{status} {code:?}");
        assert_eq!(bench.status(number), expected, "{status} {code:?}");
        let view = bench.view(number);
        assert_eq!(view.error.is_some(), status == "failure", "{status} {code:?}");
        assert_eq!(bench.ended.len(), usize::from(expected.is_ended()), "{status} {code:?}");
    }
}

#[test]
fn a_transient_failure_is_retried_under_new_ids_until_the_retries_are_used_up() {
    let mut bench = Bench::new();
    bench.register("w", &["x"]);
    let number = bench.submit(NewTask::new("x"));
    let mut ids = BTreeSet::new();
    for attempt in 1..=4 {
        bench.poll("w");
        let task = bench.take_one();
        assert!(ids.insert(task.task_id.to_string()), "a new id");
        assert_eq!(bench.view(number).attempts, attempt);
        bench.report("w", &task, "failure", Some("TRANSIENT_ERROR"));
    }
    assert_eq!(bench.status(number), TaskStatus::Quarantined);
}

#[test]
fn a_retry_waits_for_its_delay_which_doubles() {
    let mut bench = Bench::with(Settings::new().with_max_retries(9).with_retry_delay(Duration::from_secs(7)));
    bench.register("w", &["x"]);
    let number = bench.submit(NewTask::new("x"));
    for delay in [7, 14, 28, 56, 60, 60] {
        bench.poll("w");
        let task = bench.take_one();
        bench.report("w", &task, "failure", Some("TRANSIENT_ERROR"));
        let retry_at = bench.view(number).retry_at.expect("it waits");
        assert!((retry_at - bench.now.unix - f64::from(delay)).abs() < 0.001, "{delay}");
        bench.poll("w");
        bench.pass(delay as u64 - 1);
        assert_eq!((bench.status(number), bench.handed.len()), (TaskStatus::Queued, 0));
        bench.beat("w", with_status("idle"));
        bench.pass(1);
        assert_eq!((bench.status(number), bench.view(number).retry_at), (TaskStatus::Running, None));
        bench.act(|jobs, now| {
            jobs.on_undelivered(number, jobs.store().job(number).expect("one").attempt, now);
        });
        bench.handed.clear();
    }
    // The first delay was chosen, however long it is.
    let mut bench = Bench::with(Settings::new().with_retry_delay(Duration::from_secs(100)));
    bench.register("w", &["x"]);
    bench.poll("w");
    let number = bench.submit(NewTask::new("x"));
    let task = bench.take_one();
    bench.report("w", &task, "failure", Some("TRANSIENT_ERROR"));
    let retry_at = bench.view(number).retry_at.expect("it waits");
    assert!((retry_at - bench.now.unix - 100.0).abs() < 0.001);
    let id = bench.view(number).job_id;
    bench.act(|jobs, now| jobs.cancel(id.as_str(), now)).expect("a task that waits for its retry");
    assert_eq!(bench.status(number), TaskStatus::Cancelled);
    assert_eq!(bench.jobs.store().first_retry(), None);
}

#[test]
fn a_finished_task_has_made_all_its_progress() {
    for (status, sent, expected) in [
        ("success", Some(0.85), Some(1.0)),
        ("success", None, Some(1.0)),
        ("cancelled", Some(0.85), Some(0.85)),
    ] {
        let mut bench = Bench::new();
        bench.register("w", &["x"]);
        bench.poll("w");
        let number = bench.submit(NewTask::new("x"));
        let task = bench.take_one();
        if let Some(progress) = sent {
            let (job_id, task_id) = (Some(task.job_id.to_string()), Some(task.task_id.to_string()));
            let report =
                ProgressReport { worker_id: worker("w"), job_id, task_id, progress, message: String::new() };
            bench.act(|jobs, now| jobs.on_progress(&report, now)).expect("it runs");
        }
        bench.report("w", &task, status, None);
        assert_eq!(bench.view(number).progress, expected, "{status} {sent:?}");
    }
}

#[test]
fn results_that_do_not_count_are_ignored_with_a_reason() {
    let mut bench = Bench::new();
    bench.register("w", &["x"]);
    bench.poll("w");
    bench.submit(NewTask::new("x"));
    let first = bench.take_one();
    assert_eq!(reason(&bench.report("other", &first, "success", None)), "worker_mismatch");
    bench.report("w", &first, "failure", Some("TRANSIENT_ERROR"));
    assert_eq!(
        reason(&bench.report("w", &first, "success", None)),
        "stale_task",
        "it waits for its next try"
    );
    bench.poll("w");
    let second = bench.take_one();
    assert_eq!(reason(&bench.report("w", &first, "success", None)), "stale_task");
    bench.report("w", &second, "success", None);
    assert_eq!(reason(&bench.report("w", &second, "success", None)), "job_already_terminated");
    let strange = Assignment { job_id: rxon::JobId::received("job-1").expect("not empty"), ..second };
    assert_eq!(reason(&bench.report("w", &strange, "success", None)), "job_not_found");
}

#[test]
fn an_undelivered_task_goes_to_the_next_poll_and_counts_no_attempt() {
    let mut bench = Bench::new();
    bench.register("w", &["x"]);
    bench.poll("w");
    let number = bench.submit(NewTask::new("x"));
    let lost = bench.take_one();
    let next = bench.poll("w");
    bench.act(|jobs, now| jobs.on_undelivered(lost.number, lost.attempt, now));
    let (poll, task) = bench.handed.pop().expect("handed again");
    assert_eq!((poll, &task.task_id), (next, &lost.task_id), "the same try");
    assert_eq!(bench.view(number).attempts, 1);
    bench.report("w", &task, "success", None);
    bench.act(|jobs, now| jobs.on_undelivered(lost.number, lost.attempt, now));
    assert_eq!(bench.status(number), TaskStatus::Finished, "an end stays an end");
}

#[test]
fn a_task_past_its_deadline_is_retried_and_its_worker_is_asked_to_stop() {
    let mut bench = Bench::new();
    bench.register("w", &["x"]);
    bench.poll("w");
    let number = bench.submit(NewTask::new("x").with_timeout(Duration::from_secs(10)));
    let task = bench.take_one();
    assert!((task.deadline - 1_700_000_010.0).abs() < 0.001);
    bench.pass(10);
    assert_eq!(bench.status(number), TaskStatus::Running, "the worker may still report the timeout itself");
    bench.pass(1);
    assert_eq!(bench.status(number), TaskStatus::Queued);
    assert_eq!(bench.stopped.len(), 1, "a worker with a websocket hears of it");
    let error = bench.view(number).error.expect("why");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("TIMEOUT_ERROR", "no result within 10 s"));
    let busy =
        Beat { current: vec![task.task_id.to_string(), task.job_id.to_string()], ..with_status("idle") };
    assert_eq!(bench.beat("w", busy), Some(vec![task.task_id.to_string()]));
    assert_eq!(reason(&bench.report("w", &task, "success", None)), "stale_task");
}

#[test]
fn cancelling_ends_waiting_tasks_and_asks_workers_to_stop_running_ones() {
    let mut bench = Bench::new();
    let waiting = bench.submit(NewTask::new("y"));
    let id = bench.view(waiting).job_id;
    let cancel = |bench: &mut Bench, id: &str| bench.act(|jobs, now| jobs.cancel(id, now));
    assert_eq!(cancel(&mut bench, id.as_str()), Ok(Cancellation::Cancelled));
    let ended = Error::AlreadyEnded { job_id: id.clone(), status: TaskStatus::Cancelled };
    assert_eq!(cancel(&mut bench, id.as_str()), Err(ended));
    assert_eq!(cancel(&mut bench, "job-x"), Err(Error::UnknownTask("job-x".to_owned())));

    for (status, code, expected) in [
        ("cancelled", None, TaskStatus::Cancelled),
        ("failure", Some("TRANSIENT_ERROR"), TaskStatus::Cancelled),
        ("success", None, TaskStatus::Finished),
    ] {
        let mut bench = Bench::new();
        bench.register("w", &["x"]);
        bench.poll("w");
        let number = bench.submit(NewTask::new("x"));
        let task = bench.take_one();
        assert_eq!(cancel(&mut bench, task.task_id.as_str()), Ok(Cancellation::CancelRequested));
        let stop = ("w".to_owned(), task.task_id.to_string(), task.job_id.to_string());
        assert_eq!(std::mem::take(&mut bench.stopped), [stop]);
        assert_eq!(bench.beat("w", with_status("idle")), Some(vec![task.task_id.to_string()]));
        bench.report("w", &task, status, code);
        assert_eq!(bench.status(number), expected, "{status}");
        assert_eq!(bench.beat("w", with_status("idle")), Some(vec![]));
    }
}

#[test]
fn queue_history_and_memory_are_bounded() {
    let mut bench = Bench::with(Settings::new().with_queue_limit(2).with_history_limit(1));
    let task = || NewTask::new("x").check(&Settings::new()).expect("a task");
    let (first, second) = (bench.submit(NewTask::new("x")), bench.submit(NewTask::new("x")));
    assert_eq!(bench.act(|jobs, now| jobs.submit(task(), now)), Err(Error::QueueFull { limit: 2 }));
    for number in [first, second] {
        let id = bench.view(number).job_id;
        bench.act(|jobs, now| jobs.cancel(id.as_str(), now)).expect("it waits");
    }
    assert!(bench.jobs.store().job(first).is_none(), "the first to end is forgotten first");
    assert_eq!(bench.status(second), TaskStatus::Cancelled);

    let mut bench = Bench::with(Settings::new().with_memory_limit(10_000));
    let big = || NewTask::new("x").with_params(serde_json::json!({"a": "x".repeat(7_000)}));
    let ended = bench.submit(big());
    let id = bench.view(ended).job_id;
    bench.act(|jobs, now| jobs.cancel(id.as_str(), now)).expect("it waits");
    bench.submit(big());
    assert!(bench.jobs.store().job(ended).is_none(), "ended jobs are removed to make room");
    let one_more = big().check(&Settings::new()).expect("a task");
    let refused = bench.act(|jobs, now| jobs.submit(one_more, now));
    assert_eq!(refused, Err(Error::OutOfMemory { limit: 10_000 }));
}

#[test]
fn a_hundred_thousand_ended_tasks_of_4_kib_fit_into_the_default_limits() {
    let mut bench = Bench::with(Settings::new());
    bench.register("w", &["x"]);
    bench.submit(NewTask::new("x").with_params(serde_json::json!({"a": "x".repeat(4096)})));
    bench.run("w", "success", None);
    let Settings { history_limit, memory_limit, .. } = bench.jobs.settings;
    assert!(history_limit >= 100_000 && bench.jobs.store().weight() * 100_000 <= memory_limit);
}

#[test]
fn a_deadline_is_whole_if_the_timeout_is() {
    let mut bench = Bench::new();
    bench.now = bench.now.after(Duration::from_millis(250));
    bench.register("w", &["x"]);
    for (timeout, expected) in [(10_000, 1_700_000_011.0), (10_500, 1_700_000_010.75)] {
        bench.poll("w");
        bench.submit(NewTask::new("x").with_timeout(Duration::from_millis(timeout)));
        let task = bench.take_one();
        assert!((task.deadline - expected).abs() < 1e-6, "{timeout}: {}", task.deadline);
        assert_eq!(task.deadline.fract() == 0.0, timeout % 1000 == 0);
    }
}
