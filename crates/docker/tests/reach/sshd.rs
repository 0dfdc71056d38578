//! Runs a real sshd for a test, with its own port and keys and for the current user only.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

/// A running sshd; ended when dropped.
pub struct Sshd {
    child: Child,
    folder: TempDir,
    pub port: u16,
    pub user: String,
}

impl Sshd {
    /// Starts one with additional configuration lines, and waits until it listens.
    pub async fn start(more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("hemostat-sshd-").tempdir().unwrap();
        for key in ["host", "client", "stranger"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path(folder.path(), key)]);
        }
        fs::copy(folder.path().join("client.pub"), folder.path().join("allowed")).unwrap();
        // A free port; another process could take it before sshd does, which is very unlikely.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = |name: &str| path(folder.path(), name);
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             LogLevel VERBOSE\n{more}\n",
            file("host"),
            file("allowed")
        );
        fs::write(folder.path().join("sshd_config"), config).unwrap();
        let public = fs::read_to_string(folder.path().join("host.pub")).unwrap();
        fs::write(folder.path().join("known"), format!("[127.0.0.1]:{port} {public}")).unwrap();
        fs::write(folder.path().join("unknown"), "").unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        // Its privilege separation directory, if run as root.
        let _ = fs::create_dir_all("/run/sshd");
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &file("sshd_config")])
            .stderr(Stdio::from(log))
            .spawn()
            .expect("this test needs sshd (on Debian and Ubuntu: openssh-server)");
        let user = run("id", &["-un"]);
        let sshd = Self { child, folder, port, user };
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !sshd.log().contains("Server listening") {
            assert!(std::time::Instant::now() < deadline, "sshd does not listen: {}", sshd.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sshd
    }

    /// An ssh configuration with this key and these known hosts, and nothing of the user's own.
    pub fn client(&self, key: &str, known: &str) -> String {
        let file = |name: &str| path(self.folder.path(), name);
        let name = format!("ssh_config-{key}-{known}");
        let config = format!(
            "IdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {}\nGlobalKnownHostsFile none\n\
             StrictHostKeyChecking yes\n",
            file(key),
            file(known)
        );
        fs::write(self.folder.path().join(&name), config).unwrap();
        file(&name)
    }

    /// Kills it with all its logins.
    pub fn cut(&mut self) {
        let mut all = vec![self.child.id()];
        let mut next = 0;
        while next < all.len() {
            all.extend(children(all[next]));
            next += 1;
        }
        for pid in all.iter().rev() {
            // One may have ended already.
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        let mut log = String::new();
        fs::File::open(self.folder.path().join("log")).unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child processes of `of`.
fn children(of: u32) -> Vec<u32> {
    let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // The name, in parentheses, may contain anything; the parent is the second field after it.
    let parent = |pid: u32| stat(pid)?.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok();
    processes.filter(|pid| parent(*pid) == Some(of)).collect()
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
