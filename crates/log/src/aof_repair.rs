//! Repairs the append-only file of a server that was killed: truncates it before an incomplete (torn) commit at its end.
//! Runs before that server is started again.
//!
//! In the append-only file a commit is several commands between MULTI and EXEC. If the server is killed while it writes
//! one, the file ends in the middle of it. At the next start Redis (seen with 7.0.15) ignores that commit but truncates the
//! file only after the last complete command. It then appends the next commit after a MULTI that is still open, and the
//! start after that also executes the rest of the torn commit. So we truncate the file before the MULTI.
//!
//! Only an incomplete end is truncated. A file that contains anything but commands is left to Redis, which refuses it.
//! That is why this does not run `redis-check-aof --fix`: it also deletes every complete commit after a damaged byte in the
//! middle, and reports the same (`Expected \r\n`) for a torn end and for such damage (7.0.15), so the two cannot be told apart.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

/// A torn commit that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornCommit {
    /// The file.
    pub file: PathBuf,
    /// How many bytes were removed.
    pub bytes: u64,
}

/// Removes a torn commit from the append-only file in `data_dir` (`dir` of `redis.conf`). The server must not run.
///
/// # Errors
/// If the file cannot be read or truncated.
pub fn truncate_torn_commit(data_dir: &Path) -> io::Result<Option<TornCommit>> {
    let Some(path) = last_part(&data_dir.join("appendonlydir"))? else { return Ok(None) };
    let file = File::options().read(true).write(true).open(&path)?;
    let length = file.metadata()?.len();
    match complete_length(&mut BufReader::with_capacity(1 << 16, &file))? {
        Some(complete) if complete < length => {
            file.set_len(complete)?;
            file.sync_all()?;
            Ok(Some(TornCommit { file: path, bytes: length - complete }))
        }
        _ => Ok(None),
    }
}

/// The file that the server appends to: the last incremental one in the manifest.
fn last_part(directory: &Path) -> io::Result<Option<PathBuf>> {
    let manifest = match fs::read_to_string(directory.join("appendonly.aof.manifest")) {
        Ok(manifest) => manifest,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // file appendonly.aof.2.incr.aof seq 2 type i
    let mut parts = manifest.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let value = |key| words.chunks_exact(2).find(|pair| pair[0] == key).map(|pair| pair[1]);
        (value("type")? == "i").then(|| value("file").map(str::to_owned))?
    });
    Ok(parts.next_back().map(|name| directory.join(name)))
}

/// The length of all complete commits; none if the file contains anything but commands.
fn complete_length(file: &mut impl BufRead) -> io::Result<Option<u64>> {
    let (mut at, mut complete, mut is_open) = (0, 0, false);
    loop {
        match command(file)? {
            Read::Command { name, bytes } => {
                at += bytes;
                is_open = match name.as_slice() {
                    b"multi" => true,
                    b"exec" => false,
                    _ => is_open,
                };
                if !is_open {
                    complete = at;
                }
            }
            Read::End => return Ok(Some(complete)),
            Read::Garbled => return Ok(None),
        }
    }
}

enum Read {
    /// A complete command. The name is in lower case, and empty if it is longer than [`MAX_NAME`].
    Command {
        name: Vec<u8>,
        bytes: u64,
    },
    /// The file ends here, before or within a command.
    End,
    Garbled,
}

/// The length of the longest name that matters: `multi`.
const MAX_NAME: u64 = 5;

fn command(file: &mut impl BufRead) -> io::Result<Read> {
    let (count, mut bytes) = match number(file, b'*')? {
        Number::Is(count, bytes) => (count, bytes),
        Number::Annotation(bytes) => return Ok(Read::Command { name: vec![], bytes }),
        Number::End => return Ok(Read::End),
        Number::Garbled => return Ok(Read::Garbled),
    };
    let mut name = vec![];
    for word in 0..count {
        let (length, head) = match number(file, b'$')? {
            Number::Is(length, head) => (length, head),
            Number::End => return Ok(Read::End),
            Number::Annotation(_) | Number::Garbled => return Ok(Read::Garbled),
        };
        let mut rest = length + 2;
        if word == 0 && length <= MAX_NAME {
            rest -= file.take(length).read_to_end(&mut name)? as u64;
            name.make_ascii_lowercase();
        }
        if io::copy(&mut file.take(rest), &mut io::sink())? < rest {
            return Ok(Read::End);
        }
        bytes += head + length + 2;
    }
    Ok(Read::Command { name, bytes })
}

enum Number {
    /// The number, and the length of its line in bytes.
    Is(u64, u64),
    /// An annotation: `#TS:1795462698`.
    Annotation(u64),
    End,
    Garbled,
}

/// Maximum length of a line with a number.
const MAX_LINE: u64 = 64;

/// Reads a line such as `*3` or `$14`.
fn number(file: &mut impl BufRead, sign: u8) -> io::Result<Number> {
    let mut line = vec![];
    let bytes = file.take(MAX_LINE).read_until(b'\n', &mut line)? as u64;
    if !line.ends_with(b"\n") {
        return Ok(if bytes < MAX_LINE { Number::End } else { Number::Garbled });
    }
    let number = |digits: &[u8]| str::from_utf8(digits).ok()?.parse().ok();
    Ok(match line.strip_suffix(b"\r\n").and_then(<[u8]>::split_first) {
        Some((b'#', _)) => Number::Annotation(bytes),
        Some((found, digits)) if *found == sign => number(digits).map_or(Number::Garbled, |it| Number::Is(it, bytes)),
        _ => Number::Garbled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> String {
        let words: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        format!("*{}\r\n{words}", words.matches('$').count())
    }

    fn commit(number: u32) -> String {
        let (key, text) = (format!("k{number}"), "a text\r\nof two lines");
        [&["MULTI"][..], &["xadd", &key, "*", "f", text], &["SET", &key, ""], &["EXEC"]].map(command).concat()
    }

    #[test]
    fn a_file_is_truncated_after_the_last_complete_commit_wherever_it_is_torn() {
        let parts = [command(&["SELECT", "0"]), commit(1), "#TS:1795462698\r\n".into(), commit(2), commit(3)];
        let file = parts.concat();
        let mut ends: Vec<usize> = vec![0];
        for part in &parts {
            ends.push(ends[ends.len() - 1] + part.len());
        }
        for torn in 0..=file.len() {
            let expected = ends.iter().copied().filter(|end| *end <= torn).max().unwrap() as u64;
            assert_eq!(complete_length(&mut &file.as_bytes()[..torn]).unwrap(), Some(expected), "torn at {torn}");
        }
    }

    #[test]
    fn a_file_with_anything_but_commands_is_left_alone() {
        let long = "9".repeat(100);
        for garbled in ["REDIS0010", "*1\r\n+PING\r\n", "*x\r\n", "*1\n", "\0\0\0\0\r\n", &long] {
            let file = commit(1) + garbled + "\r\n" + &commit(2);
            assert_eq!(complete_length(&mut file.as_bytes()).unwrap(), None, "{garbled:?}");
        }
    }

    #[test]
    fn the_last_incremental_file_of_the_manifest_is_repaired() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last_part(dir.path()).unwrap(), None, "without a manifest");
        let manifest = "file appendonly.aof.2.base.rdb seq 2 type b\n\
                        file appendonly.aof.1.incr.aof seq 1 type h\n\
                        file appendonly.aof.2.incr.aof seq 2 type i\n\
                        file appendonly.aof.3.incr.aof seq 3 type i\n";
        fs::write(dir.path().join("appendonly.aof.manifest"), manifest).unwrap();
        assert_eq!(last_part(dir.path()).unwrap(), Some(dir.path().join("appendonly.aof.3.incr.aof")));
    }
}
