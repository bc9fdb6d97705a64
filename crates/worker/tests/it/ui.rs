//! What the compiler says to users' mistakes. After a deliberate change: `TRYBUILD=overwrite`.

#[test]
fn mistakes_are_explained() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
