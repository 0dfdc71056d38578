//! Whether its processes show somebody's work that a restart would break off: a restore, a dump, a build, a hand at a
//! shell.
//!
//! Such work ends by itself, and nobody gets back what it had done. That a process is called so is a hint and no proof,
//! as a container calls its processes what it likes; so it holds back and brings nothing about. What is called so and
//! uses nothing is not at work: it hangs.

use hemostat_schema::{Span, container::Health, examination::Process, observation::Symptom};

use super::Case;

/// CPU above this is work, where work is looked for.
const AT_WORK: f64 = 2.0;
/// Who waits for a disk for so much of the time works on it.
const WAITS_FOR_DISK: f64 = 5.0;
/// A process that has used less has not begun to work, or only watches over others.
const HAS_WORKED: Span = Span::from_secs(1);
/// A shell in a container that has been ill for longer has been forgotten there.
const ATTENDED_FOR: Span = Span::from_secs(3600);
/// So many of the words after a program's name say what it is to do.
const ORDERS: usize = 3;

/// Programs that write, read or change all of somebody's data, once.
pub(super) const OF_DATA: [&str; 37] = [
    "alembic",
    "barman",
    "borg",
    "borgmatic",
    "clusterdb",
    "duplicity",
    "fsck",
    "flyway",
    "gh-ost",
    "kopia",
    "liquibase",
    "mariabackup",
    "mariadb-backup",
    "mariadb-dump",
    "mongodump",
    "mongoexport",
    "mongoimport",
    "mongorestore",
    "myisamchk",
    "mysqlcheck",
    "mysqldump",
    "mysqlpump",
    "pg_basebackup",
    "pg_dump",
    "pg_dumpall",
    "pg_restore",
    "pg_upgrade",
    "pgbackrest",
    "pgloader",
    "pt-online-schema-change",
    "rclone",
    "reindexdb",
    "restic",
    "rsync",
    "vacuumdb",
    "wal-g",
    "xtrabackup",
];
/// What a program is told, or called, that does such a thing.
const TO_DATA: [&str; 9] =
    ["backup", "dump", "import", "migrate", "reindex", "restore", "upgrade", "vacuum", "wp-search-replace"];
/// What PostgreSQL writes beside the name of a process that does such a thing.
const OF_POSTGRES: [&str; 6] = [" copy", " vacuum", " reindex", " create index", " alter table", " cluster"];
/// Programs that make something of something else, once.
const OF_MAKING: [&str; 34] = [
    "7z",
    "bazel",
    "bzip2",
    "cargo",
    "cc1",
    "cc1plus",
    "clang",
    "clang++",
    "cmake",
    "collect2",
    "ffmpeg",
    "ffprobe",
    "g++",
    "gcc",
    "gmake",
    "gunzip",
    "gzip",
    "handbrakecli",
    "javac",
    "ld",
    "lld",
    "make",
    "mvn",
    "ninja",
    "pigz",
    "rustc",
    "tar",
    "tsc",
    "unzip",
    "webpack",
    "x264",
    "x265",
    "xz",
    "zstd",
];
/// What a program is told that does.
const TO_MAKE: [&str; 8] = ["build", "compile", "encode", "index-pack", "pack-objects", "repack", "train", "transcode"];
/// Who is told one of these waits for others' orders, and is no such work.
const TO_SERVE: [&str; 12] = [
    "--daemon", "--server", "--watch", "daemon", "mount", "rcd", "schedule", "serve", "server", "start", "watch",
    "worker",
];
/// These run what they are given.
const RUNNERS: [&str; 23] = [
    "ash", "bash", "bundle", "bunx", "dash", "env", "ionice", "nice", "node", "nodejs", "npm", "npx", "perl", "php",
    "pnpm", "python", "rake", "ruby", "sh", "sudo", "time", "timeout", "yarn",
];
/// Programs with which somebody looks into another one, which may stand still meanwhile.
const DEBUGGERS: [&str; 8] = ["debugpy", "dlv", "gdb", "jdb", "lldb", "pdb", "rr", "strace"];
/// Shells that somebody sits at: those that were given nothing to run.
const SHELLS: [&str; 5] = ["ash", "bash", "fish", "sh", "zsh"];

/// What somebody's work explains.
pub(super) const LEVELS: [Symptom; 9] = [
    Symptom::CpuHigh,
    Symptom::MemoryHigh,
    Symptom::PidsHigh,
    Symptom::Pressure,
    Symptom::DiskFilling,
    Symptom::CpuUnusual,
    Symptom::MemoryUnusual,
    Symptom::NetworkUnusual,
    Symptom::BlockUnusual,
];

/// What somebody's work is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errand {
    /// It makes something, which could be made again.
    Making,
    /// It moves or changes data: broken off, it leaves half of it.
    Data,
}

impl<'a> Case<'a> {
    /// The process that does somebody's work which comes to an end, and which; that on data before all others.
    pub(super) fn errand(&self) -> Option<(Errand, &'a Process)> {
        let works = |process: &&Process| process.cpu >= HAS_WORKED;
        let all = self.processes().iter().filter(works).filter(|_| self.is_at_work());
        let errands = all.filter_map(|process| Some((errand(&process.command)?, process)));
        // Of those that are alike the first, which is the busiest.
        errands.rev().max_by_key(|(errand, _)| *errand)
    }

    /// The process that works on data, and must not be broken off whatever else is wrong.
    pub(super) fn data_errand(&self) -> Option<&'a Process> {
        self.errand().filter(|(errand, _)| *errand == Errand::Data).map(|(_, process)| process)
    }

    /// Whether somebody is at a shell in it: an operator, who sees to it.
    pub(super) fn is_attended(&self) -> bool {
        let processes = self.processes();
        let lately = self.ills().all(|symptom| self.stood(symptom) <= ATTENDED_FOR);
        let at_a_shell = processes.len() > 1 && processes.iter().any(|process| is_a_hand(&process.command));
        lately && (at_a_shell || self.is_debugged())
    }

    /// Whether somebody holds it with a debugger.
    fn is_debugged(&self) -> bool {
        let debugs = |process: &Process| {
            process
                .command
                .split_whitespace()
                .next()
                .map(program_of)
                .is_some_and(|program| DEBUGGERS.contains(&program))
        };
        let lines = self.examined_now().map_or(&[][..], |examined| &examined.output);
        let last = lines.iter().rev().find_map(|line| {
            let text = line.text.to_lowercase();
            let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
            if says(&["debugger attached", "debugger connected"]) {
                Some(true)
            } else {
                says(&["debugger detached", "debugger disconnected", "waiting for the debugger to disconnect"])
                    .then_some(false)
            }
        });
        last == Some(true) || self.processes().iter().any(debugs)
    }

    /// Whether all that is wrong is a level that somebody's work explains, which is over when that is.
    pub(super) fn is_errand(&self) -> bool {
        let dies = self.level(Symptom::MemoryHigh).is_some_and(|level| level.is_critical());
        let stuck = self.dead_processes() > 0 || self.facts.health == Health::Unhealthy;
        let counts = [Symptom::CpuHigh, Symptom::PidsHigh];
        let by_output = self.is_only_ill_of(&counts) && self.gets_on();
        self.runs()
            && self.is_only_ill_of(&LEVELS)
            && !dies
            && !stuck
            && (self.errand().is_some_and(|(_, process)| self.explains(process)) || by_output)
    }

    /// Whether this work may be why it is ill: not where its CPU is high, and another process has used enough of that to
    /// be the reason, and this one has not.
    fn explains(&self, work: &Process) -> bool {
        let half = Span::from_millis(self.stood(Symptom::CpuHigh).as_millis() / 2);
        let other = |process: &Process| process.cpu >= half && errand(&process.command).is_none();
        !self.is_ill_of(Symptom::CpuHigh) || work.cpu >= half || !self.processes().iter().any(other)
    }

    pub(super) fn processes(&self) -> &'a [Process] {
        self.examined_now().map_or(&[][..], |examined| &examined.processes)
    }

    /// Whether it uses anything at all; so it is believed where nobody has measured it.
    fn is_at_work(&self) -> bool {
        self.vitals_now().is_none_or(|vitals| {
            let waits = vitals.strain.disk.is_some_and(|share| share.get() >= WAITS_FOR_DISK);
            vitals.cpu.get() > AT_WORK || waits
        })
    }
}

/// What a process does that comes to an end, as far as it is called so.
fn errand(command: &str) -> Option<Errand> {
    let command = command.to_lowercase();
    if let Some(title) = command.strip_prefix("postgres:") {
        return OF_POSTGRES.iter().any(|order| title.contains(order)).then_some(Errand::Data);
    }
    let words: Vec<&str> = command.split_whitespace().collect();
    if words.iter().any(|word| TO_SERVE.contains(word)) {
        return None;
    }
    let begins = words.iter().position(|word| !is_runner(word) && !word.starts_with('-'))?;
    let program = stem(words[begins]);
    let runner = begins.checked_sub(1).map(|before| program_of(words[before])).unwrap_or_default();
    // What stands behind a flag of one letter is what the flag is about.
    let is_flag = |word: &str| word.starts_with('-');
    let orders = words[begins..].windows(2).filter(|pair| !is_flag(pair[1]) && !pair[1].contains('/'));
    let orders = orders.filter(|pair| !(is_flag(pair[0]) && pair[0].len() == 2)).map(|pair| pair[1]).take(ORDERS);
    let mut orders = orders.flat_map(|word| word.split(':'));
    let scripted = !runner.is_empty() && !words[begins].ends_with(".jar");
    let named = scripted.then(|| program.split(':')).into_iter().flatten();
    let mut told = named.chain(&mut orders);
    if OF_DATA.contains(&program) {
        return Some(Errand::Data);
    }
    if OF_MAKING.contains(&program) {
        return Some(Errand::Making);
    }
    told.find_map(|word| match word {
        word if TO_DATA.contains(&word) => Some(Errand::Data),
        word if TO_MAKE.contains(&word) => Some(Errand::Making),
        _ => None,
    })
}

/// The name of a program, without where it lies.
fn program_of(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The same without what says which language it is written in.
fn stem(word: &str) -> &str {
    let name = program_of(word);
    let script = |ending: &&str| name.ends_with(*ending);
    [".sh", ".py", ".rb", ".js", ".php", ".pl", ".ts"]
        .iter()
        .find(|ending| script(ending))
        .map_or(name, |ending| &name[..name.len() - ending.len()])
}

/// Whether it is one that runs what it is given, of whatever version.
fn is_runner(word: &str) -> bool {
    let name = program_of(word).trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    RUNNERS.contains(&name)
}

/// Whether it is a shell that was given nothing to run.
fn is_a_hand(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let shell = words.next().map(|word| program_of(word).trim_start_matches('-'));
    shell.is_some_and(|shell| SHELLS.contains(&shell))
        && words.all(|word| ["-i", "-l", "-il", "--login"].contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_at_work_that_ends_is_told_from_who_serves() {
        use Errand::{Data, Making};
        let check = |command: &str, expected: Option<Errand>| assert_eq!(errand(command), expected, "{command}");
        check("pg_dump -Fc -v -h db -U backup shop", Some(Data));
        check("/usr/bin/python3 /usr/local/bin/borg create --progress ssh://b@host/./repo::1 /source", Some(Data));
        check("/opt/gitlab/embedded/bin/ruby /opt/gitlab/embedded/bin/rake gitlab:backup:restore", Some(Data));
        check("postgres: shop shop [local] COPY", Some(Data));
        check("postgres: shop shop [local] idle", None);
        check("postgres: autovacuum launcher", None);
        check("python manage.py migrate --noinput", Some(Data));
        check("python3.12 /app/manage.py runserver", None);
        check("php artisan migrate", Some(Data));
        check("/bin/sh /backup.sh", Some(Data));
        check("/bin/sh -c /backup.sh", Some(Data));
        check("ninja -j 128", Some(Making));
        check("/usr/lib/gcc/x86_64-linux-gnu/13/cc1plus -quiet src/sim/solver.cpp", Some(Making));
        check("/usr/lib/jellyfin-ffmpeg/ffmpeg -i film.mkv out.mp4", Some(Making));
        check("npm run build", Some(Making));
        check("git pack-objects --revs --thin --stdout", Some(Making));
        check("node /srv/build/index.js", None);
        check("java -jar /app/import.jar", None);
        check("/usr/local/bin/imports --listen :80", None);
        check("rsync --daemon --no-detach", None);
        check("rclone serve webdav remote:", None);
        check("celery -A shop worker -Q import", None);
        check("python -m tasks -Q import", None);
        check("tsc --watch", None);
        check("node", None);
        check("", None);
    }

    #[test]
    fn a_hand_is_a_shell_that_was_given_nothing_to_run() {
        for command in ["bash", "/bin/bash", "-bash", "/bin/sh -i", "zsh --login"] {
            assert!(is_a_hand(command), "{command}");
        }
        for command in ["sh -c sleep 1", "/bin/bash /entrypoint.sh", "bashful", "python3", ""] {
            assert!(!is_a_hand(command), "{command}");
        }
    }
}
