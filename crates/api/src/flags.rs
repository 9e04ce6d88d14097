//! Flags of Flux's controllers that people add to their Deployments, and that must not get lost when
//! others take their place: a cluster that several teams share is held together by them.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;

/// Flags that restrict what the owners of objects may do. Without them, objects that were confined
/// would be applied with the rights of the operator.
pub const LOCKDOWN: &[&str] = &[
    "default-service-account",
    "no-cross-namespace-refs",
    "no-remote-bases",
];

/// Flags that objects were written for, or that others wait for.
const BEHAVIOUR: &[&str] = &[
    "events-addr",
    "feature-gates",
    "interval-jitter-percentage",
    "requeue-dependency",
    "sops-age-secret",
];

/// Flags that are on when they are given without a value.
const SWITCHES: &[&str] = &["no-cross-namespace-refs", "no-remote-bases"];

/// The arguments of the containers of a Deployment.
pub fn arguments(deployment: &Deployment) -> impl Iterator<Item = &str> {
    let pod = deployment.spec.template.spec.as_ref();
    let containers = pod.map(|pod| pod.containers.as_slice()).unwrap_or_default();
    let args = containers.iter().flat_map(|c| c.args.iter().flatten());
    args.map(String::as_str)
}

/// The flags among the arguments of a container that must not get lost, with their values. Of one
/// that is given twice the last counts; a switch that is off is none.
pub fn to_keep<'a>(args: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let Some(flag) = arg.strip_prefix("--") else {
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        if !LOCKDOWN.contains(&name) && !BEHAVIOUR.contains(&name) {
            continue;
        }
        let value = match value {
            Some(value) => value,
            None if SWITCHES.contains(&name) => "true".to_owned(),
            None => args.next().unwrap_or_default().to_owned(),
        };
        let is_off = value.is_empty() || (SWITCHES.contains(&name) && value == "false");
        match is_off {
            true => found.remove(name),
            false => found.insert(name.to_owned(), value),
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_in_every_form() {
        for (args, expected) in [
            (
                &["--log-level=info", "--enable-leader-election"][..],
                &[][..],
            ),
            (
                &[
                    "--no-cross-namespace-refs",
                    "--default-service-account",
                    "robot",
                    "--x",
                ],
                &[
                    "default-service-account=robot",
                    "no-cross-namespace-refs=true",
                ],
            ),
            (
                &[
                    "--no-remote-bases=true",
                    "--events-addr=",
                    "--no-remote-bases=false",
                ],
                &[],
            ),
            (
                &["--feature-gates=A=false,B=true", "--requeue-dependency=5s"],
                &["feature-gates=A=false,B=true", "requeue-dependency=5s"],
            ),
        ] {
            let found = to_keep(args.iter().copied());
            let found: Vec<_> = found.iter().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!(found, expected);
        }
    }
}
