//! Flux's names of components, and what they mean here: controllers inside one operator. Pure.

use crate::error::Error;

/// The controllers that the operator has, by the names of Flux's programs.
pub(crate) const HERE: [&str; 4] = [
    "source-controller",
    "kustomize-controller",
    "image-reflector-controller",
    "image-automation-controller",
];

/// What Flux has besides, and we lack.
const LACKING: [&str; 3] = [
    "helm-controller",
    "notification-controller",
    "source-watcher",
];

/// Without these nothing is synced.
const REQUIRED: [&str; 2] = ["source-controller", "kustomize-controller"];

/// What Flux installs where nothing is said.
const DEFAULT: [&str; 4] = [
    "source-controller",
    "kustomize-controller",
    "helm-controller",
    "notification-controller",
];

/// What was chosen by `--components` and `--components-extra`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The controllers to run; all that there are if none.
    pub(crate) controllers: Option<Vec<&'static str>>,
    /// Components that were chosen, and that we lack.
    pub(crate) lacking: Vec<&'static str>,
}

/// Reads the two flags. Where neither is given, all our controllers run: unlike Flux's, one that
/// has nothing to do costs nothing.
///
/// # Errors
/// For names that Flux does not know either, and where a required one is missing.
pub(crate) fn choose(components: &[String], extra: &[String]) -> Result<Choice, Error> {
    let chosen: Vec<&str> = match components {
        [] => DEFAULT.to_vec(),
        given => given.iter().map(String::as_str).collect(),
    };
    let chosen: Vec<&str> = chosen
        .into_iter()
        .chain(extra.iter().map(String::as_str))
        .filter(|name| !name.is_empty())
        .collect();
    for name in REQUIRED {
        if !chosen.contains(&name) {
            return Err(Error::input(format!("component {name} is required")));
        }
    }
    let is_known = |name: &&str| HERE.contains(name) || LACKING.contains(name);
    if let Some(name) = chosen.iter().find(|name| !is_known(name)) {
        return Err(Error::input(format!("component {name} is not available")));
    }
    let of = |names: &[&'static str]| -> Vec<&'static str> {
        let is_chosen = |name: &&&'static str| chosen.contains(*name);
        names.iter().filter(is_chosen).copied().collect()
    };
    let controllers = of(&HERE);
    let is_all = controllers.len() == HERE.len() || (components.is_empty() && extra.is_empty());
    Ok(Choice {
        controllers: (!is_all).then_some(controllers),
        lacking: of(&LACKING),
    })
}

impl Choice {
    /// The names of the controllers that run.
    pub(crate) fn running(&self) -> Vec<&'static str> {
        self.controllers.clone().unwrap_or_else(|| HERE.to_vec())
    }

    /// One line about what was chosen and is not here; none if everything is.
    pub(crate) fn lacking(&self) -> Option<String> {
        let (last, others) = self.lacking.split_last()?;
        let (names, verb) = match others {
            [] => ((*last).to_owned(), "is"),
            others => (format!("{} and {last}", others.join(", ")), "are"),
        };
        Some(format!(
            "{names} {verb} not part of this distribution, and the cluster does not get to know \
             the kinds of Flux that go with that"
        ))
    }
}

/// Whether our operator does what this controller of upstream's Flux does.
pub(crate) fn is_replaced(controller: &str) -> bool {
    HERE.contains(&controller)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(components: &[&str], extra: &[&str]) -> Result<Choice, String> {
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        choose(&owned(components), &owned(extra)).map_err(|error| error.to_string())
    }

    #[test]
    fn names_switch_controllers() {
        let all = chosen(&[], &[]).unwrap();
        assert_eq!(all.controllers, None);
        assert_eq!(all.lacking, ["helm-controller", "notification-controller"]);
        let walk = chosen(
            &[],
            &["image-reflector-controller", "image-automation-controller"],
        );
        assert_eq!(walk.unwrap().controllers, None, "that is all there is");
        let few = chosen(&["kustomize-controller", "source-controller"], &[]).unwrap();
        assert_eq!(
            few.controllers.as_deref(),
            Some(&["source-controller", "kustomize-controller"][..])
        );
        assert_eq!(few.lacking(), None);
        let extra = chosen(&[], &["image-reflector-controller"]).unwrap();
        assert_eq!(extra.running().len(), 3);
    }

    #[test]
    fn what_is_lacking_is_said_in_one_line() {
        let text = chosen(&[], &[]).unwrap().lacking().unwrap();
        assert!(
            text.starts_with("helm-controller and notification-controller are not part of"),
            "{text}"
        );
        let one = chosen(
            &["source-controller", "kustomize-controller"],
            &["source-watcher"],
        );
        let text = one.unwrap().lacking().unwrap();
        assert!(text.starts_with("source-watcher is not part"), "{text}");
    }

    #[test]
    fn mistakes() {
        assert_eq!(
            chosen(&["source-controller"], &[]).unwrap_err(),
            "component kustomize-controller is required"
        );
        assert_eq!(
            chosen(&[], &["image-controller"]).unwrap_err(),
            "component image-controller is not available"
        );
    }
}
