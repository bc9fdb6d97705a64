//! Instructions for a demo that keeps running.

use avtomatika_dev::LocalS3;
use serde_json::json;

use super::resize_image::TASK;
use super::stock::Order;
use crate::shell::quoted;

/// Writes commands that can be pasted into a shell.
#[derive(Debug)]
pub(super) struct Advice {
    url: String,
    /// The `curl` command with the options it needs here.
    curl: &'static str,
}

impl Advice {
    /// Makes instructions for the orchestrator at this address.
    pub(super) fn new(url: String) -> Self {
        // curl would send requests to a loopback address to the proxy, too.
        let proxy =
            ["http_proxy", "all_proxy", "ALL_PROXY"].iter().any(|name| std::env::var_os(name).is_some());
        Self { url, curl: if proxy { "curl --noproxy '*'" } else { "curl" } }
    }

    /// Returns the commands to submit a task, and to show one.
    pub(super) fn lines(&self, order: &Order, job: &impl std::fmt::Display) -> Vec<String> {
        let Self { url, curl } = self;
        let body = quoted(&json!({"type": TASK, "params": order}).to_string());
        vec![
            String::new(),
            format!("The development orchestrator and its worker keep running at {url} until Ctrl-C."),
            "Submit another task:".to_owned(),
            String::new(),
            format!("  {curl} {url}/api/tasks -H 'Content-Type: application/json' -d {body}"),
            String::new(),
            "Show a task by the `job_id` of the answer; this command shows the first one:".to_owned(),
            String::new(),
            format!("  {curl} {url}/api/tasks/{job}"),
            String::new(),
        ]
    }

    /// Returns the commands to configure a worker. The keys of the storage are new for each run.
    pub(super) fn variables(url: &str, storage: &LocalS3) -> Vec<String> {
        let what = "Variables for a worker of your own, with this orchestrator and its local S3:".to_owned();
        let orchestrator = ("ORCHESTRATOR_URL", url.to_owned());
        let variables = [orchestrator].into_iter().chain(storage.variables());
        let exports = variables.map(|(name, value)| format!("  export {name}={}", quoted(&value)));
        [what, String::new()].into_iter().chain(exports).chain([String::new()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_any_path_unchanged() {
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
