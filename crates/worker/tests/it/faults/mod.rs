//! Every fault at every endpoint: nothing that was accepted is lost, nothing becomes a busy loop, and what is not
//! concerned goes on.

mod network;
mod table;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use avtomatika_worker::prelude::*;
use serde_json::{Value, json};
use testkit::{Endpoint, PATIENCE, Script, ScriptedOrchestrator};

use self::table::Fault;
use crate::support::{Pause, Running, Watched, config, each, tasks, watch_for};

/// How long a fault lasts.
const FAULT: Duration = Duration::from_millis(1500);

const WATCHED: [Endpoint; 5] =
    [Endpoint::Register, Endpoint::Heartbeat, Endpoint::Poll, Endpoint::Result, Endpoint::Event];

/// The most requests within [`FAULT`], in the order of [`WATCHED`]. A busy loop makes thousands.
///
/// - registrations: full jitter over 1, 2, 4 s; tiny delays are possible, many in a row are not;
/// - heartbeats: one each 0.2 s and one for each of a few changes, all twice where it is asked first who is known;
/// - polls: held for 0.3 s where all is well, after errors 0.05, 0.1, 0.2, 0.4, 0.8 s apart, after nothing at once
///   0.01 s, doubling to 0.25; a few tasks come, and a stale connection costs one more;
/// - results: 0.05, 0.1, 0.2, 0.4, 0.8 s between the tries of each of two;
/// - events: one of each of two tasks, and none of them twice.
const MOST: [usize; 5] = [8, 36, 18, 16, 2];

/// Which handlers ran, and how often.
type Runs = Arc<Mutex<BTreeMap<String, usize>>>;

/// A worker and its orchestrator, of which one endpoint can be made to fail.
struct Bench {
    label: String,
    orchestrator: ScriptedOrchestrator,
    worker: Running,
    runs: Runs,
    /// Results that were read whole and answered with the fault.
    misanswered: Arc<Mutex<Vec<Value>>>,
    endpoint: Endpoint,
    fault: Fault,
    failing: Arc<AtomicBool>,
}

/// Reports a progress, and takes its time.
fn counted(orchestrator: &str, variables: &[(&str, &str)]) -> (Running, Runs) {
    let runs = Runs::default();
    let counted = runs.clone();
    let once = async move |context: TaskContext, Params(pause): Params<Pause>| {
        *counted.lock().expect("no panic").entry(context.task_id().to_string()).or_default() += 1;
        context.send_progress(0.5, "half");
        tokio::time::sleep(Duration::from_secs_f64(pause.seconds)).await;
    };
    // The quick tries outlast the fault: what comes after them is another test's.
    let own = [("RESULT_MAX_RETRIES", "50")];
    let variables: Vec<_> = own.iter().chain(variables).copied().collect();
    let worker = tasks().task("once", once).config(config(orchestrator, &variables)).build();
    (Running::start(worker.expect("a worker")), runs)
}

impl Bench {
    async fn new(script: Script, endpoint: Endpoint, fault: &Fault, variables: &[(&str, &str)]) -> Self {
        let orchestrator = ScriptedOrchestrator::start_with(script).await;
        let misanswered = Arc::<Mutex<Vec<Value>>>::default();
        let failing = Arc::new(AtomicBool::new(false));
        // An answer that comes before the request was read cannot be chosen by what the request is.
        if !fault.is_early {
            let (misanswered, failing, answer) = (misanswered.clone(), failing.clone(), fault.answer.clone());
            orchestrator.on(endpoint, move |request| {
                let fails = failing.load(Ordering::Relaxed);
                if fails && request.endpoint == Endpoint::Result {
                    misanswered.lock().expect("no panic").push(request.json()["task_id"].clone());
                }
                fails.then(|| answer.clone())
            });
        }
        let fails_at_once = endpoint == Endpoint::Register;
        let (worker, runs) = counted(&orchestrator.url(), variables);
        let label = format!("{endpoint:?}, {}", fault.name);
        let fault = fault.clone();
        let bench = Self { label, orchestrator, worker, runs, misanswered, endpoint, fault, failing };
        if fails_at_once {
            bench.fail(true);
        }
        bench
    }

    fn fail(&self, fails: bool) {
        self.failing.store(fails, Ordering::Relaxed);
        if self.fault.is_early && fails {
            self.orchestrator.answer_always(self.endpoint, self.fault.answer.clone());
        } else if self.fault.is_early {
            self.orchestrator.answer_normally(self.endpoint);
        }
    }

    fn push(&self, seconds: f64) -> String {
        crate::support::push(&self.orchestrator, "once", json!({"seconds": seconds}))
    }

    fn runs(&self, id: &str) -> usize {
        self.runs.lock().expect("no panic").get(id).copied().unwrap_or(0)
    }

    /// How often a result was sent and read whole, and how many of these tries were answered well.
    fn tries(&self, id: &str) -> (usize, usize) {
        let results = self.orchestrator.requests(Endpoint::Result);
        let all = results
            .iter()
            .filter(|result| {
                serde_json::from_slice::<Value>(&result.body).is_ok_and(|body| body["task_id"] == id)
            })
            .count();
        let badly = self.misanswered.lock().expect("no panic").iter().filter(|task| *task == id).count();
        (all, all - badly)
    }

    fn counts(&self) -> [usize; 5] {
        WATCHED.map(|endpoint| self.orchestrator.count(endpoint))
    }

    async fn until(&self, what: &str, check: impl Fn() -> bool) {
        let began = Instant::now();
        while !check() {
            let seen = WATCHED.map(|endpoint| (endpoint, self.orchestrator.count(endpoint)));
            assert!(began.elapsed() < PATIENCE, "{}: {what} in vain: {seen:?}", self.label);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Lets the fault last for a while, and counts.
    async fn endure(&self) -> ([usize; 5], Watched) {
        let before = self.counts();
        let watched = watch_for(FAULT).await;
        let after = self.counts();
        let seen: [usize; 5] = std::array::from_fn(|index| after[index] - before[index]);
        for (((endpoint, seen), most), before) in WATCHED.into_iter().zip(seen).zip(MOST).zip(before) {
            let most = watched.at_most(most);
            assert!(seen <= most, "{}: {seen} requests of {endpoint:?} in {FAULT:?}", self.label);
            if endpoint == self.endpoint && endpoint != Endpoint::Register {
                self.until("something meets the fault", || self.orchestrator.count(endpoint) > before).await;
            }
        }
        (seen, watched)
    }
}

/// A fault that begins while a task runs, and ends.
async fn comes_and_goes(script: Script, endpoint: Endpoint, fault: &Fault) {
    let bench = Bench::new(script, endpoint, fault, &[("WORKER_SHUTDOWN_TIMEOUT", "3")]).await;
    bench.orchestrator.wait_for_open_polls(1).await;
    let before = bench.push(0.2);
    bench.until("the task starts", || bench.runs(&before) == 1).await;
    bench.fail(true);
    let meanwhile = bench.push(0.0);
    let (seen, watched) = bench.endure().await;
    // What is not concerned went on.
    if endpoint != Endpoint::Heartbeat {
        assert!(seen[1] >= watched.at_least(3), "{}: {} heartbeats in {FAULT:?}", bench.label, seen[1]);
    }
    if endpoint != Endpoint::Poll {
        bench.until("the next task runs", || bench.runs(&meanwhile) == 1).await;
    }
    if endpoint != Endpoint::Result {
        bench.until("its result is taken", || bench.tries(&before) == (1, 1)).await;
    }
    if fault.acknowledges && endpoint == Endpoint::Result {
        for id in [&before, &meanwhile] {
            bench.until("its result meets the fault", || bench.tries(id).0 > 0).await;
        }
    }
    bench.fail(false);
    if fault.hangs() && endpoint == Endpoint::Result {
        // A result is waited for during 30 s.
        bench.orchestrator.drop_connections();
    }
    if fault.silences && matches!(endpoint, Endpoint::Poll | Endpoint::Result) {
        return ends_in_silence(bench, [&before, &meanwhile]).await;
    }
    let wanted = usize::from(!fault.acknowledges || endpoint != Endpoint::Result);
    for id in [&before, &meanwhile] {
        bench.until("its result is taken", || bench.tries(id).1 >= wanted && bench.tries(id).0 > 0).await;
    }
    let last = bench.push(0.0);
    bench.until("the last task's result is taken", || bench.tries(&last).1 == 1).await;
    let Bench { label, worker, runs, .. } = &bench;
    for id in [&before, &meanwhile, &last] {
        assert_eq!(runs.lock().expect("no panic").get(id), Some(&1), "{label}: runs");
    }
    for id in [&before, &meanwhile] {
        let (tries, well) = bench.tries(id);
        assert_eq!(well, wanted, "{label}: acknowledged once, of {tries} tries");
        assert!(fault.acknowledges || endpoint == Endpoint::Result || tries == 1, "{label}: {tries} tries");
    }
    worker.ask_to_stop();
    let stopped = bench.worker.stopped().await;
    assert!(stopped.is_clean(), "{}: {stopped:?}", bench.label);
}

/// More silence was asked for than can be waited for: polls keep it, and results too, but for one last offer.
async fn ends_in_silence(bench: Bench, tasks: [&str; 2]) {
    if bench.endpoint == Endpoint::Poll {
        // A poll that was under way when the silence began may still arrive.
        watch_for(Duration::from_millis(300)).await;
        let counted = bench.counts();
        watch_for(Duration::from_millis(300)).await;
        assert_eq!(bench.counts()[2], counted[2], "{}: silence is kept", bench.label);
    } else {
        // Both results may have been under way when the silence began, but neither is sent again.
        for id in tasks {
            let (tries, _) = bench.tries(id);
            assert!(tries <= 1, "{}: silence is kept, not {tries} tries", bench.label);
        }
    }
    bench.worker.ask_to_stop();
    bench.until("its result is taken", || bench.tries(tasks[0]).1 == 1).await;
    let stopped = bench.worker.stopped().await;
    assert!(stopped.unacknowledged.is_empty(), "{stopped:?}");
}

async fn at(endpoint: Endpoint, faults: Vec<Fault>) {
    each(faults, async |fault| comes_and_goes(Script::newer(), endpoint, &fault).await).await;
}

/// Nobody listens there: redirects are not followed.
async fn whole_answers() -> (ScriptedOrchestrator, Vec<Fault>) {
    let elsewhere = ScriptedOrchestrator::start().await;
    let mut faults = table::refusals(&format!("{}/_worker/tasks/result", elsewhere.url()));
    faults.extend(table::bodies());
    (elsewhere, faults)
}

async fn answered_at(endpoint: Endpoint) {
    let (elsewhere, faults) = whole_answers().await;
    at(endpoint, faults).await;
    assert_eq!(elsewhere.connections_accepted(), 0, "a redirect was followed");
}

#[tokio::test]
async fn polls_whose_connections_fail() {
    at(Endpoint::Poll, table::of_the_connection()).await;
}

#[tokio::test]
async fn polls_that_are_answered_badly() {
    answered_at(Endpoint::Poll).await;
}

#[tokio::test]
async fn heartbeats_whose_connections_fail() {
    at(Endpoint::Heartbeat, table::of_the_connection()).await;
}

#[tokio::test]
async fn heartbeats_that_are_answered_badly() {
    answered_at(Endpoint::Heartbeat).await;
}

#[tokio::test]
async fn results_whose_connections_fail() {
    at(Endpoint::Result, table::of_the_connection()).await;
}

#[tokio::test]
async fn results_that_are_answered_badly() {
    answered_at(Endpoint::Result).await;
}

#[tokio::test]
async fn results_that_fail_towards_the_older_generation() {
    let (_elsewhere, mut faults) = whole_answers().await;
    faults.extend(table::of_the_connection());
    each(faults, async |fault| comes_and_goes(Script::older(), Endpoint::Result, &fault).await).await;
}

#[tokio::test]
async fn events_that_fail() {
    let (elsewhere, mut faults) = whole_answers().await;
    faults.extend(table::of_the_connection());
    at(Endpoint::Event, faults).await;
    assert_eq!(elsewhere.connections_accepted(), 0, "a redirect was followed");
}

#[tokio::test]
async fn floods_are_refused_wherever_they_come() {
    for endpoint in [Endpoint::Heartbeat, Endpoint::Result, Endpoint::Event, Endpoint::Poll] {
        at(endpoint, table::floods()).await;
    }
}

#[tokio::test]
async fn registrations_that_fail() {
    let (elsewhere, mut faults) = whole_answers().await;
    faults.extend(table::of_the_connection());
    each(faults, async |fault| {
        let bench = Bench::new(Script::newer(), Endpoint::Register, &fault, &[]).await;
        let task = bench.push(0.0);
        bench.until("it tries to register", || bench.orchestrator.count(Endpoint::Register) > 0).await;
        let (seen, _) = bench.endure().await;
        assert_eq!(seen[1..], [0; 4], "{}: nothing before it is registered", bench.label);
        bench.fail(false);
        if fault.silences {
            assert!(bench.orchestrator.count(Endpoint::Register) == 1, "{}", bench.label);
        } else {
            bench.until("its result is taken", || bench.tries(&task) == (1, 1)).await;
        }
        bench.worker.ask_to_stop();
        assert!(bench.worker.stopped().await.is_clean(), "{}", bench.label);
    })
    .await;
    assert_eq!(elsewhere.connections_accepted(), 0, "a redirect was followed");
}
