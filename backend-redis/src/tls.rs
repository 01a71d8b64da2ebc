//! Encrypted connections.

use std::path::PathBuf;
use std::sync::Arc;

use backend_core::BoxError;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Files, which are read at every connection: certificates are renewed while a service runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    /// In place of the system's, if there are any.
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) client: Option<ClientCertificate>,
}

#[derive(Clone, Debug)]
pub(crate) struct ClientCertificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Tls {
    pub(crate) async fn connect(
        &self,
        host: &str,
        socket: TcpStream,
    ) -> Result<TlsStream<TcpStream>, BoxError> {
        let name = ServerName::try_from(host.to_owned())?;
        let this = self.clone();
        let config = spawn_blocking(move || this.config()).await??;
        Ok(TlsConnector::from(Arc::new(config)).connect(name, socket).await?)
    }

    fn config(&self) -> Result<ClientConfig, BoxError> {
        // The process may have chosen another provider, or have two and have chosen none.
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?);
        Ok(match &self.client {
            None => config.with_no_client_auth(),
            Some(ClientCertificate { chain, key }) => {
                let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
                config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?
            }
        })
    }

    fn roots(&self) -> Result<RootCertStore, BoxError> {
        let mut store = RootCertStore::empty();
        for file in &self.roots {
            let unreadable = |error| format!("{}: {error}", file.display());
            for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
                store.add(certificate.map_err(unreadable)?)?;
            }
        }
        if self.roots.is_empty() {
            // One that cannot be read is no reason to do without all the others.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if store.is_empty() {
            return Err("no root certificates".into());
        }
        Ok(store)
    }
}
