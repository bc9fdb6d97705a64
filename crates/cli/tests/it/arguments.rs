//! Help, version and wrong arguments.

use crate::program::run;

#[test]
fn the_help_matches_its_snapshot() {
    let (stdout, stderr, code) = run(&["--help"]);
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    insta::assert_snapshot!("help", stdout);

    let (stdout, _, code) = run(&["demo", "--help"]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("help_of_demo", stdout);

    let (stdout, _, code) = run(&["config", "--help"]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("help_of_config", stdout);
}

#[test]
fn without_a_command_the_help_is_printed() {
    let (stdout, stderr, code) = run(&[]);
    assert_eq!((stdout.as_str(), code), ("", Some(2)));
    assert!(stderr.contains("Usage: avtomatika <COMMAND>") && stderr.contains("demo"), "{stderr}");
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
