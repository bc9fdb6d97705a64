//! How fast the page is, as the browser measures it. Absolute times depend on the machine, so that they are printed and
//! not asserted. `cargo xtask bench --only page` runs it.
#![expect(clippy::print_stdout, reason = "figures for people")]

use page_tests::{Page, Stage};
use serde_json::{Value, json};

/// The tasks in the list.
const MANY: u32 = 10_000;

/// So often is a view opened.
const TIMES: usize = 7;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let stage = Stage::alone().await;
    for number in 0..MANY {
        stage.submit("archive", &json!({ "number": number }));
    }
    let page = Page::open(&stage.url(), "/").await;
    for (name, path) in [("overview", "/"), ("list", "/tasks")] {
        let (mut paints, mut contents) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            page.goto(path).await;
            page.is_live().await;
            let times = numbers(&page.script_async(PAINTS, vec![]).await);
            paints.push(times[0]);
            contents.push(times[1]);
        }
        let (paints, contents) = (sorted(paints), sorted(contents));
        println!("first paint, {name}: {:.0} ms (median of {TIMES}; {paints:.0?})", at(&paints, 0.5));
        println!("largest paint, {name}: {:.0} ms (median of {TIMES}; {contents:.0?})", at(&contents, 0.5));
    }

    page.has("table", "Tasks", "aria-rowcount", &MANY.to_string()).await;
    page.cdp("Performance.enable", json!({})).await;
    let before = metrics(&page).await;
    let measured = page.script_async(SCROLL, vec![]).await;
    let after = metrics(&page).await;
    let frames = sorted(numbers(&measured["frames"]));
    let long = sorted(numbers(&measured["long"]));
    println!(
        "scrolling through {MANY} tasks: {} frames, median {:.1} ms, 99% below {:.1} ms, longest {:.1} ms; {} frames over \
         50 ms by the browser's count ({long:.0?})",
        frames.len(),
        at(&frames, 0.5),
        at(&frames, 0.99),
        at(&frames, 1.0),
        long.len(),
    );
    for name in ["ScriptDuration", "LayoutDuration", "RecalcStyleDuration", "TaskDuration"] {
        let spent = value(&after, name) - value(&before, name);
        println!("  {name}: {:.2} ms per frame", spent * 1000.0 / frames.len() as f64);
    }
    page.end().await;
    stage.end().await;
}

/// Returns the browser's counters, in seconds.
async fn metrics(page: &Page) -> Value {
    page.cdp("Performance.getMetrics", json!({})).await["metrics"].clone()
}

fn value(metrics: &Value, name: &str) -> f64 {
    let metrics = metrics.as_array().expect("a list");
    let found = metrics.iter().find(|metric| metric["name"] == name);
    found.and_then(|metric| metric["value"].as_f64()).unwrap_or_else(|| panic!("the browser has no {name}"))
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().expect("a list").iter().filter_map(Value::as_f64).collect()
}

fn sorted(mut numbers: Vec<f64>) -> Vec<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// Returns the number at this part of a sorted list.
fn at(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

/// Returns the times of the first paint of something that can be read, which is the frame of the page, and of the
/// largest, which is the view with its content, in milliseconds.
const PAINTS: &str = "
    const done = arguments[0];
    const last = (type, name) => new Promise((resolve) => {
      new PerformanceObserver((list, observer) => {
        const entry = list.getEntries().findLast((entry) => !name || entry.name === name);
        if (!entry) return;
        observer.disconnect();
        resolve(entry.startTime);
      }).observe({ type, buffered: true });
    });
    Promise.all([last('paint', 'first-contentful-paint'), last('largest-contentful-paint')]).then(done);";

/// Scrolls through the whole list, first by turns of the wheel and then in leaps, and returns the time of each frame and
/// those that the browser counts as long (over 50 ms), in milliseconds.
const SCROLL: &str = "
    const done = arguments[0];
    const box = document.querySelector('table[aria-label=Tasks]').closest('.table-box');
    const scroller = box.scrollHeight > box.clientHeight + 10 ? box : document.scrollingElement;
    const long = [];
    const observer = new PerformanceObserver((list) => long.push(...list.getEntries().map(({ duration }) => duration)));
    observer.observe({ type: 'long-animation-frame' });
    const frames = [];
    const TURNS = 300;
    let last = performance.now();
    let step = 0;
    const frame = (time) => {
      frames.push(time - last);
      last = time;
      step += 1;
      scroller.scrollTop = step < TURNS ? step * 120 : (step - TURNS) * (scroller.scrollHeight / TURNS);
      if (step < 2 * TURNS) requestAnimationFrame(frame);
      else setTimeout(() => done({ frames: frames.slice(2), long }), 200);
    };
    requestAnimationFrame(frame);";
