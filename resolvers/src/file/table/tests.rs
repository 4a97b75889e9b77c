use super::*;

fn answer(text: &str, namespace: &str, name: &str) -> ResolveResult {
    let table = read(text.as_bytes()).expect("TOML");
    table.answer(&Namespace::new(namespace).expect("a namespace"), name)
}

fn endpoints(result: &ResolveResult) -> Vec<String> {
    result.endpoints.iter().map(ToString::to_string).collect()
}

const FILE: &str = r#"
    [calc]
    endpoints = ["10.0.0.1:7000", { address = "calc-2.example:7000", name = "calc-b", metadata = { zone = "a" } }]

    [namespaces.training.calc]
    endpoints = ["10.0.1.1:7000"]

    [namespaces."<local>".namespaces]
    endpoints = ["10.0.2.1:7000"]
"#;

#[test]
fn a_name_has_its_endpoints_in_its_namespace() {
    let calc = answer(FILE, "<local>", "calc");
    assert_eq!(endpoints(&calc), ["actor://10.0.0.1:7000/calc", "actor://calc-2.example:7000/calc-b"]);
    assert_eq!(calc.endpoints[1].metadata["zone"], "a");
    assert!(calc.rejected.is_empty() && calc.known.is_empty());
    assert_eq!(endpoints(&answer(FILE, "training", "calc")), ["actor://10.0.1.1:7000/calc"]);
    assert_eq!(endpoints(&answer(FILE, "<local>", "namespaces")), ["actor://10.0.2.1:7000/namespaces"]);
}

#[test]
fn a_name_that_is_not_there_is_empty_and_says_what_is() {
    let none = answer(FILE, "training", "other");
    assert!(none.is_empty());
    assert_eq!(none.known, [r#""calc" in <local>"#, r#""namespaces" in <local>"#, r#""calc" in training"#]);
}

#[test]
fn bad_entries_are_told_with_their_place_and_spoil_nothing() {
    let file = r#"
        title = "actors"
        [calc]
        colour = "red"
        endpoints = ["nonsense", 7, "10.0.0.1:7000", "10.0.0.1:7000", { name = "x" }, { address = 7 },
            { address = "10.0.0.2:7000", weight = 3, metadata = { a = 1, b = "2" } },
            { address = "10.0.0.3:7000", name = "" }]
        [other]
        endpoints = "10.0.0.1:7000"
        [namespaces."a b".calc]
        [namespaces]
        flat = 1
    "#;
    let calc = answer(file, "<local>", "calc");
    assert_eq!(endpoints(&calc), ["actor://10.0.0.1:7000/calc", "actor://10.0.0.2:7000/calc"]);
    assert_eq!(calc.endpoints[1].metadata, BTreeMap::from([("b".to_owned(), "2".to_owned())]));
    for part in [
        "`calc.colour` is not known",
        "`calc.endpoints[0]`: \"nonsense\" is not an address",
        "`calc.endpoints[1]`: it has the type integer",
        "`calc.endpoints[3]`: actor://10.0.0.1:7000/calc is there twice",
        "`calc.endpoints[4]`: it has no `address`",
        "`calc.endpoints[5]`: `address` has the type integer",
        "`calc.endpoints[6]`: `weight` is not known",
        "`calc.endpoints[6]`: `metadata.a` has the type integer",
        "`calc.endpoints[7]`: `name` is no string",
        "`title` has the type string; write `[title]`",
        "`namespaces.flat` has the type integer, not a table",
        "`namespaces`: \"a b\" cannot be a namespace",
    ] {
        assert!(calc.rejected.iter().any(|text| text.contains(part)), "{part}: {:#?}", calc.rejected);
    }
    assert_eq!(calc.rejected.len(), 12);
    let other = answer(file, "<local>", "other");
    assert!(
        other.is_empty() && other.rejected[0].contains("`other.endpoints` has the type string, not a list")
    );
}

#[test]
fn what_is_no_toml_says_where() {
    let error = read(b"[calc]\nendpoints = [1,\n, 2]\n").unwrap_err();
    assert!(error.starts_with("is no TOML at line 3, column 1: "), "{error}");
    assert_eq!(read(b"a = 1\nb = \"\xff\"").unwrap_err(), "is no UTF-8 at line 2, column 6");
    let twice = read(b"[calc]\n[calc]\n").unwrap_err();
    assert!(twice.contains("line 2"), "{twice}");
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(read(deep.as_bytes()).is_err());
}

#[test]
fn too_many_endpoints_are_cut_and_what_is_told_is_bounded() {
    let addresses: Vec<_> = (0..MOST + 2).map(|n| format!("\"10.0.{}.{}:7000\"", n / 256, n % 256)).collect();
    let calc = answer(&format!("[calc]\nendpoints = [{}]", addresses.join(",")), "<local>", "calc");
    assert_eq!(calc.endpoints.len(), MOST);
    assert_eq!(calc.rejected, ["`calc.endpoints`: 2 endpoints after the first 10000 are left out"]);
    let bad = answer(&format!("[calc]\nendpoints = [{}]", "0,".repeat(1000)), "<local>", "calc");
    assert_eq!(bad.rejected.len(), MOST_TOLD + 1);
}
