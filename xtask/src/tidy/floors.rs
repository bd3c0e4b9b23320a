//! The house has floors, and imports run downward only. [`PLACES`] is the plan of
//! the house; cargo says what was built.

use std::collections::{BTreeMap, VecDeque};

use super::Problem;
use super::places::{CORE, GUESTS_OF_CORE, PLACES, Place};
use crate::house::{House, Metadata, Package};

fn place_of(name: &str) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.name == name)
}

/// Where this table is, for messages about it.
const TABLE: &str = "xtask/src/tidy/places.rs";

/// The table itself must run downward.
pub(super) fn table_is_sound(_house: &House) -> Vec<Problem> {
    climbs(PLACES)
}

fn climbs(places: &[Place]) -> Vec<Problem> {
    let floor_of = |name: &str| {
        places
            .iter()
            .find(|place| place.name == name)
            .map(|place| place.floor)
    };
    let mut problems = Vec::new();
    for place in places {
        for used in place.uses {
            let what = match floor_of(used) {
                Some(floor) if floor < place.floor => continue,
                Some(floor) => format!(
                    "`{}` on floor {} may not use `{used}` on floor {floor}",
                    place.name, place.floor
                ),
                None => format!(
                    "`{}` may use `{used}`, which has no place of its own",
                    place.name
                ),
            };
            problems.push(Problem::new(TABLE, what));
        }
    }
    problems
}

/// Every crate is in the table, and the table names no crate that is gone.
pub(super) fn every_crate_has_its_place(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in house.metadata.members() {
        if place_of(&package.name).is_none() {
            let what = format!(
                "`{}` has no floor: add it to `PLACES` in {TABLE}",
                package.name
            );
            problems.push(Problem::new(house.metadata.manifest_of(package), what));
        }
    }
    for place in PLACES {
        if !house
            .metadata
            .members()
            .any(|package| package.name == place.name)
        {
            let what = format!(
                "there is no crate `{}`: take it out of `PLACES`",
                place.name
            );
            problems.push(Problem::new(TABLE, what));
        }
    }
    problems
}

/// A crate uses only those of our own that the table allows it.
pub(super) fn imports_run_downward(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in house.metadata.members() {
        let Some(place) = place_of(&package.name) else {
            continue;
        };
        for dependency in &package.dependencies {
            let ours = dependency.path.is_some();
            if ours && !dependency.is_for_tests() && !place.uses.contains(&dependency.name.as_str())
            {
                let what = match place_of(&dependency.name) {
                    Some(used) if used.floor == place.floor => {
                        format!(
                            "`{}` and `{}` are siblings and must not meet",
                            place.name, used.name
                        )
                    }
                    _ => format!(
                        "`{}` on floor {} must not use `{}`",
                        place.name, place.floor, dependency.name
                    ),
                };
                let hint =
                    "move what is shared to a lower floor, or bring them together in a program";
                problems.push(Problem::new(
                    declared_at(house, package, &dependency.name),
                    format!("{what}: {hint}"),
                ));
            }
        }
    }
    problems
}

/// Core has a short list of guests.
pub(super) fn core_takes_few_guests(house: &House) -> Vec<Problem> {
    let core = house
        .metadata
        .members()
        .filter(|package| package.name == CORE);
    core.flat_map(|package| {
        let declared = package
            .dependencies
            .iter()
            .filter(|dependency| !dependency.is_for_tests());
        let unknown = declared.filter(|dependency| {
            dependency.path.is_none() && !GUESTS_OF_CORE.contains(&dependency.name.as_str())
        });
        unknown.map(|dependency| {
            let what = format!(
                "`{}` is no guest of {CORE}, which may use {}: do it one floor up",
                dependency.name,
                GUESTS_OF_CORE.join(", ")
            );
            Problem::new(declared_at(house, package, &dependency.name), what)
        })
    })
    .collect()
}

/// What a crate must not know is not reached through its guests either.
pub(super) fn nothing_unwanted_is_reached(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in house.metadata.members() {
        let Some(place) = place_of(&package.name) else {
            continue;
        };
        for (name, chain) in reached(&house.metadata, package) {
            if place
                .must_not_know
                .iter()
                .any(|names| names.contains(&name))
            {
                let first = chain.get(1).copied().unwrap_or(name);
                let what = format!(
                    "`{}` must not know `{name}`, but reaches it: {}",
                    place.name,
                    chain.join(" > ")
                );
                problems.push(Problem::new(declared_at(house, package, first), what));
            }
        }
    }
    problems
}

/// Everything `from` is built with, each with the shortest chain that leads to it.
fn reached<'a>(metadata: &'a Metadata, from: &'a Package) -> Vec<(&'a str, Vec<&'a str>)> {
    let edges: BTreeMap<&str, _> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), &node.deps))
        .collect();
    let mut chains: BTreeMap<&str, Vec<&str>> =
        BTreeMap::from([(from.id.as_str(), vec![from.name.as_str()])]);
    let mut next = VecDeque::from([from.id.as_str()]);
    while let Some(id) = next.pop_front() {
        let chain = chains.get(id).cloned().unwrap_or_default();
        for edge in edges.get(id).into_iter().flat_map(|edges| edges.iter()) {
            let is_built_in = edge.dep_kinds.iter().any(|kind| kind.kind.is_none());
            let Some(package) = metadata.package(&edge.pkg).filter(|_| is_built_in) else {
                continue;
            };
            if !chains.contains_key(package.id.as_str()) {
                let mut longer = chain.clone();
                longer.push(&package.name);
                chains.insert(&package.id, longer);
                next.push_back(&package.id);
            }
        }
    }
    chains
        .into_values()
        .filter_map(|chain| Some((*chain.last()?, chain)))
        .collect()
}

fn declared_at(house: &House, package: &Package, dependency: &str) -> String {
    let manifest = house.metadata.manifest_of(package);
    let declares = |line: &str| {
        line.strip_prefix(dependency)
            .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    house
        .source(&manifest)
        .map_or(manifest.clone(), |source| source.place_of(declares))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::tidy::told;

    fn member(name: &str, dependencies: Value) -> Value {
        json!({
            "id": name,
            "name": name,
            "manifest_path": format!("/house/crates/{name}/Cargo.toml"),
            "dependencies": dependencies,
        })
    }

    fn own(name: &str) -> Value {
        json!({ "name": name, "path": format!("/house/crates/{name}") })
    }

    #[test]
    fn a_table_that_climbs_is_noticed() {
        let place = |name, floor, uses| Place {
            name,
            floor,
            uses,
            must_not_know: &[],
        };
        assert_eq!(climbs(&[place("a", 0, &[]), place("b", 1, &["a"])]), []);
        let problems = climbs(&[place("a", 1, &["b", "c"]), place("b", 1, &[])]);
        assert_eq!(
            told(&problems),
            [
                "xtask/src/tidy/places.rs: `a` on floor 1 may not use `b` on floor 1",
                "xtask/src/tidy/places.rs: `a` may use `c`, which has no place of its own",
            ]
        );
    }

    #[test]
    fn a_crate_outside_the_table_is_told_where_to_go() {
        let mut packages: Vec<Value> = PLACES
            .iter()
            .map(|place| member(place.name, json!([])))
            .collect();
        let house = House::default().with(json!({ "packages": packages }));
        assert_eq!(every_crate_has_its_place(&house), []);

        packages[0] = member("majordomo-redis", json!([]));
        let house = House::default().with(json!({ "packages": packages }));
        assert_eq!(
            told(&every_crate_has_its_place(&house)),
            [
                "crates/majordomo-redis/Cargo.toml: `majordomo-redis` has no floor: add it to `PLACES` in xtask/src/tidy/places.rs",
                "xtask/src/tidy/places.rs: there is no crate `majordomo-macros`: take it out of `PLACES`",
            ]
        );
    }

    #[test]
    fn an_import_upward_and_a_meeting_of_siblings_are_refused() {
        let files = [(
            "crates/majordomo-sqlite/Cargo.toml",
            "[dependencies]\nmajordomo-core.workspace = true\nmajordomo-engine.workspace = true\n",
        )];
        let house = House::of(&files).with(json!({ "packages": [
            member("majordomo-sqlite", json!([own(CORE), own("majordomo-engine")])),
            member("majordomo-engine", json!([own(CORE), own("majordomo")])),
            member("majordomo-cli", json!([own(CORE), own("majordomo")])),
        ]}));
        let told = told(&imports_run_downward(&house));
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(told[0].starts_with("crates/majordomo-sqlite/Cargo.toml:3: `majordomo-sqlite` and `majordomo-engine` are siblings"));
        assert!(told[1].starts_with("crates/majordomo-engine/Cargo.toml: `majordomo-engine` on floor 2 must not use `majordomo`"));
    }

    #[test]
    fn dev_dependencies_are_apart() {
        let testkit = json!({ "name": "majordomo-testkit", "path": "/house/t", "kind": "dev" });
        let tokio = json!({ "name": "tokio", "kind": "dev" });
        let house =
            House::default().with(json!({ "packages": [member(CORE, json!([testkit, tokio]))] }));
        assert_eq!(imports_run_downward(&house), []);
        assert_eq!(core_takes_few_guests(&house), []);
    }

    #[test]
    fn a_new_guest_of_core_is_refused() {
        let files = [(
            "crates/majordomo-core/Cargo.toml",
            "[dependencies]\nserde.workspace = true\nrand = \"1\"\n",
        )];
        let house = House::of(&files).with(
            json!({ "packages": [member(CORE, json!([{ "name": "serde" }, { "name": "rand" }]))] }),
        );
        let told = told(&core_takes_few_guests(&house));
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].starts_with(
            "crates/majordomo-core/Cargo.toml:3: `rand` is no guest of majordomo-core"
        ));
    }

    #[test]
    fn what_comes_in_through_a_guest_is_noticed_with_the_chain() {
        let guest = |name: &str| json!({ "id": name, "name": name, "source": "registry" });
        let edge = |to: &str, kind: Value| json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] });
        let house = |kind: Value| {
            House::default().with(json!({
                "packages": [member(CORE, json!([{ "name": "serde" }])), guest("serde"), guest("tokio")],
                "resolve": { "nodes": [
                    { "id": CORE, "deps": [edge("serde", Value::Null)] },
                    { "id": "serde", "deps": [edge("tokio", kind)] },
                    { "id": "tokio", "deps": [edge("serde", Value::Null)] },
                ]},
            }))
        };
        assert_eq!(
            told(&nothing_unwanted_is_reached(&house(Value::Null))),
            [
                "crates/majordomo-core/Cargo.toml: `majordomo-core` must not know `tokio`, but reaches it: majordomo-core > serde > tokio",
            ]
        );
        assert_eq!(nothing_unwanted_is_reached(&house(json!("dev"))), []);
    }
}
