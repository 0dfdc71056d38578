//! Recognises processes that a restart would interrupt: a restore, a dump, a build, an operator's shell or debugger.
//!
//! Such a job ends by itself, and interrupted work is lost. A process name is a hint, not a proof, because a container
//! names its processes as it likes; so a job rules a remedy out, and causes none. A job that uses no CPU and no disk is
//! not working: it hangs.

use hemostat_schema::{Span, container::Health, examination::Process, observation::Symptom};

use crate::{case::Case, vocabulary::VOCABULARY};

/// CPU percent above which a job counts as working.
const WORKING_CPU: f64 = 2.0;
/// Percentage of time spent waiting for the disk from which a job counts as working on it.
const WORKING_DISK: f64 = 5.0;
/// CPU time below which a process has not begun to work, or only supervises others.
const MIN_CPU_TIME: Span = Span::from_secs(1);
/// How long an incident may last before a shell in the container counts as forgotten.
const SESSION_FOR: Span = Span::from_secs(3600);
/// How many arguments after the program's name may name its task.
const TASK_ARGUMENTS: usize = 3;

/// The symptoms that a job explains.
pub(super) const EXPLAINED_BY_A_JOB: [Symptom; 9] = [
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

/// The kind of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    /// It builds something that could be built again.
    Build,
    /// It moves or changes data: interrupted, it leaves it half done.
    Data,
}

impl<'a> Case<'a> {
    /// The job that runs in it, and its kind: jobs on data first.
    pub(super) fn running_job(&self) -> Option<(Job, &'a Process)> {
        let works = |process: &&Process| process.cpu >= MIN_CPU_TIME;
        let all = self.processes().iter().filter(works).filter(|_| self.uses_resources());
        let jobs = all.filter_map(|process| Some((job(&process.command)?, process)));
        // `max_by_key` takes the last of equals; reversed, that is the busiest.
        jobs.rev().max_by_key(|(job, _)| *job)
    }

    /// The job that works on data, and must not be interrupted whatever else is wrong.
    pub(super) fn data_job(&self) -> Option<&'a Process> {
        self.running_job().filter(|(job, _)| *job == Job::Data).map(|(_, process)| process)
    }

    /// Whether an operator has a shell or a debugger in it.
    pub(super) fn has_operator_session(&self) -> bool {
        let processes = self.processes();
        let recent = self.serious_symptoms().all(|symptom| self.symptom_age(symptom) <= SESSION_FOR);
        let has_shell = processes.len() > 1 && processes.iter().any(|process| is_interactive_shell(&process.command));
        recent && (has_shell || self.is_debugged())
    }

    /// Whether a debugger is attached.
    fn is_debugged(&self) -> bool {
        let is_debugger = |process: &Process| {
            process
                .command
                .split_whitespace()
                .next()
                .map(program_of)
                .is_some_and(|program| VOCABULARY.debuggers.contain(program))
        };
        let lines = self.current_examination().map_or(&[][..], |examined| &examined.output);
        let last = lines.iter().rev().find_map(|line| {
            let text = line.text.to_lowercase();
            let contains = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
            if contains(&["debugger attached", "debugger connected"]) {
                Some(true)
            } else {
                contains(&["debugger detached", "debugger disconnected", "waiting for the debugger to disconnect"])
                    .then_some(false)
            }
        });
        last == Some(true) || self.processes().iter().any(is_debugger)
    }

    /// Whether all its symptoms are explained by a job, or by progress in its log, and end with it.
    pub(super) fn is_explained_by_a_job(&self) -> bool {
        let near_oom = self.level(Symptom::MemoryHigh).is_some_and(|level| level.is_critical());
        let stuck = self.zombie_processes() > 0 || self.facts.health == Health::Unhealthy;
        let by_progress = [Symptom::CpuHigh, Symptom::PidsHigh];
        let by_output = self.has_only(&by_progress) && self.makes_progress();
        self.is_running()
            && self.has_only(&EXPLAINED_BY_A_JOB)
            && !near_oom
            && !stuck
            && (self.running_job().is_some_and(|(_, process)| self.explains(process)) || by_output)
    }

    /// Whether this process may be the cause: not if CPU is high, and another process has used enough of it to be the
    /// cause while this one has not.
    fn explains(&self, work: &Process) -> bool {
        let half = Span::from_millis(self.symptom_age(Symptom::CpuHigh).as_millis() / 2);
        let other = |process: &Process| process.cpu >= half && job(&process.command).is_none();
        !self.has_symptom(Symptom::CpuHigh) || work.cpu >= half || !self.processes().iter().any(other)
    }

    pub(super) fn processes(&self) -> &'a [Process] {
        self.current_examination().map_or(&[][..], |examined| &examined.processes)
    }

    /// Whether it uses CPU or disk; assumed if it was not measured.
    fn uses_resources(&self) -> bool {
        self.current_vitals().is_none_or(|vitals| {
            let waits = vitals.strain.disk.is_some_and(|share| share.get() >= WORKING_DISK);
            vitals.cpu.get() > WORKING_CPU || waits
        })
    }
}

/// The kind of job that a command line indicates.
fn job(command: &str) -> Option<Job> {
    let command = command.to_lowercase();
    if let Some(title) = command.strip_prefix("postgres:") {
        return VOCABULARY.postgres_tasks.any(|task| title.contains(task)).then_some(Job::Data);
    }
    let words: Vec<&str> = command.split_whitespace().collect();
    if words.iter().any(|word| VOCABULARY.server_arguments.contain(word)) {
        return None;
    }
    let begins = words.iter().position(|word| !is_runner(word) && !word.starts_with('-'))?;
    let program = stem(words[begins]);
    let runner = begins.checked_sub(1).map(|before| program_of(words[before])).unwrap_or_default();
    // The argument after a one-letter flag is the value of the flag.
    let is_flag = |word: &str| word.starts_with('-');
    let arguments = words[begins..].windows(2).filter(|pair| !is_flag(pair[1]) && !pair[1].contains('/'));
    let arguments =
        arguments.filter(|pair| !(is_flag(pair[0]) && pair[0].len() == 2)).map(|pair| pair[1]).take(TASK_ARGUMENTS);
    let mut arguments = arguments.flat_map(|word| word.split(':'));
    let scripted = !runner.is_empty() && !words[begins].ends_with(".jar");
    let named = scripted.then(|| program.split(':')).into_iter().flatten();
    let mut words = named.chain(&mut arguments);
    if VOCABULARY.data_programs.contain(program) {
        return Some(Job::Data);
    }
    if VOCABULARY.build_programs.contain(program) {
        return Some(Job::Build);
    }
    words.find_map(|word| match word {
        word if VOCABULARY.data_tasks.contain(word) => Some(Job::Data),
        word if VOCABULARY.build_tasks.contain(word) => Some(Job::Build),
        _ => None,
    })
}

/// The name of a program without its directory.
fn program_of(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The same without the extension of a script.
fn stem(word: &str) -> &str {
    let name = program_of(word);
    let script = |ending: &&str| name.ends_with(*ending);
    [".sh", ".py", ".rb", ".js", ".php", ".pl", ".ts"]
        .iter()
        .find(|ending| script(ending))
        .map_or(name, |ending| &name[..name.len() - ending.len()])
}

/// Whether it runs another program or a script, in any version.
fn is_runner(word: &str) -> bool {
    let name = program_of(word).trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    VOCABULARY.runners.contain(name)
}

/// Whether it is a shell without a command to run.
fn is_interactive_shell(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let shell = words.next().map(|word| program_of(word).trim_start_matches('-'));
    shell.is_some_and(|shell| VOCABULARY.shells.contain(shell))
        && words.all(|word| ["-i", "-l", "-il", "--login"].contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_told_apart_from_servers() {
        use Job::{Build, Data};
        let check = |command: &str, expected: Option<Job>| assert_eq!(job(command), expected, "{command}");
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
        check("ninja -j 128", Some(Build));
        check("/usr/lib/gcc/x86_64-linux-gnu/13/cc1plus -quiet src/sim/solver.cpp", Some(Build));
        check("/usr/lib/jellyfin-ffmpeg/ffmpeg -i film.mkv out.mp4", Some(Build));
        check("npm run build", Some(Build));
        check("git pack-objects --revs --thin --stdout", Some(Build));
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
    fn a_shell_without_a_command_is_interactive() {
        for command in ["bash", "/bin/bash", "-bash", "/bin/sh -i", "zsh --login"] {
            assert!(is_interactive_shell(command), "{command}");
        }
        for command in ["sh -c sleep 1", "/bin/bash /entrypoint.sh", "bashful", "python3", ""] {
            assert!(!is_interactive_shell(command), "{command}");
        }
    }
}
