//! The keys on a page of a listing.

use std::collections::BTreeMap;
use std::ops::Bound;

/// The request for a page.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Query<'a> {
    /// The beginning of the keys to list.
    pub(super) prefix: &'a str,
    /// The text after which keys are cut to common prefixes; empty for none.
    pub(super) delimiter: &'a str,
    /// The last key or common prefix of the previous page.
    pub(super) after: &'a str,
    /// The number of keys and common prefixes on a page.
    pub(super) limit: usize,
}

/// A page of a listing.
#[derive(Debug)]
pub(super) struct Page<'a, T> {
    pub(super) objects: Vec<(&'a str, &'a T)>,
    pub(super) prefixes: Vec<&'a str>,
    /// The last key or common prefix of this page, if further pages follow.
    pub(super) next: Option<&'a str>,
}

/// Returns the page. Keys are ordered by their bytes, as in S3.
pub(super) fn page<'a, T>(objects: &'a BTreeMap<String, T>, query: Query<'_>) -> Page<'a, T> {
    let mut page = Page { objects: Vec::new(), prefixes: Vec::new(), next: None };
    let mut last = None;
    let start =
        if query.after < query.prefix { Bound::Included(query.prefix) } else { Bound::Excluded(query.after) };
    let from_there = objects.range::<str, _>((start, Bound::Unbounded));
    for (key, object) in from_there.take_while(|(key, _)| key.starts_with(query.prefix)) {
        let common = common_prefix(key, query);
        // Another key with the same prefix was found, on this page or as the last entry of the previous one.
        if common.is_some_and(|common| page.prefixes.last() == Some(&common) || common == query.after) {
            continue;
        }
        if page.objects.len() + page.prefixes.len() == query.limit {
            page.next = last;
            break;
        }
        match common {
            Some(common) => page.prefixes.push(common),
            None => page.objects.push((key, object)),
        }
        last = Some(common.unwrap_or(key));
    }
    page
}

fn common_prefix<'a>(key: &'a str, query: Query<'_>) -> Option<&'a str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let at = key[query.prefix.len()..].find(query.delimiter)?;
    Some(&key[..query.prefix.len() + at + query.delimiter.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the entries of all pages.
    fn all(keys: &[&str], query: Query<'_>) -> (Vec<String>, Vec<String>) {
        let objects: BTreeMap<_, _> = keys.iter().map(|key| ((*key).to_owned(), 0)).collect();
        let (mut found, mut prefixes, mut after) = (Vec::new(), Vec::new(), query.after.to_owned());
        loop {
            let page = page(&objects, Query { after: &after, ..query });
            assert!(page.objects.len() + page.prefixes.len() <= query.limit);
            found.extend(page.objects.iter().map(|(key, _)| (*key).to_owned()));
            prefixes.extend(page.prefixes.iter().map(|prefix| (*prefix).to_owned()));
            match page.next {
                Some(next) => next.clone_into(&mut after),
                None => return (found, prefixes),
            }
        }
    }

    #[test]
    fn pages_of_any_size_have_the_same_keys_once() {
        let keys = ["a", "a/", "a/b", "a/b/c", "a/ü", "aa", "b/1", "b/2", "b0", "ж"];
        for limit in 1..=keys.len() + 1 {
            let flat = all(&keys, Query { limit, ..Query::default() });
            assert_eq!(flat.0, keys, "{limit}");
            let (found, prefixes) = all(&keys, Query { limit, delimiter: "/", ..Query::default() });
            assert_eq!((found, prefixes), (owned(&["a", "aa", "b0", "ж"]), owned(&["a/", "b/"])), "{limit}");
            let (found, prefixes) =
                all(&keys, Query { limit, prefix: "a/", delimiter: "/", ..Query::default() });
            assert_eq!((found, prefixes), (owned(&["a/", "a/b", "a/ü"]), owned(&["a/b/"])), "{limit}");
        }
    }

    #[test]
    fn a_listing_may_begin_after_a_key() {
        let keys = ["a", "b", "c"];
        let (found, _) = all(&keys, Query { after: "a", limit: 10, ..Query::default() });
        assert_eq!(found, ["b", "c"]);
        let (found, _) = all(&keys, Query { after: "z", limit: 10, ..Query::default() });
        assert!(found.is_empty());
        let objects = BTreeMap::from([("a".to_owned(), 0)]);
        assert_eq!(page(&objects, Query::default()).next, None, "a page without keys is the last one");
    }

    fn owned(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }
}
