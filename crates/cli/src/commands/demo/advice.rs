//! What else can be done with a demo that stays up.

use avtomatika_dev::LocalS3;
use serde_json::json;

use super::TASK;
use super::stock::Order;

/// Writes commands that work when they are pasted into a shell.
#[derive(Debug)]
pub(super) struct Advice {
    url: String,
    /// `curl`, and what it needs here.
    curl: &'static str,
}

impl Advice {
    /// For the orchestrator at that address.
    pub(super) fn new(url: String) -> Self {
        // curl would send even this to the proxy.
        let proxy =
            ["http_proxy", "all_proxy", "ALL_PROXY"].iter().any(|name| std::env::var_os(name).is_some());
        Self { url, curl: if proxy { "curl --noproxy '*'" } else { "curl" } }
    }

    /// How to submit a task, and how to look at one.
    pub(super) fn lines(&self, order: &Order, job: &impl std::fmt::Display) -> Vec<String> {
        let Self { url, curl } = self;
        let body = quoted(&json!({"type": TASK, "params": order}).to_string());
        vec![
            String::new(),
            format!("The development orchestrator and its worker stay up at {url} until Ctrl-C."),
            "Submit another task:".to_owned(),
            String::new(),
            format!("  {curl} {url}/api/tasks -H 'Content-Type: application/json' -d {body}"),
            String::new(),
            "Look at it with the `job_id` of the answer, as here at the first one:".to_owned(),
            String::new(),
            format!("  {curl} {url}/api/tasks/{job}"),
            String::new(),
        ]
    }

    /// How to reach the storage from elsewhere. Its keys are as new as it is, and end with it.
    pub(super) fn storage(storage: &LocalS3) -> Vec<String> {
        let what = "Pictures are in its local S3. For a worker or a client of your own:".to_owned();
        let exports = storage.variables().map(|(name, value)| format!("  export {name}={}", quoted(&value)));
        [vec![what, String::new()], exports.to_vec(), vec![String::new()]].concat()
    }
}

/// One word for a POSIX shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_any_path_as_it_is() {
        let advice = Advice { url: "http://127.0.0.1:4711".to_owned(), curl: "printf '%s\\n'" };
        let order = Order { picture: r#"s3://b/it's "here" $HOME/ü.png"#.to_owned(), width: 7 };
        let lines = advice.lines(&order, &"job-1");
        let command = lines.iter().find(|line| line.contains(" -d ")).expect("a command");

        let shell = std::process::Command::new("sh").args(["-c", command]).output().expect("a shell");
        let printed = String::from_utf8(shell.stdout).expect("text");
        let words: Vec<&str> = printed.lines().collect();
        assert_eq!(
            words[..4],
            ["http://127.0.0.1:4711/api/tasks", "-H", "Content-Type: application/json", "-d"]
        );
        let body: serde_json::Value = serde_json::from_str(words[4]).expect("JSON");
        assert_eq!(body["params"], json!({ "picture": order.picture, "width": 7 }));
    }
}
