//! A reader that asks a development server for what the page in a browser asks.

use std::io::{BufRead as _, BufReader};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ureq::Agent;

use super::server::get;

/// The time between two questions, as in the page.
const PAUSE: Duration = Duration::from_secs(2);

/// What the page asks for while tasks come and go: counts, and the newest tasks.
const QUESTIONS: [&str; 7] = [
    "/api/tasks?limit=1&status=queued",
    "/api/tasks?limit=1&status=running",
    "/api/tasks?limit=1&status=finished",
    "/api/tasks?limit=1&status=failed",
    "/api/tasks?limit=1&status=quarantined",
    "/api/tasks?limit=1&status=cancelled",
    "/api/tasks?limit=100",
];

/// An open page. It ends with its server.
#[derive(Debug)]
pub(super) struct Page {
    seen: Arc<Seen>,
    threads: [JoinHandle<()>; 2],
}

#[derive(Debug, Default)]
struct Seen {
    tasks: AtomicUsize,
    has_lagged: AtomicBool,
    answers: AtomicUsize,
}

impl Page {
    /// Opens it, and waits for its first event.
    pub(super) fn open(url: &str) -> Result<Self, String> {
        let seen = Arc::new(Seen::default());
        let (opened, is_open) = mpsc::channel();
        let events = format!("{url}/api/events");
        let reading = seen.clone();
        let reader = thread::spawn(move || {
            let Ok(answer) = Agent::new_with_defaults().get(events).call() else { return };
            let lines = BufReader::new(answer.into_body().into_reader()).lines();
            for line in lines.map_while(Result::ok) {
                match line.as_str() {
                    "event: snapshot" => drop(opened.send(())),
                    "event: task" => drop(reading.tasks.fetch_add(1, Ordering::Relaxed)),
                    "event: lagged" => reading.has_lagged.store(true, Ordering::Relaxed),
                    _ => {}
                }
            }
        });
        let (url, asking) = (url.to_owned(), seen.clone());
        let asker = thread::spawn(move || {
            let agent = Agent::new_with_defaults();
            while QUESTIONS.iter().all(|path| get(&agent, &format!("{url}{path}")).is_ok()) {
                asking.answers.fetch_add(1, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
        });
        let patience = Duration::from_secs(60);
        is_open.recv_timeout(patience).map_err(|_| "the page has no first event".to_owned())?;
        Ok(Self { seen, threads: [reader, asker] })
    }

    /// Waits for its end, and checks that it has seen something.
    pub(super) fn check(self) -> Result<(), String> {
        for thread in self.threads {
            thread.join().map_err(|_| "a thread of the page has panicked")?;
        }
        let [tasks, answers] =
            [&self.seen.tasks, &self.seen.answers].map(|count| count.load(Ordering::Relaxed));
        if tasks == 0 || answers == 0 {
            return Err(format!("the page has seen {tasks} events of tasks and {answers} rounds of answers"));
        }
        if self.seen.has_lagged.load(Ordering::Relaxed) {
            return Err("the page was too slow for the events".to_owned());
        }
        Ok(())
    }
}
