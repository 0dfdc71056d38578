//! Object storage (a directory or an S3-compatible bucket), reduced to the operations that archive and witness need.

use std::{fs, path::Path as FilePath, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::{
    BackoffConfig, ObjectStore, ObjectStoreExt as _, PutMode, RetryConfig, aws::AmazonS3Builder,
    local::LocalFileSystem, path::Path, prefix::PrefixStore,
};

use crate::Error;

/// Result of a conditional write: an object is created only if its name is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    New,
    AlreadyExists,
}

/// A directory or a bucket with a prefix.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    /// `archive` or `witness`, for messages.
    name: &'static str,
    store: Arc<dyn ObjectStore>,
}

impl Storage {
    pub fn new(name: &'static str, store: Arc<dyn ObjectStore>) -> Self {
        Self { name, store }
    }

    /// Opens a directory, `file:///path` or `s3://bucket/prefix`. Creates a missing directory; sends no request to a
    /// bucket.
    pub fn open(name: &'static str, url: &str) -> Result<Self, Error> {
        let refused = |reason: String| Error::Url { url: without_credentials(url), reason };
        let store = match url.split_once("://") {
            Some(("s3" | "s3a", storage)) => bucket(storage),
            Some(("file", path)) => directory(FilePath::new(path)),
            Some((scheme, _)) => Err(format!("{scheme}:// is not supported")),
            None => directory(FilePath::new(url)),
        };
        Ok(Self::new(name, store.map_err(refused)?))
    }

    /// Reads an object; `None` if it does not exist.
    pub async fn get(&self, path: &Path) -> Result<Option<Bytes>, Error> {
        let got = async { self.store.get(path).await?.bytes().await };
        match got.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed("read", path, source)),
        }
    }

    /// Writes an object atomically, if it does not exist.
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Result<Created, Error> {
        match self.store.put_opts(path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(Created::AlreadyExists)
            }
            Err(source) => Err(self.failed("write", path, source)),
        }
    }

    /// Writes an object atomically and replaces an existing one.
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

    fn failed(&self, action: &'static str, path: &Path, source: object_store::Error) -> Error {
        Error::Storage { action, object: path.to_string(), store: self.name, source: Box::new(source) }
    }

    /// The names of the objects in `directory` that sort after `after`, in no particular order.
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
    let unusable = |error: &dyn std::fmt::Display| format!("the directory cannot be created or used ({error})");
    fs::create_dir_all(path).map_err(|error| unusable(&error))?;
    // The log deletes sealed events, so a segment must survive a crash of the machine: fsync.
    let store = LocalFileSystem::new_with_prefix(path).map_err(|error| unusable(&error))?.with_fsync(true);
    Ok(Arc::new(store))
}

fn bucket(storage: &str) -> Result<Arc<dyn ObjectStore>, String> {
    let (bucket, prefix) = storage.split_once('/').unwrap_or((storage, ""));
    if bucket.is_empty() || bucket.contains('@') {
        return Err("the bucket is missing, or credentials stand before it: set AWS_ACCESS_KEY_ID and \
                    AWS_SECRET_ACCESS_KEY instead"
            .to_owned());
    }
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The caller holds a lease or a user waits: fail soon, and let the caller retry later.
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

/// The address as messages show it.
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
    fn an_invalid_address_is_refused_without_repeating_credentials() {
        for (url, says) in [
            ("", "path of the directory is missing"),
            ("file://", "path of the directory is missing"),
            ("/proc/no/such/place", "cannot be created"),
            ("s3://", "bucket is missing"),
            ("s3://key:s3cret@bucket/prefix", "credentials stand before it"),
            ("gs://bucket", "gs:// is not supported"),
            ("https://me:s3cret@host", "https:// is not supported"),
        ] {
            let error = Storage::open("archive", url).unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[tokio::test]
    async fn an_object_is_created_once_and_found_only_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open("archive", directory.path().join("new/archive").to_str().unwrap()).unwrap();
        let [a, b] = ["0/x/a", "0/x/b"].map(Path::from);
        assert_eq!(storage.get(&a).await.unwrap(), None);
        assert_eq!(storage.create(&a, "first".into()).await.unwrap(), Created::New);
        assert_eq!(storage.create(&a, "second".into()).await.unwrap(), Created::AlreadyExists);
        assert_eq!(storage.get(&a).await.unwrap().as_deref(), Some(b"first".as_slice()));
        storage.replace(&b, "b".into()).await.unwrap();
        let mut all = storage.names(&"0/x".into(), None).await.unwrap();
        all.sort();
        assert_eq!(all, ["a", "b"]);
        assert_eq!(storage.names(&"0/x".into(), Some(&a)).await.unwrap(), ["b"]);
        assert_eq!(storage.names(&"0/y".into(), None).await.unwrap(), Vec::<String>::new());
        storage.delete(&a).await.unwrap();
        storage.delete(&a).await.unwrap();
        assert_eq!(storage.get(&a).await.unwrap(), None);
    }
}
