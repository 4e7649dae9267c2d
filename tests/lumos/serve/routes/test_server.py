"""`/v1/models`, `/health`, `/metrics`."""

from tests.lumos.serve.standin import Server


def test_models_are_listed_by_their_names(server: Server) -> None:
    listed = server.client.get("/v1/models").json()
    assert (listed["object"], [one["id"] for one in listed["data"]]) == ("list", ["red", "flow"])
    one = server.client.get("/v1/models/flow").json()
    assert (one["object"], one["tasks"], one["size"], one["num_frames"]) == ("model", ["t2v"], "64x32", 5)
    absent = server.client.get("/v1/models/org/name")
    assert (absent.status_code, absent.json()["error"]["code"]) == (404, "model_not_found")


def test_health_says_whether_jobs_are_accepted(server: Server) -> None:
    ok = server.client.get("/health")
    assert (ok.status_code, ok.json()) == (200, {"status": "ok", "queued": 0, "in_progress": 0})
    server.serving.draining.set()
    assert server.client.get("/health").status_code == 503
    refused = server.client.post("/v1/videos", json={"prompt": "a"})
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)


def test_metrics_count_jobs_frames_and_requests_and_name_no_prompt(server: Server) -> None:
    server.finished(server.create(prompt="a secret plan")["id"])
    server.finished(server.create(prompt="break the secret plan")["id"])
    server.client.get("/nowhere/secret")
    text = server.client.get("/metrics").text
    for line in (
        'lumos_jobs_total{kind="video",model="red",status="completed"} 1.0',
        'lumos_jobs_total{kind="video",model="red",status="failed"} 1.0',
        'lumos_frames_total{model="red"} 6.0',
        'lumos_requests_total{method="POST",route="/v1/videos",status="200"} 2.0',
        'lumos_requests_total{method="GET",route="none",status="404"} 1.0',
        'lumos_job_seconds_count{kind="video",model="red"} 1.0',
        "lumos_jobs_queued 0.0",
    ):
        assert line in text.splitlines(), text
    assert "secret" not in text
