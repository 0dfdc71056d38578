//! The data directory of the embedded Redis: creates and locks it, and chooses a path for its socket that is short enough.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use super::error::Error;

/// Maximum length of a unix socket's path in bytes (`sun_path` on Linux, without the closing zero).
const MAX_SOCKET_PATH: usize = 107;

/// A data directory, locked for this process while the value lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    socket: PathBuf,
    _lock: File,
}

impl Directory {
    /// Creates it if missing, readable only by this user, and locks it.
    pub fn lock(path: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::Directory { path: path.to_owned(), source };
        private_directory(path).map_err(unusable)?;
        let path = path.canonicalize().map_err(unusable)?;

        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("hemostat.lock"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let pid = lock.read_to_string(&mut pid).ok().map(|_| pid.trim().to_owned());
                return Err(Error::InUse { path, pid: pid.filter(|pid| !pid.is_empty()) });
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let write_pid = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write_pid(&mut lock).map_err(unusable)?;
        let socket = socket(&path).map_err(unusable)?;
        Ok(Self { path, socket, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The log file of redis-server.
    pub fn log(&self) -> PathBuf {
        self.path.join("redis.log")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Removes a separate directory of the socket. If a redis-server still listens there, the directory is not empty and
        // stays.
        if let Some(place) = self.socket.parent().filter(|place| *place != self.path) {
            drop(fs::remove_dir(place));
        }
    }
}

/// In the directory itself, or if that path is too long, in a separate directory whose name is a hash of it.
pub(super) fn socket(directory: &Path) -> io::Result<PathBuf> {
    let socket = directory.join("redis.sock");
    if socket.as_os_str().len() <= MAX_SOCKET_PATH {
        return Ok(socket);
    }
    let mut hasher = DefaultHasher::new();
    directory.hash(&mut hasher);
    let name = format!("hemostat-{:016x}", hasher.finish());
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    let short = runtime.into_iter().chain([PathBuf::from("/tmp")]).map(|base| base.join(&name).join("redis.sock"));
    let Some(socket) = short.into_iter().find(|socket| socket.as_os_str().len() <= MAX_SOCKET_PATH) else {
        return Err(io::Error::other("no directory for its unix socket has a path that is short enough"));
    };
    let place = socket.parent().unwrap_or(directory);
    private_directory(place)?;
    // Every user can create a directory in /tmp, so ours must belong to the owner of the data and be closed to others.
    let (mine, found) = (fs::metadata(directory)?, fs::symlink_metadata(place)?);
    if !found.is_dir() || found.uid() != mine.uid() || found.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!("{} belongs to another user, or is open to others", place.display())));
    }
    Ok(socket)
}

fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_in_the_directory_unless_its_path_is_too_long() {
        assert_eq!(socket(Path::new("/data")).unwrap(), Path::new("/data/redis.sock"));
        let deep = tempfile::tempdir().unwrap();
        let deep = deep.path().join("d".repeat(120));
        private_directory(&deep).unwrap();
        let short = socket(&deep).unwrap();
        assert!(short.as_os_str().len() <= MAX_SOCKET_PATH, "{}", short.display());
        assert_eq!(short, socket(&deep).unwrap(), "the next run must find it");
        fs::remove_dir(short.parent().unwrap()).unwrap();
    }
}
