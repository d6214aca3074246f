//! A list in a file.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use tokio::task::spawn_blocking;

use super::{BreachedError, BreachedPasswords, PasswordSha1};

/// A list in a file of this machine, in the format that the downloader of Have I Been Pwned writes: lines of a SHA-1 in 40
/// hexadecimal digits, a colon and a count, sorted by hash. Nothing leaves the machine.
///
/// The file, of some 40 GB, is not loaded: each password costs about 40 small reads, away from the async workers. It is opened for
/// each, so a newer file can be moved into its place.
#[derive(Clone, Debug)]
pub struct BreachedPasswordsFile {
    path: PathBuf,
}

impl BreachedPasswordsFile {
    /// Looks into the file, so that a wrong one shows at the start.
    ///
    /// # Errors
    /// The operating system's; `InvalidData` for a file that is empty, has another format, or is not sorted by hash, as far as a
    /// few samples tell.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        Lines::open(&path)?.check_order()?;
        Ok(Self { path })
    }
}

impl BreachedPasswords for BreachedPasswordsFile {
    async fn contains(&self, password: &PasswordSha1) -> Result<bool, BreachedError> {
        let (path, password) = (self.path.clone(), password.clone());
        let search = spawn_blocking(move || Lines::open(&path)?.contain(password.as_str()));
        search.await.map_err(BreachedError::new)?.map_err(BreachedError::new)
    }
}

/// No line is longer, in bytes; those of the format have about 50.
const MAX_LINE: usize = 128;
/// How many places are looked at for the order.
const SAMPLES: u64 = 64;

struct Lines {
    file: File,
    length: u64,
}

struct Line {
    /// Where it starts, in bytes.
    start: u64,
    /// Where the next one does.
    end: u64,
    /// In upper case.
    hash: String,
    /// How often it was seen; with 0 it does not count.
    count: u64,
}

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Err(invalid("it is no file, or an empty one"));
        }
        Ok(Self { file, length: metadata.len() })
    }

    /// By bisection: lines that start before `low` are smaller than the wanted one, those from `high` on are greater.
    fn contain(&mut self, hash: &str) -> io::Result<bool> {
        let (mut low, mut high) = (0, self.length);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.line_from(middle)?.filter(|line| line.start < high) {
                Some(line) if line.hash == hash => return Ok(line.count > 0),
                Some(line) if *line.hash < *hash => low = line.end,
                _ => high = middle,
            }
        }
        Ok(false)
    }

    fn check_order(&mut self) -> io::Result<()> {
        let mut last: Option<Line> = None;
        for sample in 0..SAMPLES {
            let Some(line) = self.line_from(self.length / SAMPLES * sample)? else { break };
            if last.is_some_and(|last| last.start != line.start && last.hash >= line.hash) {
                return Err(invalid("its lines are not sorted by hash"));
            }
            last = Some(line);
        }
        Ok(())
    }

    /// The first line that starts at `at` or behind it.
    fn line_from(&mut self, at: u64) -> io::Result<Option<Line>> {
        let from = at.saturating_sub(1);
        let mut read = Vec::with_capacity(2 * MAX_LINE);
        self.file.seek(SeekFrom::Start(from))?;
        self.file.by_ref().take(2 * MAX_LINE as u64).read_to_end(&mut read)?;
        let break_after = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n');
        let skipped = match break_after(&read) {
            _ if at == 0 => 0,
            Some(position) => position + 1,
            None if read.len() < 2 * MAX_LINE => return Ok(None),
            None => return Err(invalid(FORMAT)),
        };
        let rest = read.get(skipped..).filter(|rest| !rest.is_empty());
        let Some(rest) = rest else { return if skipped <= MAX_LINE { Ok(None) } else { Err(invalid(FORMAT)) } };
        let length = break_after(rest).unwrap_or(rest.len());
        if length > MAX_LINE {
            return Err(invalid(FORMAT));
        }
        let (hash, count) = rest.get(..length).and_then(parse).ok_or_else(|| invalid(FORMAT))?;
        let start = from + skipped as u64;
        Ok(Some(Line { start, end: start + length as u64 + 1, hash, count }))
    }
}

const FORMAT: &str = "a line is not a SHA-1 in hexadecimal digits, a colon and a count";

fn parse(line: &[u8]) -> Option<(String, u64)> {
    let (hash, count) = std::str::from_utf8(line).ok()?.trim_end().split_once(':')?;
    let is_hash = hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| hash.to_ascii_uppercase()).zip(count.parse().ok())
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
