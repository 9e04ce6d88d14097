//! The annotations that ingress-nginx 1.15 knows: risk and form of each.

use crate::text::nearest as nearest_of;

/// How dangerous an annotation is in the hands of whoever may write an Ingress, in the words of
/// the controller's `annotations-risk-level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Risk {
    /// A switch or a number.
    Low,
    /// A text that is validated.
    Medium,
    /// A text that reaches far into the configuration.
    High,
    /// Configuration itself.
    Critical,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Go's `strconv.ParseBool`.
    Boolean,
    /// Go's `strconv.Atoi`.
    Number,
    /// Several values, which may stand on several lines.
    List,
    /// Anything.
    Text,
}

impl Form {
    /// What is expected, if `value` is not that.
    pub(super) fn refuses(self, value: &str) -> Option<&'static str> {
        const BOOLEANS: [&str; 12] = [
            "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False",
        ];
        match self {
            Self::Boolean if !BOOLEANS.contains(&value) => Some("\"true\" or \"false\""),
            Self::Number if value.parse::<i64>().is_err() => Some("a whole number"),
            _ => None,
        }
    }
}

/// A known annotation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Without `nginx.ingress.kubernetes.io/`.
    pub(super) name: &'static str,
    pub(super) risk: Risk,
    pub(super) form: Form,
}

const fn known(name: &'static str, risk: Risk, form: Form) -> Known {
    Known { name, risk, form }
}

/// The annotation of this short name.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    KNOWN
        .binary_search_by(|known| known.name.cmp(name))
        .ok()
        .and_then(|index| KNOWN.get(index))
}

/// The known name that an unknown one probably is a typo of.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    if find(name).is_some() || FORMER.contains(&name) {
        return None;
    }
    nearest_of(name, KNOWN.iter().map(|known| known.name))
}

/// Names that other releases know and that look like a typo of a known one.
const FORMER: &[&str] = &["whitelist-source-range", "limit-whitelist"];

/// Sorted by name.
static KNOWN: &[Known] = &[
    known("affinity", Risk::Low, Form::Text),
    known("affinity-canary-behavior", Risk::Low, Form::Text),
    known("affinity-mode", Risk::Medium, Form::Text),
    known("allowlist-source-range", Risk::Medium, Form::List),
    known("app-root", Risk::Medium, Form::Text),
    known("auth-always-set-cookie", Risk::Low, Form::Text),
    known("auth-cache-duration", Risk::Medium, Form::List),
    known("auth-cache-key", Risk::Medium, Form::Text),
    known("auth-keepalive", Risk::Low, Form::Number),
    known("auth-keepalive-requests", Risk::Low, Form::Number),
    known("auth-keepalive-share-vars", Risk::Low, Form::Boolean),
    known("auth-keepalive-timeout", Risk::Low, Form::Number),
    known("auth-method", Risk::Low, Form::Text),
    known("auth-proxy-set-headers", Risk::Medium, Form::List),
    known("auth-realm", Risk::Medium, Form::Text),
    known("auth-request-redirect", Risk::Medium, Form::Text),
    known("auth-response-headers", Risk::Medium, Form::List),
    known("auth-secret", Risk::Medium, Form::Text),
    known("auth-secret-type", Risk::Low, Form::Text),
    known("auth-signin", Risk::High, Form::Text),
    known("auth-signin-redirect-param", Risk::Medium, Form::Text),
    known("auth-snippet", Risk::Critical, Form::Text),
    known("auth-tls-error-page", Risk::High, Form::Text),
    known("auth-tls-match-cn", Risk::High, Form::Text),
    known(
        "auth-tls-pass-certificate-to-upstream",
        Risk::Low,
        Form::Boolean,
    ),
    known("auth-tls-secret", Risk::Medium, Form::Text),
    known("auth-tls-verify-client", Risk::Medium, Form::Text),
    known("auth-tls-verify-depth", Risk::Low, Form::Number),
    known("auth-type", Risk::Low, Form::Text),
    known("auth-url", Risk::High, Form::Text),
    known("backend-protocol", Risk::Low, Form::Text),
    known("canary", Risk::Low, Form::Boolean),
    known("canary-by-cookie", Risk::Medium, Form::Text),
    known("canary-by-header", Risk::Medium, Form::Text),
    known("canary-by-header-pattern", Risk::Medium, Form::Text),
    known("canary-by-header-value", Risk::Medium, Form::Text),
    known("canary-weight", Risk::Low, Form::Number),
    known("canary-weight-total", Risk::Low, Form::Number),
    known("client-body-buffer-size", Risk::Low, Form::Text),
    known("configuration-snippet", Risk::Critical, Form::Text),
    known("connection-proxy-header", Risk::Low, Form::Text),
    known("cors-allow-credentials", Risk::Low, Form::Boolean),
    known("cors-allow-headers", Risk::Medium, Form::List),
    known("cors-allow-methods", Risk::Medium, Form::List),
    known("cors-allow-origin", Risk::Medium, Form::List),
    known("cors-expose-headers", Risk::Medium, Form::List),
    known("cors-max-age", Risk::Low, Form::Number),
    known("custom-headers", Risk::Medium, Form::List),
    known("custom-http-errors", Risk::Low, Form::List),
    known("default-backend", Risk::Low, Form::Text),
    known("denylist-source-range", Risk::Medium, Form::List),
    known("disable-proxy-intercept-errors", Risk::Low, Form::Text),
    known("enable-access-log", Risk::Low, Form::Boolean),
    known("enable-cors", Risk::Low, Form::Boolean),
    known("enable-global-auth", Risk::Low, Form::Boolean),
    known("enable-modsecurity", Risk::Low, Form::Boolean),
    known("enable-opentelemetry", Risk::Low, Form::Boolean),
    known("enable-owasp-core-rules", Risk::Low, Form::Boolean),
    known("enable-rewrite-log", Risk::Low, Form::Boolean),
    known("fastcgi-index", Risk::Medium, Form::Text),
    known("fastcgi-params-configmap", Risk::Medium, Form::Text),
    known("force-ssl-redirect", Risk::Medium, Form::Boolean),
    known("from-to-www-redirect", Risk::Low, Form::Boolean),
    known("http2-push-preload", Risk::Low, Form::Boolean),
    known("limit-allowlist", Risk::Low, Form::List),
    known("limit-burst-multiplier", Risk::Low, Form::Text),
    known("limit-connections", Risk::Low, Form::Number),
    known("limit-rate", Risk::Low, Form::Text),
    known("limit-rate-after", Risk::Low, Form::Text),
    known("limit-rpm", Risk::Low, Form::Text),
    known("limit-rps", Risk::Low, Form::Number),
    known("load-balance", Risk::Low, Form::Text),
    known("mirror-host", Risk::High, Form::Text),
    known("mirror-request-body", Risk::Low, Form::Text),
    known("mirror-target", Risk::High, Form::Text),
    known("modsecurity-snippet", Risk::Critical, Form::Text),
    known("modsecurity-transaction-id", Risk::High, Form::Text),
    known("opentelemetry-operation-name", Risk::Medium, Form::Text),
    known(
        "opentelemetry-trust-incoming-span",
        Risk::Low,
        Form::Boolean,
    ),
    known("permanent-redirect", Risk::Medium, Form::Text),
    known("permanent-redirect-code", Risk::Low, Form::Number),
    known("preserve-trailing-slash", Risk::Medium, Form::Boolean),
    known("proxy-body-size", Risk::Medium, Form::Text),
    known("proxy-buffer-size", Risk::Low, Form::Text),
    known("proxy-buffering", Risk::Low, Form::Text),
    known("proxy-buffers-number", Risk::Low, Form::Number),
    known("proxy-busy-buffers-size", Risk::Low, Form::Text),
    known("proxy-connect-timeout", Risk::Low, Form::Number),
    known("proxy-cookie-domain", Risk::Medium, Form::Text),
    known("proxy-cookie-path", Risk::Medium, Form::Text),
    known("proxy-http-version", Risk::Low, Form::Text),
    known("proxy-max-temp-file-size", Risk::Low, Form::Text),
    known("proxy-next-upstream", Risk::Medium, Form::Text),
    known("proxy-next-upstream-timeout", Risk::Low, Form::Number),
    known("proxy-next-upstream-tries", Risk::Low, Form::Number),
    known("proxy-read-timeout", Risk::Low, Form::Number),
    known("proxy-redirect-from", Risk::Medium, Form::Text),
    known("proxy-redirect-to", Risk::Medium, Form::Text),
    known("proxy-request-buffering", Risk::Low, Form::Text),
    known("proxy-send-timeout", Risk::Low, Form::Number),
    known("proxy-ssl-ciphers", Risk::Medium, Form::List),
    known("proxy-ssl-name", Risk::High, Form::Text),
    known("proxy-ssl-protocols", Risk::Low, Form::Text),
    known("proxy-ssl-secret", Risk::Medium, Form::Text),
    known("proxy-ssl-server-name", Risk::Low, Form::Text),
    known("proxy-ssl-verify", Risk::Low, Form::Text),
    known("proxy-ssl-verify-depth", Risk::Low, Form::Number),
    known("relative-redirects", Risk::Low, Form::Text),
    known("rewrite-target", Risk::Medium, Form::Text),
    known("satisfy", Risk::Low, Form::Text),
    known("server-alias", Risk::High, Form::List),
    known("server-snippet", Risk::Critical, Form::Text),
    known("service-upstream", Risk::Low, Form::Boolean),
    known("session-cookie-change-on-failure", Risk::Low, Form::Boolean),
    known(
        "session-cookie-conditional-samesite-none",
        Risk::Low,
        Form::Boolean,
    ),
    known("session-cookie-domain", Risk::Medium, Form::Text),
    known("session-cookie-expires", Risk::Medium, Form::Text),
    known("session-cookie-max-age", Risk::Medium, Form::Text),
    known("session-cookie-name", Risk::Medium, Form::Text),
    known("session-cookie-path", Risk::Medium, Form::Text),
    known("session-cookie-samesite", Risk::Low, Form::Text),
    known("session-cookie-secure", Risk::Low, Form::Text),
    known("ssl-ciphers", Risk::Low, Form::List),
    known("ssl-passthrough", Risk::Low, Form::Boolean),
    known("ssl-prefer-server-ciphers", Risk::Low, Form::Boolean),
    known("ssl-redirect", Risk::Low, Form::Boolean),
    known("stream-snippet", Risk::Critical, Form::Text),
    known("temporal-redirect", Risk::Medium, Form::Text),
    known("temporal-redirect-code", Risk::Low, Form::Number),
    known("upstream-hash-by", Risk::High, Form::Text),
    known("upstream-hash-by-subset", Risk::Low, Form::Text),
    known("upstream-hash-by-subset-size", Risk::Low, Form::Text),
    known("upstream-vhost", Risk::Low, Form::Text),
    known("use-port-in-redirects", Risk::Low, Form::Text),
    known("use-regex", Risk::Low, Form::Boolean),
    known("x-forwarded-prefix", Risk::Medium, Form::Text),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(KNOWN.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn typos_are_recognized() {
        assert_eq!(nearest("rewrite-targt"), Some("rewrite-target"));
        assert_eq!(nearest("use-regexp"), Some("use-regex"));
        assert_eq!(nearest("rewrite-target"), None);
        assert_eq!(nearest("whitelist-source-range"), None);
        assert_eq!(nearest("something-else"), None);
    }
}
