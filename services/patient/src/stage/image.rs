//! The patients' image: the binary and its shared libraries, imported into the engine as one layer.
//!
//! Nothing is pulled. The tag is a hash of the content, so a rebuilt binary gets a new image and an unchanged one is
//! reused.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};
use bollard::{
    Docker, body_full,
    errors::Error,
    query_parameters::{CreateImageOptions, ListImagesOptions, RemoveImageOptions},
};
use futures::TryStreamExt;

/// The path of the binary in the image.
pub(super) const PROGRAM: &str = "/patient";

const REPOSITORY: &str = "hemostat-patient";

/// How to build the binary, for the error when it is missing.
const BUILD: &str = "cargo build --profile quick -p hemostat-patient --no-default-features";

/// How long the image of another build is kept, because another process may be using it.
const KEPT: Duration = Duration::from_secs(3600);

/// Ensures that the engine has the image, and returns its name.
pub(super) async fn ensure(docker: &Docker) -> anyhow::Result<String> {
    // One process at a time: two that import the same content would leave an image without a name.
    let pack = || find_binary().and_then(|binary| Ok((archive(&binary)?, lock(&binary)?)));
    let (archive, _lock) = tokio::task::spawn_blocking(pack).await.context("packing the patients' image failed")??;
    let mut hasher = DefaultHasher::new();
    archive.hash(&mut hasher);
    let tag = format!("{:016x}", hasher.finish());
    let name = format!("{REPOSITORY}:{tag}");
    match docker.inspect_image(&name).await {
        Ok(_) => return Ok(name),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
        Err(error) => return Err(error).context("could not inspect the patients' image"),
    }
    let options = CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some(REPOSITORY.to_owned()),
        tag: Some(tag),
        changes: vec![format!("ENTRYPOINT [\"{PROGRAM}\"]"), "EXPOSE 8080".to_owned()],
        ..Default::default()
    };
    let import = docker.create_image(Some(options), Some(body_full(archive.into())), None);
    import.try_collect::<Vec<_>>().await.context("the engine did not import the patients' image")?;
    remove_unused(docker, KEPT).await?;
    Ok(name)
}

/// Locks until the file is closed, also when this process is killed.
fn lock(binary: &Path) -> anyhow::Result<File> {
    let path = binary.with_extension("lock");
    let lock = || {
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        file.lock().map(|()| file)
    };
    lock().with_context(|| format!("could not lock {}", path.display()))
}

/// Removes the images that are older than `kept` and that no container uses.
pub(super) async fn remove_unused(docker: &Docker, kept: Duration) -> anyhow::Result<()> {
    let options = ListImagesOptions {
        filters: Some(HashMap::from([("reference".to_owned(), vec![REPOSITORY.to_owned()])])),
        ..Default::default()
    };
    let images = docker.list_images(Some(options)).await.context("could not list the patients' images")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let oldest = i64::try_from(now.saturating_sub(kept).as_secs()).unwrap_or(i64::MAX);
    for name in images.into_iter().filter(|image| image.created <= oldest).flat_map(|image| image.repo_tags) {
        // The engine refuses if a container uses it; a later run then removes it.
        drop(docker.remove_image(&name, None::<RemoveImageOptions>, None).await);
    }
    Ok(())
}

/// Finds the patient's binary: `PATIENT_BINARY`, or else `patient` beside the running program or in a build directory
/// near it. Debug builds are skipped: they are large, and a test run may be compiling them.
fn find_binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("PATIENT_BINARY") {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "PATIENT_BINARY names {}, which is not a file", path.display());
        return Ok(path);
    }
    let here = std::env::current_exe().context("could not find out where this program is")?;
    // target/quick/hemostat, target/debug/hemostat, target/debug/deps/journeys-…, /usr/bin/hemostat
    let near = here.ancestors().skip(1).take(4);
    let found = near.flat_map(|folder| ["", "quick", "release"].map(|profile| folder.join(profile).join("patient")));
    let is_usable = |path: &PathBuf| {
        let is_debug = path.parent().is_some_and(|folder| folder.ends_with("debug") || folder.ends_with("deps"));
        path.is_file() && !is_debug
    };
    found.into_iter().find(is_usable).with_context(|| format!("the patient's binary is missing; run: {BUILD}"))
}

/// The root file system of the image, as a tar.
fn archive(binary: &Path) -> anyhow::Result<Vec<u8>> {
    let mut files = BTreeMap::from([(PROGRAM.to_owned(), binary.to_owned())]);
    for library in shared_libraries(binary)? {
        files.insert(library.clone(), PathBuf::from(library));
    }
    let mut tar = tar::Builder::new(Vec::new());
    for (name, source) in files {
        // Follows symbolic links; without owner and time, so that the same content has the same hash.
        let content = std::fs::read(&source).with_context(|| format!("could not read {}", source.display()))?;
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(0);
        tar.append_data(&mut header, name.trim_start_matches('/'), content.as_slice())
            .with_context(|| format!("could not pack {}", source.display()))?;
    }
    tar.into_inner().context("could not pack the patients' image")
}

/// The paths of the binary's libraries and loader, as `ldd` lists them.
fn shared_libraries(binary: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new("ldd").arg(binary).env("LC_ALL", "C").output();
    let output = output.context("could not run ldd, which lists the libraries of the patient's image")?;
    let (output_text, error_text) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        ensure!(error_text.contains("not a dynamic"), "ldd {}: {}", binary.display(), error_text.trim());
        return Ok(vec![]);
    }
    parse_ldd(&output_text)
}

/// Lines such as `libc.so.6 => /lib/libc.so.6 (0x…)`, `/lib64/ld-linux.so.2 (0x…)` and `linux-vdso.so.1 (0x…)`.
fn parse_ldd(output: &str) -> anyhow::Result<Vec<String>> {
    let mut paths = vec![];
    for line in output.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "statically linked") {
        let (name, found) = line.split_once(" => ").unwrap_or((line, line));
        let path = found.split(" (").next().unwrap_or_default();
        if path == "not found" {
            bail!("the patient needs {name}, which is not installed");
        }
        // Without a slash it is the kernel's vDSO, which is not a file.
        if path.starts_with('/') {
            paths.push(path.to_owned());
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_are_those_that_ldd_lists() {
        let glibc = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(parse_ldd(glibc).unwrap(), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert_eq!(parse_ldd("\tstatically linked\n").unwrap(), [""; 0]);
        let missing = parse_ldd("\tlibfoo.so.1 => not found\n").unwrap_err();
        assert_eq!(missing.to_string(), "the patient needs libfoo.so.1, which is not installed");
    }

    #[test]
    fn the_same_content_gives_the_same_image() {
        let shell = Path::new("/bin/sh");
        assert_eq!(archive(shell).unwrap(), archive(shell).unwrap());
    }
}
