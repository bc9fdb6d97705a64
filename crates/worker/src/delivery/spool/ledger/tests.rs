use super::super::tests::{record, task};
use super::*;

fn settle(ledger: &mut Ledger) -> Batch {
    let batch = ledger.take();
    ledger.set_written(&batch);
    batch
}

/// The changes of results, where nothing else has changed.
fn settle_results(ledger: &mut Ledger) -> Changes<Key, Held> {
    let batch = settle(ledger);
    assert_eq!((batch.tasks, batch.deaths), (vec![], vec![]));
    batch.results
}

#[test]
fn a_result_replaces_its_task_in_one_batch() {
    let mut ledger = Ledger::default();
    let (key, begun) = task("t");
    ledger.tasks.insert(key.clone(), begun.clone());
    let batch = settle(&mut ledger);
    assert_eq!((batch.results, batch.tasks), (vec![], vec![(key.clone(), Some(begun))]));
    let number = ledger.finish(record("t"));
    assert!(!ledger.is_written(number));
    let batch = settle(&mut ledger);
    assert_eq!(batch.results, [(number, Some(Held::Here(record("t"))))]);
    assert_eq!((batch.tasks, batch.deaths), (vec![(key, None)], vec![]));
    assert!(ledger.is_written(number) && ledger.is_settled());
}

#[test]
fn a_result_that_is_removed_before_it_is_written_costs_nothing() {
    let mut ledger = Ledger::default();
    let (key, begun) = task("t");
    ledger.tasks.insert(key, begun);
    let number = ledger.finish(record("t"));
    ledger.remove(number);
    assert!(ledger.is_settled());
    assert_eq!(ledger.unwritten.len(), 0);
}

#[test]
fn a_result_that_is_removed_while_it_is_written_is_removed_from_the_file_afterwards() {
    let mut ledger = Ledger::default();
    let number = ledger.finish(record("t"));
    let batch = ledger.take();
    ledger.remove(number);
    ledger.set_written(&batch);
    assert_eq!(settle_results(&mut ledger), [(number, None)]);
}

#[test]
fn what_a_new_file_was_begun_with_is_removed_from_it() {
    let mut ledger = Ledger::default();
    let (key, begun) = task("t");
    ledger.tasks.insert(key.clone(), begun);
    let number = ledger.finish(record("u"));
    assert_eq!((ledger.rows().results.len(), ledger.rows().tasks.len()), (1, 1));
    ledger.remove(number);
    ledger.tasks.remove(&key);
    let batch = ledger.take();
    assert_eq!((batch.results, batch.tasks), (vec![(number, None)], vec![(key, None)]));
}

#[test]
fn a_result_that_could_not_be_written_is_written_later_unless_it_was_removed() {
    let mut ledger = Ledger::default();
    let (first, second) = (ledger.finish(record("a")), ledger.finish(record("b")));
    let batch = ledger.take();
    ledger.put_back(batch);
    ledger.remove(first);
    assert!(!ledger.is_written(second));
    // The write may have got through although it was not acknowledged.
    let expected = [(first, None), (second, Some(Held::Here(record("b"))))];
    assert_eq!(settle_results(&mut ledger), expected);
}

#[test]
fn the_difference_turns_any_contents_into_the_intended_ones() {
    let mut ledger = Ledger::default();
    let (key, begun) = task("runs");
    ledger.tasks.insert(key.clone(), begun.clone());
    let (kept, new) = (ledger.finish(record("kept")), ledger.finish(record("new")));
    let mut found = Contents::default();
    found.results.insert(kept, Held::Here(record("kept")));
    found.results.insert(77, Held::Here(record("gone")));
    let (gone, was) = task("gone");
    found.tasks.insert(gone.clone(), was);
    let batch = ledger.difference(&found);
    assert_eq!(batch.results, [(77, None), (new, Some(Held::Here(record("new"))))]);
    assert_eq!((batch.tasks, batch.deaths), (vec![(gone, None), (key, Some(begun))], vec![]));
    assert!(ledger.is_settled() && ledger.is_written(kept) && !ledger.is_written(new));
}

#[test]
fn a_file_that_lost_its_name_is_written_anew_with_all_that_only_it_had() {
    let mut ledger = Ledger::default();
    let (key, begun) = task("runs");
    ledger.tasks.insert(key.clone(), begun.clone());
    let (own, foreign) = (ledger.finish(record("own")), ledger.finish(record("foreign")));
    settle(&mut ledger);
    ledger.leave_in_file(foreign);
    assert!(ledger.relies_on_file());
    let mut old = Contents::default();
    old.results.insert(foreign, Held::Here(record("foreign")));
    ledger.on_file_lost(&old);
    assert!(![own, foreign].into_iter().any(|key| ledger.is_written(key)) && !ledger.relies_on_file());
    let batch = ledger.difference(&Contents::default());
    let rows = [(own, "own"), (foreign, "foreign")].map(|(key, name)| (key, Some(Held::Here(record(name)))));
    assert_eq!((batch.results.as_slice(), batch.tasks.as_slice()), (&rows[..], &[(key, Some(begun))][..]));
    ledger.set_written(&batch);
    assert!(ledger.is_written(own) && ledger.is_written(foreign));
}

#[test]
fn what_another_process_left_in_its_place_stays_for_a_later_one() {
    let mut ledger = Ledger::default();
    let names = ["same", "ours"];
    let [same, ours] = names.map(|name| ledger.finish(record(name)));
    let (key, begun) = task("theirs");
    let mut found = Contents::default();
    found.tasks.insert(key.clone(), begun.clone());
    for (key, name) in [(same, "same"), (ours, "theirs"), (2, "more"), (9, "last")] {
        found.results.insert(key, Held::Here(record(name)));
    }
    assert_eq!(ledger.adopt(&mut found), 3);
    let batch = ledger.difference(&found);
    // The file as it is afterwards.
    let mut file = found.results.clone();
    file.insert(ours, Held::Here(record("theirs")));
    for (key, held) in batch.results.iter().filter(|(_, held)| *held != Some(Held::InFile)) {
        match held {
            Some(held) => drop(file.insert(*key, held.clone())),
            None => drop(file.remove(key)),
        }
    }
    let mut names: Vec<_> = file
        .values()
        .map(|held| match held {
            Held::Here(record) => record.task_id.to_string(),
            Held::InFile => panic!("not in a file"),
        })
        .collect();
    names.sort();
    assert_eq!(names, ["last", "more", "ours", "same", "theirs"]);
    assert_eq!(batch.tasks, [], "its tasks are left for the next process, too");
    ledger.set_written(&batch);
    assert_eq!(ledger.finish(record("next")), 10, "a new number");
}

#[test]
fn rejected_results_are_kept_for_people_up_to_a_number() {
    let mut ledger = Ledger::default();
    let number = ledger.finish(record("t"));
    assert!(ledger.reject(number, "why".to_owned(), 2));
    assert!(!ledger.reject(number, "twice".to_owned(), 3));
    assert_eq!(ledger.take().rejected, [Rejected { record: record("t"), reason: "why".to_owned(), at: 2 }]);
    for _ in 0..=MAX_REJECTED {
        let number = ledger.finish(record("t"));
        ledger.reject(number, String::new(), 0);
    }
    assert_eq!(ledger.take().rejected.len(), MAX_REJECTED);
}

#[test]
fn a_try_is_written_and_its_end_too() {
    let mut ledger = Ledger::default();
    let number = ledger.finish(record("t"));
    settle(&mut ledger);
    for is_in_flight in [true, false] {
        ledger.set_in_flight(number, is_in_flight);
        assert!(ledger.is_written(number), "the earlier row is in the file");
        let expected = Held::Here(Record { is_in_flight, ..record("t") });
        assert_eq!(settle_results(&mut ledger), [(number, Some(expected))]);
        ledger.set_in_flight(number, is_in_flight);
        assert!(ledger.is_settled(), "no news");
    }
}

#[test]
fn numbers_go_on_where_those_of_the_file_end() {
    let mut found = Contents::default();
    found.results.insert(7, Held::Here(record("t")));
    let mut ledger = Ledger::new(found);
    assert!(ledger.is_written(7) && ledger.is_settled());
    assert_eq!(ledger.finish(record("u")), 8);
}
