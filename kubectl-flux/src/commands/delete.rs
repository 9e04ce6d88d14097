//! `delete`: removes Flux objects after asking.

use kube::api::DynamicObject;

use crate::cluster::View;
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;

use super::which::{Which, place, report};

/// What can be deleted.
pub(crate) type Delete = Which<Args>;

/// Flags of `delete`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names of the objects
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Do not ask
    #[arg(short = 's', long)]
    silent: bool,
}

/// Runs the command. Every object is asked about by itself, with what goes along with it.
pub(crate) fn run(what: Delete, context: &Context) -> Result<(), Error> {
    let (kind, args) = what.split();
    if args.names.is_empty() {
        return Err(Error::input(format!("{} name is required", kind.noun())));
    }
    context.block_on(async {
        let cluster = context.cluster().await?;
        let choice = super::which::Choice {
            names: args.names.clone(),
            ..Default::default()
        };
        let chosen = choice.find(kind, &cluster, context).await?;
        let mut failures = chosen.missing;
        for object in &chosen.objects {
            let (namespace, name) = place(object);
            if let Some(consequence) = consequence(kind, object) {
                output::warning(format!("{name}: {consequence}"));
            }
            let question = format!("Are you sure you want to delete this {}", kind.noun());
            if !args.silent && !output::confirmed(&question)? {
                return Err(Error::input("aborting; --silent deletes without asking"));
            }
            let noun = kind.noun();
            output::action(format!("deleting {noun} {name} in {namespace} namespace"));
            match cluster.delete(kind, &namespace, &name).await {
                Ok(()) => output::success(format!("{noun} deleted")),
                Err(error) => failures.push(error.into()),
            }
        }
        report(failures)
    })
}

/// What else goes when the object goes: for a Kustomization that prunes, everything it applied.
fn consequence(kind: Kind, object: &DynamicObject) -> Option<String> {
    if kind != Kind::Kustomization || object.is_suspended() {
        return None;
    }
    let deletes = match object.text("/spec/deletionPolicy") {
        None | Some("MirrorPrune") => object.flag("/spec/prune"),
        Some(policy) => policy != "Orphan",
    };
    let entries = object
        .at("/status/inventory/entries")
        .and_then(serde_json::Value::as_array)
        .map_or(0, Vec::len);
    (deletes && entries > 0).then(|| {
        format!("the {entries} objects it applied are deleted too; suspend it first to keep them")
    })
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    use super::consequence;
    use crate::kind::Kind;

    #[test]
    fn what_goes_along_is_said() {
        let status = json!({"inventory": {"entries": [{"id": "a"}, {"id": "b"}]}});
        let object = |spec: Value| {
            DynamicObject::new("apps", &Kind::Kustomization.resource())
                .data(json!({"spec": spec, "status": status}))
        };
        for (spec, told) in [
            (json!({"prune": true}), true),
            (json!({"prune": false}), false),
            (json!({"prune": false, "deletionPolicy": "Delete"}), true),
            (json!({"prune": true, "deletionPolicy": "Orphan"}), false),
            (json!({"prune": true, "suspend": true}), false),
        ] {
            let found = consequence(Kind::Kustomization, &object(spec.clone()));
            assert_eq!(found.is_some(), told, "{spec}");
        }
        assert!(
            consequence(Kind::Kustomization, &object(json!({"prune": true})))
                .is_some_and(|text| text.starts_with("the 2 objects"))
        );
    }
}
