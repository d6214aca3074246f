//! Whether `docs/security-map.toml` names the tests that there are.

#[path = "../src/security_map.rs"]
mod security_map;

use std::{collections::BTreeSet, path::Path};

use security_map::{FILE, Map, functions};

const MAP: &str = "[IN-03]\nrequirement = \"odd\"\ntests = [\"by_hand\", \"gone\", \"in_03_gone\"]\n\
                   [IN-07]\nrequirement = \"secret\"\ntests = []\n";

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn sc_05_the_map_names_the_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let functions = functions(root).unwrap();
    assert!(functions.contains("sc_05_the_map_names_the_tests_that_there_are"), "the sources are read wrongly");
    let map = Map::read(root).unwrap();
    let updated = map.updated(&functions).unwrap_or_else(|strangers| {
        panic!("no requirement in {FILE} has the id of {strangers:?}");
    });
    assert_eq!(map, updated, "run `cargo xtask security-map`");
    assert_eq!(std::fs::read_to_string(root.join(FILE)).unwrap(), map.print(), "run `cargo xtask security-map`");
}

#[test]
fn sc_05_a_test_that_is_gone_and_one_that_is_new_are_noticed() {
    let map = Map::parse(MAP).unwrap();
    let updated = map.updated(&names(&["by_hand", "in_03_in_07_new", "helper"])).unwrap();
    let expected = "[IN-03]\nrequirement = \"odd\"\ntests = [\"by_hand\", \"in_03_in_07_new\"]\n\
                    [IN-07]\nrequirement = \"secret\"\ntests = [\"in_03_in_07_new\"]\n";
    assert_eq!(updated, Map::parse(expected).unwrap());
    assert_eq!(Map::parse(&updated.print()).unwrap(), updated, "it is read as it is written");
    let same = names(&["by_hand", "in_03_in_07_new"]);
    assert_eq!(updated.updated(&same).unwrap(), updated, "what is right stays");
}

#[test]
fn sc_05_a_test_of_no_requirement_is_refused() {
    let strangers = Map::parse(MAP).unwrap().updated(&names(&["in_03_fine", "zz_99_nothing"])).unwrap_err();
    assert_eq!(strangers, names(&["zz_99_nothing"]));
    assert!(Map::parse("[IN-03]\nrequirement = \"odd\"\n").is_err());
}
