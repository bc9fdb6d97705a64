//! Options that take precedence over others, and variables with two names.

use super::*;

#[test]
fn a_token_set_in_code_wins_over_every_variable() {
    let both = || config(&[("WORKER_TOKEN", "common"), ("WORKER_INDIVIDUAL_TOKEN", "own")]);
    let set = |name: &str, value: &str| {
        let mut config = both();
        config.set(name, value).expect("a token");
        config
    };
    let mut assigned = both();
    assigned.worker_token = Secret::new("code");
    let of_both = both().worker_token("code").worker_individual_token(Secret::new("own code"));
    for (config, token) in [
        (both(), "own"),
        (both().worker_token("code"), "code"),
        (both().worker_token("common"), "common"),
        (set("WORKER_TOKEN", "code"), "code"),
        // That is not a value.
        (set("WORKER_TOKEN", ""), "own"),
        (set("WORKER_INDIVIDUAL_TOKEN", ""), "common"),
        (assigned, "code"),
        (of_both, "own code"),
    ] {
        assert_eq!(config.token_in_force().expose(), token);
        assert_eq!(config.orchestrators()[0].token.expose(), token);
    }
}

#[test]
fn an_address_set_in_code_wins_over_every_variable() {
    let url = |text: &str| text.parse::<rxon::transport::http::OrchestratorUrl>().expect("an address");
    let both =
        || config(&[("ORCHESTRATOR_URL", "http://one"), ("ORCHESTRATORS_CONFIG", r#"[{"url":"http://a"}]"#)]);
    let mut reset = both();
    reset.set("ORCHESTRATOR_URL", "").expect("the default");
    let listed = vec![OrchestratorEntry::new(url("http://code-list"))];
    for (config, expected) in [
        (both(), "http://a"),
        (both().orchestrator_url(url("http://code")), "http://code"),
        // The default, and yet a value.
        (both().orchestrator_url(url("http://localhost:8080")), "http://localhost:8080"),
        (reset, "http://a"),
        (both().orchestrators_config(listed.clone()), "http://code-list"),
        (both().orchestrators_config(listed).orchestrator_url(url("http://code")), "http://code-list"),
        (both().orchestrators_config(Vec::new()), "http://one"),
    ] {
        let urls: Vec<_> = config.orchestrators().iter().map(|entry| entry.url.to_string()).collect();
        assert_eq!(urls, [expected]);
    }
}

#[test]
fn two_variables_of_which_one_counts_are_a_warning() {
    let list = ("ORCHESTRATORS_CONFIG", r#"[{"url":"http://a"}]"#);
    let (url, token) = (("ORCHESTRATOR_URL", "http://one"), ("WORKER_TOKEN", "t"));
    let warning =
        "both `ORCHESTRATORS_CONFIG` and `ORCHESTRATOR_URL` are set: `ORCHESTRATORS_CONFIG` is used";
    assert_eq!(config(&[list, url, token]).warnings(), [warning]);
    assert!(config(&[list, token]).warnings().is_empty());
    assert!(config(&[list, url, token]).orchestrators_config(Vec::new()).warnings().is_empty());
}

#[test]
fn the_key_has_a_further_variable() {
    let token = ("WORKER_TOKEN", "t");
    let key =
        |config: &WorkerConfig| config.orchestrator_secret_key.as_ref().map(|key| key.expose().to_owned());
    let further = config(&[("SECRET_KEY", "hidden"), token]);
    assert_eq!(key(&further).as_deref(), Some("hidden"));
    assert!(further.secrets().contains(&"hidden".to_owned()));
    let warnings = further.warnings();
    assert!(warnings.len() == 1 && warnings[0].starts_with("`SECRET_KEY` is used as"), "{warnings:?}");
    let in_code = further.orchestrator_secret_key(Secret::new("code"));
    assert!(in_code.warnings().is_empty() && key(&in_code).as_deref() == Some("code"));
    let both = config(&[("SECRET_KEY", "hidden"), ("ORCHESTRATOR_SECRET_KEY", "key"), token]);
    assert!(both.warnings().is_empty() && key(&both).as_deref() == Some("key"));
}

#[test]
fn variables_without_effect_are_told_with_what_to_use() {
    for (name, instead) in WITHOUT_EFFECT {
        let warnings = config(&[(name, "3"), ("WORKER_TOKEN", "t")]).warnings();
        assert_eq!(warnings, [format!("`{name}` has no effect: {instead}")]);
    }
}
