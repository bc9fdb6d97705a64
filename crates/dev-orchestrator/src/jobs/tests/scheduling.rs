//! The order in which tasks are given to workers.

use super::*;

#[test]
fn tasks_wait_for_a_capable_worker_and_polls_for_a_fitting_task() {
    let mut bench = Bench::new();
    let (x, y) = (bench.submit(NewTask::new("x")), bench.submit(NewTask::new("y")));
    let stranger = bench.poll("w");
    assert_eq!(bench.take(), [], "a stranger gets nothing");
    bench.register("w", &["y"]);
    assert_eq!(bench.take(), [(stranger, y)], "the poll that was open already");
    assert_eq!(bench.status(x), TaskStatus::Queued);
    let waiting = bench.poll("w");
    let more = bench.submit(NewTask::new("y"));
    assert_eq!(bench.take(), [(waiting, more)]);
}

#[test]
fn higher_priority_goes_first_then_arrival() {
    let mut bench = Bench::new();
    let priorities = [0.0, 5.0, -1.0, 5.0, 0.0];
    let tasks = priorities.map(|priority| bench.submit(NewTask::new("x").with_priority(priority)));
    bench.register("w", &["x"]);
    for expected in [1, 3, 0, 4, 2] {
        let poll = bench.poll("w");
        assert_eq!(bench.take(), [(poll, tasks[expected])]);
    }
}

#[test]
fn polls_are_served_in_their_order_and_each_gets_another_task() {
    let mut bench = Bench::new();
    bench.register("w", &["x"]);
    let polls = [bench.poll("w"), bench.poll("w"), bench.poll("w")];
    bench.act(|jobs, _| jobs.on_poll_gone(polls[1]));
    let tasks = [bench.submit(NewTask::new("x")), bench.submit(NewTask::new("x"))];
    assert_eq!(bench.take(), [(polls[0], tasks[0]), (polls[2], tasks[1])]);
}

#[test]
fn a_worker_is_given_only_tasks_that_it_accepts() {
    let mut bench = Bench::new();
    bench.register("w", &["x", "y"]);
    let poll = bench.poll("w");
    bench.beat("w", with_status("busy"));
    let x = bench.submit(NewTask::new("x"));
    assert_eq!(bench.take(), [], "it is busy");
    bench.beat("w", Beat { accepts: Some(names(&["y"])), ..with_status("idle") });
    assert_eq!(bench.take(), [], "it does not accept x now");
    bench.beat("w", with_status("idle"));
    assert_eq!(bench.take(), [(poll, x)], "a heartbeat without a list means the list of the registration");
}

#[test]
fn a_silent_worker_is_removed_and_its_tasks_go_to_others() {
    let mut bench = Bench::new();
    bench.register("silent", &["x"]);
    bench.poll("silent");
    let number = bench.submit(NewTask::new("x"));
    bench.take_one();
    bench.pass(40);
    bench.register("other", &["x"]);
    let poll = bench.poll("other");
    bench.pass(20);
    assert_eq!(bench.take(), [(poll, number)]);
    assert_eq!(bench.beat("silent", with_status("idle")), None, "the worker is unknown");
    assert_eq!(bench.jobs.workers(bench.now).len(), 1);
    assert_eq!(bench.jobs.next_wake(), Some(bench.now.instant + Duration::from_secs(40)));
}

#[test]
fn every_request_counts_as_contact() {
    let mut bench = Bench::new();
    bench.register("w", &["x"]);
    bench.pass(59);
    assert_eq!(bench.act(|jobs, now| jobs.on_heartbeat(&worker("w"), None, now)), Some(vec![]));
    bench.pass(59);
    bench.poll("w");
    bench.pass(59);
    bench.submit(NewTask::new("x").with_timeout(Duration::from_secs(900)));
    let task = bench.take_one();
    let report = ProgressReport {
        worker_id: worker("w"),
        job_id: None,
        task_id: Some(task.task_id.to_string()),
        progress: 7.0,
        message: "half".to_owned(),
    };
    bench.act(|jobs, now| jobs.on_progress(&report, now)).expect("it runs");
    assert_eq!(bench.view(task.number).progress, Some(1.0), "clamped");
    bench.pass(59);
    bench.report("w", &task, "success", None);
    bench.pass(59);
    assert!(bench.beat("w", with_status("idle")).is_some());
}
