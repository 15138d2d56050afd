//! Finding manifests: files as given, directories recursively.

use crate::read::{Item, Problem, Read};
use moat_model::codes;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What a path stands for, in order of the paths: a file whatever its name, or the manifests below a directory. A file whose
/// canonical path is in `seen` already is left out.
pub(crate) fn find(path: &Path, seen: &mut BTreeSet<PathBuf>) -> Vec<Item> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => directory(path, seen),
        Ok(_) => new_file(path, seen).into_iter().collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => vec![unreadable(path, missing(path))],
        Err(error) => vec![unreadable(path, Problem::io(&path.display().to_string(), &error))],
    }
}

/// Whether a file of a directory is a manifest, by its name alone.
pub(crate) fn is_manifest(path: &Path) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|extension| {
        ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// Whether a file or directory is one that tools keep out of sight.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// That a directory, of files or of a revision, has no manifests.
pub(crate) fn no_manifests(name: &str) -> Problem {
    Problem::new(codes::UNREADABLE_SOURCE, format!("no manifests in `{name}`")).help(
        "manifests end in `.yaml`, `.yml` or `.json`, and hidden ones are passed over; name a file to read it whatever it is called",
    )
}

/// A finding in place of a text.
pub(crate) fn unreadable(path: &Path, problem: Problem) -> Item {
    Item::Ready(Read { name: path.display().to_string(), text: Err(problem) })
}

fn new_file(path: &Path, seen: &mut BTreeSet<PathBuf>) -> Option<Item> {
    // Pipes such as `/dev/fd/63` have no canonical path.
    let canonical = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    seen.insert(canonical).then(|| Item::File(path.to_owned()))
}

fn directory(root: &Path, seen: &mut BTreeSet<PathBuf>) -> Vec<Item> {
    let mut walk = Walk::default();
    walk.enter(root.to_owned());
    // In order of the paths, so that of two links to one directory the same one is followed each time.
    while let Some(directory) = walk.directories.pop_first() {
        if let Err(error) = walk.list(&directory) {
            let problem = Problem::io(&directory.display().to_string(), &error);
            walk.found.push((directory, Some(problem)));
        }
    }
    let mut found = walk.found;
    if found.is_empty() {
        return vec![unreadable(root, no_manifests(&root.display().to_string()))];
    }
    found.extend(walk.passed_over.into_iter().map(|path| (path, Some(Problem::passed_over()))));
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let item = |(path, problem): (PathBuf, Option<Problem>)| match problem {
        Some(problem) => Some(unreadable(&path, problem)),
        None => new_file(&path, seen),
    };
    found.into_iter().filter_map(item).collect()
}

#[derive(Default)]
struct Walk {
    /// Still to be listed.
    directories: BTreeSet<PathBuf>,
    /// Canonical paths of those that were or will be listed; links may make cycles.
    entered: BTreeSet<PathBuf>,
    /// Manifests, and what cannot be read.
    found: Vec<(PathBuf, Option<Problem>)>,
    /// Files that are no manifests by their names.
    passed_over: Vec<PathBuf>,
}

impl Walk {
    fn enter(&mut self, directory: PathBuf) {
        let canonical = fs::canonicalize(&directory).unwrap_or_else(|_| directory.clone());
        if self.entered.insert(canonical) {
            self.directories.insert(directory);
        }
    }

    fn list(&mut self, directory: &Path) -> io::Result<()> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if !is_hidden(&entry.file_name()) {
                // Not the entry's own path: `dir/./x` for `dir/.` reads badly but is what was given.
                paths.push(entry.path());
            }
        }
        paths.sort();
        for path in paths {
            match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => self.enter(path),
                Ok(meta) if meta.is_file() && is_manifest(&path) => self.found.push((path, None)),
                Ok(meta) if meta.is_file() => self.passed_over.push(path),
                // Pipes and devices, which might never end.
                Ok(_) => {}
                Err(error) if is_manifest(&path) || error.kind() == ErrorKind::PermissionDenied => {
                    let name = path.display().to_string();
                    let problem = if error.kind() == ErrorKind::NotFound {
                        missing(&path)
                    } else {
                        Problem::io(&name, &error)
                    };
                    self.found.push((path, Some(problem)));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }
}

fn missing(path: &Path) -> Problem {
    let name = path.display();
    if fs::symlink_metadata(path).is_ok() {
        return Problem::new(codes::UNREADABLE_SOURCE, format!("`{name}` is a link to nothing"))
            .help("restore what it links to, or remove the link");
    }
    let problem =
        Problem::new(codes::UNREADABLE_SOURCE, format!("no such file or directory: `{name}`"));
    // The part that is wrong: below the deepest directory that exists.
    let wrong = path
        .ancestors()
        .take_while(|part| fs::symlink_metadata(part).is_err())
        .filter(|part| part.file_name().is_some())
        .last();
    let Some((wrong, wrong_name)) =
        wrong.and_then(|wrong| Some((wrong, wrong.file_name()?.to_str()?)))
    else {
        return problem;
    };
    let parent = wrong.parent().filter(|parent| !parent.as_os_str().is_empty());
    match (nearest(wrong_name, parent.unwrap_or(Path::new("."))), parent) {
        (Some(near), _) => {
            let mut meant = wrong.with_file_name(near);
            if let Ok(rest) = path.strip_prefix(wrong)
                && !rest.as_os_str().is_empty()
            {
                meant.push(rest);
            }
            problem.help(format!("did you mean `{}`?", meant.display()))
        }
        (None, Some(parent)) if wrong != path => {
            problem.help(format!("`{}` exists, but has no `{wrong_name}`", parent.display()))
        }
        (None, _) => {
            problem.help("paths are relative to the current directory; `-` is standard input")
        }
    }
}

/// The name in a directory that is most like another, when one is near enough to be what was meant.
fn nearest(name: &str, directory: &Path) -> Option<String> {
    let names = fs::read_dir(directory)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names
        .map(|candidate| (distance(name, &candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).clamp(1, 3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (idx, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], idx + 1);
        for (column, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}
