//! Choosing jobs by their state and their texts.

use serde_json::json;

use super::*;
use crate::hub::Hub;
use crate::pages::Page;
use crate::search::Needle;

fn ended(bench: &mut Bench, name: &str, status: &str, code: Option<&str>) -> u64 {
    let number = bench.submit(NewTask::new(name));
    bench.run("w", status, code);
    number
}

fn chosen(bench: &Bench, filter: &Filter) -> Vec<u64> {
    let Piece { rows, below } = bench.jobs.piece(filter, u64::MAX);
    assert_eq!(below, None);
    rows.iter().filter(|row| row.matches(filter)).map(|row| row.number).collect()
}

#[test]
fn conditions_hold_together_and_one_of_several_values_is_enough() {
    let mut bench = Bench::new();
    bench.register("w", &["x", "y"]);
    let done = ended(&mut bench, "x", "success", None);
    let failed = ended(&mut bench, "y", "failure", Some("INVALID_INPUT_ERROR"));
    let waiting = bench.submit(NewTask::new("y"));
    let statuses = |list: &[TaskStatus]| Filter { statuses: Some(list.to_vec()), ..Filter::default() };
    let named =
        |name: &str| Filter { names: Some(vec![name.to_owned(), "z".to_owned()]), ..Filter::default() };
    let of = |worker: &str| Filter { worker: Some(worker.to_owned()), ..Filter::default() };
    assert_eq!(chosen(&bench, &Filter::default()), [waiting, failed, done]);
    assert_eq!(chosen(&bench, &statuses(&[TaskStatus::Failed, TaskStatus::Queued])), [waiting, failed]);
    assert_eq!(chosen(&bench, &statuses(&[])), [0; 0]);
    assert_eq!(chosen(&bench, &named("y")), [waiting, failed]);
    assert_eq!((chosen(&bench, &of("w")), chosen(&bench, &of("v"))), (vec![failed, done], vec![]));
    let both = Filter { statuses: Some(vec![TaskStatus::Failed]), ..named("x") };
    assert_eq!(chosen(&bench, &both), [0; 0]);
    for filter in [Filter::default(), statuses(&[TaskStatus::Failed]), statuses(&[])] {
        assert_eq!(bench.jobs.count(&filter), Some(chosen(&bench, &filter).len()), "{filter:?}");
    }
    assert_eq!(bench.jobs.count(&named("y")), None);
}

#[test]
fn a_text_is_found_in_the_ids_of_earlier_tries_and_in_the_worker() {
    let mut bench = Bench::new();
    bench.register("w", &["x"]);
    let number = bench.submit(NewTask::new("x").with_params(json!({"note": "Überall"})));
    let first = bench.run("w", "failure", Some("TRANSIENT_ERROR"));
    bench.run("w", "success", None);
    bench.submit(NewTask::new("y"));
    for text in [first.task_id.as_str(), "überALL", "TRANSIENT", "finished"] {
        let filter = Filter { text: Some(Needle::new(text)), ..Filter::default() };
        let expected = if text == "TRANSIENT" { vec![] } else { vec![number] };
        assert_eq!(chosen(&bench, &filter), expected, "{text}");
    }
}

#[test]
fn many_jobs_are_looked_at_piece_by_piece() {
    let mut bench = Bench::new();
    for _ in 0..4500 {
        bench.submit(NewTask::new("x"));
    }
    let filter = Filter { text: Some(Needle::new("x")), ..Filter::default() };
    let (mut below, mut sizes) = (u64::MAX, Vec::new());
    loop {
        let piece = bench.jobs.piece(&filter, below);
        sizes.push(piece.rows.len());
        match piece.below {
            Some(next) => below = next,
            None => break,
        }
    }
    assert_eq!(sizes, [2000, 2000, 500]);
    bench.submit(NewTask::new("x").with_params(json!({"text": "t".repeat(2 * 1024 * 1024)})));
    assert_eq!(bench.jobs.piece(&filter, u64::MAX).rows.len(), 1, "a long text is a piece of its own");
}

#[tokio::test]
async fn pages_are_stable_while_tasks_arrive() {
    let hub = Hub::new(Settings::new());
    let submit = |count: usize| hub.submit_many(NewTask::new("x"), count).expect("room");
    submit(250);
    for filter in [Filter::default(), Filter { names: Some(vec!["x".to_owned()]), ..Filter::default() }] {
        let (mut seen, mut before, mut totals) = (Vec::new(), u64::MAX, Vec::new());
        let newest = hub.page(&filter, u64::MAX, 1).await.numbers[0];
        loop {
            let Page { numbers, total, has_more } = hub.page(&filter, before, 100).await;
            totals.push(total as u64);
            before = *numbers.last().expect("a page is not empty");
            seen.extend(numbers);
            submit(7);
            if !has_more {
                break;
            }
        }
        assert_eq!(seen, (1..=newest).rev().collect::<Vec<_>>(), "no task twice, none left out");
        assert_eq!(totals, [newest, newest + 7, newest + 14]);
    }
}
