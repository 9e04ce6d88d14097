use super::*;

fn words(line: &str) -> Vec<OsString> {
    std::iter::once("kubectl-flux")
        .chain(line.split_whitespace())
        .map(OsString::from)
        .collect()
}

fn mistake(line: &str) -> String {
    match parse(&words(line)) {
        Ok(cli) => panic!("{line}: parsed as {cli:?}"),
        Err(stop) if stop.is_help => panic!("{line}: help"),
        Err(stop) => stop.text,
    }
}

fn help(line: &str) -> String {
    match parse(&words(line)) {
        Err(stop) if stop.is_help => stop.text,
        _ => panic!("{line}: no help"),
    }
}

#[test]
fn the_tree_is_consistent() {
    command().debug_assert();
}

#[test]
fn aliases_are_flux_s() {
    for line in [
        "get ks",
        "get kustomization x",
        "get kustomizations",
        "get source git",
        "get sources all",
        "get image policy",
        "get images all",
        "get all -A",
        "create ks x --source=a",
        "reconcile ks x --with-source",
        "reconcile source git x",
        "reconcile image update x",
    ] {
        assert!(parse(&words(line)).is_ok(), "{line}");
    }
}

#[test]
fn switches_take_a_value_only_after_an_equals_sign() {
    for (line, expected) in [
        ("install --export", true),
        ("install --export=true", true),
        ("install --export=0", false),
        ("install", false),
    ] {
        let cli = parse(&words(line)).unwrap_or_else(|stop| panic!("{line}: {}", stop.text));
        assert_eq!(
            format!("{:?}", cli.command).contains("export: true"),
            expected,
            "{line}"
        );
    }
    assert_eq!(
        mistake("install --export=maybe"),
        "invalid argument \"maybe\" for \"--export\" flag: strconv.ParseBool: parsing \"maybe\": \
         invalid syntax"
    );
}

#[test]
fn global_flags_may_stand_anywhere_and_the_last_counts() {
    for line in [
        "-n foo get all",
        "get -n foo all",
        "get all -n foo",
        "get all -n bar --namespace=foo",
    ] {
        let cli = parse(&words(line)).unwrap_or_else(|stop| panic!("{line}: {}", stop.text));
        assert_eq!(cli.global.namespace.as_deref(), Some("foo"), "{line}");
    }
}

#[test]
fn kubectl_s_flags_are_understood() {
    let cli = parse(&words(
        "get all --kubeconfig k --context c --cluster d --user u --token t --as a --as-group g \
         --as-group h --as-uid 1 --as-user-extra x=y --server s --tls-server-name n \
         --certificate-authority ca --client-certificate cc --client-key ck \
         --insecure-skip-tls-verify --request-timeout 5s --disable-compression --cache-dir /x \
         --kube-api-qps 50 --kube-api-burst 300 --timeout 1m --no-headers",
    ))
    .unwrap_or_else(|stop| panic!("{}", stop.text));
    let global = cli.global;
    assert_eq!(global.context.as_deref(), Some("c"));
    assert_eq!(global.as_group, ["g", "h"]);
    assert!(global.insecure_skip_tls_verify && global.disable_compression);
    assert_eq!(global.timeout.as_std().as_secs(), 60);
    assert_eq!(global.token.as_ref().map(SecretText::reveal), Some("t"));
}

#[test]
fn short_forms_are_flux_s_where_it_has_them_and_else_kubectl_s() {
    for (line, server, level) in [
        ("get ks -s https://x -v=6", Some("https://x"), Some(6)),
        ("get -s https://x ks -v 6", Some("https://x"), Some(6)),
        (
            "reconcile source git a --server https://x --v=8",
            Some("https://x"),
            Some(8),
        ),
        ("delete ks a -s", None, None),
        ("delete ks a -s -v6", None, Some(6)),
        ("uninstall -s --server=https://x", Some("https://x"), None),
        ("migrate -f x -v 2.8 -s https://x", Some("https://x"), None),
    ] {
        let cli = parse(&words(line)).unwrap_or_else(|stop| panic!("{line}: {}", stop.text));
        assert_eq!(cli.global.server.as_deref(), server, "{line}");
        assert_eq!(cli.global.verbosity, level, "{line}");
    }
    assert_eq!(help("-v"), "flux version 0.1.0\n");
}

#[test]
fn the_value_of_a_flag_may_begin_with_a_dash() {
    let mut line = words("create image update x --export");
    line.extend(["--commit-template".into(), "- {{ . }}".into()]);
    assert!(parse(&line).is_ok());
}

#[test]
fn mistakes_are_told_in_flux_s_words() {
    for (line, text) in [
        ("get --foo", "unknown flag: --foo"),
        ("get all --foo=bar", "unknown flag: --foo"),
        ("get all -x", "unknown shorthand flag: 'x' in -x"),
        ("frobnicate", "unknown command \"frobnicate\" for \"flux\""),
        (
            "get frobnicate",
            "unknown command \"frobnicate\" for \"flux get\"",
        ),
        (
            "create source frobnicate",
            "unknown command \"frobnicate\" for \"flux create source\"",
        ),
        (
            "create ks x --interval=60",
            "invalid argument \"60\" for \"--interval\" flag: time: missing unit in duration \"60\"",
        ),
        (
            "create ks x --interval",
            "flag needs an argument: --interval",
        ),
        (
            "create source git x --provider dummy",
            "invalid argument \"dummy\" for \"--provider\" flag: source Git provider 'dummy' is \
             not supported, must be one of: generic|github|aws|azure",
        ),
        (
            "create secret git x --ssh-rsa-bits 512",
            "invalid argument \"512\" for \"--ssh-rsa-bits\" flag: RSA key bit size must be at \
             least 1024",
        ),
        (
            "get all -o xml",
            "invalid argument \"xml\" for \"-o, --output\" flag: format 'xml' not supported, must \
             be one of: json, yaml, name, wide",
        ),
    ] {
        let found = mistake(line);
        assert!(found.starts_with(text), "{line}: {found}");
    }
}

#[test]
fn a_similar_command_is_suggested() {
    let text = mistake("get kustomization-s");
    assert!(text.contains("\n\nDid you mean this?\n"), "{text}");
    assert!(text.contains("\tkustomizations\n"), "{text}");
}

#[test]
fn help_names_the_program_as_it_was_called() {
    assert!(help("get all --help").contains("Usage: kubectl flux get all"));
    assert!(help("get").contains("Usage: kubectl flux get"));
    assert!(help("").contains("Usage: kubectl flux"));
    let as_flux = ["/opt/flux", "check", "-h"].map(OsString::from);
    match parse(&as_flux) {
        Err(stop) => assert!(stop.text.contains("Usage: flux check"), "{}", stop.text),
        Ok(_) => panic!("no help"),
    }
}
