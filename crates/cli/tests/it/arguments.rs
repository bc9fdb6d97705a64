//! Help, version and wrong arguments.

use crate::program::run;

#[test]
fn the_help_matches_its_snapshot() {
    let (stdout, stderr, code) = run(&["--help"]);
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    insta::assert_snapshot!("help", stdout);

    for command in [
        "dev",
        "submit",
        "tasks",
        "task",
        "logs",
        "workers",
        "watch",
        "cancel",
        "retry",
        "drill",
        "config",
        "demo",
        "completions",
        "help",
    ] {
        let (stdout, _, code) = run(&[command, "--help"]);
        assert_eq!(code, Some(0), "{command}");
        assert!(stdout.contains("\nExample"), "{command}: {stdout}");
        insta::assert_snapshot!(format!("help_of_{command}"), stdout);
        // The same, asked for in the other order.
        assert_eq!(run(&["help", command]).0, stdout);
    }
}

#[test]
fn the_exit_codes_are_listed() {
    let (stdout, stderr, code) = run(&["help", "exit-codes"]);
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    insta::assert_snapshot!("exit_codes", stdout);
    assert_eq!(run(&["help"]).0, run(&["--help"]).0);
}

#[test]
fn every_shell_has_completions() {
    for (shell, words) in [
        ("bash", "complete -F _avtomatika"),
        ("zsh", "#compdef avtomatika"),
        ("fish", "complete -c avtomatika"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let (stdout, stderr, code) = run(&["completions", shell]);
        assert_eq!((stderr.as_str(), code), ("", Some(0)), "{shell}");
        assert!(stdout.contains(words) && stdout.contains("submit"), "{shell}");
    }
}

#[test]
fn options_of_every_command_are_accepted_before_and_after_it() {
    for args in [&["--json", "config"][..], &["config", "--json"], &["--color", "never", "config", "--json"]]
    {
        let (stdout, _, code) = run(args);
        assert_eq!(code, Some(0), "{args:?}");
        assert_eq!(crate::program::json_lines("config", &stdout.replace('\n', " ")).len(), 1);
    }
}

#[test]
fn without_a_command_the_help_is_printed() {
    let (stdout, stderr, code) = run(&[]);
    assert_eq!((stdout.as_str(), code), ("", Some(2)));
    assert!(stderr.contains("Usage: avtomatika [OPTIONS] <COMMAND>") && stderr.contains("demo"), "{stderr}");
}

#[test]
fn the_version_is_printed() {
    let version = concat!("avtomatika ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run(&["--version"]), (version.to_owned(), String::new(), Some(0)));
}

#[test]
fn wrong_arguments_are_named_and_nothing_is_done() {
    for (args, words) in [
        (
            &["demo", "--width", "0"][..],
            "invalid value '0' for '--width <N>': expected a whole number of pixels, 1 to 8192",
        ),
        (&["demo", "--width", "8193"], "expected a whole number of pixels, 1 to 8192"),
        (&["demo", "--width", "abc"], "expected a whole number of pixels, 1 to 8192"),
        (&["demo", "--output", ""], "a value is required for '--output <DIR>'"),
        (&["demo", "--colour"], "unexpected argument '--colour' found"),
        (&["demo", "now"], "unexpected argument 'now' found"),
        (&["config", "--yaml"], "unexpected argument '--yaml' found"),
        (&["dmeo"], "unrecognized subcommand 'dmeo'"),
    ] {
        let (stdout, stderr, code) = run(args);
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{args:?}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
}
