//! What commands cost the API server.

use flux_tests::measure::RequestLog;

use super::own_cluster;

/// Most requests that a list of everything may take.
const MOST: u64 = 6;

#[tokio::test]
async fn a_list_of_everything_takes_a_request_per_kind() {
    let env = own_cluster().await;
    let kubeconfig = env.sandbox().kubeconfig_of("person").unwrap();
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let path = env.sandbox().control_plane().unwrap().audit_log().unwrap();
    let mut log = RequestLog::open(path).unwrap();
    for (args, most) in [
        (&["get", "all", "-A"][..], MOST),
        (&["get", "ks", "-A"], 1),
        (&["stats", "-A"], MOST),
        (
            &[
                "create",
                "image",
                "repository",
                "a",
                "--image=a.test/app",
                "--export",
            ],
            0,
        ),
        (&["version", "--client"], 0),
    ] {
        let line = [&["flux"], args, &[kubeconfig.as_str()]].concat();
        let output = env.kubectl(&line).await.unwrap();
        assert!(
            output.stderr.is_empty() || output.status.success() || most == 1,
            "{output}"
        );
        let requests = log.take().unwrap().of("person");
        assert!(requests.total() <= most, "{args:?}: {:?}", requests.lines());
        assert!(requests.total() > 0 || most == 0, "{args:?} asked nothing");
    }
}
