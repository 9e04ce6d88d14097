//! What every command needs to know besides its own flags: namespace, cluster, runtime.

use std::future::Future;
use std::time::Duration;

use crate::cli::Global;
use crate::cluster::{self, Cluster};
use crate::error::Error;
use crate::output;

/// Namespace used when nothing else is said.
const DEFAULT_NAMESPACE: &str = "flux-system";

/// The settings of one run.
pub(crate) struct Context {
    global: Global,
    namespace: String,
}

impl Context {
    /// Resolves the namespace; reads the kubeconfig only if it decides about it.
    ///
    /// # Errors
    /// If the namespace that was asked for is not a DNS label.
    pub(crate) fn new(global: Global) -> Result<Self, Error> {
        let namespace = namespace(
            &Wishes {
                flag: global.namespace.as_deref(),
                environment: environment("FLUX_SYSTEM_NAMESPACE").as_deref(),
                follows_context: global.ns_follows_kube_context
                    || environment("FLUX_NS_FOLLOWS_KUBE_CONTEXT").is_some(),
            },
            || cluster::context_namespace(&global),
        )?;
        Ok(Self { global, namespace })
    }

    /// Namespace the command works in.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether `--context` or another flag names a cluster.
    pub(crate) fn names_cluster(&self) -> bool {
        self.global.context.is_some() || self.global.server.is_some()
    }

    /// How long the command may wait for others.
    pub(crate) fn timeout(&self) -> Duration {
        self.global.timeout.as_std()
    }

    /// Connects to the API server that the kubeconfig flags describe.
    ///
    /// # Errors
    /// If no cluster is configured or the configuration cannot be used.
    pub(crate) async fn cluster(&self) -> Result<Cluster, Error> {
        Ok(Cluster::connect(&self.global).await?)
    }

    /// Runs async work to its end. Commands that need no network never start a runtime: that is
    /// what keeps them quick.
    ///
    /// # Errors
    /// Those of the work, or if the runtime cannot start.
    pub(crate) fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Runtime)?
            .block_on(work)
    }
}

/// Where a namespace may come from, strongest first.
struct Wishes<'a> {
    flag: Option<&'a str>,
    environment: Option<&'a str>,
    follows_context: bool,
}

/// Order: `-n`, the context when it is followed, `FLUX_SYSTEM_NAMESPACE`, `flux-system`.
fn namespace(
    wishes: &Wishes<'_>,
    of_context: impl FnOnce() -> Option<String>,
) -> Result<String, Error> {
    if let Some(flag) = wishes.flag {
        return if is_dns_label(flag) {
            Ok(flag.to_owned())
        } else {
            Err(Error::input(format!(
                "namespace must be a valid DNS label: {flag:?}"
            )))
        };
    }
    if wishes.follows_context
        && let Some(name) = of_context()
    {
        return Ok(name);
    }
    match wishes.environment {
        Some(name) if is_dns_label(name) => Ok(name.to_owned()),
        Some(name) => {
            output::warning(format!(" ignoring invalid FLUX_SYSTEM_NAMESPACE: {name:?}"));
            Ok(DEFAULT_NAMESPACE.to_owned())
        }
        None => Ok(DEFAULT_NAMESPACE.to_owned()),
    }
}

/// A variable that is set and not empty.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// RFC 1123 label: 1 to 63 of `a-z`, `0-9` and `-`, not at the ends.
pub(crate) fn is_dns_label(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes
            .iter()
            .all(|byte| alphanumeric(*byte) || *byte == b'-')
        && bytes.first().is_some_and(|byte| alphanumeric(*byte))
        && bytes.last().is_some_and(|byte| alphanumeric(*byte))
}

#[cfg(test)]
mod tests {
    use super::{Wishes, is_dns_label, namespace};

    #[test]
    fn the_strongest_wish_decides() {
        let context = || Some("team".to_owned());
        let nothing = || None;
        let wishes = |flag, environment, follows_context| Wishes {
            flag,
            environment,
            follows_context,
        };
        let ns = |w: Wishes<'static>, c: fn() -> Option<String>| namespace(&w, c).unwrap();
        assert_eq!(ns(wishes(Some("a"), Some("b"), true), context), "a");
        assert_eq!(ns(wishes(None, Some("b"), true), context), "team");
        assert_eq!(ns(wishes(None, Some("b"), true), nothing), "b");
        assert_eq!(ns(wishes(None, Some("b"), false), context), "b");
        assert_eq!(ns(wishes(None, Some("B!"), false), context), "flux-system");
        assert_eq!(ns(wishes(None, None, false), context), "flux-system");
    }

    #[test]
    fn a_wrong_flag_is_an_error() {
        let wishes = Wishes {
            flag: Some("Foo"),
            environment: None,
            follows_context: false,
        };
        let error = namespace(&wishes, || None).unwrap_err().to_string();
        assert_eq!(error, "namespace must be a valid DNS label: \"Foo\"");
    }

    #[test]
    fn labels() {
        for good in ["a", "a-b", "0", &"x".repeat(63)] {
            assert!(is_dns_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a.b", "A", "a_b", &"x".repeat(64)] {
            assert!(!is_dns_label(bad), "{bad}");
        }
    }
}
