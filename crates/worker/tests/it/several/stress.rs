//! Everything at random for a while: what has to hold whatever happens.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Answer, Endpoint, Recorded, ScriptedOrchestrator, Stopwatch};

use super::{orchestrators, start};
use crate::support::{Watched, each, until};

/// How an orchestrator fails at the moment.
const MOODS: [&str; 9] = ["well", "500", "reset", "429", "401", "404", "HTML", "slow", "refuse"];

/// The time of all faults.
const STORM: Duration = Duration::from_secs(10);

/// One of the orchestrators.
struct Member {
    orchestrator: ScriptedOrchestrator,
    mood: Arc<AtomicU8>,
    /// Registrations that were answered as they should be.
    registered: Arc<Mutex<Vec<Instant>>>,
    /// The tasks it has handed out.
    given: Arc<Mutex<Vec<String>>>,
    /// The results it has acknowledged.
    results: Arc<Mutex<Vec<Value>>>,
}

impl Member {
    fn new(orchestrator: ScriptedOrchestrator) -> Self {
        let mood = Arc::new(AtomicU8::new(0));
        let (registered, given) =
            (Arc::<Mutex<Vec<Instant>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        for endpoint in [Endpoint::Register, Endpoint::Heartbeat, Endpoint::Poll] {
            let (mood, registered) = (mood.clone(), registered.clone());
            orchestrator.on(endpoint, move |request| {
                let mood = MOODS[usize::from(mood.load(Ordering::SeqCst))];
                let answer = answer(mood, endpoint);
                if endpoint == Endpoint::Register && (answer.is_none() || mood == "slow") {
                    registered.lock().expect("no panic").push(request.at);
                }
                answer
            });
        }
        // Results are refused now and then, and never lost on their way: each is to be acknowledged once.
        let (result_mood, results) = (mood.clone(), Arc::<Mutex<Vec<Value>>>::default());
        let acknowledged = results.clone();
        orchestrator.on(Endpoint::Result, move |request| {
            match MOODS[usize::from(result_mood.load(Ordering::SeqCst))] {
                "500" => Some(Answer::status(503)),
                "429" => Some(Answer::status(429).header("retry-after", "1")),
                _ => {
                    acknowledged.lock().expect("no panic").push(request.json());
                    None
                }
            }
        });
        let (handed_out, mut last) = (given.clone(), Instant::now());
        orchestrator.make_tasks(move || {
            if last.elapsed() < Duration::from_millis(20) {
                return None;
            }
            last = Instant::now();
            let task = testkit::task("sleep", json!({"seconds": fastrand::f64() * 0.2}));
            handed_out.lock().expect("no panic").push(task["task_id"].as_str().expect("a text").to_owned());
            Some(task.to_string().into())
        });
        Self { orchestrator, mood, registered, given, results }
    }

    async fn feel(&self, mood: usize) {
        let before = self.mood.swap(u8::try_from(mood).expect("few"), Ordering::SeqCst);
        let refuses = |mood: usize| MOODS[mood] == "refuse";
        match (refuses(usize::from(before)), refuses(mood)) {
            (false, true) => self.orchestrator.refuse().await,
            (true, false) => self.orchestrator.accept().await,
            _ => {}
        }
    }

    fn given(&self) -> Vec<String> {
        self.given.lock().expect("no panic").clone()
    }

    fn results(&self) -> Vec<Value> {
        self.results.lock().expect("no panic").clone()
    }
}

fn answer(mood: &str, endpoint: Endpoint) -> Option<Answer> {
    Some(match mood {
        "500" => Answer::status(500),
        // One that is refused to be connected to anew has the old connections broken too.
        "reset" | "refuse" => Answer::Reset,
        "429" => Answer::status(429).header("retry-after", "1"),
        "401" => Answer::status(401),
        "404" => Answer::status(404),
        "HTML" => Answer::body("<html>hello</html>"),
        "slow" if endpoint != Endpoint::Poll => Answer::Normally.after(Duration::from_millis(300)),
        _ => return None,
    })
}

#[tokio::test]
async fn whatever_orchestrators_do_every_task_is_answered_by_its_own_and_nobody_is_hammered() {
    each(["FAILOVER", "ROUND_ROBIN", "WATERFALL"], async |mode| {
        let members = orchestrators::<3>().await.map(Member::new);
        let entries: Vec<_> = members.iter().map(|member| (&member.orchestrator, json!({}))).collect();
        let variables =
            [("MAX_CONCURRENT_TASKS", "6"), ("TASK_POLL_ERROR_DELAY", "0"), ("RESULT_MAX_RETRIES", "1000")];
        let worker = start(mode, &entries, &variables);
        let stopwatch = Stopwatch::start();
        while stopwatch.took().wall() < STORM {
            // Well as often as not, so that it is given tasks to lose.
            let mood = if fastrand::bool() { 0 } else { fastrand::usize(0..MOODS.len()) };
            members[fastrand::usize(0..3)].feel(mood).await;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(20..400))).await;
        }
        for member in &members {
            member.feel(0).await;
        }
        check_rates(mode, &members, &Watched::new(STORM, &stopwatch));
        if mode == "FAILOVER" {
            check_one_at_a_time(&members, &stopwatch);
        }
        let stopped = worker.stop().await;
        assert!(stopped.is_clean(), "{mode}: {stopped:?}");
        for member in &members {
            let mut given = member.given();
            // A task is lost in a poll that is given up a second after the goodbye, if it takes longer than this second
            // to its reader: the test is run alone (see `.config/nextest.toml`).
            until(|| member.results().len() >= given.len()).await;
            let results = member.results();
            assert!(results.iter().all(|result| result["status"] == "success"), "{mode}: {results:?}");
            let mut answered: Vec<_> =
                results.iter().map(|result| result["task_id"].as_str().expect("a text").to_owned()).collect();
            given.sort_unstable();
            answered.sort_unstable();
            assert_eq!(answered, given, "{mode}: each once, and by its own");
        }
        let all: usize = members.iter().map(|member| member.given().len()).sum();
        assert!(all > 0, "{mode}: no task in all the time");
    })
    .await;
}

/// A storm of 10 s, in which most failures are the first of a row.
fn check_rates(mode: &str, members: &[Member], storm: &Watched) {
    for (who, member) in members.iter().enumerate() {
        let count = |endpoint| member.orchestrator.count(endpoint);
        let (registrations, heartbeats) = (count(Endpoint::Register), count(Endpoint::Heartbeat));
        assert!(registrations < storm.at_most(150), "{mode}, {who}: {registrations} registrations");
        // Five a second by the interval, each perhaps after a question, and one after each registration and change.
        assert!(heartbeats < storm.at_most(600), "{mode}, {who}: {heartbeats} heartbeats");
        let polls = count(Endpoint::Poll) - member.given().len();
        assert!(polls < storm.at_most(1500), "{mode}, {who}: {polls} polls for nothing");
    }
}

/// After one was registered with, those after it are polled no more until they are registered with again.
fn check_one_at_a_time(members: &[Member], stopwatch: &Stopwatch) {
    const SLACK: Duration = Duration::from_millis(500);
    let registered = members.iter().map(|member| member.registered.lock().expect("no panic").clone());
    let registered: Vec<Vec<Instant>> = registered.collect();
    for (who, member) in members.iter().enumerate() {
        for poll in member.orchestrator.requests(Endpoint::Poll) {
            let Recorded { at, .. } = poll;
            let own = registered[who].iter().rev().find(|registration| **registration <= at);
            let own = *own.expect("polled without a registration");
            for (other, registrations) in registered[..who].iter().enumerate() {
                let between = registrations
                    .iter()
                    .filter(|other| **other > own && **other + SLACK < at)
                    .find(|other| !stopwatch.between(**other, at).is_below(SLACK));
                assert!(between.is_none(), "{who} is polled although {other} was registered with after it");
            }
        }
    }
}
