//! All published vectors of 1.0b17.

use rxon::signing::{Signer, canonical, s3_config_hash, skills_hash};
use serde_json::Value;

fn vectors() -> Vec<Value> {
    include_str!("../wire/signatures.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("one vector a line"))
        .collect()
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap_or_else(|| panic!("`{field}` of {vector}"))
}

#[test]
fn signatures_are_those_of_the_published_vectors() {
    let mut seen = 0;
    for vector in vectors().iter().filter(|vector| vector["hex"].is_string()) {
        let name = text(vector, "name");
        let ignore: Vec<&str> =
            vector["ignore"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let message = text(vector, "message").as_bytes();
        let bytes = canonical(message, &ignore).expect(name);
        assert_eq!(String::from_utf8(bytes).expect("UTF-8"), text(vector, "canonical"), "{name}");
        let signer = Signer::new(text(vector, "key"));
        assert_eq!(signer.sign(message, &ignore).expect(name), text(vector, "hex"), "{name}");
        assert!(signer.verify(message, &ignore, text(vector, "hex")), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 9, "every vector was tried");
}

#[test]
fn skills_hashes_are_those_of_the_published_vectors() {
    let mut seen = 0;
    for vector in vectors().iter().filter(|vector| vector["sha256"].is_string()) {
        let object = vector["object"].to_string();
        assert_eq!(skills_hash(object.as_bytes()).expect("hashable"), text(vector, "sha256"), "{vector}");
        seen += 1;
    }
    assert_eq!(seen, 3, "every vector was tried");
}

#[test]
fn the_hash_of_the_storage_is_that_of_the_published_vector() {
    assert_eq!(s3_config_hash(["http://s3.local:9000", "AKIA", "bucket"]), "68591be4e83fe32e");
}
