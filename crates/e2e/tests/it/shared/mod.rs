//! Two instances of an orchestrator that share their state in Redis, and three workers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::{
    Balancer, JobId, LIMIT, Orchestrator, OrchestratorOptions, Redis, Version, Worker, WorkerOptions, until,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::Stopwatch;

mod quirks;

with_both_orchestrators!(
    workers_behind_one_address_lose_nothing_whatever_ends,
    a_cluster_in_the_list_loses_nothing_when_an_instance_ends_and_comes_back,
);

/// The time limit for everything that several jobs need. The machine may be busy.
const SOON: Duration = LIMIT;

/// The time for which the instances hold polls.
const HOLD: Duration = Duration::from_secs(1);

/// The parameters of a task that takes a moment. One that ends at once would be lost now and then: 1.0b12 writes a job after
/// it has queued its task, and overwrites the result.
fn short() -> Value {
    json!({ "seconds": 0.2 })
}

struct Instances {
    redis: Redis,
    all: [Orchestrator; 2],
}

impl Instances {
    fn start(version: Version) -> Self {
        let redis = Redis::start();
        let all = ["A", "B"].map(|id| OrchestratorOptions::new(version).instance(&redis, id).start());
        Self { redis, all }
    }

    /// Submits jobs in turn to both instances.
    fn submit(&self, count: usize, task: &str, params: &Value) -> Vec<JobId> {
        (0..count).map(|index| self.all[index % 2].submit(task, params)).collect()
    }

    /// Waits until the jobs are finished, as the second instance sees them, which never ends.
    fn wait_for(&self, jobs: &[JobId]) {
        for job in jobs {
            self.all[1].wait_for_status(job, "finished");
        }
    }

    /// The number of results of each of these jobs.
    fn results(&self, jobs: &[JobId]) -> Vec<usize> {
        let results: Vec<_> = self.all.iter().flat_map(Orchestrator::all_results).collect();
        let of = |job: &JobId| results.iter().filter(|result| result["job_id"] == job.to_string()).count();
        jobs.iter().map(of).collect()
    }

    fn finish_short_jobs(&self, count: usize) {
        self.wait_for(&self.submit(count, "sleep", &short()));
    }
}

struct Workers {
    all: Vec<Worker>,
    /// The logs of processes that were killed.
    earlier: Vec<e2e::Log>,
    _outboxes: Vec<TempDir>,
}

impl Workers {
    fn start(options: impl Fn() -> WorkerOptions, instances: &Instances) -> Self {
        let outboxes: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a temporary directory")).collect();
        let start = |outbox: &TempDir| {
            let options = options()
                .with("WORKER_CAPACITY_REPORTING", "queue")
                .with("WORKER_OUTBOX_DIR", &outbox.path().to_string_lossy());
            options.start()
        };
        let workers =
            Self { all: outboxes.iter().map(start).collect(), earlier: Vec::new(), _outboxes: outboxes };
        workers.wait_until_known(instances, LIMIT);
        workers
    }

    fn wait_until_known(&self, instances: &Instances, limit: Duration) {
        let running: Vec<_> = self.all.iter().map(Worker::id).collect();
        until("all workers are known", limit, || {
            let known = instances.all[1].workers();
            let is_known = |id: &&str| known.iter().any(|worker| worker["worker_id"] == *id);
            running.iter().all(is_known).then_some(())
        });
    }

    /// The number of starts of each of these jobs, by worker.
    fn starts(&self, jobs: &[JobId]) -> BTreeMap<String, Vec<usize>> {
        let of = |job: &JobId| {
            let job = job.to_string();
            let logs = self.all.iter().map(Worker::log).chain(&self.earlier);
            logs.map(|log| {
                let is_start = |line: &&String| line.contains("task started") && line.contains(&job);
                log.lines().iter().filter(is_start).count()
            })
            .collect()
        };
        jobs.iter().map(|job| (job.to_string(), of(job))).collect()
    }

    /// Waits until each of these jobs runs, or has run.
    fn wait_for_starts(&self, jobs: &[JobId]) {
        until("all jobs have started", SOON, || {
            self.starts(jobs).values().all(|starts| starts.iter().sum::<usize>() > 0).then_some(())
        });
    }

    #[track_caller]
    fn assert_each_ran_once(&self, jobs: &[JobId]) {
        for (job, starts) in self.starts(jobs) {
            assert_eq!(starts.iter().sum::<usize>(), 1, "job {job} ran more than once: {starts:?}");
        }
    }
}

fn workers_behind_one_address_lose_nothing_whatever_ends(version: Version) {
    let mut instances = Instances::start(version);
    let [first, second] = &instances.all;
    let balancer = Balancer::start(&[first, second]);
    let options = || WorkerOptions::new(second).with("ORCHESTRATOR_URL", &balancer.url());
    let mut workers = Workers::start(options, &instances);

    normal_work_is_done_once_by_all(&instances, &workers);
    an_instance_is_killed(&mut instances, &workers);
    if version == Version::V1_0b30 {
        a_job_is_cancelled_at_the_other_instance(&instances);
    }
    a_worker_is_terminated(&instances, &mut workers);
    a_worker_is_killed_and_started_again(&instances, &mut workers);
    redis_forgets_everything(version, &mut instances, &workers);
    for worker in &mut workers.all {
        assert_eq!(worker.terminate(LIMIT), 0);
    }
}

fn normal_work_is_done_once_by_all(instances: &Instances, workers: &Workers) {
    let jobs = instances.submit(60, "sleep", &short());
    instances.wait_for(&jobs);
    workers.assert_each_ran_once(&jobs);
    assert_eq!(instances.results(&jobs), vec![1; jobs.len()]);
    let starts = workers.starts(&jobs);
    for index in 0..workers.all.len() {
        assert!(starts.values().any(|starts| starts[index] > 0), "worker {index} got nothing: {starts:?}");
    }
    for instance in &instances.all {
        assert!(instance.count(e2e::Request::is_result) > 0, "{} got no result", instance.url());
    }
}

fn an_instance_is_killed(instances: &mut Instances, workers: &Workers) {
    let jobs = instances.submit(9, "sleep", &json!({ "seconds": 2.5 }));
    workers.wait_for_starts(&jobs);
    instances.all[0].stop();
    instances.wait_for(&jobs);
    workers.assert_each_ran_once(&jobs);
    let others: Vec<_> = (0..12).map(|_| instances.all[1].submit("sleep", &short())).collect();
    instances.wait_for(&others);
    instances.all[0].restart();
    instances.finish_short_jobs(12);
}

fn a_job_is_cancelled_at_the_other_instance(instances: &Instances) {
    let [first, second] = &instances.all;
    let job = first.submit("sleep", &json!({ "seconds": 60 }));
    let id = Value::from(job.to_string());
    until("a worker reports the job", SOON, || {
        let reports =
            |worker: &Value| worker["current_tasks"].as_array().is_some_and(|tasks| tasks.contains(&id));
        second.workers().iter().any(reports).then_some(())
    });
    second.cancel(&job);
    let cancelled = Stopwatch::start();
    until("the result is `cancelled`", SOON, || {
        let results: Vec<_> = instances.all.iter().flat_map(|instance| instance.results_of(&job)).collect();
        results.iter().any(|result| result["status"] == "cancelled").then_some(())
    });
    // With the next heartbeat, which is sent within a second.
    let took = cancelled.took();
    assert!(took.is_below(Duration::from_millis(1500)), "{took:?}");
}

fn a_worker_is_terminated(instances: &Instances, workers: &mut Workers) {
    let jobs = instances.submit(6, "sleep", &json!({ "seconds": 3 }));
    workers.wait_for_starts(&jobs);
    let mut worker = workers.all.remove(0);
    workers.earlier.push(worker.log().clone());
    assert_eq!(worker.terminate(LIMIT), 0);
    instances.wait_for(&jobs);
    workers.assert_each_ran_once(&jobs);
    instances.finish_short_jobs(8);
}

fn a_worker_is_killed_and_started_again(instances: &Instances, workers: &mut Workers) {
    let jobs = instances.submit(4, "sleep", &json!({ "seconds": 3 }));
    workers.wait_for_starts(&jobs);
    let is_own = |starts: &[usize]| starts[0] > 0;
    let before = workers.starts(&jobs);
    workers.all[0].kill();
    let own: Vec<_> =
        before.iter().filter(|(_, starts)| is_own(starts)).map(|(job, _)| job.clone()).collect();
    // The instances still hold the polls of the process that is gone, and would give them the tasks of the next one.
    wait_for_the_end_of_polls(instances);
    workers.earlier.push(workers.all[0].log().clone());
    workers.all[0] = workers.all[0].start_successor();
    instances.wait_for(&jobs);
    for (job, starts) in workers.starts(&jobs) {
        let expected = if own.contains(&job) { 2 } else { 1 };
        assert_eq!(starts.iter().sum::<usize>(), expected, "job {job}: {starts:?}");
    }
}

/// Waits until the instances have answered the polls that were open: twice the hold, by which time they still answer.
/// Polls whose process is gone can be seen from nowhere.
fn wait_for_the_end_of_polls(instances: &Instances) {
    let began = Instant::now();
    until("the instances have held the open polls, and answer", LIMIT, || {
        let is_over = began.elapsed() >= 2 * HOLD;
        (is_over && instances.all.iter().all(|instance| !instance.workers().is_empty())).then_some(())
    });
}

fn redis_forgets_everything(version: Version, instances: &mut Instances, workers: &Workers) {
    instances.redis.restart_empty();
    if version == Version::V1_0b12 {
        // It loads its clients at its start only.
        instances.all.iter_mut().for_each(Orchestrator::restart);
    }
    workers.wait_until_known(instances, LIMIT);
    instances.finish_short_jobs(8);
}

/// One registration and one heartbeat for both instances, results to any of them, no goodbye between them.
fn a_cluster_in_the_list_loses_nothing_when_an_instance_ends_and_comes_back(version: Version) {
    for mode in ["FAILOVER", "ROUND_ROBIN"] {
        let mut instances = Instances::start(version);
        let mut workers = {
            let [first, second] = &instances.all;
            Workers::start(|| WorkerOptions::cluster(&[first, second], mode), &instances)
        };
        let jobs = instances.submit(20, "sleep", &short());
        instances.wait_for(&jobs);
        workers.assert_each_ran_once(&jobs);

        let jobs = instances.submit(8, "sleep", &json!({ "seconds": 2.5 }));
        workers.wait_for_starts(&jobs);
        instances.all[0].stop();
        instances.wait_for(&jobs);
        workers.assert_each_ran_once(&jobs);

        let slow: Vec<_> =
            (0..3).map(|_| instances.all[1].submit("sleep", &json!({ "seconds": 3 }))).collect();
        workers.wait_for_starts(&slow);
        instances.all[0].restart();
        for _ in 0..6 {
            instances.wait_for(&instances.submit(2, "sleep", &short()));
        }
        instances.wait_for(&slow);
        for worker in &mut workers.all {
            assert_eq!(worker.terminate(LIMIT), 0, "{mode}");
            let busy = worker.log().lines().into_iter().find(|line| line.contains("active one now"));
            assert_eq!(busy, None, "{mode}");
        }
    }
}
