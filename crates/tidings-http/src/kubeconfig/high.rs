//! A kubeconfig as it is meant: files merged, references looked up, a configuration made.
//!
//! Does not read certificates and tokens: their paths are made absolute and kept, so that they can
//! be read again (SEC-6, SEC-7).
//!
//! I1  Of two entries with one name the one in the earlier file stands (SEC-11).
//! I2  A relative path is relative to the file that it is written in (SEC-3).
//! I3  Inline data goes before a file (SEC-4); a token file before a token (SEC-6).
//!
//! Source: client-go tools/clientcmd/{loader,`client_config`,validation}.go; rules SEC-1..SEC-11.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    error::KubeconfigError,
    low::{self, Cluster, Config, Context, User},
};
use crate::{
    config::ClientConfig,
    credentials::{Credentials, ExecCluster, ExecSettings, ExecVersion, Impersonation},
    endpoint::Endpoint,
    file,
    proxy::Proxy,
    secret::Secret,
    tls::{ClientCertificate, Roots, Source, TlsSettings},
};

/// What goes before what a kubeconfig says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "settings for users to fill with struct update syntax"
)]
pub struct Overrides {
    /// The file to read, in place of `KUBECONFIG` and the home directory.
    pub path: Option<PathBuf>,
    /// The context, in place of `current-context`.
    pub context: Option<String>,
    /// The cluster, in place of the context's.
    pub cluster: Option<String>,
    /// The user, in place of the context's.
    pub user: Option<String>,
}

/// Kubeconfig files, merged.
#[derive(Clone, Debug, Default)]
pub struct Kubeconfig {
    clusters: BTreeMap<String, Placed<Cluster>>,
    contexts: BTreeMap<String, Context>,
    users: BTreeMap<String, Placed<User>>,
    current_context: String,
}

/// An entry with the directory of its file.
#[derive(Clone, Debug)]
struct Placed<T> {
    entry: T,
    directory: PathBuf,
}

/// The extension of a cluster that exec plugins are told.
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

impl Kubeconfig {
    /// Takes a file's entries, those whose names are new.
    ///
    /// # Errors
    ///
    /// [`KubeconfigError::Duplicate`] if the file itself has a name twice.
    pub fn merge(&mut self, config: Config, file: &Path) -> Result<(), KubeconfigError> {
        let directory = file.parent().unwrap_or_else(|| Path::new("")).to_owned();
        let placed = |name, entry| {
            let directory = directory.clone();
            (name, Placed { entry, directory })
        };
        let clusters = config.clusters.into_iter();
        let clusters = clusters.map(|named| placed(named.name, named.cluster));
        take(&mut self.clusters, clusters, "cluster", file)?;
        let users = config.users.into_iter();
        let placed = |name, entry| {
            let directory = directory.clone();
            (name, Placed { entry, directory })
        };
        let users = users.map(|named| placed(named.name, named.user));
        take(&mut self.users, users, "user", file)?;
        let contexts = config.contexts.into_iter();
        let contexts = contexts.map(|named| (named.name, named.context));
        take(&mut self.contexts, contexts, "context", file)?;
        if self.current_context.is_empty() {
            self.current_context = config.current_context;
        }
        Ok(())
    }

    /// The names of the contexts.
    pub fn contexts(&self) -> impl Iterator<Item = &str> {
        self.contexts.keys().map(String::as_str)
    }

    /// The context to use, empty if none is named.
    #[must_use]
    pub fn current_context(&self) -> &str {
        &self.current_context
    }

    /// Looks everything up and makes a configuration.
    ///
    /// # Errors
    ///
    /// [`KubeconfigError`]: what is missing, contradictory or malformed, and in which entry.
    pub fn resolve(&self, overrides: &Overrides) -> Result<ClientConfig, KubeconfigError> {
        let context = self.context(overrides)?;
        let cluster_name = overrides.cluster.as_ref().unwrap_or(&context.cluster);
        let cluster =
            self.clusters
                .get(cluster_name)
                .ok_or_else(|| KubeconfigError::MissingCluster {
                    name: cluster_name.clone(),
                    known: names(&self.clusters),
                })?;
        let mut config = cluster.config(cluster_name)?;
        config.namespace = context.namespace.filter(|namespace| !namespace.is_empty());
        let user_name = overrides.user.as_ref().unwrap_or(&context.user);
        if user_name.is_empty() {
            return Ok(config);
        }
        let user = self
            .users
            .get(user_name)
            .ok_or_else(|| KubeconfigError::MissingUser {
                name: user_name.clone(),
                known: names(&self.users),
            })?;
        config.credentials = user.credentials(user_name, cluster)?;
        config.tls.client_certificate = user.client_certificate(user_name)?;
        config.impersonation = user.impersonation(user_name)?;
        Ok(config)
    }

    fn context(&self, overrides: &Overrides) -> Result<Context, KubeconfigError> {
        let name = overrides.context.as_ref().unwrap_or(&self.current_context);
        if !name.is_empty() {
            let found = self.contexts.get(name).cloned();
            return found.ok_or_else(|| KubeconfigError::MissingContext {
                name: name.clone(),
                known: names(&self.contexts),
            });
        }
        // With both of its parts named elsewhere, a context is not needed.
        match (&overrides.cluster, &overrides.user) {
            (Some(_), Some(_)) => Ok(Context::default()),
            _ => Err(KubeconfigError::NoContext {
                known: names(&self.contexts),
            }),
        }
    }
}

// === impl Placed<Cluster> ===

impl Placed<Cluster> {
    fn config(&self, name: &str) -> Result<ClientConfig, KubeconfigError> {
        let cluster = &self.entry;
        let endpoint =
            Endpoint::parse(cluster.server.expose()).map_err(|source| KubeconfigError::Server {
                cluster: name.to_owned(),
                source,
            })?;
        let mut config = ClientConfig::new(endpoint);
        config.tls = TlsSettings {
            roots: self.roots(name)?,
            client_certificate: None,
            server_name: cluster
                .tls_server_name
                .clone()
                .filter(|name| !name.is_empty()),
        };
        let proxy = cluster.proxy_url.as_ref();
        let proxy = proxy.filter(|url| !url.expose().is_empty());
        config.proxy = proxy
            .map(|url| Proxy::parse(url.expose()))
            .transpose()
            .map_err(|source| KubeconfigError::Proxy {
                cluster: name.to_owned(),
                source,
            })?;
        Ok(config)
    }

    fn roots(&self, name: &str) -> Result<Roots, KubeconfigError> {
        let cluster = &self.entry;
        let source = self.source(
            cluster.certificate_authority_data.as_ref(),
            cluster.certificate_authority.as_deref(),
            ("certificate-authority-data", name),
        )?;
        match (source, cluster.insecure_skip_tls_verify) {
            (Some(_), true) => Err(KubeconfigError::InsecureWithAuthority {
                cluster: name.to_owned(),
            }),
            (Some(source), false) => Ok(Roots::Given(source)),
            (None, true) => Ok(Roots::Anyone),
            (None, false) => Ok(Roots::Platform),
        }
    }

    /// What a plugin is told that asks for it.
    fn info(&self) -> ExecCluster {
        let cluster = &self.entry;
        let text = |text: &Option<Secret<String>>| match text {
            Some(text) => text.expose().clone(),
            None => String::new(),
        };
        let mut authority = text(&cluster.certificate_authority_data);
        if authority.is_empty()
            && let Some(path) = &cluster.certificate_authority
            && let Ok(bytes) = file::read(&self.directory.join(path))
        {
            authority = BASE64_STANDARD.encode(bytes);
        }
        let extension = cluster
            .extensions
            .iter()
            .find(|extension| extension.name == EXEC_EXTENSION);
        ExecCluster {
            server: cluster.server.expose().clone(),
            tls_server_name: cluster.tls_server_name.clone().unwrap_or_default(),
            insecure_skip_tls_verify: cluster.insecure_skip_tls_verify,
            certificate_authority_data: authority,
            proxy_url: text(&cluster.proxy_url),
            config: extension.map_or_else(Default::default, |found| found.extension.clone()),
        }
    }
}

// === impl Placed<User> ===

impl Placed<User> {
    fn credentials(
        &self,
        name: &str,
        cluster: &Placed<Cluster>,
    ) -> Result<Credentials, KubeconfigError> {
        let user = &self.entry;
        if let Some(provider) = &user.auth_provider {
            return Err(KubeconfigError::AuthProvider {
                user: name.to_owned(),
                provider: provider.name.clone(),
            });
        }
        let token = user
            .token
            .clone()
            .filter(|token| !token.expose().is_empty());
        let token_file = user
            .token_file
            .as_ref()
            .filter(|path| !path.as_os_str().is_empty());
        let user_name = user.username.clone().filter(|user| !user.is_empty());
        match (token_file, token, user_name, &user.exec) {
            (Some(_), _, Some(_), _) | (_, Some(_), Some(_), _) => {
                Err(KubeconfigError::Ambiguous {
                    user: name.to_owned(),
                })
            }
            (Some(path), fallback, None, _) => Ok(Credentials::TokenFile {
                path: self.directory.join(path),
                fallback,
            }),
            (None, Some(token), None, _) => Ok(Credentials::Token(token)),
            (None, None, Some(user_name), _) => Ok(Credentials::Basic {
                user: user_name,
                password: user.password.clone().unwrap_or_default(),
            }),
            (None, None, None, Some(exec)) => self
                .exec(exec, name, cluster)
                .map(|settings| Credentials::Exec(Box::new(settings))),
            (None, None, None, None) => Ok(Credentials::None),
        }
    }

    fn exec(
        &self,
        exec: &low::Exec,
        name: &str,
        cluster: &Placed<Cluster>,
    ) -> Result<ExecSettings, KubeconfigError> {
        let version =
            ExecVersion::parse(&exec.api_version).ok_or_else(|| KubeconfigError::ExecVersion {
                user: name.to_owned(),
                version: exec.api_version.clone(),
            })?;
        if exec.command.is_empty() {
            return Err(KubeconfigError::ExecCommand {
                user: name.to_owned(),
            });
        }
        // A bare name is looked up in `PATH`; what has a directory is relative to the file.
        let command = if exec.command.contains(std::path::MAIN_SEPARATOR) {
            self.directory.join(&exec.command).into_os_string()
        } else {
            exec.command.clone().into()
        };
        let mut settings = ExecSettings::new(version, command);
        settings.args.clone_from(&exec.args);
        let env = exec.env.iter();
        settings.env = env
            .map(|variable| (variable.name.clone(), variable.value.clone()))
            .collect();
        settings.install_hint.clone_from(&exec.install_hint);
        settings.needs_terminal = exec.interactive_mode == "Always";
        settings.cluster = exec.provide_cluster_info.then(|| cluster.info());
        Ok(settings)
    }

    fn client_certificate(&self, name: &str) -> Result<Option<ClientCertificate>, KubeconfigError> {
        let user = &self.entry;
        let certificate = self.source(
            user.client_certificate_data.as_ref(),
            user.client_certificate.as_deref(),
            ("client-certificate-data", name),
        )?;
        let key = self.source(
            user.client_key_data.as_ref(),
            user.client_key.as_deref(),
            ("client-key-data", name),
        )?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(ClientCertificate { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(KubeconfigError::HalfCertificate {
                user: name.to_owned(),
            }),
        }
    }

    fn impersonation(&self, name: &str) -> Result<Option<Impersonation>, KubeconfigError> {
        let user = &self.entry;
        let impersonation = Impersonation {
            user: user.impersonate.clone().unwrap_or_default(),
            uid: user.as_uid.clone().filter(|uid| !uid.is_empty()),
            groups: user.as_groups.clone(),
            extra: user.as_user_extra.clone().into_iter().collect(),
        };
        if impersonation == Impersonation::default() {
            Ok(None)
        } else if impersonation.user.is_empty() {
            Err(KubeconfigError::ImpersonationWithoutUser {
                user: name.to_owned(),
            })
        } else {
            Ok(Some(impersonation))
        }
    }
}

// === impl Placed<T> ===

impl<T> Placed<T> {
    /// Inline data or a file; `at` is the field and the entry, for an error.
    fn source(
        &self,
        data: Option<&Secret<String>>,
        path: Option<&Path>,
        at: (&'static str, &str),
    ) -> Result<Option<Source>, KubeconfigError> {
        if let Some(data) = data.filter(|data| !data.expose().is_empty()) {
            let mut text = data.expose().clone();
            text.retain(|char| !char.is_ascii_whitespace());
            let text = Secret::new(text);
            let bytes = BASE64_STANDARD.decode(text.expose());
            let bytes = bytes.map_err(|_| KubeconfigError::Base64 {
                field: at.0,
                entry: at.1.to_owned(),
            })?;
            return Ok(Some(Source::Inline(Secret::new(bytes))));
        }
        let path = path.filter(|path| !path.as_os_str().is_empty());
        Ok(path.map(|path| Source::File(self.directory.join(path))))
    }
}

fn take<T>(
    into: &mut BTreeMap<String, T>,
    entries: impl Iterator<Item = (String, T)>,
    kind: &'static str,
    file: &Path,
) -> Result<(), KubeconfigError> {
    let mut new = BTreeMap::new();
    for (name, entry) in entries {
        if new.contains_key(&name) {
            return Err(KubeconfigError::Duplicate {
                file: file.to_owned(),
                kind,
                name,
            });
        }
        new.insert(name, entry);
    }
    for (name, entry) in new {
        into.entry(name).or_insert(entry);
    }
    Ok(())
}

fn names<T>(entries: &BTreeMap<String, T>) -> Vec<String> {
    entries.keys().cloned().collect()
}
