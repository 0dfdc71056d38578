//! The set of labelled cases: the one that is built in, or a directory of the user's.

use std::{num::NonZeroUsize, path::Path};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::case::Labelled;

/// The cases that are built in (feature `cases`).
///
/// # Errors
/// When one of them cannot be read, and when this program was built without them.
#[cfg(feature = "cases")]
pub fn built_in() -> anyhow::Result<Vec<Labelled>> {
    use include_dir::{Dir, include_dir};

    static CASES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/eval/cases");
    let read = CASES.files().filter(|file| is_case(file.path())).map(|file| {
        let name = file.path().file_stem().unwrap_or_default().to_string_lossy();
        let text = file.contents_utf8().with_context(|| format!("the case {name} is not text in UTF-8"))?;
        Labelled::read(&name, text)
    });
    let mut cases: Vec<_> = read.collect::<anyhow::Result<_>>()?;
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// As above, in a program that was built without them.
#[cfg(not(feature = "cases"))]
pub fn built_in() -> anyhow::Result<Vec<Labelled>> {
    bail!("this hemostat was built without labelled cases; name a directory of cases (--cases DIR)")
}

fn is_case(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

/// The cases of a directory: its files that end in `.toml`, by name.
///
/// # Errors
/// When there is none, or one cannot be read.
pub fn of_directory(directory: &Path) -> anyhow::Result<Vec<Labelled>> {
    let mut cases = vec![];
    let doing = || format!("could not read the cases in {}", directory.display());
    for entry in std::fs::read_dir(directory).with_context(doing)? {
        let path = entry.with_context(doing)?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        if is_case(&path) {
            let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
            cases.push(Labelled::read(name, &text)?);
        }
    }
    if cases.is_empty() {
        bail!("there are no cases in {}: each is a file that ends in .toml", directory.display());
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// How a random sample of the cases was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Number of cases that it was drawn from.
    pub of: usize,
    /// Seed of the random number generator: the same seed draws the same cases.
    pub seed: u64,
}

impl Sample {
    /// Draws `count` of `cases`, in their order; all of them if there are no more.
    pub fn draw(self, cases: Vec<Labelled>, count: NonZeroUsize) -> Vec<Labelled> {
        let mut drawn = fastrand::Rng::with_seed(self.seed).choose_multiple(cases.into_iter().enumerate(), count.get());
        drawn.sort_by_key(|(place, _)| *place);
        drawn.into_iter().map(|(_, case)| case).collect()
    }
}

#[cfg(test)]
#[cfg(feature = "cases")]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_cases_and_another_seed_others() {
        let all = built_in().unwrap();
        let drawn = |seed, count| {
            let drawn = Sample { of: all.len(), seed }.draw(all.clone(), NonZeroUsize::new(count).unwrap());
            drawn.into_iter().map(|case| case.name).collect::<Vec<_>>()
        };
        let names = |cases: &[Labelled]| cases.iter().map(|case| case.name.clone()).collect::<Vec<_>>();
        assert_eq!(drawn(1, 12).len(), 12);
        assert_eq!(drawn(1, 12), drawn(1, 12));
        assert_ne!(drawn(1, 12), drawn(2, 12));
        assert!(drawn(1, 12).is_sorted());
        assert_eq!(drawn(1, all.len() + 1), names(&all));
    }

    #[test]
    fn every_file_of_the_directory_is_built_in() {
        let on_disk = of_directory(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/eval/cases"))).unwrap();
        let names = |cases: &[Labelled]| cases.iter().map(|case| case.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&built_in().unwrap()), names(&on_disk));
    }

    #[test]
    fn an_error_in_a_case_names_the_case_and_the_key() {
        let sound = include_str!("../../eval/cases/crash-segfault-after-days.toml");
        let check = |text: &str, says: &str| {
            let error = format!("{:#}", Labelled::read("mine", text).unwrap_err());
            assert!(error.contains("the case mine") && error.contains(says), "{error}");
        };
        check("story = 1", "story");
        check(&sound.replace("[expect]", "[expected]"), "expected");
        check(&sound.replace("is = \"exited\"", "is = \"restart_loop\""), "count is missing");
        check(&sound.replace("remedies = [\"start\"]", "remedies = [\"reboot\"]"), "reboot");
        check(&sound.replace("\"97h\"", "\"long\""), "is not a time such as");
        let empty = tempfile::tempdir().unwrap();
        assert!(of_directory(empty.path()).unwrap_err().to_string().contains("ends in .toml"));
        assert!(of_directory(Path::new("nowhere")).unwrap_err().to_string().contains("nowhere"));
    }
}
