//! How fast the page is. Absolute times depend on the machine, so that they are printed and not asserted:
//! `cargo nextest run --workspace -E 'package(page-tests) & test(figures::)' --run-ignored only --no-capture`.
#![expect(clippy::print_stdout, reason = "figures for people")]

use page_tests::{Page, Stage};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures: with `--run-ignored only --no-capture`"]
async fn first_paint_and_frames_of_a_list_of_ten_thousand() {
    let stage = Stage::alone().await;
    for number in 0..10_000 {
        stage.submit("archive", &json!({ "number": number }));
    }
    let page = Page::open(&stage.url(), "/tasks").await;
    page.has("table", "Tasks", "aria-rowcount", "10000").await;
    let mut paints = Vec::new();
    for _ in 0..5 {
        page.goto("/").await;
        page.is_live().await;
        let paint = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null;";
        paints.push(page.script(paint, vec![]).await.as_f64().expect("it has painted"));
    }
    paints.sort_by(f64::total_cmp);
    println!("first contentful paint: {:.0} ms (median of 5: {paints:.0?})", paints[2]);

    page.goto("/tasks").await;
    page.has("table", "Tasks", "aria-rowcount", "10000").await;
    let frames = page.script_async(SCROLL, vec![]).await;
    let mut frames: Vec<f64> = frames.as_array().expect("times").iter().filter_map(Value::as_f64).collect();
    frames.sort_by(f64::total_cmp);
    let at = |part: f64| frames[((frames.len() - 1) as f64 * part) as usize];
    println!(
        "scrolling 10,000 tasks: {} frames, median {:.1} ms, 99% below {:.1} ms, longest {:.1} ms",
        frames.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    page.end().await;
    stage.end().await;
}

/// Scrolls through the whole list in steps of a turn of the wheel, and returns the time of each frame in milliseconds.
const SCROLL: &str = "
    const done = arguments[0];
    const box = document.querySelector('table[aria-label=Tasks]').closest('.table-box');
    const scroller = box.scrollHeight > box.clientHeight + 10 ? box : document.scrollingElement;
    const frames = [];
    let last = performance.now();
    let step = 0;
    const frame = (time) => {
      frames.push(time - last);
      last = time;
      step += 1;
      scroller.scrollTop = step < 300 ? step * 120 : (step - 300) * (scroller.scrollHeight / 300);
      if (step < 600) requestAnimationFrame(frame);
      else done(frames.slice(2));
    };
    requestAnimationFrame(frame);";
