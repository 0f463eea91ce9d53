use gix::ObjectId;

use super::*;

fn id(number: usize) -> ObjectId {
    ObjectId::from_hex(format!("{number:040x}").as_bytes()).unwrap()
}

fn advertised(name: &str, commit: usize) -> AdvertisedRef {
    AdvertisedRef { name: name.to_owned(), commit: id(commit), tag: None }
}

/// Tags, each on a commit of its own.
fn tags(names: &[&str]) -> Vec<AdvertisedRef> {
    names.iter().enumerate().map(|(at, name)| advertised(&format!("refs/tags/{name}"), at)).collect()
}

fn version_tags(range: &str, prefix: &str, pattern: &str) -> VersionTags {
    VersionTags {
        range: (!range.is_empty()).then(|| range.parse().unwrap()),
        prefix: prefix.parse().unwrap(),
        pattern: (!pattern.is_empty()).then(|| pattern.parse().unwrap()),
    }
}

fn highest_of(tags: VersionTags, refs: &[AdvertisedRef]) -> Result<String, String> {
    let query = RefQuery::of(&Reference::Highest(tags));
    query.choose(refs).map(|choice| shown(&choice.found.name)).map_err(|fault| fault.cause)
}

fn highest_in(range: &str, names: &[&str]) -> Result<String, String> {
    highest_of(version_tags(range, "", ""), &tags(names))
}

fn last_of(pattern: &str, names: &[&str]) -> Result<String, String> {
    let refs: Vec<AdvertisedRef> = names.iter().map(|name| advertised(name, 1)).collect();
    let query = RefQuery::of(&Reference::Last(pattern.parse().unwrap()));
    query.choose(&refs).map(|choice| choice.found.name.clone()).map_err(|fault| fault.cause)
}

#[test]
fn a_tag_beats_a_branch_of_the_same_name() {
    let query = RefQuery::of(&Reference::Name("v1".into()));
    assert_eq!(query.prefixes()[..3], ["refs/v1", "refs/tags/v1", "refs/heads/v1"]);
    let refs = ["refs/heads/v1", "refs/tags/v10", "refs/tags/v1"].map(|name| advertised(name, 1));
    assert_eq!(query.choose(&refs).unwrap().found, &refs[2]);
    assert_eq!(query.choose(&refs[..2]).unwrap().found, &refs[0]);
    assert!(query.choose(&refs[1..2]).is_err());
}

#[test]
fn the_highest_version_in_a_range_is_chosen() {
    let all =
        ["v1.9.0", "v1.10.0", "v2.0.0-rc.1", "latest", "v1.10", "0.1.0", "v1.10.0-rc.9", "release-9.9.9"];
    for (range, chosen) in [
        ("*", "v1.10.0"),
        ("*-0", "v2.0.0-rc.1"),
        ("<1.10", "v1.9.0"),
        ("<1", "0.1.0"),
        ("^1.10.0-0", "v1.10.0"),
    ] {
        assert_eq!(highest_in(range, &all).as_deref(), Ok(chosen), "{range}");
    }
    let scoped =
        tags(&["app1/v1.0.0", "app2/v9.0.0", "app1/v1.1.0-rc.1", "app1/v1.1.0", "v3.0.0", "app1v8.0.0"]);
    assert_eq!(highest_of(version_tags("*", "app1/", ""), &scoped).as_deref(), Ok("app1/v1.1.0"));
    assert_eq!(
        highest_of(version_tags("*-0", "app1/", "app1/*-rc*"), &scoped).as_deref(),
        Ok("app1/v1.1.0-rc.1")
    );
    assert_eq!(highest_of(version_tags("", "app1/", "*-rc*"), &scoped).as_deref(), Ok("app1/v1.1.0-rc.1"));
}

#[test]
fn build_data_decides_between_equal_versions_and_then_the_name() {
    assert_eq!(
        highest_in("*", &["1.2.3+build.10", "1.2.3+build.9", "1.2.3"]).as_deref(),
        Ok("1.2.3+build.10")
    );
    for names in [["v1.2.3", "1.2.3"], ["1.2.3", "v1.2.3"]] {
        let refs = tags(&names);
        let query = RefQuery::of(&Reference::Highest(version_tags("*", "", "")));
        let choice = query.choose(&refs).unwrap();
        assert_eq!((choice.found.name.as_str(), choice.rival), ("refs/tags/v1.2.3", Some("refs/tags/1.2.3")));
        let same = names.map(|name| advertised(&format!("refs/tags/{name}"), 7));
        assert_eq!(query.choose(&same).unwrap().rival, None);
        assert_eq!(choice.version.unwrap().to_string(), "1.2.3");
    }
}

#[test]
fn the_error_says_what_there_is_instead() {
    for (range, names, expected) in [
        (">=2", &["v1.8.0", "v1.9.3", "x"][..], "none of 3 tags is in \">=2\"; nearest below is v1.9.3"),
        (
            "<1 || =2.0.0",
            &["v1.8.0", "v3.0.0"],
            "none of 2 tags is in \"<1 || =2.0.0\"; the highest is v3.0.0",
        ),
        (
            "*",
            &["v2.0.0-rc.1"],
            "the only tag is not in \"*\"; the highest is v2.0.0-rc.1, a prerelease (*-0 takes them all)",
        ),
        ("*", &["x", "y", "z"], "none of 3 tags is a version, such as x and y"),
        ("*", &["x"], "the only tag is not a version, such as x"),
        ("*", &[], "there are no tags"),
    ] {
        let query = RefQuery::of(&Reference::Highest(version_tags(range, "", "")));
        let refs = tags(names);
        let fault = query.widened().unwrap_or(query).choose(&refs).unwrap_err();
        assert_eq!((fault.cause.as_str(), fault.kind), (expected, ErrorKind::NotFound));
    }
    let of = |prefix, pattern| highest_of(version_tags("*", prefix, pattern), &tags(&["v1.0.0"]));
    assert_eq!(of("app1/", ""), Err("no tag begins with \"app1/\"".into()));
    assert_eq!(of("", "x*"), Err("no tag is like refs/tags/x*".into()));
    assert_eq!(
        last_of("refs/heads/x-*", &["refs/heads/y"]),
        Err("no reference is like refs/heads/x-*".into())
    );
}

#[test]
fn the_last_name_is_chosen_number_by_number() {
    let nightly =
        ["refs/tags/nightly-20260301", "refs/tags/nightly-20260228", "refs/tags/nightlyx", "refs/heads/z"];
    assert_eq!(last_of("nightly-*", &nightly).as_deref(), Ok("refs/tags/nightly-20260301"));
    let change = ["refs/changes/34/1234/9", "refs/changes/34/1234/10", "refs/changes/34/1234/meta"];
    assert_eq!(last_of("refs/changes/34/1234/*", &change).as_deref(), Ok("refs/changes/34/1234/10"));
    assert_eq!(
        last_of("refs/heads/*", &["refs/heads/a", "refs/heads/meta"]).as_deref(),
        Ok("refs/heads/meta")
    );
}

#[test]
fn names_that_are_invalid_or_were_not_asked_for_are_ignored() {
    let refs: Vec<AdvertisedRef> = [
        "refs/tags/v1.0.0",
        "refs/tags/v9.0.0^{}",
        "refs/heads/v9.0.0",
        "refs/tags/app/v9.0.0",
        "refs/tags/v9.0.0 ",
        "v9.0.0",
        "refs/tags/v9.0.0-..",
        "refs/tags/v99999999999999999999.0.0",
    ]
    .iter()
    .map(|name| advertised(name, 1))
    .collect();
    assert_eq!(highest_of(version_tags("*", "", ""), &refs).as_deref(), Ok("v1.0.0"));
    // Narrowed to v1., so nothing else was asked for.
    assert_eq!(highest_in("^1", &["v1.0.0", "v001.9.0", "v2.0.0"]).as_deref(), Ok("v1.0.0"));
}

#[test]
fn a_name_that_is_listed_twice_is_refused() {
    let twice = tags(&["v1.0.0", "v2.0.0", "v1.0.0"]);
    let fault = RefQuery::of(&Reference::Highest(version_tags("*", "", ""))).choose(&twice).unwrap_err();
    assert_eq!((fault.kind, fault.cause.as_str()), (ErrorKind::Server, "the server listed v1.0.0 twice"));
}

#[test]
fn too_many_candidates_and_endless_names_are_refused_soon() {
    let refs: Vec<AdvertisedRef> =
        (0..200_001).map(|number| advertised(&format!("refs/tags/v1.0.{number}"), 1)).collect();
    let query = RefQuery::of(&Reference::Highest(version_tags("*", "", "")));
    assert_eq!(query.choose(&refs[1..]).unwrap().found.name, "refs/tags/v1.0.200000");
    let fault = query.choose(&refs).unwrap_err();
    assert!(fault.kind == ErrorKind::Limit && fault.cause.contains("200001 references"), "{}", fault.cause);
    let long = "x".repeat(60_000);
    assert!(highest_in("*", &[&long, "v1.0.0"]).is_ok());
    assert!(highest_in("*", &[&long]).unwrap_err().len() < 300);
}
