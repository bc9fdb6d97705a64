//! The errors in a configuration, and the warnings about it.

use rxon::transport::http::{ClientIdentity, InvalidTls, TlsFile, TlsSettings};

use super::option::OptionInfo;
use super::orchestrators::{self, OrchestratorEntry};
use super::problem::{ConfigError, Problem};
use super::secret::Secret;
use super::table::{DEFAULTS, OPTIONS, PLACEHOLDER_TOKEN, WorkerConfig};

/// The features that options need, each with whether this crate was built with it.
pub(super) const FEATURES: [(&str, bool); 2] =
    [("durable", cfg!(feature = "durable")), ("s3", cfg!(feature = "s3"))];

fn is_built(feature: &str) -> bool {
    FEATURES.iter().any(|(name, is_built)| *name == feature && *is_built)
}

impl WorkerConfig {
    /// Doubtful values, which do not keep the worker from starting: a sentence for each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.history.unknown.clone();
        for Problem { variable, expected, .. } in &self.history.ignored {
            if !self.is_set_in_code(variable) {
                warnings.push(format!("`{variable}` is ignored, expected {expected}"));
            }
        }
        if let Some(text) = self.history.environment.get("ORCHESTRATORS_CONFIG")
            && !self.is_set_in_code("ORCHESTRATORS_CONFIG")
        {
            let unknown = orchestrators::unknown_keys(text.expose());
            warnings.extend(unknown.iter().map(|sentence| format!("`ORCHESTRATORS_CONFIG`: {sentence}")));
        }
        let is_in_environment =
            |variable| self.history.environment.contains_key(variable) && !self.is_set_in_code(variable);
        if is_in_environment("ORCHESTRATOR_URL")
            && is_in_environment("ORCHESTRATORS_CONFIG")
            && !self.orchestrators_config.is_empty()
        {
            warnings.push(
                "both `ORCHESTRATORS_CONFIG` and `ORCHESTRATOR_URL` are set: `ORCHESTRATORS_CONFIG` is used"
                    .to_owned(),
            );
        }
        if self.history.has_further_key && is_in_environment("ORCHESTRATOR_SECRET_KEY") {
            warnings.push(
                "`SECRET_KEY` is used as `ORCHESTRATOR_SECRET_KEY`: the signatures of tasks are checked with it"
                    .to_owned(),
            );
        }
        if self.worker_outbox_dir.is_some() && self.worker_id.is_none() {
            warnings.push(
                "`WORKER_OUTBOX_DIR` is set and `WORKER_ID` is not: only a worker with the same id finds the results on \
                 disk again, and random ids never repeat"
                    .to_owned(),
            );
        }
        let lonely = orchestrators::lonely(self.orchestrators());
        warnings.extend(lonely.map(|sentence| format!("`ORCHESTRATORS_CONFIG`: {sentence}")));
        // A token that was set to a wrong value has a problem that says more.
        let variables = ["WORKER_TOKEN", "WORKER_INDIVIDUAL_TOKEN", "ORCHESTRATORS_CONFIG"];
        let has_problem =
            self.history.problems.iter().any(|wrong| variables.contains(&wrong.variable.as_str()));
        for OrchestratorEntry { url, token, .. } in self.orchestrators() {
            if !has_problem && token.expose() == PLACEHOLDER_TOKEN {
                warnings.push(format!(
                    "the token for {url} is the placeholder `{PLACEHOLDER_TOKEN}`: set `WORKER_TOKEN`"
                ));
            }
        }
        warnings
    }

    /// Checks everything at once. Reads the files of certificates and keys.
    ///
    /// # Errors
    /// [`ConfigError`] with one problem for each wrong option, in the order of [`OPTIONS`].
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_with(is_built)
    }

    /// Checks as [`check`](Self::check) does, but not whether this program was built with the features that options
    /// need: for programs that show the configuration of other workers.
    ///
    /// # Errors
    /// [`ConfigError`], as from [`check`](Self::check).
    pub fn check_for_any_build(&self) -> Result<(), ConfigError> {
        self.check_with(|_| true)
    }

    /// Checks everything for a program that was built with some of the features.
    pub(super) fn check_with(&self, is_built: impl Fn(&str) -> bool) -> Result<(), ConfigError> {
        let read = self.history.problems.iter();
        let mut problems: Vec<Problem> =
            read.filter(|problem| !self.is_set_in_code(&problem.variable)).cloned().collect();
        let in_code = OPTIONS.iter().filter(|option| self.is_set_in_code(option.variable));
        problems.extend(in_code.filter_map(|option| self.wrong_in_code(option)));
        problems.extend(self.history.wrong.iter().cloned());
        problems.extend(self.wrong_files());
        for missing in self.missing_partners() {
            if problems.iter().all(|problem| problem.variable != missing.variable) {
                problems.push(missing);
            }
        }
        let unbuilt: Vec<_> = OPTIONS.iter().filter(|option| !option.feature.is_none_or(&is_built)).collect();
        problems.retain(|problem| unbuilt.iter().all(|option| option.variable != problem.variable));
        problems.extend(unbuilt.iter().filter_map(|option| self.set_but_unbuilt(option)));
        problems.sort_by_key(|problem| OPTIONS.iter().position(|option| option.variable == problem.variable));
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::new(problems)) }
    }

    /// The problem with an option that is set although this program was built without its feature. Its default, set in
    /// code, is not a problem.
    fn set_but_unbuilt(&self, option: &OptionInfo) -> Option<Problem> {
        let (variable, feature) = (option.variable, option.feature?);
        let wrong = self.history.wrong.iter().find(|problem| problem.variable == variable);
        let shown = if let Some(wrong) = wrong {
            wrong.value.clone()
        } else if self.is_set_in_code(variable) {
            let text = self.exposed_text(variable).filter(|_| !self.agrees(&DEFAULTS, variable));
            option.visibility.shown(&text?)
        } else {
            option.visibility.shown(self.history.environment.get(variable)?.expose())
        };
        let expected =
            format!("no value: this program was built without the feature `{feature}` of avtomatika-worker");
        Some(Problem::new(variable, shown, expected))
    }

    /// The problem with a value that was set in code and that the variable would not accept.
    fn wrong_in_code(&self, option: &OptionInfo) -> Option<Problem> {
        let text = self.exposed_text(option.variable)?;
        let wrong = Self::defaults().assign(option.variable, &text).err()?;
        Some(option.problem(&text, &wrong))
    }

    fn wrong_files(&self) -> impl Iterator<Item = Problem> {
        let tls = self.tls();
        tls.check().err().into_iter().chain(tls.identity.check()).map(|error| self.tls_problem(&error))
    }

    /// The problems of options that are set without the other of their pair.
    fn missing_partners(&self) -> impl Iterator<Item = Problem> {
        let is_given = |key: &Option<Secret>| key.as_ref().is_some_and(|key| !key.is_empty());
        let files = (self.tls_cert_path.is_some(), self.tls_key_path.is_some());
        let certificate = ("TLS_CERT_PATH", "the certificate of the key in `TLS_KEY_PATH`");
        let key = ("TLS_KEY_PATH", "the key of the certificate in `TLS_CERT_PATH`");
        let keys = (is_given(&self.s3_access_key), is_given(&self.s3_secret_key));
        let access = ("S3_ACCESS_KEY", "the access key of `S3_SECRET_KEY`");
        let secret = ("S3_SECRET_KEY", "the secret key of `S3_ACCESS_KEY`");
        let missing = [(files, certificate, key), (keys, access, secret)].map(|pair| match pair {
            ((true, false), _, second) => Some(second),
            ((false, true), first, _) => Some(first),
            _ => None,
        });
        missing.into_iter().flatten().map(|(variable, expected)| Problem::new(variable, "", expected))
    }

    /// The problem with a file of certificates or of a key.
    pub(crate) fn tls_problem(&self, error: &InvalidTls) -> Problem {
        let (variable, path) = match error.file() {
            Some(TlsFile::Certificate) => ("TLS_CERT_PATH", &self.tls_cert_path),
            Some(TlsFile::Key) => ("TLS_KEY_PATH", &self.tls_key_path),
            Some(TlsFile::Authorities) | None => ("TLS_CA_PATH", &self.tls_ca_path),
        };
        let path = path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        Problem::new(variable, path, error.expected())
    }

    pub(crate) fn tls(&self) -> TlsSettings {
        let identity =
            ClientIdentity { cert_path: self.tls_cert_path.clone(), key_path: self.tls_key_path.clone() };
        TlsSettings { ca_path: self.tls_ca_path.clone(), identity, ..TlsSettings::default() }
    }
}
