//! Which of it is secret.

use rxon::secrets::Secrets;
use rxon::transport::http::{OrchestratorUrl, secrets_in};
use serde_json::Value;

use super::option::Display;
use super::{OPTIONS, PLACEHOLDER_TOKEN, WorkerConfig};

impl WorkerConfig {
    /// Holds all that is secret in it: as long as that lives, it is masked wherever a text from outside is shown.
    pub(crate) fn hold_secrets(&self) -> Secrets {
        Secrets::new(self.secrets())
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = OPTIONS
            .iter()
            .flat_map(|option| {
                // What a variable says is a secret even where it is wrong, or code had the last word.
                let read = self.history.environment.get(option.variable).map(|text| text.expose().to_owned());
                let texts = self.text(option.variable).into_iter().chain(read);
                texts.flat_map(|text| match (option.display, option.variable) {
                    (Display::Plain, _) => Vec::new(),
                    (Display::Address, _) => secrets_in(&text),
                    (Display::Masked, "ORCHESTRATORS_CONFIG") => of_entries(&text),
                    (Display::Masked, _) => vec![text.trim().to_owned()],
                })
            })
            // It is in the documentation, and in a warning.
            .filter(|secret| secret != PLACEHOLDER_TOKEN)
            .collect();
        secrets.extend(self.history.keys.iter().map(|key| key.expose().to_owned()));
        // As texts these have no credentials.
        let entries = self.orchestrators_config.iter().map(|entry| &entry.url);
        secrets.extend(self.orchestrator_url.iter().chain(entries).flat_map(OrchestratorUrl::secrets));
        secrets.sort_unstable();
        secrets.dedup();
        secrets
    }
}

/// The tokens of `ORCHESTRATORS_CONFIG`, and the passwords in its addresses.
fn of_entries(text: &str) -> Vec<String> {
    let Ok(Value::Array(entries)) = serde_json::from_str(text) else { return Vec::new() };
    let said = |entry: &Value, key: &str| entry.get(key)?.as_str().map(str::to_owned);
    let of_entry = |entry: &Value| {
        let mut secrets = said(entry, "url").map_or_else(Vec::new, |url| secrets_in(&url));
        secrets.extend(said(entry, "token"));
        secrets
    };
    entries.iter().flat_map(of_entry).collect()
}
