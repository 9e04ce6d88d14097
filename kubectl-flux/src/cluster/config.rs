//! From kubeconfig files and flags to a client configuration, with kubectl's precedence: flags
//! override the kubeconfig; without any kubeconfig the service account of a pod is used.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use flux_apply::words::chain;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::errors::ClusterError;
use crate::cli::Global;

/// The configuration for the given flags.
pub(super) async fn load(global: &Global) -> Result<Config, ClusterError> {
    let mut config = match read(global)? {
        Some(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options(global))
            .await
            .map_err(|error| ClusterError::Kubeconfig(chain(&error)))?,
        None => match &global.server {
            Some(server) => Config::new(address(server)?),
            None => Config::incluster().map_err(|_| ClusterError::NoConfig)?,
        },
    };
    override_server(&mut config, global)?;
    override_user(&mut config, global)?;
    Ok(config)
}

/// Namespace of the kubeconfig context that the flags select, if it names one.
pub(crate) fn context_namespace(global: &Global) -> Option<String> {
    let kubeconfig = read(global).ok()??;
    let name = global
        .context
        .as_ref()
        .or(kubeconfig.current_context.as_ref())?;
    let context = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == *name)?;
    context
        .context
        .as_ref()?
        .namespace
        .clone()
        .filter(|namespace| !namespace.is_empty())
}

/// The merged kubeconfig, or `None` where there is no file at all.
fn read(global: &Global) -> Result<Option<Kubeconfig>, ClusterError> {
    if let Some(path) = &global.kubeconfig {
        return Kubeconfig::read_from(path)
            .map(Some)
            .map_err(|error| unreadable(path, &error));
    }
    let mut merged: Option<Kubeconfig> = None;
    for path in default_files() {
        let next = match Kubeconfig::read_from(&path) {
            Ok(next) => next,
            // kubectl skips the files of KUBECONFIG that do not exist.
            Err(KubeconfigError::ReadConfig(error, _))
                if error.kind() == std::io::ErrorKind::NotFound =>
            {
                continue;
            }
            Err(error) => return Err(unreadable(&path, &error)),
        };
        merged = Some(match merged {
            Some(before) => before
                .merge(next)
                .map_err(|error| ClusterError::Kubeconfig(chain(&error)))?,
            None => next,
        });
    }
    Ok(merged)
}

/// The parser's text goes on with the lines around the mistake; they may hold a secret.
fn unreadable(path: &Path, error: &KubeconfigError) -> ClusterError {
    let reason = match error {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        error => chain(error),
    };
    let first = reason.lines().next().unwrap_or_default();
    ClusterError::Kubeconfig(format!("{}: {first}", path.display()))
}

fn default_files() -> Vec<std::path::PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        return std::env::split_paths(&list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
    }
    std::env::home_dir()
        .map(|home| home.join(".kube").join("config"))
        .into_iter()
        .collect()
}

fn options(global: &Global) -> KubeConfigOptions {
    KubeConfigOptions {
        context: global.context.clone(),
        cluster: global.cluster.clone(),
        user: global.user.clone(),
    }
}

fn override_server(config: &mut Config, global: &Global) -> Result<(), ClusterError> {
    if let Some(server) = &global.server {
        config.cluster_url = address(server)?;
    }
    if let Some(name) = &global.tls_server_name {
        config.tls_server_name = Some(name.clone());
    }
    if let Some(path) = &global.certificate_authority {
        let text = read_file("certificate-authority", path)?;
        let certificates = pem::parse_many(text)
            .map_err(|error| flag("certificate-authority", error))?
            .into_iter()
            .filter(|block| block.tag() == "CERTIFICATE")
            .map(pem::Pem::into_contents)
            .collect();
        config.root_cert = Some(certificates);
        config.root_cert_file = None;
    }
    if global.insecure_skip_tls_verify {
        config.accept_invalid_certs = true;
    }
    if global.disable_compression {
        config.disable_compression = true;
    }
    if let Some(text) = &global.request_timeout {
        config.read_timeout = request_timeout(text)?;
        // The way to the server is part of the request.
        let connect = [config.connect_timeout, config.read_timeout];
        config.connect_timeout = connect.into_iter().flatten().min();
    }
    Ok(())
}

fn override_user(config: &mut Config, global: &Global) -> Result<(), ClusterError> {
    let user = &mut config.auth_info;
    if let Some(token) = &global.token {
        // Everything that would be preferred to the token has to go.
        user.auth_provider = None;
        user.exec = None;
        user.username = None;
        user.password = None;
        user.token_file = None;
        user.token = Some(token.reveal().to_owned().into());
    }
    if let Some(path) = &global.client_certificate {
        user.client_certificate = Some(path.display().to_string());
        user.client_certificate_data = None;
    }
    if let Some(path) = &global.client_key {
        user.client_key = Some(path.display().to_string());
        user.client_key_data = None;
    }
    if let Some(name) = &global.as_user {
        user.impersonate = Some(name.clone());
    }
    if !global.as_group.is_empty() {
        user.impersonate_groups = Some(global.as_group.clone());
    }
    if let Some(uid) = &global.as_uid {
        user.impersonate_uid = Some(uid.clone());
    }
    if !global.as_user_extra.is_empty() {
        user.impersonate_user_extra = Some(user_extra(&global.as_user_extra)?);
    }
    Ok(())
}

fn user_extra(given: &[String]) -> Result<HashMap<String, Vec<String>>, ClusterError> {
    let mut extra: HashMap<String, Vec<String>> = HashMap::new();
    for fact in given {
        let (key, value) = fact
            .split_once('=')
            .ok_or_else(|| flag("as-user-extra", "must be key=value"))?;
        extra
            .entry(key.to_owned())
            .or_default()
            .push(value.to_owned());
    }
    Ok(extra)
}

fn address(server: &str) -> Result<http::Uri, ClusterError> {
    let url = if server.contains("://") {
        server.to_owned()
    } else {
        format!("https://{server}")
    };
    url.parse()
        .map_err(|error: http::uri::InvalidUri| flag("server", error))
}

/// kubectl takes Go durations and bare seconds; 0 means no limit.
fn request_timeout(text: &str) -> Result<Option<Duration>, ClusterError> {
    let limit = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => text
            .parse::<flux_api::GoDuration>()
            .map_err(|error| flag("request-timeout", error))?
            .as_std(),
    };
    Ok(Some(limit).filter(|limit| !limit.is_zero()))
}

fn read_file(name: &'static str, path: &Path) -> Result<Vec<u8>, ClusterError> {
    std::fs::read(path).map_err(|error| flag(name, format!("{}: {error}", path.display())))
}

fn flag(flag: &'static str, reason: impl std::fmt::Display) -> ClusterError {
    ClusterError::Flag {
        flag,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::Config;

    use super::{address, override_server, override_user, read, request_timeout, user_extra};
    use crate::cli::Global;

    fn config() -> Config {
        Config::new("https://example.com".parse().unwrap())
    }

    #[test]
    fn flags_override_the_server() {
        let global = Global {
            server: Some("10.0.0.1:6443".into()),
            tls_server_name: Some("kubernetes".into()),
            insecure_skip_tls_verify: true,
            request_timeout: Some("3s".into()),
            ..Global::default()
        };
        let mut config = config();
        override_server(&mut config, &global).unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://10.0.0.1:6443/");
        assert_eq!(config.tls_server_name.as_deref(), Some("kubernetes"));
        assert!(config.accept_invalid_certs);
        assert_eq!(config.read_timeout, Some(Duration::from_secs(3)));
        assert_eq!(config.connect_timeout, Some(Duration::from_secs(3)));
    }

    #[test]
    fn flags_override_the_user() {
        let global = Global {
            token: Some("t0ken".into()),
            as_user: Some("jane".into()),
            as_group: vec!["dev".into(), "ops".into()],
            as_uid: Some("7".into()),
            as_user_extra: vec!["team=a".into(), "team=b".into()],
            ..Global::default()
        };
        let mut config = config();
        config.auth_info.username = Some("u".into());
        config.auth_info.token_file = Some("/token".into());
        override_user(&mut config, &global).unwrap();
        let user = &config.auth_info;
        assert!(user.token.is_some() && user.username.is_none() && user.token_file.is_none());
        assert_eq!(user.impersonate.as_deref(), Some("jane"));
        assert_eq!(
            user.impersonate_groups.as_deref(),
            Some(&["dev".into(), "ops".into()][..])
        );
        assert_eq!(user.impersonate_uid.as_deref(), Some("7"));
        let extra = user.impersonate_user_extra.as_ref().unwrap();
        assert_eq!(extra["team"], ["a", "b"]);
        assert!(
            !format!("{global:?}").contains("t0ken"),
            "a secret is never shown"
        );
    }

    #[test]
    fn wrong_values_name_the_flag() {
        let error = user_extra(&["x".into()]).unwrap_err().to_string();
        assert_eq!(error, "--as-user-extra: must be key=value");
        let error = request_timeout("soon").unwrap_err().to_string();
        assert!(error.starts_with("--request-timeout: "), "{error}");
        assert!(
            address("http://[")
                .unwrap_err()
                .to_string()
                .starts_with("--server: ")
        );
    }

    #[test]
    fn a_kubeconfig_that_cannot_be_read_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, "users: [{name: u, user: {token: t0ken\n").unwrap();
        let global = Global {
            kubeconfig: Some(path.clone()),
            ..Global::default()
        };
        let error = read(&global).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("kubeconfig: {}: ", path.display())),
            "{error}"
        );
        assert!(!error.contains('\n') && !error.contains("t0ken"), "{error}");
    }

    #[test]
    fn request_timeouts() {
        assert_eq!(request_timeout("0").unwrap(), None);
        assert_eq!(request_timeout("5").unwrap(), Some(Duration::from_secs(5)));
        assert_eq!(
            request_timeout("1m30s").unwrap(),
            Some(Duration::from_secs(90))
        );
    }
}
