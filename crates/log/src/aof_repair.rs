//! Cuts a commit that a killed server tore off its append-only file, before that server is started again.
//!
//! A commit is several commands between MULTI and EXEC in the append-only file. A server that was killed while it wrote
//! one finds, at its next start, a file that ends in the middle of it. Redis (seen with 7.0.15) leaves such a commit out,
//! but cuts the file only behind its last whole command: the next commit is appended to a MULTI that is still open, and
//! at the start after that what is left of the torn one is executed too. So we cut the file before the MULTI.
//!
//! Only an end that is missing is cut off. A file that says something else than commands is left to Redis, which refuses
//! it and says so.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

/// What was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Of which file.
    pub file: PathBuf,
    /// How many bytes.
    pub bytes: u64,
}

/// Cuts a torn commit off the append-only file in `data_dir` (`dir` of `redis.conf`) of a server that does not run, where
/// there is one.
///
/// # Errors
/// When the file cannot be read or cut.
pub fn cut_off(data_dir: &Path) -> io::Result<Option<Cut>> {
    let Some(path) = last_part(&data_dir.join("appendonlydir"))? else { return Ok(None) };
    let file = File::options().read(true).write(true).open(&path)?;
    let length = file.metadata()?.len();
    match whole(&mut BufReader::with_capacity(1 << 20, &file))? {
        Some(whole) if whole < length => {
            file.set_len(whole)?;
            file.sync_all()?;
            Ok(Some(Cut { file: path, bytes: length - whole }))
        }
        _ => Ok(None),
    }
}

/// The part of the file that was being appended to: of those that the manifest names, the last incremental one.
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

/// How many bytes are whole commits; none where it is not commands that the file holds.
fn whole(file: &mut impl BufRead) -> io::Result<Option<u64>> {
    let (mut at, mut whole, mut is_open) = (0, 0, false);
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
                    whole = at;
                }
            }
            Read::End => return Ok(Some(whole)),
            Read::Garbled => return Ok(None),
        }
    }
}

enum Read {
    /// A whole one; its name in small letters where it is one that matters.
    Command {
        name: Vec<u8>,
        bytes: u64,
    },
    /// The file ends here, before a command or within one.
    End,
    Garbled,
}

/// The longest name that matters: `multi`.
const LONGEST: u64 = 5;

fn command(file: &mut impl BufRead) -> io::Result<Read> {
    let (count, mut bytes) = match number(file, b'*')? {
        Number::Is(count, bytes) => (count, bytes),
        Number::Note(bytes) => return Ok(Read::Command { name: vec![], bytes }),
        Number::End => return Ok(Read::End),
        Number::Garbled => return Ok(Read::Garbled),
    };
    let mut name = vec![];
    for word in 0..count {
        let (length, head) = match number(file, b'$')? {
            Number::Is(length, head) => (length, head),
            Number::End => return Ok(Read::End),
            Number::Note(_) | Number::Garbled => return Ok(Read::Garbled),
        };
        let mut rest = length + 2;
        if word == 0 && length <= LONGEST {
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
    /// The number, and how many bytes its line has.
    Is(u64, u64),
    /// A line that is for people: `#TS:1795462698`.
    Note(u64),
    End,
    Garbled,
}

/// No line of a command is longer than this.
const LINE: u64 = 64;

/// Reads `*3` or `$14`, with the end of the line.
fn number(file: &mut impl BufRead, sign: u8) -> io::Result<Number> {
    let mut line = vec![];
    let bytes = file.take(LINE).read_until(b'\n', &mut line)? as u64;
    if !line.ends_with(b"\n") {
        return Ok(if bytes < LINE { Number::End } else { Number::Garbled });
    }
    let number = |digits: &[u8]| str::from_utf8(digits).ok()?.parse().ok();
    Ok(match line.strip_suffix(b"\r\n").and_then(<[u8]>::split_first) {
        Some((b'#', _)) => Number::Note(bytes),
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
    fn wherever_a_file_is_torn_it_is_cut_behind_the_last_whole_commit() {
        let parts = [command(&["SELECT", "0"]), commit(1), "#TS:1795462698\r\n".into(), commit(2), commit(3)];
        let file = parts.concat();
        let mut ends: Vec<usize> = vec![0];
        for part in &parts {
            ends.push(ends[ends.len() - 1] + part.len());
        }
        for torn in 0..=file.len() {
            let expected = ends.iter().copied().filter(|end| *end <= torn).max().unwrap() as u64;
            assert_eq!(whole(&mut &file.as_bytes()[..torn]).unwrap(), Some(expected), "torn at {torn}");
        }
    }

    #[test]
    fn a_file_that_holds_something_else_is_left_alone() {
        let long = "9".repeat(100);
        for garbled in ["REDIS0010", "*1\r\n+PING\r\n", "*x\r\n", "*1\n", "\0\0\0\0\r\n", &long] {
            let file = commit(1) + garbled + "\r\n" + &commit(2);
            assert_eq!(whole(&mut file.as_bytes()).unwrap(), None, "{garbled:?}");
        }
    }

    #[test]
    fn the_last_part_that_the_manifest_names_is_the_one_that_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last_part(dir.path()).unwrap(), None, "nothing was ever written");
        let manifest = "file appendonly.aof.2.base.rdb seq 2 type b\n\
                        file appendonly.aof.1.incr.aof seq 1 type h\n\
                        file appendonly.aof.2.incr.aof seq 2 type i\n\
                        file appendonly.aof.3.incr.aof seq 3 type i\n";
        fs::write(dir.path().join("appendonly.aof.manifest"), manifest).unwrap();
        assert_eq!(last_part(dir.path()).unwrap(), Some(dir.path().join("appendonly.aof.3.incr.aof")));
    }
}
