"""``gpt2_helix.judge``: the same verdicts as ``pytest claims/``, whatever it is given."""

import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import gpt2_helix as gh
from gpt2_helix.judging.report import plain
from gpt2_helix.models.sources import StateDict, open_in_memory
from gpt2_helix.places import DATA
from support import Judge, helix_rows, refused, run_python, small

QUICK = ("architecture.*", "helix.axis", "kernels.local-heads", "heads.main-previous-token")
MINI = DATA / "mini/model"


def without_names(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of verdicts, what does not depend on what the subject is called."""
    return [{**c, "controls": [{**x, "reason": ""} for x in c["controls"]]} for c in claims]


def test_on_the_record_all_is_as_with_pytest(judge: Judge) -> None:
    verdicts = gh.judge("recorded:gpt2")
    assert plain(verdicts.report) == judge(subject="recorded:gpt2").report
    assert len(verdicts) == len(set(verdicts)) == len(verdicts.claims)
    found = verdicts["helix.axis"]
    assert found.verdict in {"confirmed", "described"}
    assert found.evidence == "recorded"
    assert verdicts.statements["helix"].verdict in {"confirmed", "described"}
    with pytest.raises(KeyError):
        verdicts["helix.no-such"]


@pytest.mark.usefixtures("offline")
def test_gpt2_is_its_record_where_it_cannot_be_had(judge: Judge) -> None:
    assert gh.judge().report == gh.judge("gpt2").report
    assert plain(gh.judge().report) == judge().report


def test_mini_and_the_same_weights_in_memory_are_as_with_pytest(judge: Judge) -> None:
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

    names = "144 or axis or (test_local_heads and not idle) or main_previous"
    expected = judge("--windows", "2", "-k", names, subject="mini").report["claims"]
    assert len(expected) == len(QUICK)
    assert {c["evidence"] for c in expected} == {"live"}
    of_weights = [c for c in expected if c["statement"] != "previous-token"]
    assert plain(gh.judge("mini", QUICK[:-1]).report)["claims"] == of_weights
    held = GPT2LMHeadModel.from_pretrained(MINI)
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_file=str(MINI / "tokenizer.json"))
    in_memory = plain(gh.judge(held, QUICK, tokenizer=tokenizer, windows=2).report)
    assert without_names(in_memory["claims"]) == without_names(expected)
    blocked = gh.judge(held, "heads.main-previous-token")["heads.main-previous-token"]
    assert blocked.verdict == "blocked"
    assert "tokenizer.json" in blocked.missing


def test_a_bridge_is_judged_by_the_weights_it_was_given() -> None:
    from transformer_lens.model_bridge.sources import build_bridge_from_module
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=1, n_head=2, n_embd=16, n_positions=64, vocab_size=20)
    held = GPT2LMHeadModel(config)
    before = {name: tensor.numpy().copy() for name, tensor in held.state_dict().items()}
    bridge = build_bridge_from_module(held, "GPT2LMHeadModel", hf_config=config)
    read = StateDict(bridge.original_model.state_dict())
    for name, tensor in before.items():
        np.testing.assert_array_equal(read[name], tensor)
    verdict = gh.judge(bridge, "positions.*")["positions.learned-1024"]
    assert verdict.measured["positions"] == 64
    bridge.enable_compatibility_mode()
    with pytest.raises(gh.InputError, match="found compatibility mode"):
        gh.judge(bridge)


def test_a_folder_and_a_pattern_of_claims(folder: Any) -> None:
    verdicts = gh.judge(small(folder), "helix.*")
    assert {claim.partition(".")[0] for claim in verdicts} == {"helix"}
    assert {verdict.verdict for verdict in verdicts.values()} == {"confirmed"}
    frame = verdicts.to_frame()
    assert list(frame.index) == list(verdicts)
    assert frame.loc["helix.axis", ["number", "value", "bound"]].tolist() == [
        "climb",
        verdicts["helix.axis"].measured["climb"],
        ">= 0.95",
    ]
    assert repr(verdicts).splitlines()[-1] == f"claims: {len(verdicts)} confirmed"
    html = verdicts._repr_html_()
    assert html.count("<code>helix.") == len(verdicts)
    assert "href" not in html


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("recorded:gpt2", "helix"), r"claims: expected patterns of identifiers, .*mean helix\.\*"),
        (("mini", "helix.axsi"), r"kernels\.\*, .*found 'helix.axsi'; did you mean helix.axis\?"),
        (("mini", ["helix.axis", "x"]), r"repetition\.\*, found 'x'$"),
        (("mini", []), r"found ''$"),
        ((3,), "expected a name, a folder, a model of transformers .* found int"),
        (("no-such-model",), "found 'no-such-model'"),
    ],
)
def test_wrong_input_is_one_line(arguments: tuple[Any, ...], line: str) -> None:
    with pytest.raises(gh.InputError, match=line):
        gh.judge(*arguments)


def test_texts_are_named_by_a_path_or_its_name(tmp_path: Path) -> None:
    for path in ("none", tmp_path / "none"):
        with pytest.raises(gh.InputError, match="none: expected UTF-8 text"):
            gh.judge("mini", "output.*", corpus=path)
        with pytest.raises(gh.InputError, match="none: expected UTF-8 text"):
            gh.judge("mini", "repetition.*", prompt=path)


def test_measurements_take_a_bare_array() -> None:
    W_pos = helix_rows()
    helix: Any = gh.measure.helix  # A module, but one that can be called.
    assert helix(W_pos) == helix.shape(W_pos)
    assert helix(W_pos).climb > 0.99
    assert helix(W_pos.tolist()) == helix.shape(W_pos)
    with pytest.raises(AttributeError):
        _ = gh.measure.no_such_family


@pytest.mark.parametrize(
    ("W_pos", "line"),
    [
        ([[1.0, np.nan, 2, 3]] * 9, "W_pos: expected finite numbers, found 9 that are not"),
        (np.ones((5, 8)), r"W_pos: expected a matrix of 6 x 4 or larger, found shape \(5, 8\)"),
        (np.ones((64, 3)), r"expected a matrix of 6 x 4 or larger, found shape \(64, 3\)"),
        ("W_pos", "could not convert string to float"),
    ],
)
def test_a_matrix_that_has_no_curve_is_one_line(W_pos: Any, line: str) -> None:
    helix: Any = gh.measure.helix
    with pytest.raises(ValueError, match=line) as refused:
        helix(W_pos)
    assert "\n" not in str(refused.value)


def test_the_package_imports_nothing_slow_and_lists_its_names() -> None:
    code = (
        "import sys, gpt2_helix as gh; assert {'judge', 'measure'} <= set(dir(gh)); "
        "slow = {'numpy', 'torch', 'pandas', 'pytest'} & set(sys.modules); assert not slow, slow; "
        "assert all(getattr(gh, name) is not None for name in gh.__all__); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError):
        _ = gh.no_such_name


def test_half_precision_becomes_float32() -> None:
    import torch

    held = StateDict({"a": torch.ones(2, dtype=torch.bfloat16), "b": torch.ones(2).double()})
    assert (held["a"].dtype.name, held["b"].dtype.name, len(held)) == ("float32", "float64", 2)


WRONG = {
    "claims=None": "claims: expected a pattern of identifiers, or several, found None",
    "claims=[5]": "claims: expected a pattern of identifiers, or several, found [5]",
    "claims=b'x'": "claims: expected a pattern of identifiers, or several, found b'x'",
    "windows='x'": "windows: expected a number or None, found str",
    "windows=True": "windows: expected a number or None, found bool",
    "corpus=3": "corpus: expected a path, found int",
    "prompt=b'x'": "prompt: expected a path, found bytes",
    "tokenizer='gpt2'": "tokenizer: expected a fast one of transformers, or one of tokenizers, "
    "found str",
}


def test_an_argument_of_another_type() -> None:
    """In a process of its own: in this one, types are checked before arguments are."""
    code = "import gpt2_helix as gh, transformers, traceback\n"
    code += f"held = transformers.GPT2LMHeadModel.from_pretrained({str(MINI)!r})\n"
    for wrong in WRONG:
        code += f"try: gh.judge(held, {wrong})\n"
        code += "except TypeError as error: print(error)\n"
    ran = run_python("-c", code)
    assert ran.stdout.splitlines() == list(WRONG.values()), ran.stderr


def test_a_path_that_is_empty_is_not_the_current_folder() -> None:
    for name in ("corpus", "prompt"):
        with refused(f"{name}: expected a name or a path, found ''"):
            gh.judge("mini", **{name: ""})  # type: ignore[arg-type]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, some_claims: Path) -> Any:
    """A model in memory, to be judged by one claim."""
    from transformers import GPT2Config, GPT2LMHeadModel

    monkeypatch.setattr("gpt2_helix.api.CLAIMS", some_claims)
    monkeypatch.setattr("gpt2_helix.suite.gpt2.CLAIMS", some_claims)
    sizes: dict[str, Any] = {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 64}
    config = GPT2Config(**sizes, vocab_size=20, bos_token_id=0, eos_token_id=0)
    return GPT2LMHeadModel(config)


def test_a_compiled_model_is_the_model_that_it_wraps(tiny: Any) -> None:
    import torch

    expected = open_in_memory(tiny)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # What it imports uses torch.jit.
        compiled: Any = torch.compile(tiny)
    for held in (compiled, torch.compile(tiny.transformer)):
        found = open_in_memory(held)
        assert found.name == expected.name or held is not compiled
        np.testing.assert_array_equal(found.W_pos, expected.W_pos)
        np.testing.assert_array_equal(found.attention(1).weight, expected.attention(1).weight)
    tiny.transformer.h[1] = torch.compile(tiny.transformer.h[1])
    assert any("_orig_mod" in name for name in tiny.state_dict())
    np.testing.assert_array_equal(
        open_in_memory(tiny).attention(1).weight, expected.attention(1).weight
    )
    name = "positions.learned"
    assert gh.judge(compiled, name)[name].measured == gh.judge(tiny, name)[name].measured


@pytest.mark.parametrize("kind", ["meta", "sparse", "complex", "integers"])
def test_a_model_in_memory_that_holds_no_numbers(tiny: Any, kind: str) -> None:
    import torch

    if kind == "meta":
        tiny.to("meta")
    else:
        rows = tiny.transformer.wpe.weight.detach()
        other = {
            "sparse": rows.to_sparse(),
            "complex": rows.to(torch.complex64),
            "integers": rows.to(torch.int64),
        }
        tiny.transformer.wpe.weight = torch.nn.Parameter(other[kind], requires_grad=False)
    with refused("wpe.weight: expected a dense tensor of floating-point numbers in memory"):
        gh.judge(tiny, "positions.*")


def test_a_class_is_no_model(tiny: Any) -> None:
    with refused("expected a name, a folder, a model of transformers or a TransformerBridge"):
        gh.judge(type(tiny))


def test_calls_from_several_threads_leave_the_threads_of_libraries_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info()]

    def slow(seconds: Any, *_: Any) -> None:
        with threadpool_limits(1):
            time.sleep(seconds)
        raise gh.InputError("nothing is judged here")

    monkeypatch.setattr("gpt2_helix.api._judge", slow)
    with threadpool_limits(3):
        before = threads()
        assert set(before) == {3}
        # The second begins before the first ends, and ends after it.
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(gh.judge, 0.3)
            time.sleep(0.1)
            second = pool.submit(gh.judge, 0.4)
            assert all(isinstance(one.exception(), gh.InputError) for one in (first, second))
        assert threads() == before
