//! Certificates of one's own.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::Result;

/// An authority, and a certificate of it for `localhost` and `127.0.0.1` that serves both ends. The
/// files go when this is dropped.
#[derive(Debug)]
pub struct Certificates(TempDir);

impl Certificates {
    /// New ones.
    ///
    /// # Errors
    /// They cannot be made or written.
    pub fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.distinguished_name.push(DnType::CommonName, "an authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let certificate = authority.self_signed(&key)?;
        std::fs::write(folder.path().join("ca.pem"), certificate.pem())?;
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate()?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let local = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        std::fs::write(folder.path().join("local.pem"), local.pem())?;
        std::fs::write(folder.path().join("local.key"), key.serialize_pem())?;
        Ok(Self(folder))
    }

    /// The authority's certificate, in PEM.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The certificate, in PEM.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.file("local.pem")
    }

    /// Its private key, in PEM.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.file("local.key")
    }

    /// A file beside them, which is not there.
    #[must_use]
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }
}
