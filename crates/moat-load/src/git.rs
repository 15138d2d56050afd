//! Manifests of a git revision, read with the `git` program: no working tree is touched.

use crate::files;
use crate::limits::MAX_SOURCE_BYTES;
use crate::read::{self, Problem, Read};
use moat_model::codes;
use std::ffi::OsStr;
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// The manifests of `rev` below `path`, both as `git -C cwd ls-tree` understands them; without a path, those below `cwd`.
pub(crate) fn git_input(cwd: &Path, rev: &str, path: Option<&str>) -> Vec<Read> {
    let path =
        path.map(|path| path.trim_end_matches('/')).filter(|path| !path.is_empty() && *path != ".");
    let name = format!("{rev}:{}", path.unwrap_or_default());
    match read_all(cwd, rev, path, &name) {
        Ok(reads) => reads,
        Err(problem) => vec![Read { name, text: Err(problem) }],
    }
}

/// A file of the revision.
struct Blob {
    path: String,
    id: String,
}

fn read_all(cwd: &Path, rev: &str, path: Option<&str>, name: &str) -> Result<Vec<Read>, Problem> {
    if rev.is_empty() || rev.starts_with('-') {
        return Err(unknown_revision(rev));
    }
    let tree = run(cwd, &["rev-parse", "--verify", "--quiet", &format!("{rev}^{{tree}}")]);
    if let Err(error) = tree {
        return Err(error.problem(cwd, || unknown_revision(rev)));
    }
    let mut arguments = vec!["ls-tree", "-r", "-z", rev];
    arguments.extend(path.iter().flat_map(|path| ["--", path]));
    let listed = run(cwd, &arguments).map_err(|error| {
        let reason = error.reason();
        error.problem(cwd, || {
            Problem::new(codes::UNREADABLE_SOURCE, format!("git cannot list `{name}`: {reason}"))
        })
    })?;
    let all: Vec<Blob> = String::from_utf8_lossy(&listed).split('\0').filter_map(blob).collect();
    if let (true, Some(path)) = (all.is_empty(), path) {
        return Err(Problem::new(
            codes::UNREADABLE_SOURCE,
            format!("no `{path}` in revision `{rev}`"),
        )
        .help(format!(
            "`git ls-tree {rev}` lists what there is; paths are relative to the current directory"
        )));
    }
    let (mut blobs, others): (Vec<Blob>, Vec<Blob>) =
        all.into_iter().partition(|blob| is_wanted(&blob.path, path));
    blobs.sort_by(|a, b| Path::new(&a.path).cmp(Path::new(&b.path)));
    if blobs.is_empty() {
        return Err(files::no_manifests(name));
    }
    let mut reads = read_blobs(cwd, rev, &blobs).map_err(|error| {
        Problem::new(codes::UNREADABLE_SOURCE, format!("git cannot read `{name}`: {error}"))
    })?;
    let passed_over = others.into_iter().filter(|blob| !is_out_of_sight(&blob.path, path));
    reads.extend(passed_over.map(|blob| Read {
        name: format!("{rev}:{}", blob.path),
        text: Err(Problem::passed_over()),
    }));
    reads.sort_by(|a, b| Path::new(&a.name).cmp(Path::new(&b.name)));
    Ok(reads)
}

/// A line of `ls-tree`: `MODE SP TYPE SP ID TAB PATH`. Links and submodules are no files.
fn blob(line: &str) -> Option<Blob> {
    let (head, path) = line.split_once('\t')?;
    let mut words = head.split(' ');
    let (mode, kind, id) = (words.next()?, words.next()?, words.next()?);
    (kind == "blob" && mode != "120000").then(|| Blob { path: path.to_owned(), id: id.to_owned() })
}

/// Manifests that are not hidden below `path`, or the file that `path` names.
fn is_wanted(of: &str, path: Option<&str>) -> bool {
    below(of, path).is_empty() || files::is_manifest(Path::new(of)) && !is_out_of_sight(of, path)
}

fn is_out_of_sight(of: &str, path: Option<&str>) -> bool {
    below(of, path).split('/').any(|part| files::is_hidden(OsStr::new(part)) && part != "..")
}

fn below<'p>(of: &'p str, path: Option<&str>) -> &'p str {
    let path = path.map(|path| path.trim_start_matches("./")).unwrap_or_default();
    of.strip_prefix(path).unwrap_or(of)
}

fn read_blobs(cwd: &Path, rev: &str, blobs: &[Blob]) -> io::Result<Vec<Read>> {
    let mut command = git(cwd);
    command
        .args(["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn()?;
    let (Some(mut to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("no pipe"));
    };
    let reads = std::thread::scope(|scope| {
        // From another thread: git answers before it has read every request.
        scope.spawn(move || blobs.iter().try_for_each(|blob| writeln!(to, "{}", blob.id)));
        // In here, so that the pipe is closed before the other thread is waited for, should reading fail.
        let mut from = BufReader::new(from);
        blobs.iter().map(|blob| read_blob(&mut from, format!("{rev}:{}", blob.path))).collect()
    });
    child.wait()?;
    reads
}

/// An answer of `cat-file --batch`: `ID SP TYPE SP SIZE LF`, the bytes, `LF`.
fn read_blob(from: &mut impl io::BufRead, name: String) -> io::Result<Read> {
    let mut head = String::new();
    from.read_line(&mut head)?;
    let size = head.trim_end().rsplit(' ').next().and_then(|size| size.parse::<u64>().ok());
    let Some(size) = size else {
        let problem =
            Problem::new(codes::UNREADABLE_SOURCE, format!("git has no content for `{name}`"))
                .help("the clone may be partial; fetch the revision in full");
        return Ok(Read { name, text: Err(problem) });
    };
    let mut content = from.take(size);
    let text = if size > MAX_SOURCE_BYTES {
        io::copy(&mut content, &mut io::sink())?;
        Err(Problem::too_large(&name, MAX_SOURCE_BYTES))
    } else {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        read::decode(bytes, &name)
    };
    from.read_exact(&mut [0])?;
    Ok(Read { name, text })
}

/// Why a git command gave nothing.
enum Failure {
    NotStarted(io::Error),
    Said(String),
}

impl Failure {
    /// The first line that git said.
    fn reason(&self) -> String {
        match self {
            Self::NotStarted(error) => error.to_string(),
            Self::Said(text) => {
                let line = text.lines().next().unwrap_or_default();
                line.trim_start_matches("fatal: ").trim_start_matches("error: ").to_owned()
            }
        }
    }

    fn problem(self, cwd: &Path, otherwise: impl FnOnce() -> Problem) -> Problem {
        let problem = |message: String| Problem::new(codes::UNREADABLE_SOURCE, message);
        match self {
            Self::NotStarted(error) if error.kind() == io::ErrorKind::NotFound => {
                problem("the `git` program is not installed".to_owned())
                    .help("install git, or check the revision out and give the directory")
            }
            Self::NotStarted(error) => {
                problem(format!("the `git` program cannot be started: {error}"))
            }
            Self::Said(text) if text.contains("not a git repository") => {
                let place =
                    std::path::absolute(cwd).map_or(".".into(), |path| path.display().to_string());
                problem(format!("`{place}` is not in a git repository"))
                    .help("change to the repository first")
            }
            Self::Said(text) if text.contains("dubious ownership") => {
                problem("git refuses the repository, which belongs to another user".to_owned())
                    .help("`git config --global --add safe.directory DIR` allows it")
            }
            Self::Said(_) => otherwise(),
        }
    }
}

fn unknown_revision(rev: &str) -> Problem {
    Problem::new(codes::UNREADABLE_SOURCE, format!("git does not know the revision `{rev}`")).help(
        "give a branch, tag or commit that `git log` accepts; a shallow clone, as in CI, may have to fetch it first",
    )
}

fn git(cwd: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(cwd)
        .env("LC_ALL", "C")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stderr(Stdio::piped());
    command
}

fn run(cwd: &Path, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
    let output =
        git(cwd).args(arguments).stdin(Stdio::null()).output().map_err(Failure::NotStarted)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Failure::Said(String::from_utf8_lossy(&output.stderr).into_owned()))
}
