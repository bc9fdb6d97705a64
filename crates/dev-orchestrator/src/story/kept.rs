//! Stories in the database, in parts of a few events: a long story is not written anew for each event.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Entry, Story};

/// The number of events in a part, those that were left out included.
const PART: u32 = 32;

/// The beginning of a story, in the row of its task.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoryRow<E = Vec<Entry>> {
    dropped: u64,
    next: u32,
    /// The first part.
    entries: E,
}

impl Story {
    /// A story whose changes are kept.
    pub(crate) fn tracked(mut self) -> Self {
        self.touched = Some(BTreeSet::new());
        self
    }

    /// Returns the row with the beginning.
    pub(crate) fn row(&self) -> StoryRow<&[Entry]> {
        StoryRow { dropped: self.dropped, next: self.next, entries: self.part(0) }
    }

    /// Returns the later parts that have changed since the last call, with their numbers.
    pub(crate) fn take_touched(&mut self) -> Vec<(u32, &[Entry])> {
        let touched = self.touched.as_mut().map(std::mem::take).unwrap_or_default();
        touched.into_iter().filter(|part| *part > 0).map(|part| (part, self.part(part))).collect()
    }

    /// The number of the last part.
    pub(crate) fn last_part(&self) -> u32 {
        self.next.saturating_sub(1) / PART
    }

    /// Returns a story from its rows: the beginning, and the events of the later parts. `None` if they are not in their
    /// order.
    pub(crate) fn restored(row: StoryRow, later: Vec<Entry>) -> Option<Self> {
        let StoryRow { dropped, next, mut entries } = row;
        entries.extend(later);
        let is_ordered = entries.is_sorted_by(|one, other| one.number < other.number);
        if !is_ordered || entries.last().is_some_and(|last| last.number >= next) {
            return None;
        }
        let texts = entries.iter().map(|entry| entry.what.texts()).sum();
        Some(Self { entries, dropped, texts, next, touched: None }.tracked())
    }

    /// Notes that the part with this event has changed.
    pub(super) fn touch(&mut self, number: u32) {
        if let Some(touched) = &mut self.touched {
            touched.insert(number / PART);
        }
    }

    fn part(&self, part: u32) -> &[Entry] {
        let at = |part: u32| self.entries.partition_point(|entry| entry.number / PART < part);
        &self.entries[at(part)..at(part + 1)]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::{MAX_EVENTS, Way, What};
    use super::*;

    /// The rows of a story, as a database has them.
    #[derive(Default)]
    struct Table {
        row: Vec<u8>,
        parts: BTreeMap<u32, Vec<u8>>,
    }

    impl Table {
        fn keep(&mut self, story: &mut Story) -> usize {
            self.row = serde_json::to_vec(&story.row()).expect("JSON");
            let touched = story.take_touched();
            let count = touched.len();
            for (part, entries) in touched {
                self.parts.insert(part, serde_json::to_vec(entries).expect("JSON"));
            }
            count
        }

        fn restore(&self) -> Story {
            let row = serde_json::from_slice(&self.row).expect("JSON");
            let later = self
                .parts
                .values()
                .flat_map(|part| serde_json::from_slice::<Vec<Entry>>(part).expect("JSON"));
            Story::restored(row, later.collect()).expect("in order")
        }
    }

    #[test]
    fn a_story_of_any_length_comes_back_and_few_parts_are_written_for_an_event() {
        let (mut story, mut table) = (Story::new().tracked(), Table::default());
        story.add(Entry::new(Duration::ZERO, 1, None, What::Submitted));
        story.add(Entry::new(Duration::ZERO, 1, None, What::Offered));
        for number in 0..2 * MAX_EVENTS as u64 {
            let at = Duration::from_millis(number);
            let what = match number % 100 {
                7 => What::transfer(Way::Inputs, at),
                _ => What::progress(0.1, &format!("step {number}")),
            };
            story.add(Entry::new(at, 1, None, what));
            let written = table.keep(&mut story);
            assert!(written <= 4, "{number}: {written}");
            if number % 333 == 0 {
                assert_eq!(format!("{:?}", table.restore()), format!("{story:?}"), "{number}");
            }
        }
        assert_eq!(format!("{:?}", table.restore()), format!("{story:?}"));
        assert!(story.last_part() > 60);
        let twice = || serde_json::from_slice(&table.parts[&60]).expect("JSON");
        let row = serde_json::from_slice(&table.row).expect("JSON");
        assert!(
            Story::restored(row, [twice(), twice()].into_iter().flat_map(|part: Vec<Entry>| part).collect())
                .is_none()
        );
    }
}
