//! Values that are made anew seldom.

/// The two values that were used last, each with the state from which it was made.
///
/// A limit group that fills and empties again and again leads to two of them in turn.
#[derive(Debug)]
pub(super) struct Recent<S, V>([Option<(S, V)>; 2]);

impl<S: PartialEq, V: Clone> Recent<S, V> {
    pub(super) const fn new() -> Self {
        Self([None, None])
    }

    pub(super) fn get(&mut self, state: &S) -> Option<V> {
        let index = self.0.iter().position(|known| is_of(known.as_ref(), state))?;
        if index > 0 {
            self.0.swap(0, index);
        }
        self.0[0].as_ref().map(|(_, value)| value.clone())
    }

    /// Keeps a value instead of the one that was used less recently.
    pub(super) fn keep(&mut self, state: S, value: V) {
        if !is_of(self.0[0].as_ref(), &state) {
            self.0.swap(0, 1);
        }
        self.0[0] = Some((state, value));
    }
}

fn is_of<S: PartialEq, V>(known: Option<&(S, V)>, state: &S) -> bool {
    known.is_some_and(|(of, _)| of == state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_that_were_used_last_are_kept() {
        let mut recent = Recent::new();
        assert_eq!(recent.get(&"a"), None);
        recent.keep("a", 1);
        recent.keep("b", 2);
        for _ in 0..2 {
            assert_eq!((recent.get(&"a"), recent.get(&"b")), (Some(1), Some(2)), "in turn");
        }
        assert_eq!(recent.get(&"a"), Some(1));
        recent.keep("c", 3);
        assert_eq!((recent.get(&"b"), recent.get(&"a"), recent.get(&"c")), (None, Some(1), Some(3)));
        recent.keep("c", 4);
        assert_eq!((recent.get(&"a"), recent.get(&"c")), (Some(1), Some(4)), "made twice at once");
    }
}
