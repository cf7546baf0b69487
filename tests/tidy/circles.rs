//! No two files import each other, directly or through others.
//!
//! A folder's `mod.rs` is above the files of its folder: its references to them do not count. A name
//! that it re-exports counts as an import of the file where the name is defined.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, below};

type Path = Vec<String>;

/// The modules of the crate by their paths.
struct Modules {
    /// What each module brings into its scope with `use`: the name, and the path behind it.
    uses: BTreeMap<Path, BTreeMap<String, Path>>,
}

fn path(segments: &[&str]) -> Path {
    segments.iter().map(|part| (*part).to_owned()).collect()
}

/// The shipped text of a file in one line.
fn text_of(source: &Source) -> String {
    let lines = source.shipped();
    let lines: Vec<&str> = lines.iter().map(|(_, line)| line.trim()).collect();
    lines.join(" ")
}

/// Reads the path at the beginning of a text, with each of its alternatives in braces.
fn paths(text: &str) -> Vec<Path> {
    let mut found = Vec::new();
    expand(text, &mut Vec::new(), &mut found);
    found
}

/// Returns what comes after the path.
fn expand<'a>(text: &'a str, before: &mut Path, found: &mut Vec<Path>) -> &'a str {
    let mut rest = text.trim_start();
    let depth = before.len();
    loop {
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            while !rest.trim_start().starts_with('}') && !rest.is_empty() {
                rest = expand(rest, before, found).trim_start();
                rest = rest.strip_prefix(',').unwrap_or(rest);
            }
            before.truncate(depth);
            return rest.trim_start().strip_prefix('}').unwrap_or("");
        }
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*')
            .unwrap_or(rest.len());
        let (segment, after) = rest.split_at(end);
        if segment.is_empty() {
            // Not a path, such as a macro's `$`.
            before.truncate(depth);
            return after.get(1..).unwrap_or("");
        }
        before.push(segment.to_owned());
        if let Some(more) = after.strip_prefix("::")
            && !more.starts_with('<')
        {
            rest = more;
            continue;
        }
        found.push(before.clone());
        before.truncate(depth);
        let renamed = after.trim_start().strip_prefix("as ");
        return renamed.map_or(after, |name| {
            let name = name.trim_start();
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            name.split_at(end.unwrap_or(name.len())).1
        });
    }
}

/// All paths of a file that begin at the crate or above the file.
fn named(text: &str) -> Vec<Path> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (index, _) in text.match_indices(start) {
            let before = &text[..index];
            let is_inside = before.ends_with("super::")
                || before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if !is_inside {
                found.extend(paths(&text[index..]));
            }
        }
    }
    found
}

/// What `use` brings into the scope of a file, by the last name.
fn brought(text: &str) -> BTreeMap<String, Path> {
    let mut names = BTreeMap::new();
    for (index, _) in text.match_indices("use ") {
        let before = text[..index].trim_end();
        let begins =
            before.is_empty() || before.ends_with([';', '}', ')', ']']) || before.ends_with("pub");
        if begins {
            for path in paths(&text[index + "use ".len()..]) {
                names.insert(path.last().unwrap().clone(), path);
            }
        }
    }
    names
}

impl Modules {
    fn read(sources: &[Source]) -> Self {
        let uses = sources
            .iter()
            .map(|source| (path(&source.modules()), brought(&text_of(source))))
            .collect();
        Self { uses }
    }

    /// The module in which what `segments` names is defined, as seen from `from`. `None` outside the crate.
    fn resolve(&self, from: &Path, segments: &[String], hops: u8) -> Option<Path> {
        let mut segments = segments;
        let mut at = from.clone();
        match segments.first()?.as_str() {
            "crate" => {
                at.clear();
                segments = &segments[1..];
            }
            "self" => segments = &segments[1..],
            "super" => {}
            first => {
                let child: Path = from.iter().cloned().chain([first.to_owned()]).collect();
                if !self.uses.contains_key(&child) {
                    return None;
                }
            }
        }
        while segments.first().is_some_and(|first| first == "super") {
            at.pop();
            segments = &segments[1..];
        }
        for segment in segments {
            let child: Path = at.iter().cloned().chain([segment.clone()]).collect();
            if self.uses.contains_key(&child) {
                at = child;
                continue;
            }
            let behind = self.uses.get(&at).and_then(|uses| uses.get(segment));
            return match behind {
                Some(behind) if hops > 0 => self.resolve(&at, behind, hops - 1),
                _ => Some(at),
            };
        }
        Some(at)
    }

    /// The modules that a file imports, but not those below it.
    fn imports(&self, source: &Source) -> BTreeSet<Path> {
        let own = path(&source.modules());
        let resolved = named(&text_of(source))
            .into_iter()
            .filter_map(|path| self.resolve(&own, &path, 4));
        resolved
            .filter(|other| *other != own && !(other.starts_with(&own)))
            .collect()
    }
}

/// The ways from a module back to itself, the shortest for each.
fn circles(imports: &BTreeMap<Path, BTreeSet<Path>>) -> Vec<String> {
    let mut found = BTreeMap::new();
    for start in imports.keys() {
        let mut seen = BTreeSet::new();
        let mut ways = vec![vec![start.clone()]];
        while let Some(way) = ways.pop() {
            for next in imports.get(way.last().unwrap()).into_iter().flatten() {
                if next == start {
                    let members: BTreeSet<&Path> = way.iter().collect();
                    let text: Vec<String> = way.iter().map(|path| path.join("::")).collect();
                    found
                        .entry(format!("{members:?}"))
                        .or_insert(text.join(" → "));
                } else if seen.insert(next.clone()) {
                    let mut longer = way.clone();
                    longer.push(next.clone());
                    ways.insert(0, longer);
                }
            }
        }
    }
    found.into_values().collect()
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources: Vec<Source> = below("src")
        .into_iter()
        .filter(|source| source.layer() != "bin")
        .collect();
    let modules = Modules::read(&sources);
    let imports: BTreeMap<Path, BTreeSet<Path>> = sources
        .iter()
        .map(|source| (path(&source.modules()), modules.imports(source)))
        .collect();
    let known: usize = imports.values().map(BTreeSet::len).sum();
    assert!(known > sources.len(), "imports are found");
    let circles = circles(&imports);
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn a_circle_through_a_reexport_is_found() {
    let source = |path: &str, text: &str| Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let mut sources = vec![
        source(
            "src/shard/mod.rs",
            "mod commit;\nmod lease;\npub use lease::{\n    Claim, Grant as Right,\n};\n",
        ),
        source(
            "src/shard/lease.rs",
            "use super::commit::Committed;\nuse crate::job::{self, Lease};\n",
        ),
        source("src/shard/commit.rs", "use super::{Shard, Claim};\n"),
        source("src/job/mod.rs", "mod id;\npub use id::Lease;\n"),
        source("src/job/id.rs", "use super::Other;\n"),
    ];
    let imports = |sources: &[Source]| {
        let modules = Modules::read(sources);
        let imports = |source: &Source| (path(&source.modules()), modules.imports(source));
        sources.iter().map(imports).collect::<BTreeMap<_, _>>()
    };
    let found = imports(&sources);
    assert!(found[&path(&["shard", "lease"])].contains(&path(&["job", "id"])));
    assert_eq!(circles(&found), ["shard::commit → shard::lease"]);
    sources[2].text = "use super::Shard;\n".to_owned();
    assert_eq!(circles(&imports(&sources)), Vec::<String>::new());
}
