//! The server that measures: it hands out tasks when it is told to, and says how long each one took.

use std::io::BufRead;
use std::num::NonZeroU64;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use testkit::{Script, ScriptedOrchestrator};

use super::server::{Generation, task};
use crate::arguments::{Arguments, number};
use crate::process::Peer;

/// Longer than a client waits for anything else.
const HOLD: Duration = Duration::from_secs(30);

/// The time for which a client may do nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// The dispatcher as a process.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    peer: Peer,
    pub(crate) url: String,
}

impl Dispatcher {
    pub(crate) fn start(generation: Generation) -> Result<Self, String> {
        let mut peer = Peer::role(&["dispatcher", "--generation", generation.name()])?;
        let url = peer.line()?;
        Ok(Self { peer, url })
    }

    /// Hands out tasks one at a time, each to a held poll at a random moment. Returns the time from each one's write to
    /// the arrival of its result, in microseconds.
    pub(crate) fn held(&mut self, tasks: usize) -> Result<Vec<f64>, String> {
        self.ask(&format!("held {tasks}"))
    }

    /// Hands out tasks at the moments of a Poisson process, so many per second on average, whatever the client does.
    /// Returns the time from each one's moment to the arrival of its result, in microseconds.
    pub(crate) fn open(&mut self, rate: f64, tasks: usize) -> Result<Vec<f64>, String> {
        self.ask(&format!("open {tasks} {rate}"))
    }

    /// Hands out tasks as fast as the client takes them. Returns the tasks per second.
    pub(crate) fn full(&mut self, tasks: usize) -> Result<f64, String> {
        let rate = self.ask(&format!("full {tasks}"))?;
        rate.first().copied().ok_or_else(|| "the dispatcher said nothing".to_owned())
    }

    pub(crate) fn end(self) -> Result<(), String> {
        self.peer.end().map(drop)
    }

    fn ask(&mut self, order: &str) -> Result<Vec<f64>, String> {
        self.peer.send(order)?;
        let line = self.peer.line()?;
        let numbers = line.split_whitespace().map(str::parse);
        numbers.collect::<Result<_, _>>().map_err(|_| format!("the dispatcher said `{line}`"))
    }
}

/// `dispatcher [--generation older|newer]`: prints its address, and obeys the lines of standard input until it is closed.
#[expect(clippy::print_stdout, reason = "its output is its address and the figures")]
pub(super) fn run(mut arguments: Arguments<'_>) -> Result<(), String> {
    let script = match Generation::take(&mut arguments)? {
        Generation::Older => Script::older(),
        Generation::Newer => Script::newer(),
    };
    let [] = arguments.words("no argument")?;
    super::runtime()?.block_on(async {
        let server = ScriptedOrchestrator::start_with(script.hold(HOLD).without_recording()).await;
        println!("{}", server.url());
        let mut desk = Desk::new(server.clone());
        // Beside the runtime, which only serves: the moments of tasks do not depend on what it does.
        let told = tokio::task::spawn_blocking(move || {
            // A sleep that ends 50 µs late, as by default, would be a part of every figure.
            let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                let figures = desk.obey(&line)?;
                let texts: Vec<String> = figures.iter().map(|figure| format!("{figure:.1}")).collect();
                println!("{}", texts.join(" "));
            }
            Ok(())
        });
        let ended = told.await.map_err(|error| error.to_string());
        server.stop().await;
        ended?
    })
}

/// Hands out the tasks, and hears of each one's moments.
struct Desk {
    server: ScriptedOrchestrator,
    /// The numbers of tasks, and when each was written.
    written: Receiver<(u64, Instant)>,
    /// The numbers of tasks, and when each one's result arrived.
    arrived: Receiver<(u64, Instant)>,
    next: u64,
}

impl Desk {
    fn new(server: ScriptedOrchestrator) -> Self {
        let (on_task, written) = mpsc::channel();
        let (on_result, arrived) = mpsc::channel();
        let stamp = |sender: mpsc::Sender<(u64, Instant)>| {
            move |body: &[u8]| {
                let now = Instant::now();
                if let Some(number) = number_of(body) {
                    let _ = sender.send((number, now));
                }
            }
        };
        server.watch(stamp(on_task), stamp(on_result));
        Self { server, written, arrived, next: 1 }
    }

    fn obey(&mut self, order: &str) -> Result<Vec<f64>, String> {
        let words: Vec<&str> = order.split_whitespace().collect();
        match words.as_slice() {
            ["held", tasks] => (0..number(tasks)?).map(|_| self.held()).collect(),
            ["open", tasks, rate] => {
                let rate: f64 = rate.parse().map_err(|_| format!("`{rate}` is no rate"))?;
                self.open(&arrivals(rate, number(tasks)?, fastrand::f64))
            }
            ["full", tasks] => self.full(number(tasks)?),
            _ => Err(format!("`{order}` is no order")),
        }
    }

    /// One task to a held poll.
    fn held(&mut self) -> Result<f64, String> {
        let given_up = Instant::now() + PATIENCE;
        while self.server.open_polls() == 0 {
            if Instant::now() > given_up {
                return Err("the client holds no poll".to_owned());
            }
            thread::sleep(Duration::from_micros(100));
        }
        // The client has gone to sleep, and nothing it does is in step with the tasks.
        thread::sleep(Duration::from_micros(fastrand::u64(300..2_000)));
        self.push();
        let (_, written) = receive(&self.written)?;
        let (_, arrived) = receive(&self.arrived)?;
        Ok(micros(written, arrived))
    }

    /// Tasks at these times from now on.
    fn open(&mut self, arrivals: &[Duration]) -> Result<Vec<f64>, String> {
        let first = self.next;
        let began = Instant::now() + Duration::from_millis(5);
        for arrival in arrivals {
            thread::sleep((began + *arrival).saturating_duration_since(Instant::now()));
            self.push();
        }
        let mut times = Vec::with_capacity(arrivals.len());
        while times.len() < arrivals.len() {
            let (number, arrived) = receive(&self.arrived)?;
            // From the moment that was intended: a task that had to wait for others did wait.
            times.push(micros(began + arrivals[(number - first) as usize], arrived));
        }
        self.written.try_iter().for_each(drop);
        Ok(times)
    }

    fn full(&mut self, tasks: usize) -> Result<Vec<f64>, String> {
        let began = Instant::now();
        for _ in 0..tasks {
            self.push();
        }
        let mut last = began;
        for _ in 0..tasks {
            (_, last) = receive(&self.arrived)?;
        }
        self.written.try_iter().for_each(drop);
        Ok(vec![tasks as f64 / last.duration_since(began).as_secs_f64()])
    }

    fn push(&mut self) {
        self.server.push_task_body(task(self.next));
        self.next += 1;
    }
}

fn receive(moments: &Receiver<(u64, Instant)>) -> Result<(u64, Instant), String> {
    moments.recv_timeout(PATIENCE).map_err(|_| "the client sent no result for too long".to_owned())
}

fn micros(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e6
}

/// The times of so many arrivals of a Poisson process: the gaps between them are distributed exponentially.
fn arrivals(rate: f64, count: usize, mut random: impl FnMut() -> f64) -> Vec<Duration> {
    let mut at = 0.0;
    let next = std::iter::repeat_with(|| {
        at -= (1.0 - random()).ln() / rate;
        Duration::from_secs_f64(at)
    });
    next.take(count).collect()
}

/// The number of a task, in the message about it.
fn number_of(body: &[u8]) -> Option<u64> {
    const BEFORE: &[u8] = br#""task-"#;
    let at = body.windows(BEFORE.len()).position(|window| window == BEFORE)? + BEFORE.len();
    let digits = body[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_known_by_their_numbers() {
        assert_eq!(number_of(task(1_234).as_bytes()), Some(1_234));
        assert_eq!(number_of(br#"{"job_id": "job-00000007", "task_id": "task-00000007"}"#), Some(7));
        assert_eq!(number_of(b"{}"), None);
    }

    #[test]
    fn arrivals_have_the_rate_and_the_gaps_of_a_poisson_process() {
        let mut random = fastrand::Rng::with_seed(1);
        let arrivals = arrivals(1_000.0, 100_000, || random.f64());
        assert!((98.0..102.0).contains(&arrivals[99_999].as_secs_f64()));
        let mut gaps = arrivals.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect::<Vec<_>>();
        gaps.sort_unstable();
        // Half of the gaps are below ln 2 of their mean.
        let median = gaps[gaps.len() / 2].as_secs_f64();
        assert!((0.000_68..0.000_71).contains(&median), "{median}");
    }
}
