//! Ids of tasks, whole or only their beginnings.

use anyhow::anyhow;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Client, TaskList};
use crate::exit::Failure;

/// The shortest beginning of an id that is looked up.
const MIN_PREFIX: usize = 6;

/// How many ids are named if several match.
const MAX_NAMED: usize = 10;

/// What has a meaning in an address.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Returns a text as a part of a path, or a value in a query.
pub(crate) fn encoded(text: &str) -> String {
    // These two would be resolved as steps in the path.
    match text {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => utf8_percent_encode(text, RESERVED).to_string(),
    }
}

/// Returns the id that is meant: the id itself if the server knows it, else the only one that begins so.
pub(crate) async fn resolve(client: &Client, id: &str) -> Result<String, Failure> {
    let answer = client.get(&format!("/api/tasks/{}", encoded(id))).await?;
    if answer.is_success() || !answer.is_not_found() || id.chars().count() < MIN_PREFIX {
        return if answer.is_success() { Ok(id.to_owned()) } else { Err(answer.failure()) };
    }
    let mut found = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let next = before.as_deref().map(|next| format!("&before={}", encoded(next))).unwrap_or_default();
        let page = client.get(&format!("/api/tasks?limit=1000&q={}{next}", encoded(id))).await?;
        if !page.is_success() {
            // A server that cannot search: the first answer says it all.
            return Err(answer.failure());
        }
        let page: TaskList = page.read()?;
        found.extend(page.tasks.into_iter().filter_map(|task| match &task {
            task if task.job_id.starts_with(id) => Some(task.job_id.clone()),
            task if task.task_id.starts_with(id) => Some(task.task_id.clone()),
            _ => None,
        }));
        before = page.next;
        if before.is_none() || found.len() > MAX_NAMED {
            break;
        }
    }
    match found.as_slice() {
        [] => Err(answer.failure()),
        [only] => Ok(only.clone()),
        several => {
            let named = several.iter().take(MAX_NAMED).map(|id| format!("`{id}`")).collect::<Vec<_>>();
            let more = if several.len() > MAX_NAMED { " and others" } else { "" };
            Err(Failure::usage(anyhow!("several ids begin with `{id}`: {}{more}", named.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cannot_leave_their_place_in_the_path() {
        for (id, path) in
            [("job-1.x_y~", "job-1.x_y~"), ("a/b?c", "a%2Fb%3Fc"), ("..", "%2E%2E"), ("ü", "%C3%BC")]
        {
            assert_eq!(encoded(id), path);
        }
    }
}
