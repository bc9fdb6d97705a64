//! The spans that exist, with their fields as the log shows them.
//!
//! Values are formatted before a lock is taken: formatting runs code of others, which may log, too.
//!
//! The places of spans that have ended stay, with their small buffers, for those to come: there are never more of them than
//! there were spans at once.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::Metadata;
use tracing::span::Id;

use crate::threads::lock;

/// The number of parts with a lock of their own. Each thread makes its spans in one of them.
const SHARDS: usize = 1 << SHARD_BITS;

const SHARD_BITS: u32 = 4;

/// A buffer that grew beyond this is given back. The fields of a task take about 200 bytes.
const MAX_KEPT: usize = 512;

/// The spans of the process.
pub(super) static SPANS: Spans =
    Spans([const { Mutex::new(Shard { slots: Vec::new(), free: Vec::new() }) }; SHARDS]);

thread_local! {
    /// The spans that this thread is in, and whether it was in the same span already.
    static ENTERED: RefCell<Vec<(Key, bool)>> = const { RefCell::new(Vec::new()) };
    /// The part in which this thread makes its spans.
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
    };
}

/// The fields of a span, formatted.
#[derive(Debug, Default)]
pub(super) struct SpanFields {
    /// The fields, or the values of `members`.
    pub(super) text: String,
    /// The fields in the order of their names, in the format that needs them apart.
    members: Vec<(&'static str, Range<usize>)>,
}

impl SpanFields {
    /// Removes all fields, and gives a text back that grew beyond `max_kept` bytes. There are only as many members as the
    /// code that makes the span has fields.
    pub(super) fn clear(&mut self, max_kept: usize) {
        self.text.clear();
        self.text.shrink_to(max_kept);
        self.members.clear();
    }

    /// Adds a member, or gives it another value.
    pub(super) fn set(&mut self, name: &'static str, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        let value = start..self.text.len();
        match self.members.binary_search_by_key(&name, |(name, _)| *name) {
            Ok(index) => {
                let old = std::mem::replace(&mut self.members[index].1, value);
                self.remove(&old);
            }
            Err(index) => self.members.insert(index, (name, value)),
        }
    }

    /// Removes a part of the text that belongs to no member any more: a span may record a field as often as it likes.
    fn remove(&mut self, part: &Range<usize>) {
        self.text.drain(part.clone());
        for (_, value) in &mut self.members {
            if value.start >= part.end {
                *value = value.start - part.len()..value.end - part.len();
            }
        }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.members.iter().map(|(name, value)| (*name, &self.text[value.clone()]))
    }

    fn append(&mut self, later: &Self) {
        if !later.members.is_empty() {
            for (name, value) in later.members() {
                self.set(name, |text| text.push_str(value));
            }
        } else if !later.text.is_empty() {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            self.text.push_str(&later.text);
        }
    }
}

/// The place of a span. A place is used again, under another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// The number of spans that the place had before.
    age: u32,
    index: usize,
    shard: usize,
}

impl Key {
    fn of(id: &Id) -> Self {
        let number = id.into_u64() - 1;
        let place = (number & 0xffff_ffff) as usize;
        Self { age: (number >> 32) as u32, index: place >> SHARD_BITS, shard: place % SHARDS }
    }

    fn id(self) -> Id {
        let place = ((self.index << SHARD_BITS) | self.shard) as u64;
        Id::from_u64(((u64::from(self.age) << 32) | place) + 1)
    }
}

#[derive(Debug)]
pub(super) struct Spans([Mutex<Shard>; SHARDS]);

#[derive(Debug)]
struct Shard {
    slots: Vec<Slot>,
    /// The indices of slots without a span.
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot {
    age: u32,
    references: usize,
    parent: Option<Key>,
    metadata: &'static Metadata<'static>,
    fields: SpanFields,
}

impl Spans {
    /// Adds a span with one reference.
    pub(super) fn add(
        &self,
        metadata: &'static Metadata<'static>,
        parent: Option<Key>,
        fields: &SpanFields,
    ) -> Id {
        // A parent exists for as long as its children.
        let parent = parent.filter(|parent| self.with(*parent, |slot| slot.references += 1).is_some());
        let shard = SHARD.try_with(|shard| *shard).unwrap_or(0);
        let mut spans = lock(&self.0[shard]);
        let index = spans.free.pop().unwrap_or_else(|| {
            let fields = SpanFields::default();
            spans.slots.push(Slot { age: 0, references: 0, parent: None, metadata, fields });
            spans.slots.len() - 1
        });
        let slot = &mut spans.slots[index];
        (slot.references, slot.parent, slot.metadata) = (1, parent, metadata);
        slot.fields.append(fields);
        Key { age: slot.age, index, shard }.id()
    }

    /// Calls a function with the slot of a span, if the span exists.
    fn with<T>(&self, key: Key, call: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let mut spans = lock(&self.0[key.shard]);
        let slot = spans.slots.get_mut(key.index)?;
        (slot.age == key.age && slot.references > 0).then(|| call(slot))
    }

    /// Adds fields to a span.
    pub(super) fn record(&self, id: &Id, fields: &SpanFields) {
        self.with(Key::of(id), |slot| slot.fields.append(fields));
    }

    /// Adds a reference.
    pub(super) fn share(&self, id: &Id) {
        self.with(Key::of(id), |slot| slot.references += 1);
    }

    /// Takes a reference away. Returns whether it was the last one, with which the span ends.
    pub(super) fn release(&self, id: &Id) -> bool {
        let mut has_ended = false;
        let mut next = Some(Key::of(id));
        while let Some(key) = next {
            let (is_last, parent) = self.release_one(key);
            has_ended |= is_last;
            next = parent;
        }
        has_ended
    }

    /// Returns whether the span has ended, and its parent then.
    fn release_one(&self, key: Key) -> (bool, Option<Key>) {
        let mut spans = lock(&self.0[key.shard]);
        let slot = spans.slots.get_mut(key.index).filter(|slot| slot.age == key.age && slot.references > 0);
        let Some(slot) = slot else { return (false, None) };
        slot.references -= 1;
        if slot.references > 0 {
            return (false, None);
        }
        slot.age = slot.age.wrapping_add(1);
        slot.fields.clear(MAX_KEPT);
        let parent = slot.parent.take();
        spans.free.push(key.index);
        (true, parent)
    }

    /// Calls a function with the name and the fields of a span.
    pub(super) fn show(&self, key: Key, call: impl FnOnce(&'static str, &SpanFields)) {
        self.with(key, |slot| call(slot.metadata.name(), &slot.fields));
    }

    /// Writes the span and those around it to `scope`, from the innermost on.
    pub(super) fn scope(&self, innermost: Option<Key>, scope: &mut Vec<Key>) {
        scope.clear();
        let mut next = innermost;
        while let Some(key) = next {
            let Some(parent) = self.with(key, |slot| slot.parent) else { break };
            scope.push(key);
            next = parent;
        }
    }

    /// The span that this thread is in.
    pub(super) fn current(&self) -> Option<(Id, &'static Metadata<'static>)> {
        let key = current()?;
        self.with(key, |slot| slot.metadata).map(|metadata| (key.id(), metadata))
    }
}

/// The span of an event or of another span: its parent, if it names one, or the span that the thread is in.
pub(super) fn around(parent: Option<&Id>, is_contextual: bool) -> Option<Key> {
    parent.map(Key::of).or_else(|| if is_contextual { current() } else { None })
}

/// Notes that this thread is in a span.
pub(super) fn enter(id: &Id) {
    let key = Key::of(id);
    // While a thread ends, it is in no span.
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        let is_repeated = entered.iter().any(|(other, _)| *other == key);
        entered.push((key, is_repeated));
    });
}

/// Notes that this thread has left a span, which need not be the last that it entered.
pub(super) fn exit(id: &Id) {
    let key = Key::of(id);
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        if entered.pop_if(|(last, _)| *last == key).is_none()
            && let Some(index) = entered.iter().rposition(|(other, _)| *other == key)
        {
            entered.remove(index);
        }
    });
}

fn current() -> Option<Key> {
    let last = |entered: &RefCell<Vec<(Key, bool)>>| {
        entered.borrow().iter().rev().find(|(_, is_repeated)| !is_repeated).map(|(key, _)| *key)
    };
    ENTERED.try_with(last).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_recorded_often_takes_the_room_of_its_last_value() {
        let (mut span, mut later) = <(SpanFields, SpanFields)>::default();
        for (name, value) in [("task", "t"), ("empty", ""), ("step", "first"), ("worker", "w")] {
            span.set(name, |text| text.push_str(value));
        }
        for step in 0..10_000 {
            later.clear(MAX_KEPT);
            later.set("step", |text| text.push_str(&step.to_string()));
            span.append(&later);
        }
        span.set("empty", |_| ());
        let members: Vec<_> = span.members().collect();
        assert_eq!(members, [("empty", ""), ("step", "9999"), ("task", "t"), ("worker", "w")]);
        assert_eq!(span.text.len(), "t9999w".len());
        assert!(span.text.capacity() <= MAX_KEPT, "{}", span.text.capacity());
    }
}
