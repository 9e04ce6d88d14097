//! `healthCheckExprs` and `dependsOn[].readyExpr`: what people say about health and readiness.

use std::sync::Arc;

use flux_api::kustomize::CustomHealthCheck;
use flux_apply::health::Status;
use flux_apply::object::Gvk;
use flux_apply::wait::Judge;
use kube::ResourceExt;
use kube_runtime::reflector::ObjectRef;
use serde_json::Value;

use super::cel::{CelError, Expression};
use super::run::Run;
use crate::conclusion::{Retry, Verdict};
use crate::key::Key;
use flux_api::names::reason;

/// Reason of the Ready condition for expressions that are none.
const INVALID: &str = "InvalidCELExpression";

/// The expressions for some kinds.
struct Check {
    group: String,
    kind: Option<String>,
    in_progress: Option<Expression>,
    failed: Option<Expression>,
    current: Expression,
}

/// All of a spec.
pub(super) struct Checks(Vec<Arc<Check>>);

impl Checks {
    fn parse(checks: &[CustomHealthCheck]) -> Result<Self, CelError> {
        let one = |check: &CustomHealthCheck| {
            let group = check.api_version.split_once('/');
            let optional = |text: &Option<String>| {
                let text = text.as_deref().filter(|text| !text.is_empty());
                text.map(Expression::parse).transpose()
            };
            Ok(Arc::new(Check {
                group: group.map(|(group, _)| group.to_owned()).unwrap_or_default(),
                kind: check.kind.clone().filter(|kind| !kind.is_empty()),
                in_progress: optional(&check.in_progress)?,
                failed: optional(&check.failed)?,
                current: Expression::parse(&check.current)?,
            }))
        };
        checks.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// How objects of a kind are judged; expressions for the very kind go before those for its
    /// group, versions do not matter.
    pub(super) fn judge(&self, gvk: &Gvk) -> Option<Judge> {
        let of_group = || self.0.iter().filter(|check| check.group == gvk.group);
        let check = of_group()
            .find(|check| check.kind.as_ref() == Some(&gvk.kind))
            .or_else(|| of_group().find(|check| check.kind.is_none()))?
            .clone();
        Some(Judge::new(move |live| {
            let check = check.clone();
            async move { check.status(live).await }
        }))
    }
}

impl Check {
    async fn status(&self, live: Value) -> Status {
        let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_i64);
        let observed = number("/status/observedGeneration");
        if observed.is_some() && observed != number("/metadata/generation") {
            return Status::InProgress("its controller has not seen the latest change".to_owned());
        }
        let Value::Object(fields) = live else {
            return Status::InProgress(String::new());
        };
        let variables: Vec<(String, Value)> = fields.into_iter().collect();
        let questions = [
            (
                self.in_progress.as_ref(),
                Status::InProgress("the expression inProgress is true".to_owned()),
            ),
            (
                self.failed.as_ref(),
                Status::Failed("the expression failed is true".to_owned()),
            ),
            (Some(&self.current), Status::Current),
        ];
        for (expression, status) in questions {
            let Some(expression) = expression else {
                continue;
            };
            match expression.is_true(variables.clone()).await {
                Ok(true) => return status,
                Ok(false) => {}
                // Fields may be missing until the object's controller has written them.
                Err(error) => return Status::InProgress(error.to_string()),
            }
        }
        Status::InProgress("the expression current is not true".to_owned())
    }
}

impl Run<'_> {
    fn invalid(&self, field: &str, error: &CelError) -> Verdict {
        Verdict::Stalled {
            reason: INVALID,
            message: format!("{field}: {error}"),
        }
    }

    /// The expressions about health.
    pub(super) fn health_expressions(&self) -> Result<Checks, Verdict> {
        Checks::parse(&self.object.spec.health_check_exprs)
            .map_err(|error| self.invalid("spec.healthCheckExprs", &error))
    }

    /// Asks the expressions about dependencies. Each stands in the place of the usual rules, unless
    /// a feature gate says that they count, too.
    pub(super) async fn check_ready_expressions(&self) -> Result<(), Verdict> {
        self.health_expressions()?;
        for dependency in &self.object.spec.depends_on {
            let Some(text) = dependency.ready_expr.as_deref().filter(|t| !t.is_empty()) else {
                continue;
            };
            let field = "spec.dependsOn[].readyExpr";
            let expression =
                Expression::parse(text).map_err(|error| self.invalid(field, &error))?;
            let namespace = dependency
                .namespace
                .clone()
                .or_else(|| self.object.namespace());
            let key = Key::new(namespace.unwrap_or_default(), &dependency.name);
            let reference = ObjectRef::new(&key.name).within(&key.namespace);
            let Some(found) = self.context.stores.kustomizations.get(&reference) else {
                // The usual check has its words for it.
                continue;
            };
            let found = self.context.newest_of(found);
            let value =
                |object: &flux_api::Kustomization| serde_json::to_value(object).unwrap_or_default();
            let variables = vec![
                ("self".to_owned(), value(self.object)),
                ("dep".to_owned(), value(&found)),
            ];
            let why = match expression.is_true(variables).await {
                Ok(true) => continue,
                Ok(false) => String::new(),
                Err(error) => format!(": {error}"),
            };
            return Err(Verdict::Failed {
                reason: reason::DEPENDENCY_NOT_READY,
                message: format!(
                    "dependency '{key}' is not ready according to readyExpr eval{why}"
                ),
                retry: Retry::OnChange(self.context.args.dependency_retry()),
            });
        }
        Ok(())
    }
}
