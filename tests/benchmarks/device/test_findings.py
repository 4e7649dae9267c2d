"""Checks can fail, and what was found survives its json."""

import torch

from benchmarks.device.findings import Check, Findings, Row, relative_error


def test_a_check_fails_above_what_is_allowed_and_at_nan() -> None:
    verdicts = [Check(name="a", found=found, most=0.1).passed for found in (0.1, 0.11, float("nan"), float("inf"))]
    assert verdicts == [True, False, False, False]


def test_findings_pass_when_there_are_some_and_no_check_failed() -> None:
    row, bad = Row(name="a", value=2.0, unit="ms"), Check(name="b", found=1.0, most=0.1)
    assert not Findings().passed
    assert Findings(rows=[row]).passed
    assert Findings(left_out=["no GPU"]).passed
    assert not Findings(rows=[row], checks=[bad]).passed


def test_findings_come_back_from_plain_values() -> None:
    row, check = Row(name="a", value=2.0, unit="ms", best=1.0), Check(name="b", found=1.0, most=0.1)
    found = Findings(rows=[row], checks=[check], left_out=["c"], facts={"gpu": "d"})
    assert Findings.from_dict(found.to_dict()) == found
    assert "by arithmetic 1 ms" in (text := "\n".join(found.lines()))
    assert "FAILED b: 1.0e+00, at most 1.0e-01" in text


def test_errors_are_relative_and_another_shape_is_infinitely_wrong() -> None:
    ones = torch.ones(2, 3)
    assert relative_error(1.5 * ones.bfloat16(), ones) == 0.5
    assert relative_error(ones[:1], ones) == float("inf")
