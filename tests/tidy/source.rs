//! Reading the sources as text.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file.
pub struct Source {
    /// Its path from the repository's root, with slashes.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a file of the repository.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All Rust files below a folder, in the order of their names.
pub fn below(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "there are sources in {folder}");
    paths
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(&path).unwrap(),
            path: path
                .strip_prefix(root())
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/"),
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

impl Source {
    /// The lines that ship: no comments, and nothing inside `#[cfg(test)] mod tests`. Numbered
    /// from 1.
    pub fn shipped(&self) -> Vec<(usize, &str)> {
        let mut shipped = Vec::new();
        let mut in_tests = false;
        let mut lines = self.text.lines().enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            let opens_tests = line == "#[cfg(test)]"
                && lines.peek().is_some_and(|(_, next)| {
                    next.starts_with("mod ")
                        || next.starts_with("#[")
                        || next.starts_with("pub mod ")
                });
            if opens_tests {
                in_tests = true;
            } else if in_tests {
                in_tests = line != "}";
            } else {
                shipped.push((index + 1, without_comment(line)));
            }
        }
        shipped
    }

    /// The folder or file right below `src`: the layer that the file belongs to.
    pub fn layer(&self) -> &str {
        let rest = self.path.strip_prefix("src/").unwrap_or(&self.path);
        rest.split(['/', '.']).next().unwrap()
    }

    /// The names of the modules that lead to this file, such as `gateway`, `host`, `view`.
    pub fn modules(&self) -> Vec<&str> {
        let rest = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let rest = rest.strip_suffix(".rs").unwrap();
        rest.split('/')
            .filter(|part| *part != "mod" && *part != "lib")
            .collect()
    }
}

/// Cuts a line comment off. A `//` inside a URL in a text has a colon before it.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        return "";
    }
    match line.find("// ") {
        Some(start) if !line[..start].ends_with(':') => &line[..start],
        _ => line,
    }
}

#[test]
fn comments_and_tests_are_not_shipped_code() {
    let text = "//! a\nuse x;\nlet y = \"http://h\"; // worker::\n#[cfg(test)]\nmod tests {\n    \
                unwrap();\n}\nfn z() {}\n";
    let source = Source {
        path: "src/job/id.rs".to_owned(),
        text: text.to_owned(),
    };
    let lines: Vec<&str> = source.shipped().into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines, ["", "use x;", "let y = \"http://h\"; ", "fn z() {}"]);
    assert_eq!(source.layer(), "job");
    assert_eq!(source.modules(), ["job", "id"]);
}
