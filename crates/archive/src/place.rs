//! Where objects lie: a directory or an S3-compatible store, spoken to in the few ways that the archive needs.

use std::{fs, path::Path as FilePath, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::{
    BackoffConfig, ObjectStore, ObjectStoreExt as _, PutMode, RetryConfig, aws::AmazonS3Builder,
    local::LocalFileSystem, path::Path, prefix::PrefixStore,
};

use crate::Error;

/// What became of an object that was to be written only where there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    Now,
    Before,
}

/// A directory or a bucket with a prefix.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// For messages: `archive`.
    whose: &'static str,
    store: Arc<dyn ObjectStore>,
}

impl Place {
    pub fn new(whose: &'static str, store: Arc<dyn ObjectStore>) -> Self {
        Self { whose, store }
    }

    /// At a directory, `file:///path` or `s3://bucket/prefix`. A directory is made where there is none; a bucket is not
    /// asked before it is used.
    pub fn open(whose: &'static str, url: &str) -> Result<Self, Error> {
        let refused = |reason: String| Error::Url { url: without_credentials(url), reason };
        let store = match url.split_once("://") {
            Some(("s3" | "s3a", place)) => bucket(place),
            Some(("file", path)) => directory(FilePath::new(path)),
            Some((scheme, _)) => Err(format!("{scheme}:// is not supported")),
            None => directory(FilePath::new(url)),
        };
        Ok(Self::new(whose, store.map_err(refused)?))
    }

    /// An object; none where there is none.
    pub async fn get(&self, path: &Path) -> Result<Option<Bytes>, Error> {
        let got = async { self.store.get(path).await?.bytes().await };
        match got.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed("read", path, source)),
        }
    }

    /// Writes an object, whole or not at all, where there is none.
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Result<Created, Error> {
        match self.store.put_opts(path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(Created::Now),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(Created::Before)
            }
            Err(source) => Err(self.failed("write", path, source)),
        }
    }

    /// Writes an object, whole or not at all, whatever was there.
    pub async fn replace(&self, path: &Path, bytes: Bytes) -> Result<(), Error> {
        self.store.put(path, bytes.into()).await.map_err(|source| self.failed("write", path, source))?;
        Ok(())
    }

    pub async fn delete(&self, path: &Path) -> Result<(), Error> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failed("delete", path, source)),
        }
    }

    fn failed(&self, doing: &'static str, path: &Path, source: object_store::Error) -> Error {
        Error::Place { doing, object: path.to_string(), whose: self.whose, source: Box::new(source) }
    }

    /// The names of the objects in `directory` that sort after the object `after`; in no order.
    pub async fn names(&self, directory: &Path, after: Option<&Path>) -> Result<Vec<String>, Error> {
        let listed = match after {
            Some(after) => self.store.list_with_offset(Some(directory), after),
            None => self.store.list(Some(directory)),
        };
        let named = |path: &Path| path.filename().map(str::to_owned);
        let names = listed.try_filter_map(|object| std::future::ready(Ok(named(&object.location))));
        names.try_collect().await.map_err(|source| self.failed("list", directory, source))
    }
}

fn directory(path: &FilePath) -> Result<Arc<dyn ObjectStore>, String> {
    if path.as_os_str().is_empty() {
        return Err("the path of the directory is missing".to_owned());
    }
    let tell = |error: &dyn std::fmt::Display| format!("the directory cannot be made or used ({error})");
    fs::create_dir_all(path).map_err(|error| tell(&error))?;
    // What is sealed is then deleted from the log, so it must outlive a crash of the machine.
    let store = LocalFileSystem::new_with_prefix(path).map_err(|error| tell(&error))?.with_fsync(true);
    Ok(Arc::new(store))
}

fn bucket(place: &str) -> Result<Arc<dyn ObjectStore>, String> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    if bucket.is_empty() || bucket.contains('@') {
        return Err("the bucket is missing, or credentials stand before it: give these as AWS_ACCESS_KEY_ID and \
                    AWS_SECRET_ACCESS_KEY"
            .to_owned());
    }
    // Fails where a provider was chosen before: that one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Whoever waits holds a lease or a person: better to say soon what is wrong, and to try again later.
    let retry =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: 3, retry_timeout: Duration::from_secs(20) };
    let store = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(retry)
        .build()
        .map_err(|error| error.to_string())?;
    match prefix.trim_matches('/') {
        "" => Ok(Arc::new(store)),
        prefix => Ok(Arc::new(PrefixStore::new(store, prefix))),
    }
}

/// For messages.
fn without_credentials(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, after))) => format!("{scheme}://***@{after}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_place_is_refused_without_repeating_credentials() {
        for (url, says) in [
            ("", "path of the directory is missing"),
            ("file://", "path of the directory is missing"),
            ("/proc/no/such/place", "cannot be made"),
            ("s3://", "bucket is missing"),
            ("s3://key:s3cret@bucket/prefix", "credentials stand before it"),
            ("gs://bucket", "gs:// is not supported"),
            ("https://me:s3cret@host", "https:// is not supported"),
        ] {
            let error = Place::open("archive", url).unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[tokio::test]
    async fn an_object_is_created_once_and_only_found_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::open("archive", directory.path().join("new/archive").to_str().unwrap()).unwrap();
        let [a, b] = ["0/x/a", "0/x/b"].map(Path::from);
        assert_eq!(place.get(&a).await.unwrap(), None);
        assert_eq!(place.create(&a, "first".into()).await.unwrap(), Created::Now);
        assert_eq!(place.create(&a, "second".into()).await.unwrap(), Created::Before);
        assert_eq!(place.get(&a).await.unwrap().as_deref(), Some(b"first".as_slice()));
        place.replace(&b, "b".into()).await.unwrap();
        let mut all = place.names(&"0/x".into(), None).await.unwrap();
        all.sort();
        assert_eq!(all, ["a", "b"]);
        assert_eq!(place.names(&"0/x".into(), Some(&a)).await.unwrap(), ["b"]);
        assert_eq!(place.names(&"0/y".into(), None).await.unwrap(), Vec::<String>::new());
        place.delete(&a).await.unwrap();
        place.delete(&a).await.unwrap();
        assert_eq!(place.get(&a).await.unwrap(), None);
    }
}
