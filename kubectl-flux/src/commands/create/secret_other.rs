//! `create secret proxy` and `create secret tls`.

use std::path::PathBuf;

use super::Shared;
use super::git_credentials::Credentials;
use super::secret_git::export;
use crate::cli::{SecretText, values};
use crate::context::Context;
use crate::error::Error;
use crate::output;

/// Flags of `create secret proxy`.
#[derive(Debug, clap::Args)]
pub(super) struct ProxyArgs {
    /// Name of the Secret
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Address of the proxy: http://, https:// or socks5://
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// User name at the proxy
    #[arg(short = 'u', long, value_name = "NAME")]
    username: Option<String>,
    /// Password at the proxy
    #[arg(short = 'p', long, value_name = "PASSWORD")]
    password: Option<SecretText>,
}

/// Flags of `create secret tls`.
#[derive(Debug, clap::Args)]
pub(super) struct TlsArgs {
    /// Name of the Secret
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// File with the client certificate
    #[arg(long, value_name = "FILE", alias = "cert-file")]
    tls_crt_file: Option<PathBuf>,
    /// File with the key of the client certificate
    #[arg(long, value_name = "FILE", alias = "key-file")]
    tls_key_file: Option<PathBuf>,
    /// File with the certificate authority of the server
    #[arg(long, value_name = "FILE", alias = "ca-file")]
    ca_crt_file: Option<PathBuf>,
}

/// Runs `create secret proxy`.
pub(super) fn proxy(args: &ProxyArgs, shared: &Shared, context: &Context) -> Result<(), Error> {
    let address = args.address.as_deref().filter(|text| !text.is_empty());
    let address = address.ok_or_else(|| Error::input("address is required"))?;
    let scheme = address.split("://").next().unwrap_or_default();
    if !address.contains("://") || !["http", "https", "socks5"].contains(&scheme) {
        return Err(Error::input(
            "the address of the proxy must begin with http://, https:// or socks5://",
        ));
    }
    let mut credentials = Credentials::default();
    credentials.set("address", address.into());
    if let Some(username) = args.username.as_deref().filter(|text| !text.is_empty()) {
        credentials.set("username", username.into());
    }
    if let Some(password) = &args.password {
        credentials.set("password", password.clone());
    }
    finish(&args.names, &credentials, "proxy", shared, context)
}

/// Runs `create secret tls`.
pub(super) fn tls(args: &TlsArgs, shared: &Shared, context: &Context) -> Result<(), Error> {
    if args.tls_crt_file.is_some() != args.tls_key_file.is_some() {
        return Err(Error::input(
            "a certificate is of use only with its key: give --tls-crt-file and --tls-key-file together",
        ));
    }
    if args.tls_crt_file.is_none() && args.ca_crt_file.is_none() {
        return Err(Error::input(
            "nothing to store: give --tls-crt-file and --tls-key-file, --ca-crt-file, or all of them",
        ));
    }
    let mut credentials = Credentials::default();
    for (key, path, what) in [
        (
            "tls.crt",
            &args.tls_crt_file,
            "unable to read TLS certificate file",
        ),
        ("tls.key", &args.tls_key_file, "unable to read TLS key file"),
        ("ca.crt", &args.ca_crt_file, "unable to read TLS CA file"),
    ] {
        let Some(path) = path else { continue };
        let text = super::git_credentials::read(what, path)?;
        if !text.contains("-----BEGIN ") {
            return Err(Error::input(format!(
                "{what}: {}: there is no PEM block in it",
                path.display()
            )));
        }
        credentials.set(key, text.as_str().into());
    }
    finish(&args.names, &credentials, "tls", shared, context)
}

fn finish(
    names: &[String],
    credentials: &Credentials,
    what: &str,
    shared: &Shared,
    context: &Context,
) -> Result<(), Error> {
    let name = values::object_name(names)?;
    let labels = values::labels(&shared.label)?;
    let namespace = context.namespace();
    if shared.export {
        return export(credentials, namespace, name, &labels);
    }
    context.block_on(async {
        let cluster = context.cluster().await?;
        let verb = credentials
            .apply(&cluster, namespace, name, &labels)
            .await?;
        output::action(format!(
            "{what} secret '{name}' {verb} in '{namespace}' namespace"
        ));
        Ok(())
    })
}
