use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testkit::{PATIENCE, Program, Stopwatch};

/// Runs something while more threads are at work than there are processors.
fn crowded<T>(work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    let processors = thread::available_parallelism().expect("a number").get();
    thread::scope(|scope| {
        for _ in 0..4 * processors {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn time_in_a_queue_for_a_processor_is_not_counted() {
    const PAUSE: Duration = Duration::from_millis(300);
    let stopwatch = Stopwatch::start();
    crowded(|| thread::sleep(PAUSE));
    let took = stopwatch.took();
    assert!(took.is_at_least(PAUSE) && took.is_below(PAUSE), "{took:?}");
}

#[tokio::test]
async fn the_work_of_others_on_the_runtime_is_not_counted() {
    let stopwatch = Stopwatch::start();
    tokio::task::yield_now().await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(300) {}
    tokio::time::sleep(Duration::from_millis(10)).await;
    let took = stopwatch.took();
    assert!(took.is_below(Duration::from_millis(100)), "{took:?}");
}

/// A machine that has no time for the test excuses it, so it is tried until it has.
#[tokio::test]
async fn a_blocked_runtime_is_not_excused() {
    let began = Instant::now();
    loop {
        let stopwatch = Stopwatch::start();
        tokio::task::yield_now().await;
        thread::sleep(Duration::from_millis(300));
        tokio::time::sleep(Duration::from_millis(10)).await;
        let took = stopwatch.took();
        if !took.is_below(Duration::from_millis(200)) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{took:?}");
    }
}

/// As above: where the machine has time, little is added.
#[test]
fn the_time_between_two_moments_is_about_that_on_the_clock() {
    const PAUSE: Duration = Duration::from_millis(200);
    let began = Instant::now();
    loop {
        let stopwatch = Stopwatch::start();
        let first = Instant::now();
        thread::sleep(PAUSE);
        let took = stopwatch.between(first, Instant::now());
        assert!(took.is_within(PAUSE..2 * PAUSE), "{took:?}");
        if !took.is_at_least(PAUSE * 2) && !took.is_below(PAUSE / 2) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{took:?}");
    }
}

#[tokio::test]
async fn programs_are_watched() {
    let mut program = Program::new("sh").args(["-c", "while :; do :; done"]).start();
    let stopwatch = Stopwatch::start();
    crowded(|| thread::sleep(Duration::from_millis(300)));
    let took = stopwatch.took();
    program.kill();
    program.wait(PATIENCE).await;
    assert!(took.is_below(Duration::from_millis(300)), "{took:?}");
}
