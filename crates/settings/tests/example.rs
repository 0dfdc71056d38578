//! Writes `hemostat.example.toml` and `.env.example` from the keys, and compares what is committed with that.
//!
//! `UPDATE_GOLDEN=1` writes both files.

use std::{env, fmt::Write as _, fs, path::Path};

use hemostat_schema::Span;
use hemostat_settings::{Config, Key};

const FILE: &str = "hemostat.example.toml";
const ENVIRONMENT: &str = ".env.example";

const FILE_HEAD: &str = "\
# HemoStat's settings: every key with its default. Copy this file to hemostat.toml and remove the # before what you change.
# The same keys as variables: HEMOSTAT_RESPONDER__COOLDOWN=30m; on the command line: --set responder.cooldown=30m.
# A later source wins: this file, the environment, the command line.
# Times are written \"500ms\", \"45s\", \"2 min\", \"1h30m\", \"1d\", or as a whole number of seconds.
# A secret is better kept in a file of its own: <key>_file is its path (HEMOSTAT_REDIS__PASSWORD_FILE or REDIS_PASSWORD_FILE
# as a variable, a systemd credential of the key's name as well). HemoStat reads passwords, keys and webhook addresses again
# when it uses them, so a rotated secret needs no restart.
#
# This file is generated from crates/settings: UPDATE_GOLDEN=1 cargo nextest run -p hemostat-settings example
";

const ENVIRONMENT_HEAD: &str = "\
# HemoStat's settings as environment variables: those with short names, with their defaults. Copy this file to .env and put
# it into the environment before HemoStat starts: set -a; . ./.env; set +a
# Every key of hemostat.example.toml can be set here: responder.cooldown is HEMOSTAT_RESPONDER__COOLDOWN.
# An empty variable sets nothing. A secret may be in a file: the variable with _FILE is its path.
#
# This file is generated from crates/settings: UPDATE_GOLDEN=1 cargo nextest run -p hemostat-settings example
";

fn file() -> String {
    let mut text = FILE_HEAD.to_owned();
    let mut section = "";
    for key in Config::keys() {
        let (of, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if of == section {
            text.push_str(if of.is_empty() { "\n" } else { "" });
        } else {
            section = of;
            text.push('\n');
            comment(&mut text, "##", key.section_doc);
            let _ = writeln!(text, "# [{section}]");
        }
        comment(&mut text, "##", key.doc);
        let _ = writeln!(text, "# {name} = {}", key.default);
        if key.secret {
            let _ = writeln!(text, "# {name}_file = \"\"");
        }
    }
    text
}

/// Keys with a name of their own as a variable, and those that such a key is of no use without.
fn environment() -> String {
    let mut text = ENVIRONMENT_HEAD.to_owned();
    // An alias with a dot is an earlier name of the key.
    let short = |key: &Key| key.aliases.iter().copied().find(|alias| !alias.contains('.'));
    let is_listed = |key: &Key| short(key).is_some() || key.name == "analyzer.mode";
    for key in Config::keys().into_iter().filter(is_listed) {
        text.push('\n');
        comment(&mut text, "#", key.doc);
        let own = key.variable();
        let name = short(&key).unwrap_or(&own);
        let _ = writeln!(text, "{name}={}", plain(name, &key.default));
        if key.secret {
            let _ = writeln!(text, "{name}_FILE=");
        }
    }
    text
}

fn comment(text: &mut String, mark: &str, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(text, "{mark}{line}");
    }
}

/// A value as it is written in the environment: without quotes and brackets, and in seconds if the name says so.
fn plain(name: &str, value: &str) -> String {
    let text = value.trim_matches(['[', ']']).replace('"', "");
    match text.parse::<Span>() {
        Ok(span) if name.ends_with("_SECONDS") => (span.as_millis() / 1000).to_string(),
        _ => text,
    }
}

#[test]
fn the_example_files_are_as_the_settings_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (name, text) in [(FILE, file()), (ENVIRONMENT, environment())] {
        let path = root.join(name);
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap();
        assert_eq!(committed, text, "{name} is not as the settings say; UPDATE_GOLDEN=1 with this test writes it");
    }
}
